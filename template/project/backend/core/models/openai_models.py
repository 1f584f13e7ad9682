"""OpenAI's models, through the Responses API and the Agents SDK's own client."""

import json
import re
from dataclasses import replace
from typing import Any

import httpx
from agents import (
    CodeInterpreterTool,
    FileSearchTool,
    Model,
    ModelSettings,
    OpenAIResponsesModel,
    Tool,
    WebSearchTool,
)
from openai import AsyncOpenAI, DefaultAsyncHttpxClient, OpenAI

from core.models.complete_answers import KeepsWhatCame
from core.models.ended_streams import EndedStream
from core.models.sendable_input import sendable
from core.models.source import TIMEOUT_MARGIN, ModelSource

THOUGHTLESS = re.compile(r"(ft:)?(gpt-[34]|chatgpt|gpt-audio)|.*-(chat|search)\b")
"""The models without thoughts, which refuse to be asked for them."""

FOUND = {
    WebSearchTool: "web_search_call.action.sources",
    FileSearchTool: "file_search_call.results",
    CodeInterpreterTool: "code_interpreter_call.outputs",
}
"""What OpenAI is asked to tell of what its tools find: the thread keeps it."""


class ResponsesModel(KeepsWhatCame, OpenAIResponsesModel):
    """OpenAI's model; a failure does not take away what was said before it."""

    async def _fetch_response(self, *args: Any, **kwargs: Any) -> Any:
        instructions, given, settings, tools, *others = args
        given = sendable(given)
        if isinstance(given, list):
            given = [item for item in given if not is_bare_thought(item)]
        if found := [include for tool, include in FOUND.items() if any_of(tools, tool)]:
            asked = settings.response_include or []
            settings = replace(settings, response_include=[*asked, *found])
        args = (instructions, given, settings, tools, *others)
        fetched = await super()._fetch_response(*args, **kwargs)
        return EndedStream(fetched) if kwargs.get("stream") else fetched


def any_of(tools: list[Tool], kind: type[Any]) -> bool:
    return any(isinstance(tool, kind) for tool in tools)


def is_bare_thought(item: dict[str, Any]) -> bool:
    """Whether the item is a mere reference to a thought, which OpenAI has not kept."""
    has_content = item.get("encrypted_content") or item.get("content")
    return item.get("type") == "reasoning" and not has_content


def rehearse() -> None:
    """Read an answer that nobody gave.

    At its first answer the client builds the types of all that may be in one, which takes a second
    or two, and all that is asked meanwhile would wait for it.
    """
    response = {"output": [], "tools": [], "tool_choice": "auto"}
    end = {"type": "response.completed", "sequence_number": 0, "response": response}
    nobody = httpx.MockTransport(lambda _: httpx.Response(200, text=f"data: {json.dumps(end)}\n\n"))
    # The client takes this one, too, but has its types from a newer httpx2.
    http_client: Any = httpx.Client(transport=nobody)
    with OpenAI(api_key="none", http_client=http_client) as client:
        for _ in client.responses.create(model="none", input="", stream=True):
            pass


class OpenAISource(ModelSource):
    """`name` is openai/ and the model's id."""

    hosted_tools = True

    def __post_init__(self) -> None:
        super().__post_init__()
        self._model = self.name.removeprefix("openai/")
        # OpenAI shall keep nothing. So a thought has to come whole, and to go back with the output
        # of the tool that it led to: https://github.com/openai/openai-agents-python/issues/2265
        thoughts = None if THOUGHTLESS.match(self._model) else ["reasoning.encrypted_content"]
        self.settings = ModelSettings(response_include=thoughts)
        self.required = ModelSettings(store=False)

    def asked_with(self, given: ModelSettings) -> ModelSettings:
        # What an agent wants in the response, such as a search's sources, comes to the thoughts.
        wanted = [*(self.settings.response_include or []), *(given.response_include or [])]
        both = given.resolve(ModelSettings(response_include=list(dict.fromkeys(wanted)) or None))
        return super().asked_with(both if given.response_include else given)

    def load(self) -> Model:
        rehearse()
        # The retries are the Retry button's: a failure is told at once.
        client = AsyncOpenAI(
            api_key=self.api_key,
            base_url=self.base_url,
            timeout=self.timeout + TIMEOUT_MARGIN,
            max_retries=0,
            default_headers=self.headers,
            default_query=self.query,
            # A redirect would take the conversation, and some keys, to another address:
            # https://github.com/openai/openai-python/issues/3516
            http_client=DefaultAsyncHttpxClient(follow_redirects=False),
        )
        return ResponsesModel(self._model, client)
