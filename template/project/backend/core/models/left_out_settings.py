"""What of an agent's model_settings LiteLLM leaves out, which the log tells by name."""

from collections.abc import Collection, Iterator
from contextlib import suppress
from typing import Any

from agents import ModelSettings

from core.models.source import ModelSource

SENT = (
    *("temperature", "top_p", "frequency_penalty", "presence_penalty", "max_tokens"),
    *("top_logprobs", "parallel_tool_calls", "metadata", "tool_choice"),
)
"""The settings that the Agents SDK hands to LiteLLM under their own names."""
UNSENT = (
    *("truncation", "verbosity", "store", "prompt_cache_retention", "prompt_cache_options"),
    *("response_include", "context_management"),
)
"""Those that it does not hand to LiteLLM."""


class TellsWhatIsLeftOut(ModelSource):
    """A source that knows what LiteLLM makes of the settings."""

    _told: ModelSettings | None = None

    def can_choose(self, settings: ModelSettings) -> bool:
        from litellm.llms.anthropic.common_utils import AnthropicModelInfo

        model, provider = self.model_and_provider()
        if "claude" not in model:
            return True
        given = {**(settings.extra_args or {})}
        if settings.reasoning is not None:
            given["reasoning_effort"] = settings.reasoning.effort
        # It knows which think unasked, too.
        return bool(AnthropicModelInfo.response_format_tool_can_be_forced(model, provider, given))

    def tell_left_out(self, settings: ModelSettings, prompt: Any) -> None:
        """Say in the log what of these settings, and of an agent's prompt, is left out."""
        if prompt is not None:
            self.tell_unused(["prompt"], "an agent")
        if settings != self._told:
            self._told = settings
            own = {**(self.settings.extra_args or {}), **(self.required.extra_args or {})}
            self.tell_unused(left_out(*self.model_and_provider(), settings, own))

    def model_and_provider(self) -> tuple[str, str]:
        """The model's name at its provider, and LiteLLM's name of that."""
        import litellm

        model, provider, *_ = litellm.get_llm_provider(self.name.removeprefix("litellm/"))
        return model, provider


def left_out(
    model: str, provider: str, settings: ModelSettings, own: Collection[str]
) -> Iterator[str]:
    """The names of the given settings that the provider does not get.

    LiteLLM has a list for each provider and model, and tells of it only by refusing: so it is asked
    for each setting, without drop_params. `own` are those that the source gives.
    """
    from litellm import UnsupportedParamsError
    from litellm.utils import get_optional_params

    asked = {name: getattr(settings, name) for name in SENT}
    if settings.tool_choice is not None:
        # A tool's name has another form there; this asks whether it takes any.
        asked["tool_choice"] = "auto"
    if settings.reasoning is not None:
        asked["reasoning_effort"] = settings.reasoning.effort
    asked |= settings.extra_args or {}
    yield from (name for name in UNSENT if getattr(settings, name) is not None)
    for name, value in asked.items():
        if value is None or name in own:
            continue
        try:
            # Whatever else is wrong with it, the request itself will tell.
            with suppress(ValueError, TypeError, LookupError, AttributeError):
                get_optional_params(model=model, custom_llm_provider=provider, **{name: value})
        except UnsupportedParamsError:
            yield name
