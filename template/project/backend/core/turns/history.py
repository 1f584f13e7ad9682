"""What the model is told of a thread: its newest items, as input for the Agents SDK.

A turn's input begins with the input of the turn before, since providers answer sooner and for less
what begins as an earlier request did. So nothing is left out until there is too much; half of it
is then, and the thread remembers where its window begins.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from agents import TResponseInputItem
from chatkit.agents import ThreadItemConverter
from chatkit.store import Store
from chatkit.types import (
    AssistantMessageItem,
    HiddenContextItem,
    StructuredInputItem,
    ThreadItem,
    ThreadMetadata,
    UserMessageItem,
)

from core.context import RequestContext
from core.protocol.questions import as_asked, settled_question
from core.stores.records import UnknownItem
from core.turns.item_converter import BLOCKED_MESSAGE
from core.turns.thoughts import is_thoughts, with_thoughts
from core.turns.window import Limits, Part, Window

CHARACTERS_PER_TOKEN = 4
"""A rule of thumb that errs on the safe side for English; a budget needs no more."""
WINDOW = "history"
"""In the thread's metadata: its window's first item, and the last one that is told in short."""


async def model_input(
    store: Store[RequestContext],
    thread: ThreadMetadata,
    context: RequestContext,
    *,
    converter: ThreadItemConverter,
    items: int,
    tokens: int,
    images: int,
) -> list[TResponseInputItem]:
    """The newest items of the thread, oldest first: `items` and about `tokens` tokens at most.

    It begins with a message of the user, since providers refuse a history that does not; the
    newest message of the user and what follows it are there however long they are. Images and
    files have a budget of their own, and the older ones are told as a line of text.
    """
    newest, has_more = await newest_items(store, thread, context, items)
    window = thread.metadata.get(WINDOW, {})
    if (begin := place_of(window.get("from"), newest)) is not None:
        newest, has_more = newest[begin:], False
    told = as_it_happened(told_once(newest))
    first = next((place for place, item in enumerate(told) if is_message(item)), len(told))
    told = without_old_thoughts(told[first:])
    if not told:
        return []
    # One by one, lest the SDK takes a quote for one of the last item only.
    parts = [
        Part(item.id, is_message(item), await converter.to_agent_input([item])) for item in told
    ]
    last_short = place_of(window.get("short"), told)
    limits = Limits(items, tokens * CHARACTERS_PER_TOKEN, images)
    view = Window(parts, 0 if last_short is None else last_short + 1, limits)
    if has_more or view.is_full():
        view = view.cut()
        thread.metadata[WINDOW] = {
            "from": view.parts[0].item_id,
            "short": view.parts[view.short - 1].item_id if view.short else None,
        }
    items_told = [item for place in range(len(view.parts)) for item in view.told(place)]
    return joined(with_thoughts(items_told))


def is_message(item: ThreadItem) -> bool:
    return isinstance(item, UserMessageItem)


def place_of(item_id: str | None, items: Sequence[ThreadItem]) -> int | None:
    """Where the item stands, if it is there."""
    return next((place for place, item in enumerate(items) if item.id == item_id), None)


def as_it_happened(items: Sequence[ThreadItem]) -> list[ThreadItem]:
    """The items in the order of what happened, without what a guardrail has blocked.

    An item stands where it was first stored. But a tool's call is stored when the tool has run,
    behind what the tool has shown; and a question is answered after other things were said.
    """
    answered = {question.id for item in items if (question := settled_question(item))}
    told: list[ThreadItem] = []
    again = False
    for item in items:
        match item:
            case HiddenContextItem(content=content) if content == BLOCKED_MESSAGE:
                while told and not is_message(told.pop()):
                    pass
                # It may have been one before, which was told with it for want of an answer.
                while again and told and is_message(told[-1]):
                    told.pop()
                again = True
            case HiddenContextItem(
                content={"type": "tool_call" | "thoughts", "before": str(first)}
            ):
                shown = place_of(first, told)
                told.insert(len(told) if shown is None else shown, item)
            case StructuredInputItem() if item.id in answered:
                told.append(as_asked(item))
            case AssistantMessageItem():
                again = False
                told.append(item)
            case _:
                told.append(item)
    return told


def without_old_thoughts(items: Sequence[ThreadItem]) -> list[ThreadItem]:
    """The items without the thoughts of earlier turns, which no provider needs."""
    newest = max((place for place, item in enumerate(items) if is_message(item)), default=0)
    return [item for place, item in enumerate(items) if place > newest or not is_thoughts(item)]


def told_once(items: Sequence[ThreadItem]) -> list[ThreadItem]:
    """The items without what is shown of a final output: a hidden item tells the model of it."""
    shown = {
        content["shown"]
        for item in items
        if isinstance(item, HiddenContextItem)
        and isinstance(content := item.content, dict)
        and content.get("type") == "final_output"
    }
    return [item for item in items if item.id not in shown]


def joined(items: Iterable[Any]) -> list[Any]:
    """The items, in which messages that follow each other are one, if they have the same speaker.

    The user's do where an answer failed, and the templates of many local models refuse them.
    """
    result: list[Any] = []
    for item in items:
        match result[-1:], item:
            case [{"role": "user", "content": [*said]}], {"role": "user", "content": [*more]}:
                result[-1] = item | {"content": [*said, *more]}
            case [{"role": "assistant", "content": str(said)}], {
                "role": "assistant",
                "content": str(more),
            }:
                result[-1] = item | {"content": f"{said}\n\n{more}"}
            case _:
                result.append(item)
    return result


async def newest_items(
    store: Store[RequestContext], thread: ThreadMetadata, context: RequestContext, count: int
) -> tuple[list[ThreadItem], bool]:
    """The newest `count` items, oldest first, and whether there are older ones.

    There are more than `count` if no message of the user is among them.
    """
    found: list[ThreadItem] = []
    after: str | None = None
    while True:
        page = await store.load_thread_items(thread.id, after, count, "desc", context)
        found += [item for item in page.data if not isinstance(item, UnknownItem)]
        if not page.has_more or any(is_message(item) for item in found):
            return found[::-1], page.has_more
        after = page.after
