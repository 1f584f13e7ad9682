"""What a run ends with where that is no message of the model: how it is shown, what is kept."""

import inspect
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from agents import (
    Agent,
    AgentOutputSchemaBase,
    FunctionToolResult,
    ModelRefusalError,
    RunContextWrapper,
    RunErrorHandlerInput,
    ToolsToFinalOutputFunction,
    ToolsToFinalOutputResult,
)
from agents.exceptions import _mark_error_to_drain_stream_events
from agents.items import ToolCallOutputItem
from chatkit.agents import AgentContext
from chatkit.types import (
    AssistantMessageContent,
    AssistantMessageItem,
    HiddenContextItem,
    ThreadItem,
    WidgetItem,
)
from chatkit.widgets import WidgetComponentBase, WidgetRoot
from pydantic_core import to_jsonable_python

from core.context import RequestContext
from core.own_code import given_by
from core.sentences import Sentence
from core.text import repair_surrogates
from core.turns.client_tools import StopAtClientTools


class ShowOutput(Protocol):
    """AgentServer's `show_output`."""

    async def __call__(
        self, output: Any, agent: Agent[Any], context: RequestContext
    ) -> str | WidgetRoot: ...


class InvalidOutput(Exception):
    """The model's last words are not what the agent's output_type asks for."""


def has_output_type(agent: Agent[Any]) -> bool:
    """Whether the agent's answer is JSON for a program, and no text for a person."""
    kind = agent.output_type
    if isinstance(kind, AgentOutputSchemaBase):
        return not kind.is_plain_text()
    return kind is not None and kind is not str


def refusal(refused: RunErrorHandlerInput[Any]) -> str | None:
    """A refusal is an answer too: otherwise it would end the run as a failure.

    It does so where the answer has to be JSON, which a refusal is not; WatchedRun knows that.
    """
    assert isinstance(refused.error, ModelRefusalError)
    if has_output_type(refused.run_data.last_agent):
        let_last_words_come(refused)
        return None
    return refused.error.refusal


def let_last_words_come(failed: RunErrorHandlerInput[Any]) -> None:
    """Let a run that fails of its answer's form give all of that answer first.

    The Agents SDK offers this mark only to itself:
    https://github.com/openai/openai-agents-python/blob/main/src/agents/exceptions.py
    """
    _mark_error_to_drain_stream_events(failed.error)


class HeldMessages:
    """Passes the events of a run's model on, but for the messages of an agent with an output_type.

    They are held back until it is known whether they are the output, which is shown in its own way.
    """

    def __init__(self, agent: Agent[Any]) -> None:
        self.agent = agent
        """Whose answer it is that the events tell."""
        self._held: dict[str, list[Any]] = {}
        """The events of the messages, by the messages' ids."""

    @property
    def text(self) -> str | None:
        """The last message that is held back, if it is done."""
        for *_, event in list(self._held.values())[-1:]:
            if event.type == "response.output_item.done":
                return "".join(getattr(part, "text", "") for part in event.item.content)
        return None

    def pass_on(self, event: Any) -> Iterator[Any]:
        """The events to send: this one, those that were held back, or none."""
        item: Any = getattr(event, "item", None)
        item_id = item.id if item else getattr(event, "item_id", "")
        begun = event.type == "response.output_item.added" and item.type == "message"
        if begun and has_output_type(self.agent):
            self._held[item_id] = [event]
        elif item_id in self._held:
            self._held[item_id].append(event)
        else:
            if event.type == "response.completed":
                goes_on = any(item.type == "function_call" for item in event.response.output)
                yield from self.prose(but_last=not goes_on)
            yield event

    def prose(self, *, but_last: bool) -> Iterator[Any]:
        """Release the messages that are no JSON, such as a word before a tool is called."""
        kept = list(self._held)[-1:] if but_last else []
        for item_id in [item_id for item_id in self._held if item_id not in kept]:
            events = self._held.pop(item_id)
            parts = getattr(getattr(events[-1], "item", None), "content", [])
            if not is_json("".join(getattr(part, "text", "") for part in parts)):
                yield from events

    def all(self) -> Iterator[Any]:
        """Release everything."""
        while self._held:
            yield from self._held.pop(next(iter(self._held)))


def is_json(text: str) -> bool:
    """Whether the text is JSON for a program."""
    try:
        return isinstance(json.loads(text), dict | list)
    except (ValueError, RecursionError):
        return False


@dataclass
class FinalOutput:
    """What a run has ended with, where that is no message of the model."""

    value: Any
    hidden: dict[str, Any] | None
    """What the model is told instead of what is shown; None if it is told that."""

    async def items(
        self, show: ShowOutput, agent: Agent[Any], context: AgentContext[RequestContext]
    ) -> list[ThreadItem]:
        """The thread's items: what the chat shows, after what only the model is told."""
        shown = await show(self.value, agent, context.request_context)
        given_by("show_output", shown, str, WidgetComponentBase)
        base: dict[str, Any] = {
            "id": context.generate_id("message"),
            "thread_id": context.thread.id,
            "created_at": datetime.now(),
        }
        items: list[ThreadItem] = []
        if self.hidden is not None:
            hidden_id = context.generate_id("message")
            content = {"type": "final_output", "shown": base["id"], **self.hidden}
            items.append(HiddenContextItem(**(base | {"id": hidden_id, "content": content})))
        if isinstance(shown, str):
            part = AssistantMessageContent(text=repair_surrogates(shown))
            items.append(AssistantMessageItem(content=[part], **base))
        else:
            items.append(WidgetItem(widget=shown, **base))
        return items


def final_output_of(
    output: Any, agent: Agent[Any], outputs: Sequence[ToolCallOutputItem], said: str | None
) -> FinalOutput | None:
    """What a run ends with, if it has to be shown: not where the model has said it to the user.

    `outputs` are those of the tools at which the run ended, if it ended at tools, and `said` is
    the message that the output was read from.
    """
    if output is None:
        return None
    if not outputs:
        return FinalOutput(output, {"text": said}) if has_output_type(agent) else None
    for each in outputs:
        # A plain agent's run ends with the SDK's str of what the tool returned.
        if each.output is output or str(each.output) == output:
            nothing = each.output is None or each.output == ""
            return None if nothing else FinalOutput(each.output, {})
    if has_output_type(agent):
        text = json.dumps(to_jsonable_python(output, serialize_unknown=True), ensure_ascii=False)
        return FinalOutput(output, {"text": text})
    return FinalOutput(output, None) if output not in ("", "None") else None


@dataclass(frozen=True)
class EndInWords:
    """A function for `tool_use_behavior` whose object is told in words.

    The Agents SDK makes a str of it, which is for programmers, where there is no output_type:
    https://github.com/openai/openai-agents-python/blob/main/src/agents/run_internal/turn_resolution.py
    """

    ends: ToolsToFinalOutputFunction[Any]

    async def __call__(
        self, context: RunContextWrapper[Any], results: list[FunctionToolResult]
    ) -> ToolsToFinalOutputResult:
        given = self.ends(context, results)
        end = await given if inspect.isawaitable(given) else given
        match end:
            case ToolsToFinalOutputResult(is_final_output=True, final_output=output):
                told = output is None or any(each.output is output for each in results)
                if not told and not isinstance(output, str):
                    return ToolsToFinalOutputResult(True, readable(output))
        return end


def end_in_words(agent: Agent[Any]) -> None:
    """Let a run of the agent end in words, if a function of the project ends it with an object."""
    ends = agent.tool_use_behavior
    known = isinstance(ends, EndInWords | StopAtClientTools)
    if callable(ends) and not known and not has_output_type(agent):
        agent.tool_use_behavior = EndInWords(ends)


# --- In words ---


YES, NO, NONE, FILE = Sentence("yes"), Sentence("no"), Sentence("none"), Sentence("file")


def readable(output: Any, told: Callable[[str], str] = str) -> str:
    """An output as Markdown: a text as it is, fields and lists as a list.

    `told` gives the words that are none of the output's in the user's language.
    """
    value = to_jsonable_python(output, serialize_unknown=True, bytes_mode="base64")
    return as_markdown(value, told)


def as_markdown(value: Any, told: Callable[[str], str]) -> str:
    """A value of JSON as Markdown."""
    match value:
        case str():
            return value
        case {"type": "text" | "input_text", "text": str(text)}:
            return text
        case {"type": "image" | "input_image", "image_url": str(url)}:
            return f"![]({url})"
        case {"type": "file" | "input_file"}:
            return str(value.get("filename") or value.get("file_url") or told(FILE))
        case [{"type": "text" | "image" | "file"}, *_]:
            return "\n\n".join(as_markdown(each, told) for each in value)
        case dict() if value:
            return "\n".join(f"- {field_line(name, each, told)}" for name, each in value.items())
        case list() if value:
            return "\n".join(f"- {indented(as_markdown(each, told))}" for each in value)
        case bool():
            return told(YES if value else NO)
        case int() | float():
            return str(value)
        case _:
            return told(NONE)


def field_line(name: str, value: Any, told: Callable[[str], str]) -> str:
    """A field as an entry of a list, without the entry's dash."""
    label = name.replace("_", " ").strip()
    label = f"**{label[:1].upper()}{label[1:]}:**"
    text = as_markdown(value, told)
    between = "\n" if isinstance(value, dict | list) and value else " "
    return indented(label + between + text)


def indented(text: str) -> str:
    """The text as one entry of a list: its further lines belong to it."""
    return text.replace("\n", "\n  ")
