"""The events of a turn as they are sent, each a line of server-sent events."""

import json
import logging
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Any

from chatkit.types import (
    ErrorEvent,
    HiddenContextItem,
    SDKHiddenContextItem,
    ThreadItem,
    ThreadItemAddedEvent,
    ThreadItemDoneEvent,
    ThreadItemRemovedEvent,
    ThreadItemReplacedEvent,
    ThreadStreamEvent,
    WorkflowItem,
)
from pydantic import BaseModel
from pydantic_core import PydanticSerializationError

from core.context import RequestContext
from core.errors import FAILED, Refused, as_refused
from core.stores.base import BaseStore
from core.text import repair_surrogates

log = logging.getLogger("app")

# For many clients these, too, end a line of a stream, as for Python's splitlines.
LINE_ENDS = {end.encode(): f"\\u{ord(end):04x}".encode() for end in "\x85\u2028\u2029"}
# The items that only the model sees.
HIDDEN = (HiddenContextItem, SDKHiddenContextItem)


async def send_events(
    events: AsyncGenerator[ThreadStreamEvent, None],
    store: BaseStore,
    context: RequestContext,
    serialize: Callable[[ThreadStreamEvent], bytes],
) -> AsyncGenerator[bytes, None]:
    """The events as they are sent, without what only the model sees.

    A failure that nobody foresaw ends them with a sentence, after what the client has but the
    store has not yet got is taken back.
    """
    failure: Refused | None = None
    failed: ErrorEvent | None = None
    # The client has them, the store does not: an added item is put in, a stored one is taken out.
    unstored: dict[str, None] = {}
    try:
        async with aclosing(events):
            async for event in events:
                # ChatKit holds back the hidden items that are done, but no others.
                if isinstance(vars(event).get("item"), HIDDEN):
                    continue
                match event:
                    case ErrorEvent(message=None) as failed:
                        # ChatKit has caught and logged it, without the request's id.
                        log.error(
                            "request %s: the turn failed; ChatKit logs why", context.request_id
                        )
                        failure = Refused(FAILED, 500)
                        # If the store is away, that is why.
                        await store.check()
                        continue
                    case ThreadItemAddedEvent(item=item):
                        unstored[item.id] = None
                    case ThreadItemDoneEvent(item=item) | ThreadItemReplacedEvent(item=item):
                        unstored.pop(item.id, None)
                    case ThreadItemRemovedEvent(item_id=item_id):
                        unstored.pop(item_id, None)
                yield as_line(serialize(event))
    except Exception as error:
        failure = as_refused(error, context.request_id)
        if failure.status == 500:
            log.exception("request %s: the turn failed", context.request_id)
    if failure:
        for item_id in unstored:
            yield as_line(serialize(ThreadItemRemovedEvent(item_id=item_id)))
        told = ErrorEvent(allow_retry=failure.status != 404)
        if failed and failure.sentence == FAILED:
            # ChatKit.js may have a translation of its code.
            told = failed
        sentence = context.signed(failure.sentence)
        yield as_line(serialize(told.model_copy(update={"message": sentence})))


def is_thought(item: ThreadItem) -> bool:
    """Whether the item is shown, but is none that answers the user."""
    return isinstance(item, WorkflowItem) and item.workflow.type == "reasoning"


def as_line(data: bytes) -> bytes:
    """The JSON of an event as a server-sent event."""
    for character, escape in LINE_ENDS.items():
        data = data.replace(character, escape)
    return b"data: " + data + b"\n\n"


def as_json(value: BaseModel) -> bytes:
    """The JSON of an event or an answer, without what is null, as ChatKit makes it.

    An item that ChatKit does not know is written as what it is, and is no reason for a warning.
    """
    shown: BaseModel = with_offset(value)
    asked: Any = {"by_alias": True, "exclude_none": True, "warnings": False}
    asked["context"] = {"exclude_metadata": True}
    try:
        return shown.model_dump_json(**asked).encode()
    except PydanticSerializationError:
        # Half a character, which is sent as it is stored.
        text = json.dumps(shown.model_dump(mode="json", **asked), ensure_ascii=False)
        return repair_surrogates(text).encode()


def with_offset(value: Any) -> Any:
    """A copy in which each created_at, also of what it holds, carries the local time's offset.

    ChatKit's own times are naive and local; a client in another time zone needs the offset.
    """
    if isinstance(value, list):
        return [with_offset(each) for each in value]
    if not isinstance(value, BaseModel):
        return value
    fields = vars(value)
    nested = ("item", "thread", "items", "updated_item", "data")
    changed = {name: with_offset(fields[name]) for name in nested if name in fields}
    if (created_at := fields.get("created_at")) is not None:
        changed["created_at"] = created_at.astimezone()
    return value.model_copy(update=changed) if changed else value
