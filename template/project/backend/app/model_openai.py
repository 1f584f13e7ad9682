"""OpenAI's models, through the Responses API and the Agents SDK's own client."""

from agents import Model, ModelSettings, OpenAIResponsesModel
from openai import AsyncOpenAI

from app.finish import KeepsWhatCame
from app.model import TIMEOUT_MARGIN, ModelSource


class ResponsesModel(KeepsWhatCame, OpenAIResponsesModel):
    """OpenAI's model; a failure does not take away what was said before it."""


class OpenAISource(ModelSource):
    """`name` is openai/ and the model's id."""

    settings = ModelSettings(store=False)

    def __init__(
        self,
        name: str,
        *,
        timeout: float,
        api_key: str | None,
        base_url: str | None = None,
        key_name: str | None = None,
        missing: str | None = None,
    ) -> None:
        super().__init__(name, key_name=key_name, missing=missing)
        self._timeout = timeout + TIMEOUT_MARGIN
        self._api_key = api_key
        self._base_url = base_url

    def load(self) -> Model:
        # The retries are the Retry button's: a failure is told at once.
        client = AsyncOpenAI(
            api_key=self._api_key, base_url=self._base_url, timeout=self._timeout, max_retries=0
        )
        return ResponsesModel(self.name.removeprefix("openai/"), client)
