"""A model: made once, in the background, so that the server answers while it loads."""

import asyncio
import logging
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Iterable, Mapping
from contextlib import aclosing
from dataclasses import KW_ONLY, dataclass, field, fields, replace
from typing import Any

from agents import (
    AgentOutputSchemaBase,
    Handoff,
    Model,
    ModelResponse,
    ModelSettings,
    Tool,
    TResponseInputItem,
    Usage,
    set_tracing_disabled,
)
from agents.models import get_default_model_settings
from agents.retry import ModelRetryAdvice, ModelRetryAdviceRequest
from openai.types.responses import Response

from core.sentences import Sentence

log = logging.getLogger("app")

# Otherwise every conversation goes to OpenAI's trace store as soon as OPENAI_API_KEY is set. Here,
# since this is imported before app/agent.py, which may want traces of its own.
set_tracing_disabled(True)

TIMEOUT_MARGIN = 10.0
"""Seconds that a client waits beyond MODEL_TIMEOUT, which watched_run.py watches."""


ASKED = "_asked"
"""Where an error has the source of the model that failed with it, as a run may ask several."""


class ModelUnavailable(Exception):
    """The model cannot be used; the sentence is for the person at the chat."""

    def __init__(self, sentence: str) -> None:
        super().__init__(sentence)
        self.sentence = sentence


class UnknownModel(ModelUnavailable):
    """No model has this name."""


@dataclass(eq=False, repr=False)
class ModelSource(ABC):
    """Where a model comes from. Each provider has a subclass of its own."""

    settings = ModelSettings()
    """How it is asked, unless an agent says otherwise."""
    required = ModelSettings()
    """How it is asked whatever an agent says. core/README.md lists it."""
    hosted_tools = False
    """Whether the provider runs the Agents SDK's hosted tools, such as its web search."""

    name: str
    """Its provider, and its name there: as in MODEL."""
    _: KW_ONLY
    timeout: float = 60
    """How long the model may be silent, in seconds."""
    base_url: str | None = None
    api_key: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    query: Mapping[str, str] = field(default_factory=dict)
    """What every request has besides, for a gateway before the provider."""
    tools: bool = True
    """Whether the model takes tools. If not, it is told of none."""
    key_name: str | None = None
    """The setting of the key, for when that is refused."""
    missing: str | None = None
    """A setting without which the model cannot be asked."""

    def __post_init__(self) -> None:
        self._loading: asyncio.Task[Model] | None = None
        self._unused: set[str] = set()
        self.model: Model = SourceModel(self, get_default_model_settings())
        """For an agent that names no model. It is there at once, and loaded when it is asked."""
        self.named_model: Model = SourceModel(self, ModelSettings())
        """The same for an agent that names it."""

    def start(self) -> None:
        """Begin to load the model. Needs a running event loop; does nothing the second time."""
        if self._loading is None and self.missing is None:
            self._loading = asyncio.create_task(asyncio.to_thread(self.load))
            self._loading.add_done_callback(_report)

    async def get(self) -> Model:
        """The model, as soon as it is loaded. Raises ModelUnavailable with a sentence."""
        if hint := self.hint():
            raise ModelUnavailable(hint)
        self.start()
        assert self._loading is not None
        try:
            # Shielded: a client that leaves while the model loads must not stop the loading.
            return await asyncio.shield(self._loading)
        except ModelUnavailable:
            raise
        except Exception:
            raise ModelUnavailable(
                "The model could not be loaded. The server's log has the cause."
            ) from None

    @property
    def loaded(self) -> Model | None:
        """The model itself, if it is loaded."""
        loading = self._loading
        if loading is None or not loading.done() or loading.cancelled() or loading.exception():
            return None
        return loading.result()

    def asked_with(self, given: ModelSettings) -> ModelSettings:
        """The settings that a request is made with, where an agent has given these."""
        self.tell_unused(overruled(given, self.required))
        settings = self.settings.resolve(given).resolve(self.required)
        if settings.tool_choice not in (None, "auto", "none") and not self.can_choose(settings):
            self.tell_unused(["tool_choice"])
            settings = replace(settings, tool_choice=None)
        return settings

    def can_choose(self, settings: ModelSettings) -> bool:
        """Whether the model, asked with these settings, can be made to call a tool.

        Claude cannot, where it thinks. What the user has chosen it is also told in words, by
        turns/item_converter.py.
        https://docs.claude.com/en/docs/build-with-claude/extended-thinking
        """
        effort = settings.reasoning.effort if settings.reasoning else None
        thinks = effort not in (None, "none") or "thinking" in (settings.extra_args or {})
        return not (thinks and "claude" in self.name)

    def tell_unused(self, names: Iterable[str], of: str = "an agent's model_settings") -> None:
        """Say in the log, once for each, what of an agent the provider does not get."""
        for name in names:
            if name not in self._unused:
                self._unused.add(name)
                line = "%s: the %s of %s is not used; core/README.md tells why"
                log.warning(line, self.name, name, of)

    def hint(self) -> str | None:
        """The sentence about the setting that is missing, or None."""
        if self.missing is None:
            return None
        return Sentence(
            "No model can answer yet: {setting} is not set. Put {setting}=… into the file .env at "
            "the project's root and restart.",
            setting=self.missing,
        )

    def not_ready(self) -> str | None:
        """What keeps the model from answering, or None."""
        if self.missing is not None:
            return f"model: {self.missing} is not set"
        if self._loading is None or not self._loading.done():
            return "model: still loading"
        if self._loading.exception() is not None:
            return f"model: {self.name} could not be loaded"
        return None

    @abstractmethod
    def load(self) -> Model:
        """Make the model. Runs in a thread, and may take seconds."""

    def close(self) -> None:  # noqa: B027 - most have nothing to give back
        """Give back what `load` has taken."""


class SourceModel(Model):
    """A source's model, which waits until it is loaded, and asks it as the source wants it."""

    def __init__(self, source: ModelSource, implied: ModelSettings) -> None:
        """`implied` is what the Agents SDK gives by itself where an agent says nothing.

        For an agent without a model that is made for OpenAI's newest, whatever MODEL is.
        """
        self._source = source
        self._implied = implied

    async def get_response(
        self,
        system_instructions: str | None,
        input: str | list[TResponseInputItem],
        model_settings: ModelSettings,
        *args: Any,
        **kwargs: Any,
    ) -> ModelResponse:
        # Asked as for an answer that streams, so that what makes sure of that holds here, too.
        output: list[Any] = []
        response: Any = None
        answer = self.stream_response(system_instructions, input, model_settings, *args, **kwargs)
        async with aclosing(answer) as events:
            async for event in events:
                match event.type:
                    case "response.output_item.done":
                        output.append(event.item)
                    case "response.completed":
                        response = event.response
        return ModelResponse(
            # Some servers have the items in the stream only.
            output=response.output or output,
            usage=usage_of(response),
            response_id=response.id,
        )

    async def stream_response(
        self,
        system_instructions: str | None,
        input: str | list[TResponseInputItem],
        model_settings: ModelSettings,
        tools: list[Tool],
        output_schema: AgentOutputSchemaBase | None,
        handoffs: list[Handoff],
        *args: Any,
        **kwargs: Any,
    ) -> AsyncGenerator[Any, None]:
        try:
            model = await self._source.get()
            settings = self._settings(model_settings)
            if not self._source.tools:
                settings, tools, handoffs = without_tools(settings), [], []
            told = (system_instructions, input, settings, tools, output_schema, handoffs)
            answer: Any = model.stream_response(*told, *args, **kwargs)
            async with aclosing(answer) as events:
                async for event in events:
                    yield event
        except Exception as error:
            vars(error)[ASKED] = self._source
            raise

    def _settings(self, given: ModelSettings) -> ModelSettings:
        return self._source.asked_with(ModelSettings() if given == self._implied else given)

    def get_retry_advice(self, request: ModelRetryAdviceRequest) -> ModelRetryAdvice | None:
        loaded = self._source.loaded
        return loaded.get_retry_advice(request) if loaded else None


def without_tools(settings: ModelSettings) -> ModelSettings:
    """The settings for a request that offers no tools: it must not say how to choose one."""
    return replace(settings, tool_choice=None, parallel_tool_calls=None)


def usage_of(response: Response) -> Usage:
    """The tokens of a request, as the Agents SDK counts them."""
    if (used := response.usage) is None:
        return Usage(requests=1)
    return Usage(
        requests=1,
        input_tokens=used.input_tokens,
        output_tokens=used.output_tokens,
        total_tokens=used.total_tokens,
    )


def asked(error: Exception) -> ModelSource | None:
    """The source of the model that failed with this error."""
    return vars(error).get(ASKED)


def overruled(given: ModelSettings, required: ModelSettings) -> list[str]:
    """The names of the given settings that the required ones stand in for."""
    names: list[str] = []
    for each in fields(required):
        says, must = getattr(given, each.name), getattr(required, each.name)
        match says, must:
            case (None, _) | (_, None):
                pass
            case dict(), dict():
                names += [name for name in must if name in says and says[name] != must[name]]
            case _ if says != must:
                names.append(each.name)
    return names


def _report(loading: "asyncio.Task[Model]") -> None:
    if not loading.cancelled() and (error := loading.exception()):
        expected = isinstance(error, ModelUnavailable)
        log.error("the model could not be loaded: %s", error, exc_info=None if expected else error)
