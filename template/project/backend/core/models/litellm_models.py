"""Models through LiteLLM: Gemini, Claude, Azure, and whatever else it speaks to."""

import logging
import os
import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import KW_ONLY, dataclass, field, replace
from functools import wraps
from io import IncrementalNewlineDecoder
from typing import Any

import httpx
from agents import Model, ModelSettings
from dotenv import dotenv_values
from openai.types.shared import Reasoning

from core.models.complete_answers import INCOMPLETE as CUT_REASONS
from core.models.complete_answers import CompleteAnswers
from core.models.ended_streams import EndedStream, ItemStream
from core.models.left_out_settings import TellsWhatIsLeftOut
from core.models.source import TIMEOUT_MARGIN, UnknownModel
from core.sentences import Sentence
from core.settings import ROOT

# LiteLLM fetches a price list from the internet when it is imported, unless told to use its own.
os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")


KEYS = {
    "anthropic": ("ANTHROPIC_API_KEY",),
    "azure": ("AZURE_API_KEY",),
    "gemini": ("GEMINI_API_KEY", "GOOGLE_API_KEY"),
    "openai": ("OPENAI_API_KEY",),
}
"""Where LiteLLM finds the key of a provider that is not the project's, one of them."""

GATEWAY: ContextVar[tuple[Mapping[str, str], Mapping[str, str]]] = ContextVar(
    "gateway", default=({}, {})
)
"""The headers and the parameters of the request that is being made."""
ANY_THOUGHTS = Reasoning(effort="none")
"""Stands for thoughts of which nothing is said here."""
SHOWN = ("anthropic", "bedrock", "gemini", "vertex_ai")
"""The providers that take a tool's images and files, as LiteLLM sends them."""
INCOMPLETE = (
    *("FINISH_REASON_UNSPECIFIED", "MALFORMED_FUNCTION_CALL", "MALFORMED_RESPONSE"),
    *("MISSING_THOUGHT_SIGNATURE", "TOO_MANY_TOOL_CALLS", "UNEXPECTED_TOOL_CALL"),
    *("error", "network_error"),
)


def mend_finish_reasons() -> None:
    """Let an answer that is incomplete be known as such: LiteLLM calls these a "stop", too.

    https://github.com/BerriAI/litellm/pull/23800
    """
    from litellm.litellm_core_utils import core_helpers

    reasons: dict[str, Any] = core_helpers._FINISH_REASON_MAP
    reasons |= dict.fromkeys(INCOMPLETE, "error")


def mend_gemini_finish_reason() -> None:
    """Let Gemini's chunks have the finish reason that Gemini gave them, or none, as for a failure.

    LiteLLM gives each of them "stop", so that an answer which broke off would look like a
    complete one. Its own `received_finish_reason` exists for that difference.
    https://github.com/BerriAI/litellm/issues/2195
    """
    from litellm.llms.vertex_ai.gemini.vertex_and_google_ai_studio_gemini import VertexGeminiConfig

    check = VertexGeminiConfig._check_finish_reason

    @wraps(check)
    def check_if_given(message: Any, finish_reason: str | None) -> Any:
        return None if finish_reason is None else check(message, finish_reason)

    if not hasattr(check, "__wrapped__"):
        VertexGeminiConfig._check_finish_reason = staticmethod(check_if_given)


def mend_later_chunks() -> None:
    """Let no chunk that follows Gemini's finish reason, such as the tokens' count, take it away.

    LiteLLM keeps only what the last chunk said of it; what ends an answer before its time stands.
    https://github.com/BerriAI/litellm/pull/12250
    """
    from litellm import CustomStreamWrapper

    handle: Any = CustomStreamWrapper.handle_openai_chat_completion_chunk

    @wraps(handle)
    def keep_reason(self: Any, chunk: Any) -> Any:
        said, before = handle(self, chunk), self.intermittent_finish_reason
        if before and (before in CUT_REASONS or not said["finish_reason"]):
            said["finish_reason"] = before
        return said

    if not hasattr(handle, "__wrapped__"):
        stream_wrapper: Any = CustomStreamWrapper
        stream_wrapper.handle_openai_chat_completion_chunk = keep_reason


def mend_lines() -> None:
    """Let only \\n, \\r\\n and \\r end a line of a response, as server-sent events have it.

    For httpx U+2028 and the like end one too, which JSON may hold as they are: Claude's answer
    would break off there, and Gemini's would lose them. The project's own clients have it so, too.
    https://github.com/BerriAI/litellm/pull/28566
    """
    from httpx import Response

    async def aiter_lines(self: Response) -> AsyncIterator[str]:
        ends = IncrementalNewlineDecoder(None, translate=True)
        rest = ""
        async for text in self.aiter_text():
            *lines, rest = (rest + ends.decode(text)).split("\n")
            for line in lines:
                yield line
        if last := rest + ends.decode("", final=True):
            yield last.removesuffix("\n")

    Response.aiter_lines = aiter_lines  # type: ignore[method-assign] # that is the mend


def mend_clients() -> None:
    """Let no redirect take a request to another address, with the key and the conversation in it.

    httpx leaves out only `Authorization` there, and most providers have a header of their own.
    https://github.com/openai/openai-python/issues/3516
    And let the gateway have its headers and parameters.
    """
    from litellm.llms.custom_httpx.http_handler import AsyncHTTPHandler
    from litellm.llms.openai.common_utils import BaseOpenAILLM, OpenAIAsyncHTTPClient

    def mended(client: Any) -> Any:
        client.follow_redirects = False
        client.event_hooks["request"].append(add_to_request)
        return client

    def mending(make: Any) -> Any:
        @wraps(make)
        def make_client(*args: Any, **kwargs: Any) -> Any:
            return mended(make(*args, **kwargs))

        return make_client

    init = unmended(OpenAIAsyncHTTPClient.__init__)

    @wraps(init)
    def made(self: OpenAIAsyncHTTPClient) -> None:
        init(self)
        mended(self)

    handler: Any = AsyncHTTPHandler
    base: Any = BaseOpenAILLM
    client: Any = OpenAIAsyncHTTPClient
    client.__init__ = made
    handler.create_client = mending(unmended(handler.create_client))
    base._get_async_http_client = staticmethod(mending(unmended(base._get_async_http_client)))


def unmended(function: Any) -> Any:
    """LiteLLM's own function, where a source that was loaded earlier has mended it."""
    return getattr(function, "__wrapped__", function)


async def add_to_request(request: httpx.Request) -> None:
    """Put into a request to a provider what the gateway before it wants."""
    headers, query = GATEWAY.get()
    request.headers.update(headers)
    if query:
        request.url = request.url.copy_merge_params(query)


def introduce_gemini(name: str) -> None:
    """Tell LiteLLM of a Gemini model that is newer than its list that it takes a system prompt.

    Otherwise the agent's instructions would go as a message of the user.
    https://github.com/BerriAI/litellm/pull/2925
    """
    import litellm

    if name.startswith("gemini/gemini-") and name not in litellm.model_cost:
        abilities = {"supports_system_messages": True, "supports_function_calling": True}
        litellm.register_model({name: {"litellm_provider": "gemini", "mode": "chat", **abilities}})


def same_provider(*names: str) -> bool:
    """Whether the models of these names are one provider's."""
    return len({each.removeprefix("litellm/").partition("/")[0] for each in names}) == 1


@contextmanager
def gateway(headers: Mapping[str, str], query: Mapping[str, str]) -> Iterator[None]:
    """What is asked within goes through this gateway."""
    token = GATEWAY.set((headers, query))
    try:
        yield
    finally:
        GATEWAY.reset(token)


def ended(stream: Any) -> ItemStream:
    """LiteLLM's stream, which reads the provider's own only as far as the answer goes.

    LiteLLM keeps a finish reason to itself until the provider's stream has ended, and some of
    those it opens only at the first chunk.
    """
    from litellm import CustomStreamWrapper

    if not isinstance(stream, CustomStreamWrapper):
        return EndedStream(stream)
    ask: Any = stream.make_call
    if stream.completion_stream is not None:
        stream.completion_stream = EndedStream(stream.completion_stream)
    elif ask is not None:
        through = GATEWAY.get()

        async def make_call(**kwargs: Any) -> ItemStream:
            with gateway(*through):
                return EndedStream(await ask(**kwargs))

        stream.make_call = make_call
    wrapper: ItemStream = stream
    return wrapper


@dataclass(eq=False, repr=False)
class LitellmSource(TellsWhatIsLeftOut):
    """`name` as LiteLLM takes it (gemini/…, anthropic/…, azure/…), or after the prefix litellm/."""

    _: KW_ONLY
    extra: Mapping[str, Any] = field(default_factory=dict)
    """What LiteLLM is told besides, such as api_version or vertex_location."""

    def __post_init__(self) -> None:
        super().__post_init__()
        # drop_params: a parameter that a model does not take is left out instead of raising.
        self.settings = ModelSettings(
            include_usage=True, extra_args={"drop_params": True, **self.extra}
        )
        # The retries are the Retry button's: a failure is told at once.
        self.required = ModelSettings(
            extra_args={
                "timeout": self.timeout + TIMEOUT_MARGIN,
                "max_retries": 0,
                "num_retries": 0,
            },
        )
        keys = KEYS.get(self.name.partition("/")[0], ())
        if keys and self.key_name is None:
            self.key_name = keys[0]
            self.missing = None if any(map(os.environ.get, keys)) else keys[0]

    def load(self) -> Model:
        if self.api_key is None:
            # LiteLLM finds the key of whichever provider it is in the environment. Other lines
            # of .env are there already; the project's secrets stay out.
            for name, value in dotenv_values(ROOT / ".env", encoding="utf-8-sig").items():
                if "_API_" in name and value:
                    os.environ.setdefault(name, value)
        # Imported here, in the loading thread: it takes seconds.
        import litellm
        from agents.extensions.models.litellm_model import LitellmModel

        mend_finish_reasons()
        mend_gemini_finish_reason()
        mend_later_chunks()
        mend_lines()
        mend_clients()
        # A list of a hundred equal lines is an answer, too.
        # https://github.com/BerriAI/litellm/issues/6549
        litellm.REPEATED_STREAMING_CHUNK_LIMIT = sys.maxsize
        # It would count tokens with files that it fetches from huggingface.co, in mid-answer.
        # https://github.com/BerriAI/litellm/pull/7588
        litellm.disable_hf_tokenizer_download = True
        litellm.suppress_debug_info = True
        # Claude's caches want to be told where a prompt may be kept; others keep it by themselves.
        litellm.enable_anthropic_prompt_caching = True
        # Its own handler would write every line a second time.
        logging.getLogger("LiteLLM").handlers.clear()
        logging.getLogger("LiteLLM").setLevel(logging.WARNING)

        name = self.name.removeprefix("litellm/")
        try:
            _, provider = self.model_and_provider()
        except litellm.exceptions.BadRequestError:
            raise UnknownModel(
                Sentence("LiteLLM knows no provider of the model {name}.", name=name)
            ) from None
        headers, query = self.headers, self.query
        tell_left_out = self.tell_left_out

        class WholeLitellmModel(CompleteAnswers, LitellmModel):
            def takes_from_tools(self, part: dict[str, Any]) -> bool:
                data = part.get("image_url") or part.get("file_data") or ""
                return provider in SHOWN and data.startswith("data:")

            def ended(self, stream: Any) -> ItemStream:
                return ended(stream)

            async def _fetch_response(self, *args: Any, **kwargs: Any) -> Any:
                instructions, given, settings, *others = args
                tell_left_out(settings, kwargs.get("prompt"))
                # Without an effort the SDK would send Claude's thoughts back to nobody, though
                # they may be asked for in other words, such as thinking={"type": "enabled"}.
                # https://github.com/openai/openai-agents-python/issues/1704
                if settings.reasoning is None or settings.reasoning.effort is None:
                    settings = replace(settings, reasoning=ANY_THOUGHTS)
                with gateway(headers, query):
                    return await super()._fetch_response(
                        instructions, given, settings, *others, **kwargs
                    )

            def _get_reasoning_effort(self, settings: ModelSettings) -> Any:
                if settings.reasoning is ANY_THOUGHTS:
                    settings = replace(settings, reasoning=None)
                return super()._get_reasoning_effort(settings)

            def _fix_tool_message_ordering(self, messages: Any) -> Any:
                # The SDK would give each of several calls a message of its own, of which only the
                # first has the thoughts, and Claude refuses that. The order here needs no mend.
                # https://github.com/openai/openai-agents-python/pull/3215
                return messages

        introduce_gemini(name)
        # LiteLLM imports at its first answer what takes a second, and finds out whose model it is.
        hello: Any = [{"role": "user", "content": "Hello"}]
        for _ in litellm.completion(name, hello, mock_response="Hello", stream=True):
            pass
        return WholeLitellmModel(model=name, base_url=self.base_url, api_key=self.api_key)
