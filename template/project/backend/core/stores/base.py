"""What every store here shares: ids that never collide, records as JSON, and pages."""

import json
import uuid
from abc import abstractmethod
from collections.abc import Callable, Sequence
from datetime import timezone
from typing import Any, TypeVar

from chatkit.store import Store, StoreItemType, default_generate_id
from chatkit.types import Attachment, FeedbackKind, Page, ThreadItem, ThreadItemBase, ThreadMetadata
from pydantic import TypeAdapter
from pydantic_core import PydanticSerializationError

from core.context import RequestContext
from core.stores.records import ITEM, UNKNOWN_ITEM, UnknownItem, item_from_json
from core.text import repair_surrogates

RecordT = TypeVar("RecordT", bound=ThreadMetadata | ThreadItem | Attachment)
TIMED = (ThreadMetadata, ThreadItemBase)
MAX_PAGE = 1000
PAGE = 50
"""How many items are read at once, at least, where not all are wanted."""


class BaseStore(Store[RequestContext]):
    """A ChatKit store that keeps feedback, too. What is not the user's does not exist for them.

    To load what does not exist, to add an item to such a thread, and to page on from such a record
    raises NotFoundError. A record that is saved again is replaced where it stands; a deleted thread
    takes its items and attachments along. Every method may raise StoreError, and works again as
    soon as what it needs is back.
    """

    async def open(self) -> None:
        """Make the store ready; the first use does it too."""

    async def close(self) -> None:
        """Let go of what the store holds open."""

    async def check(self) -> None:
        """Raise StoreError if the store cannot be used now."""
        await self.load_threads(1, None, "desc", RequestContext())

    async def load_thread_items(
        self, thread_id: str, after: str | None, limit: int, order: str, context: RequestContext
    ) -> Page[ThreadItem]:
        """The thread's items behind `after`, without those that the request has set aside.

        None if there is no such thread. Raises NotFoundError if there is no such item.
        """
        # A context of one's own, in a script say, needs no more than a user_id.
        set_aside: frozenset[str] = getattr(context, "set_aside", frozenset())
        if not set_aside:
            return await self.page_of_items(thread_id, after, limit, order, context)
        return await self.items_that(
            lambda item: item.id not in set_aside, thread_id, after, limit, order, context
        )

    async def items_that(
        self,
        wanted: Callable[[ThreadItem], bool],
        thread_id: str,
        after: str | None,
        limit: int,
        order: str,
        context: RequestContext,
    ) -> Page[ThreadItem]:
        """A page of the items that are `wanted`: what stands between them is read, and left out.

        As for `load_thread_items`, `after` may be any item.
        """
        size = page_size(limit)
        found: list[ThreadItem] = []
        while True:
            page = await self.page_of_items(thread_id, after, max(size, PAGE), order, context)
            found += filter(wanted, page.data)
            if not page.has_more or len(found) > size:
                return page_of(found, size)
            after = page.after

    @abstractmethod
    async def page_of_items(
        self, thread_id: str, after: str | None, limit: int, order: str, context: RequestContext
    ) -> Page[ThreadItem]:
        """As `load_thread_items`, with every item."""

    @abstractmethod
    async def save_feedback(
        self, thread_id: str, item_ids: Sequence[str], kind: FeedbackKind, context: RequestContext
    ) -> None:
        """Keep what the user thinks of these items now, or nothing if one is not there."""

    @abstractmethod
    async def load_feedback(
        self, thread_id: str, context: RequestContext
    ) -> dict[str, FeedbackKind]:
        """The feedback by item id, oldest item first; empty if there is no such thread."""

    async def save_item(self, thread_id: str, item: ThreadItem, context: RequestContext) -> None:
        # ChatKit adds some items twice, and saves others that it has not added.
        await self.add_thread_item(thread_id, item, context)

    def generate_thread_id(self, context: RequestContext) -> str:
        return new_id("thread")

    def generate_item_id(
        self, item_type: StoreItemType, thread: ThreadMetadata, context: RequestContext
    ) -> str:
        return new_id(item_type)


def new_id(kind: StoreItemType) -> str:
    """ChatKit's prefix and a whole UUID: of ChatKit's own 8 digits, 100,000 are likely to clash."""
    prefix, _, _ = default_generate_id(kind).partition("_")
    return f"{prefix}_{uuid.uuid4().hex}"


def to_json(kind: TypeAdapter[RecordT], record: RecordT) -> str:
    """The record as it is stored: times in UTC, half a character as U+FFFD, a Thread itemless."""
    utc: dict[str, object] = {}
    if isinstance(record, TIMED):
        utc["created_at"] = record.created_at.astimezone(timezone.utc)
    stored: Any = record.model_copy(update=utc)
    as_kind: TypeAdapter[Any] = UNKNOWN_ITEM if isinstance(record, UnknownItem) else kind
    try:
        return as_kind.dump_json(stored).decode()
    except PydanticSerializationError:
        return repair_surrogates(
            json.dumps(as_kind.dump_python(stored, mode="json"), ensure_ascii=False)
        )


def from_json(kind: TypeAdapter[RecordT], text: str) -> RecordT:
    """The stored record, with its time as ChatKit makes its own: local, and without an offset."""
    record: RecordT = item_from_json(text) if kind is ITEM else kind.validate_json(text)
    if isinstance(record, TIMED):
        record.created_at = record.created_at.astimezone().replace(tzinfo=None)
    return record


def page_size(limit: int) -> int:
    """The limit that a client asked for, between 1 and MAX_PAGE."""
    return min(max(limit, 1), MAX_PAGE)


def page_of(records: list[RecordT], size: int) -> Page[RecordT]:
    """A page out of the next `size` + 1 records, the last of which only tells that there are more.

    Its cursor is its own last record, so that the next page begins right behind it.
    """
    page: Page[RecordT] = Page(data=records[:size], has_more=len(records) > size)
    if page.has_more:
        page.after = page.data[-1].id
    return page
