"""What the model is told of a thread: its newest items, as input for the Agents SDK."""

import json
from collections.abc import Iterable, Sequence
from typing import Any

from agents import TResponseInputItem
from chatkit.agents import ThreadItemConverter
from chatkit.store import Store
from chatkit.types import ThreadItem, ThreadMetadata, UserMessageItem

from core.context import RequestContext
from core.stores.records import UnknownItem

CHARACTERS_PER_TOKEN = 4
"""A rule of thumb that errs on the safe side for English; a budget needs no more."""
OUTPUT_CHARACTERS = 8000
"""How much of a tool's output it is told again in later turns, lest it crowds out the rest."""


async def model_input(
    store: Store[RequestContext],
    thread: ThreadMetadata,
    context: RequestContext,
    *,
    converter: ThreadItemConverter,
    items: int,
    tokens: int,
) -> list[TResponseInputItem]:
    """The newest `items` items and about `tokens` tokens of the thread, oldest first.

    It begins with a message of the user, since providers refuse a history that does not; the
    newest message of the user and what follows it are there however long they are.
    """
    newest = await newest_items(store, thread, context, items)
    turns: list[list[TResponseInputItem]] = []
    budget = tokens * CHARACTERS_PER_TOKEN
    for turn in reversed(by_user_message(newest)):
        converted = await converter.to_agent_input(turn)
        if turns:
            # No provider needs the thoughts of earlier turns.
            converted = [shortened(item) for item in converted if item.get("type") != "reasoning"]
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
        found += [item for item in page.data if not isinstance(item, UnknownItem)]
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
