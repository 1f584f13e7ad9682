"""Models of any server that speaks chat completions: Ollama, vLLM, llama.cpp, LM Studio."""

from itertools import dropwhile
from typing import Any

from agents import Model, ModelSettings, OpenAIChatCompletionsModel
from openai import AsyncOpenAI, DefaultAsyncHttpxClient

from core.models.complete_answers import CompleteAnswers
from core.models.sendable_input import SHOWN
from core.models.source import TIMEOUT_MARGIN, ModelSource

UNANSWERED = "(Nothing more was said.)"


class ChatCompletionsModel(CompleteAnswers, OpenAIChatCompletionsModel):
    """A model whose template may insist that user and assistant speak in turn, as Mistral's do."""

    async def _fetch_response(self, *args: Any, **kwargs: Any) -> Any:
        instructions, given, *others = args
        if isinstance(given, list):
            given = in_turn(given)
        return await super()._fetch_response(instructions, given, *others, **kwargs)


def in_turn(items: list[Any]) -> list[Any]:
    """What the model is told, in which no user speaks after a tool's output.

    What the tool has shown the user belongs to its output. Where no answer came before the user's
    next message, something stands in.
    """
    result: list[Any] = []
    for item in items:
        match result[-1:], item:
            case [{"type": "function_call_output"} as output], {"role": "user", "content": said}:
                shown, rest = parted(said)
                result[-1] = with_shown(output, shown)
                if rest:
                    answer = {"role": "assistant", "content": UNANSWERED}
                    result += [answer, item | {"content": rest}]
            case _:
                result.append(item)
    return result


def parted(said: Any) -> tuple[list[Any], Any]:
    """What a user's message begins with that tells what the user is shown, and the rest."""
    if not isinstance(said, list):
        return [], said
    rest = list(dropwhile(lambda part: part.get("text", "").startswith(SHOWN), said))
    return said[: len(said) - len(rest)], rest


def with_shown(output: Any, shown: list[Any]) -> Any:
    """A tool's output, and what the user is shown."""
    match output["output"]:
        case _ if not shown:
            return output
        case list(parts):
            return output | {"output": [*parts, *shown]}
        case text:
            return output | {"output": "\n".join([text, *(part["text"] for part in shown)])}


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
            default_headers=self.headers,
            default_query=self.query,
            # A redirect would take the conversation, and some keys, to another address:
            # https://github.com/openai/openai-python/issues/3516
            http_client=DefaultAsyncHttpxClient(follow_redirects=False),
        )
        return ChatCompletionsModel(self.name.removeprefix("local/"), client)
