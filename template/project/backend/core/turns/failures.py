"""A failed run as a sentence for the person at the chat. What a provider wrote stays out of it."""

import logging
import re
import traceback
from contextlib import suppress
from dataclasses import dataclass

import openai
from agents import (
    InputGuardrailTripwireTriggered,
    MaxTurnsExceeded,
    ModelBehaviorError,
    OutputGuardrailTripwireTriggered,
    ToolInputGuardrailTripwireTriggered,
    ToolOutputGuardrailTripwireTriggered,
    UserError,
)
from chatkit.errors import CustomStreamError
from mcp.shared.exceptions import MCPError

from core.context import RequestContext
from core.errors import Refused
from core.models import complete_answers
from core.models.complete_answers import CutShort
from core.models.missing_setup import missing
from core.models.source import ModelUnavailable, asked
from core.own_code import OWN_FAILED, chain, is_own, log_own, wrapped_by_sdk
from core.sentences import Sentence
from core.turns.final_output import InvalidOutput
from core.turns.kept_mcp_server import ServerAway

log = logging.getLogger("app")

Tripwire = (
    InputGuardrailTripwireTriggered
    | OutputGuardrailTripwireTriggered
    | ToolInputGuardrailTripwireTriggered
    | ToolOutputGuardrailTripwireTriggered
)
"""A guardrail has said no: to a message, an answer, a tool's call, or a tool's output."""


@dataclass(frozen=True)
class Failure:
    """What the chat shows, and whether a Retry button makes sense."""

    sentence: str
    retry: bool


BROKE_OFF = Failure("The model's answer broke off. Try again.", True)
EMPTY = Failure("The model gave an empty answer. Try again.", True)
INVALID = Failure(
    "The model's answer does not have the form that the agent's output_type asks for. Try again.",
    True,
)
OVERLOADED = Failure("The model provider is overloaded. Try again in a moment.", True)
SILENT = Failure("The model has been silent for too long. Try again.", True)
UNKNOWN = Failure("The answer failed. The server's log has the cause. Try again.", True)
OWN = Failure(OWN_FAILED, False)
SET_UP_WRONGLY = Failure("The agent is set up wrongly. The server's log has the cause.", False)
TOOLS_AWAY = Failure(
    "A server of the agent's tools does not answer. Try again in a moment; the server's log says "
    "more.",
    True,
)
TOOL_FAILED = Failure("A tool of the agent failed. The server's log has the cause.", True)
UNREACHABLE = Failure(
    "The model provider cannot be reached; the server's log says where. Try again.", True
)

LENGTH = Sentence("The answer has reached the model's length limit. Ask for the rest.")
CUT = {
    "length": LENGTH,
    "model_length": LENGTH,
    "max_output_tokens": LENGTH,
    "content_filter": Sentence("The model provider's content filter ended the answer."),
}
"""What the chat says of an answer that was cut for one of these reasons."""

TOO_LONG = Failure(
    "This is too long for the model. Shorten it, begin a new conversation, "
    "or set a lower HISTORY_TOKENS in .env.",
    False,
)
UNPAID = Failure("The model provider wants to be paid first.", False)
NO_TOOLS = Failure(
    "This model does not take the agent's tools. Choose another MODEL in .env, or set "
    "MODEL_TOOLS=false there to go on without them. A vLLM server takes them when it is started "
    "with --enable-auto-tool-choice and --tool-call-parser.",
    False,
)
ELSEWHERE = Failure(
    "The model provider has nothing at this address. Set MODEL_BASE_URL in .env: many want a path "
    "in it such as /v1, and none the name of a request such as /chat/completions.",
    False,
)
NOTHING = Failure(
    "Nothing came from the model provider. Try again. If nothing ever comes, set MODEL_BASE_URL in "
    ".env: another server may be at that address.",
    True,
)
MOVED = Failure(
    "The model provider's address leads to another one, which is not followed: it would get the "
    "key. Set MODEL_BASE_URL in .env to the right one.",
    False,
)
IN_WORDS = {
    r"context.(length|limit|size|window)|(prompt|input).{1,4}too long"
    r"|maximum number of tokens": TOO_LONG,
    r"credit balance|insufficient_quota": UNPAID,
    r"not support (tool|function)|(tool|function)s?( calling)? (is|are) not supported"
    r"|enable-auto-tool-choice|tool-call-parser": NO_TOOLS,
}
"""What a provider's code or words tell, under a status that it has for more than that."""

INVALID_JSON = "Invalid JSON"
"""So begins the SDK's error that may quote a model."""
CODES = {"rate_limit_exceeded": 429, "server_error": 500}
"""The HTTP status that says the same as the code of a failure within the stream."""


def explain(error: Exception, *, begun: bool, api_key: str | None) -> Failure:
    """Tell what went wrong, and what to do.

    `begun` says whether the answer had begun, and `api_key` names the provider's key setting.
    """
    nobody = nobody_at(error) is not None
    error = root_of(error)
    match error:
        case ModelUnavailable():
            return Failure(error.sentence, False)
        case CutShort(reason=str(reason)) if reason in CUT:
            return Failure(CUT[reason], False)
        case CutShort(reason=complete_answers.NOTHING):
            return NOTHING
        case InvalidOutput():
            return INVALID
        case MaxTurnsExceeded():
            return Failure("The answer took too many steps and was stopped. Ask for less.", True)
        case _ if own_word := said_by_project(error):
            return own_word
        case _ if away := server_away(error):
            return tools_away(away)
        case _ if is_own(error):
            return OWN
        case _ if is_mcp_error(error):
            return TOOL_FAILED
        case UserError():
            return SET_UP_WRONGLY
        case openai.APITimeoutError():
            return SILENT
        case openai.OpenAIError() if sentence := missing(error):
            return Failure(sentence, False)
        case openai.APIError() if is_redirect(error):
            return MOVED
        case openai.APIError() if nobody or isinstance(error, openai.APIConnectionError):
            return BROKE_OFF if begun else UNREACHABLE
        case openai.APIError() | CutShort():
            said = f"{code_of(error)} {error}"
            for words, failure in IN_WORDS.items():
                if re.search(words, said, re.IGNORECASE):
                    return failure
            status = status_of(error)
            if status in (404, 405) and not re.search(r"\b(model|deployment)", said, re.IGNORECASE):
                return ELSEWHERE
            return BROKE_OFF if begun else by_status(status, api_key)
        case _:
            return BROKE_OFF if begun else UNKNOWN


def failed_run(
    error: Exception, request: RequestContext, *, begun: bool, api_key: str | None
) -> CustomStreamError:
    """The error as the chat shows it; the log gets its kind, not the provider's words."""
    while cause := wrapped_by_sdk(error):
        error = cause
    # A run may ask several models.
    source = asked(error)
    failure = explain(error, begun=begun, api_key=source.key_name if source else api_key)
    line = "request %s: the run failed: %s"
    # Why a server is away is logged as it is lost, and whenever it cannot be opened anew.
    away = server_away(error)
    # A UserError is the SDK's word about what the project wrote; a provider's words are no such.
    if is_own(error) or (isinstance(error, UserError) and not away):
        log_own(log, line, request.request_id, log_line(error), error=error)
    else:
        log.warning(line, request.request_id, away or log_line(error))
    return _as_event(failure, request)


def blocked_run(error: Tripwire, sentence: str, request: RequestContext) -> CustomStreamError:
    """What a guardrail has blocked as the chat shows it; the log says which guardrail it was."""
    guardrail = error.guardrail if hasattr(error, "guardrail") else error.guardrail_result.guardrail
    line = "request %s: blocked by the guardrail %s"
    log.warning(line, request.request_id, guardrail.get_name())
    return _as_event(Failure(sentence, False), request)


def failed(failure: Failure, request: RequestContext) -> CustomStreamError:
    """A failure without an error, as the chat shows it and the log has it."""
    log.warning("request %s: %s", request.request_id, failure.sentence)
    return _as_event(failure, request)


def _as_event(failure: Failure, request: RequestContext) -> CustomStreamError:
    return CustomStreamError(request.signed(failure.sentence), allow_retry=failure.retry)


def by_status(status: int | None, api_key: str | None) -> Failure:
    """What a provider's HTTP status means for the person at the chat."""
    match status:
        case 401 | 403:
            refused = Sentence(
                "The model provider refused the API key. Set {key} in .env.",
                key=api_key or Sentence("the API key"),
            )
            return Failure(refused, False)
        case 402:
            return UNPAID
        case 404:
            return Failure("The model provider does not know this model. Set MODEL in .env.", False)
        case 429:
            return Failure("The model provider takes no more requests. Try again later.", True)
        case 400 | 413 | 422:
            return Failure(
                "The model provider did not accept this conversation. "
                "If it accepts none, see to MODEL, the key and the account.",
                False,
            )
        case 408 | 409:
            return OVERLOADED
        case int() if status >= 500:
            return OVERLOADED
        case int():
            return Failure("The model provider refused the request.", True)
        case None:
            return BROKE_OFF


def said_by_project(error: Exception) -> Failure | None:
    """What a hook, a tool or the like says itself, by raising Refused or CustomStreamError."""
    for each in chain(error):
        match each:
            case Refused(sentence=sentence):
                return Failure(sentence, False)
            case CustomStreamError(message=message, allow_retry=retry):
                return Failure(message, retry)
    return None


def server_away(error: Exception) -> ServerAway | None:
    """That an MCP server does not answer, if that is why it failed."""
    return next((each for each in chain(error) if isinstance(each, ServerAway)), None)


def tools_away(away: ServerAway) -> Failure:
    """What the chat says while an MCP server is away."""
    if not away.name:
        return TOOLS_AWAY
    named = Sentence(
        "A server of the agent's tools does not answer. It is called {name}. Try again in a "
        "moment; the server's log says more.",
        name=away.name,
    )
    return Failure(named, True)


def is_mcp_error(error: Exception) -> bool:
    """Whether an MCP server has refused a call, where the project does not tell the model so."""
    return any(isinstance(each, MCPError) for each in chain(error))


def is_guardrail_error(error: Exception) -> bool:
    """Whether a guardrail itself has failed, so that nobody knows whether it would have said no."""
    frames = traceback.walk_tb(error.__traceback__)
    return any(frame.f_globals.get("__name__") == "agents.guardrail" for frame, _ in frames)


def root_of(error: Exception) -> Exception:
    """The provider's error itself: LiteLLM wraps one that comes after the request was accepted."""
    while isinstance(original := getattr(error, "original_exception", None), Exception):
        error = original
    return error


def nobody_at(error: Exception) -> str | None:
    """Where nobody answered, such as localhost:11434, if that is why it failed.

    LiteLLM has several classes for it, an InternalServerError among them.
    """
    where = ""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, OSError):
        with suppress(AttributeError, RuntimeError):
            where = cause.request.url.netloc.decode()  # type: ignore[attr-defined] # of HTTP errors
        cause = cause.__cause__ or cause.__context__
    return where if cause else None


def is_redirect(error: BaseException | None) -> bool:
    """Whether the provider sent the request on. LiteLLM tells that as a lost connection."""
    while error is not None:
        if getattr(getattr(error, "response", None), "is_redirect", False):
            return True
        error = error.__cause__ or error.__context__
    return False


def status_of(error: Exception) -> int | None:
    """The HTTP status with which the provider refused, if it did.

    LiteLLM's classes do not follow the status (a 403 may be a BadRequestError), so it decides.
    """
    status = getattr(error, "status_code", None)
    return status if isinstance(status, int) else CODES.get(code_of(error))


def code_of(error: Exception) -> str:
    """The provider's word for what failed within the stream; empty if it is more than a word."""
    code = error.reason if isinstance(error, CutShort) else getattr(error, "code", None)
    return code if isinstance(code, str) and re.fullmatch(r"[a-z_]{1,40}", code) else ""


def misbehaved(error: Exception) -> str | None:
    """What the SDK says that the model has done wrong, without the model's own words."""
    if not isinstance(error, ModelBehaviorError):
        return None
    return INVALID_JSON if str(error).startswith(INVALID_JSON) else str(error)


def log_line(error: Exception) -> str:
    """The error for the log: its kind, status or code, and place, without the provider's words."""
    nobody = nobody_at(error)
    error = root_of(error)
    said = nobody or code_of(error) or status_of(error) or misbehaved(error)
    frames = traceback.extract_tb(error.__traceback__)
    where = f", in {frames[-1].filename}:{frames[-1].lineno}" if frames else ""
    kind = f"{type(error).__module__}.{type(error).__name__}"
    return f"{kind} ({said}){where}" if said else kind + where
