"""The store in memory: quick to start with, and forgotten when the server stops."""

from collections.abc import Mapping, Sequence

from chatkit.store import NotFoundError
from chatkit.types import Attachment, FeedbackKind, Page, ThreadItem, ThreadMetadata
from pydantic import TypeAdapter

from app.context import RequestContext
from app.store import (
    ATTACHMENT,
    ITEM,
    THREAD,
    BaseStore,
    RecordT,
    from_json,
    page_of,
    page_size,
    to_json,
)

Records = dict[str, str]
"""Records as JSON by their ids, oldest first, so that nobody else can change what is stored."""


class MemoryStore(BaseStore):
    """Keeps everything in dicts, each user's apart from all others'."""

    def __init__(self) -> None:
        self._threads: dict[str, Records] = {}
        self._items: dict[tuple[str, str], Records] = {}
        self._attachments: dict[str, Records] = {}
        self._feedback: dict[tuple[str, str], dict[str, FeedbackKind]] = {}

    async def load_thread(self, thread_id: str, context: RequestContext) -> ThreadMetadata:
        """Raises NotFoundError if the user has no such thread."""
        return _load(THREAD, self._threads.get(context.user_id, {}), thread_id)

    async def save_thread(self, thread: ThreadMetadata, context: RequestContext) -> None:
        """Add the thread, or replace it where it stands."""
        self._threads.setdefault(context.user_id, {})[thread.id] = to_json(THREAD, thread)
        self._items.setdefault((context.user_id, thread.id), {})

    async def load_threads(
        self, limit: int, after: str | None, order: str, context: RequestContext
    ) -> Page[ThreadMetadata]:
        """The user's threads behind `after`. Raises NotFoundError if there is no such thread."""
        return _page(THREAD, self._threads.get(context.user_id, {}), after, limit, order)

    async def delete_thread(self, thread_id: str, context: RequestContext) -> None:
        """Delete the thread with its items and attachments, if there is such a thread."""
        if self._threads.get(context.user_id, {}).pop(thread_id, None) is None:
            return
        del self._items[context.user_id, thread_id]
        self._feedback.pop((context.user_id, thread_id), None)
        attachments = self._attachments.get(context.user_id, {})
        for attachment_id, text in list(attachments.items()):
            if from_json(ATTACHMENT, text).thread_id == thread_id:
                del attachments[attachment_id]

    async def load_thread_items(
        self, thread_id: str, after: str | None, limit: int, order: str, context: RequestContext
    ) -> Page[ThreadItem]:
        """The thread's items behind `after`; none if there is no such thread.

        Raises NotFoundError if there is no such item.
        """
        return _page(ITEM, self._items.get((context.user_id, thread_id), {}), after, limit, order)

    async def add_thread_item(
        self, thread_id: str, item: ThreadItem, context: RequestContext
    ) -> None:
        """Add the item, or replace it where it stands. Raises NotFoundError without its thread."""
        items = self._items.get((context.user_id, thread_id))
        if items is None:
            raise NotFoundError(f"Thread {thread_id} not found")
        items[item.id] = to_json(ITEM, item)

    async def load_item(self, thread_id: str, item_id: str, context: RequestContext) -> ThreadItem:
        """Raises NotFoundError if the user's thread has no such item."""
        return _load(ITEM, self._items.get((context.user_id, thread_id), {}), item_id)

    async def delete_thread_item(
        self, thread_id: str, item_id: str, context: RequestContext
    ) -> None:
        """Delete the item, if there is such an item."""
        self._items.get((context.user_id, thread_id), {}).pop(item_id, None)
        self._feedback.get((context.user_id, thread_id), {}).pop(item_id, None)

    async def save_feedback(
        self, thread_id: str, item_ids: Sequence[str], kind: FeedbackKind, context: RequestContext
    ) -> None:
        """Raises NotFoundError, and keeps nothing, if the user's thread lacks one of the items."""
        items = self._items.get((context.user_id, thread_id), {})
        for item_id in item_ids:
            if item_id not in items:
                raise NotFoundError(f"{item_id} not found")
        feedback = self._feedback.setdefault((context.user_id, thread_id), {})
        feedback.update(dict.fromkeys(item_ids, kind))

    async def load_feedback(
        self, thread_id: str, context: RequestContext
    ) -> dict[str, FeedbackKind]:
        """The feedback by item id, oldest item first; empty if there is no such thread."""
        feedback = self._feedback.get((context.user_id, thread_id), {})
        items = self._items.get((context.user_id, thread_id), {})
        return {item_id: feedback[item_id] for item_id in items if item_id in feedback}

    async def save_attachment(self, attachment: Attachment, context: RequestContext) -> None:
        """Add the attachment, or replace it."""
        attachments = self._attachments.setdefault(context.user_id, {})
        attachments[attachment.id] = to_json(ATTACHMENT, attachment)

    async def load_attachment(self, attachment_id: str, context: RequestContext) -> Attachment:
        """Raises NotFoundError if the user has no such attachment."""
        return _load(ATTACHMENT, self._attachments.get(context.user_id, {}), attachment_id)

    async def delete_attachment(self, attachment_id: str, context: RequestContext) -> None:
        """Delete the attachment, if there is such an attachment."""
        self._attachments.get(context.user_id, {}).pop(attachment_id, None)


def _load(kind: TypeAdapter[RecordT], records: Mapping[str, str], record_id: str) -> RecordT:
    if record_id not in records:
        raise NotFoundError(f"{record_id} not found")
    return from_json(kind, records[record_id])


def _page(
    kind: TypeAdapter[RecordT], records: Records, after: str | None, limit: int, order: str
) -> Page[RecordT]:
    ids = list(records) if order == "asc" else list(reversed(records))
    if after is not None:
        if after not in records:
            raise NotFoundError(f"{after} not found")
        ids = ids[ids.index(after) + 1 :]
    size = page_size(limit)
    return page_of([from_json(kind, records[record_id]) for record_id in ids[: size + 1]], size)
