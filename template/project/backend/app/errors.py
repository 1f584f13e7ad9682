"""A failed run as a sentence for the person at the chat. What a provider wrote stays out of it."""

from dataclasses import dataclass

import openai
from agents import (
    InputGuardrailTripwireTriggered,
    MaxTurnsExceeded,
    OutputGuardrailTripwireTriggered,
    UserError,
)

from app.model import ModelUnavailable


@dataclass(frozen=True)
class Failure:
    """What the chat shows, and whether a Retry button makes sense."""

    sentence: str
    retry: bool


BROKE_OFF = Failure("The model's answer broke off. What came is kept; try again.", True)
EMPTY = Failure("The model gave an empty answer. Try again.", True)
SILENT = Failure("The model has been silent for too long. Try again.", True)


def explain(error: BaseException, api_key: str | None) -> Failure:
    """Tell what went wrong, and what to do. `api_key` is the name of the provider's key setting.

    LiteLLM's errors are subclasses of the OpenAI client's, so one table serves every provider.
    """
    key = api_key or "the API key"
    match error:
        case ModelUnavailable():
            return Failure(str(error), False)
        case InputGuardrailTripwireTriggered() | OutputGuardrailTripwireTriggered():
            return Failure("This cannot be answered here.", False)
        case MaxTurnsExceeded():
            return Failure("The answer took too many steps and was stopped. Ask for less.", True)
        case openai.AuthenticationError() | openai.PermissionDeniedError():
            return Failure(f"The model provider refused the API key. Set {key} in .env.", False)
        case openai.RateLimitError():
            return Failure(
                "The model provider takes no more requests for now. Try again later.", True
            )
        case openai.NotFoundError():
            return Failure("The model provider does not know this model. Set MODEL in .env.", False)
        case openai.APITimeoutError():
            return SILENT
        case openai.APIConnectionError() if not started(error):
            return Failure("The model provider cannot be reached. Try again.", True)
        case openai.APIStatusError() if error.status_code in (400, 413, 422):
            return Failure("The model provider did not accept this conversation.", False)
        case openai.APIStatusError() if error.status_code >= 500:
            return Failure("The model provider is overloaded. Try again in a moment.", True)
        case UserError():
            return Failure("The agent is set up wrongly. The server's log has the cause.", False)
        case _:
            return BROKE_OFF


def started(error: BaseException) -> bool:
    """Whether the provider had begun to answer when the connection broke."""
    return type(error).__name__ == "MidStreamFallbackError"


def log_line(error: BaseException) -> str:
    """The error for the log: its kind and status, without the provider's words or the key."""
    status = getattr(error, "status_code", None)
    return f"{type(error).__module__}.{type(error).__name__}" + (f" ({status})" if status else "")
