"""What the model is told: the newest items of the thread, as input for the Agents SDK."""

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from agents import TResponseInputItem
from chatkit.agents import ThreadItemConverter
from chatkit.store import Store
from chatkit.types import (
    AssistantMessageItem,
    Attachment,
    ClientToolCallItem,
    HiddenContextItem,
    ThreadItem,
    ThreadMetadata,
    UserMessageItem,
    UserMessageTagContent,
    WidgetItem,
)
from openai.types.responses import ResponseInputContentParam, ResponseInputTextParam

from app.context import RequestContext
from app.store import whole

CHARACTERS_PER_TOKEN = 4
"""A rule of thumb that errs on the safe side for English; a budget needs no more."""
WIDGET_CHARACTERS = 1000
"""How much of a widget's text the model is told."""
OUTPUT_CHARACTERS = 8000
"""How much of a tool's output it is told again in later turns, lest it crowds out the rest."""


class Converter(ThreadItemConverter):
    """Thread items as model input, for every kind of item and every provider."""

    async def assistant_message_to_input(
        self, item: AssistantMessageItem
    ) -> TResponseInputItem | list[TResponseInputItem] | None:
        # The SDK's own list of output_text parts is refused for every chat-completions model
        # ("Unknown content"), so that the second message of a thread would fail:
        # https://github.com/openai/openai-agents-python/pull/3877
        text = "".join(part.text for part in item.content)
        return {"role": "assistant", "content": text} if text.strip() else None

    async def hidden_context_to_input(
        self, item: HiddenContextItem
    ) -> TResponseInputItem | list[TResponseInputItem] | None:
        match item.content:
            case {"type": "tool_call"}:
                return tool_call_input(item.id, item.content)
            case str():
                return await super().hidden_context_to_input(item)
            case _:
                return None

    async def client_tool_call_to_input(
        self, item: ClientToolCallItem
    ) -> TResponseInputItem | list[TResponseInputItem] | None:
        if item.status == "pending":
            return None
        arguments, output = (
            json.dumps(value, ensure_ascii=False) for value in (item.arguments, item.output)
        )
        return tool_call_input(item.id, tool_call_item_content(item.name, arguments, output))

    async def widget_to_input(
        self, item: WidgetItem
    ) -> TResponseInputItem | list[TResponseInputItem] | None:
        # Its words as they now stand, instead of the SDK's whole tree of components.
        words = " · ".join(texts_of(item.widget.model_dump(mode="json")))
        if len(words) > WIDGET_CHARACTERS:
            words = words[: WIDGET_CHARACTERS - 1] + "…"
        text = f"[The user is shown a widget: {words}]"
        return {"role": "user", "content": [text_part(text)]}

    async def attachment_to_message_content(
        self, attachment: Attachment
    ) -> ResponseInputContentParam:
        # Without a placeholder one attachment would make its whole thread unanswerable.
        return text_part(f"[The user attached {attachment.name} ({attachment.mime_type}).]")

    async def tag_to_message_content(self, tag: UserMessageTagContent) -> ResponseInputContentParam:
        details = f" {json.dumps(tag.data, ensure_ascii=False)}" if tag.data else ""
        return text_part(f"@{tag.text}: {tag.id}{details}")


def text_part(text: str) -> ResponseInputTextParam:
    return {"type": "input_text", "text": text}


def texts_of(component: Any) -> Iterator[str]:
    """What a person can read in a widget's component, without its buttons."""
    if isinstance(component, list):
        for child in component:
            yield from texts_of(child)
    elif isinstance(component, dict) and component.get("type") != "Button":
        for name in ("value", "label", "alt"):
            if isinstance(text := component.get(name), str) and text:
                yield text
        yield from texts_of(component.get("children"))


def tool_call_item_content(name: str, arguments: str, output: str) -> dict[str, Any]:
    """What is kept of a tool's call; a server tool's in a hidden item, as ChatKit makes none.

    https://github.com/openai/chatkit-python/issues/23
    """
    return {
        "type": "tool_call",
        "name": name,
        "arguments": arguments,
        "output": output,
    }


def tool_call_input(call_id: str, content: dict[str, Any]) -> list[TResponseInputItem]:
    """A kept call and its output, always together: a provider refuses one without the other.

    Under an id of our own, since some providers begin anew with each answer.
    """
    return [
        {
            "type": "function_call",
            "call_id": call_id,
            "name": content["name"],
            "arguments": content["arguments"],
        },
        {
            "type": "function_call_output",
            "call_id": call_id,
            "output": content["output"],
        },
    ]


def sendable(told: Any) -> Any:
    """What a model is told, without what it may have written itself and its provider refuses.

    That is half a character, or a tool's arguments that are no JSON object.
    """
    match told:
        case str():
            return whole(told)
        case {"type": "function_call", "arguments": str(arguments)}:
            return told | {"arguments": whole(as_object(arguments))}
        case dict():
            return {name: sendable(value) for name, value in told.items()}
        case list():
            return [sendable(each) for each in told]
        case _:
            return told


def as_object(arguments: str) -> str:
    """The arguments if they are a JSON object, else an empty one."""
    try:
        return arguments if isinstance(json.loads(arguments), dict) else "{}"
    except (ValueError, RecursionError):
        return "{}"


async def model_input(
    store: Store[RequestContext],
    thread: ThreadMetadata,
    context: RequestContext,
    *,
    items: int,
    tokens: int,
) -> list[TResponseInputItem]:
    """The newest `items` items and about `tokens` tokens of the thread, oldest first.

    It begins with a message of the user, since providers refuse a history that does not; the
    newest message of the user and what follows it are there however long they are.
    """
    newest = await newest_items(store, thread, context, items)
    converter = Converter()
    turns: list[list[TResponseInputItem]] = []
    budget = tokens * CHARACTERS_PER_TOKEN
    for turn in reversed(by_user_message(newest)):
        converted = await converter.to_agent_input(turn)
        if turns:
            converted = [shortened(item) for item in converted]
        budget -= len(json.dumps(converted, ensure_ascii=False, default=str))
        if turns and budget < 0:
            break
        turns.append(converted)
    return joined(item for turn in reversed(turns) for item in turn)


def joined(items: Iterable[Any]) -> list[Any]:
    """The items, in which messages of the user that follow each other are one.

    Such do where an answer failed, and the templates of many local models refuse them.
    """
    result: list[Any] = []
    for item in items:
        match result[-1:], item:
            case [{"role": "user", "content": [*said]}], {"role": "user", "content": [*more]}:
                result[-1] = item | {"content": [*said, *more]}
            case _:
                result.append(item)
    return result


def shortened(item: Any) -> Any:
    """The item; a tool's output without what is beyond OUTPUT_CHARACTERS."""
    match item:
        case {"type": "function_call_output", "output": str(output)} if (
            len(output) > OUTPUT_CHARACTERS
        ):
            return item | {"output": output[: OUTPUT_CHARACTERS - 1] + "…"}
        case _:
            return item


async def newest_items(
    store: Store[RequestContext], thread: ThreadMetadata, context: RequestContext, count: int
) -> list[ThreadItem]:
    """The newest `count` items, oldest first; more, if no message of the user is among them."""
    found: list[ThreadItem] = []
    after: str | None = None
    while True:
        page = await store.load_thread_items(thread.id, after, count, "desc", context)
        found += page.data
        if not page.has_more or any(isinstance(item, UserMessageItem) for item in found):
            return found[::-1]
        after = page.after


def by_user_message(items: Sequence[ThreadItem]) -> list[list[ThreadItem]]:
    """The items cut before each message of the user; what stands before the first is left out."""
    turns: list[list[ThreadItem]] = []
    for item in items:
        if isinstance(item, UserMessageItem):
            turns.append([item])
        elif turns:
            turns[-1].append(item)
    return turns
