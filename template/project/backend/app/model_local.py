"""Models of any server that speaks chat completions: Ollama, vLLM, llama.cpp, LM Studio."""

from agents import Model, ModelSettings
from openai import AsyncOpenAI

from app.model import TIMEOUT_MARGIN, ModelSource
from app.model_chat import ChatCompletionsModel


class LocalSource(ModelSource):
    """`name` is local/ and the model's name on the server at `base_url`."""

    settings = ModelSettings(include_usage=True)

    def __init__(
        self,
        name: str,
        *,
        timeout: float,
        base_url: str,
        api_key: str | None = None,
        key_name: str | None = None,
    ) -> None:
        super().__init__(name, key_name=key_name)
        self._timeout = timeout + TIMEOUT_MARGIN
        self._base_url = base_url
        self._api_key = api_key

    def load(self) -> Model:
        # Local servers want no key, the client wants one. The retries are the Retry button's.
        client = AsyncOpenAI(
            api_key=self._api_key or "none",
            base_url=self._base_url,
            timeout=self._timeout,
            max_retries=0,
        )
        return ChatCompletionsModel(self.name.removeprefix("local/"), client)
