"""Models of any server that speaks chat completions: Ollama, vLLM, llama.cpp, LM Studio."""

from agents import Model, ModelSettings, OpenAIChatCompletionsModel
from openai import AsyncOpenAI

from app.finish import WholeAnswers
from app.model import TIMEOUT_MARGIN, ModelSource


class ChatCompletionsModel(WholeAnswers, OpenAIChatCompletionsModel):
    pass


class LocalSource(ModelSource):
    """`name` is local/ and the model's name on the server at `base_url`."""

    settings = ModelSettings(include_usage=True)

    def load(self) -> Model:
        assert self.base_url, "without it the conversations would go to OpenAI"
        # Local servers want no key, the client wants one. The retries are the Retry button's.
        client = AsyncOpenAI(
            api_key=self.api_key or "none",
            base_url=self.base_url,
            timeout=self.timeout + TIMEOUT_MARGIN,
            max_retries=0,
        )
        return ChatCompletionsModel(self.name.removeprefix("local/"), client)
