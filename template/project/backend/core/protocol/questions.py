"""What waits for the user's side: questions (structured input), and a client tool's call."""

from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any

from chatkit.types import (
    ClientToolCallItem,
    HiddenContextItem,
    StructuredInputItem,
    ThreadItem,
    ThreadItemDoneEvent,
    ThreadItemReplacedEvent,
    ThreadStreamEvent,
    UserMessageItem,
)
from pydantic import ValidationError

from core.context import RequestContext
from core.stores.base import BaseStore, new_id

PAGE = 20


async def pending_questions(
    store: BaseStore, thread_id: str, context: RequestContext
) -> list[StructuredInputItem]:
    """The questions that wait for an answer: all are newer than the user's newest message."""
    return [
        item
        for item in await newest_turn(store, thread_id, context)
        if isinstance(item, StructuredInputItem) and item.status == "pending"
    ]


async def pending_call(
    store: BaseStore, thread_id: str, context: RequestContext
) -> ClientToolCallItem | None:
    """The newest call that waits for the client's output: the user has written nothing since."""
    for item in reversed(await newest_turn(store, thread_id, context)):
        if isinstance(item, ClientToolCallItem) and item.status == "pending":
            return item
    return None


async def newest_turn(
    store: BaseStore, thread_id: str, context: RequestContext
) -> list[ThreadItem]:
    """What stands behind the user's newest message, oldest first."""
    found: list[ThreadItem] = []
    after: str | None = None
    while True:
        page = await store.load_thread_items(thread_id, after, PAGE, "desc", context)
        for item in page.data:
            if isinstance(item, UserMessageItem):
                return found[::-1]
            found.append(item)
        if not page.has_more:
            return found[::-1]
        after = page.after


async def with_answers(
    events: AsyncIterator[ThreadStreamEvent],
) -> AsyncIterator[ThreadStreamEvent]:
    """The events of a turn; a question that is answered is followed by what keeps when it was."""
    async for event in events:
        yield event
        match event:
            case ThreadItemReplacedEvent(item=StructuredInputItem(status=status) as question) if (
                status != "pending"
            ):
                yield ThreadItemDoneEvent(item=settled_item(question))


def settled_item(question: StructuredInputItem) -> HiddenContextItem:
    """Keeps when a question was answered or skipped: its own item stays where it was asked."""
    return HiddenContextItem(
        id=new_id("sdk_hidden_context"),
        thread_id=question.thread_id,
        created_at=datetime.now(),
        content={"type": "answer", "question": question.model_dump(mode="json")},
    )


def settled_question(item: ThreadItem) -> StructuredInputItem | None:
    """The question with its answer, if the item was made by `settled_item`."""
    match item:
        case HiddenContextItem(content={"type": "answer", "question": dict(question)}):
            return read_question(question)
        case _:
            return None


def read_question(question: dict[str, Any]) -> StructuredInputItem | None:
    try:
        return StructuredInputItem.model_validate(question)
    except ValidationError:
        # What a newer ChatKit asked.
        return None


def as_asked(question: StructuredInputItem) -> StructuredInputItem:
    """The question as it was before its answer."""
    asked = question.model_copy(deep=True, update={"status": "pending"})
    for each in asked.inputs:
        each.answer = None
    return asked
