"""The store in memory: quick to start with, and forgotten when the server stops."""

from collections import defaultdict
from collections.abc import Sequence
from functools import partial
from typing import Generic

from chatkit.store import NotFoundError
from chatkit.types import Attachment, FeedbackKind, Page, ThreadItem, ThreadMetadata
from pydantic import TypeAdapter

from core.context import RequestContext
from core.settings import ServerSettings
from core.stores.base import BaseStore, RecordT, from_json, page_of, page_size, to_json
from core.stores.records import ATTACHMENT, ITEM, THREAD


def open_store(settings: ServerSettings) -> "MemoryStore":
    """The store: it forgets everything when the server stops."""
    return MemoryStore()


class Records(Generic[RecordT]):
    """Records by id, oldest first: as JSON, so that nobody else can change what is stored."""

    def __init__(self, kind: TypeAdapter[RecordT]) -> None:
        self.kind = kind
        self.texts: dict[str, str] = {}

    def save(self, record: RecordT) -> None:
        self.texts[record.id] = to_json(self.kind, record)

    def load(self, record_id: str) -> RecordT:
        if record_id not in self.texts:
            raise NotFoundError(f"{record_id} not found")
        return from_json(self.kind, self.texts[record_id])

    def page(self, after: str | None, limit: int, order: str) -> Page[RecordT]:
        ids = list(self.texts) if order == "asc" else list(reversed(self.texts))
        if after is not None:
            ids = ids[ids.index(self.load(after).id) + 1 :]
        size = page_size(limit)
        return page_of([self.load(record_id) for record_id in ids[: size + 1]], size)

    def delete(self, record_id: str) -> None:
        self.texts.pop(record_id, None)


class MemoryStore(BaseStore):
    """Keeps threads and attachments by user, items and feedback by user and thread."""

    def __init__(self) -> None:
        self._threads = defaultdict[str, Records[ThreadMetadata]](partial(Records, THREAD))
        self._items = defaultdict[tuple[str, str], Records[ThreadItem]](partial(Records, ITEM))
        self._attachments = defaultdict[str, Records[Attachment]](partial(Records, ATTACHMENT))
        self._feedback = defaultdict[tuple[str, str], dict[str, FeedbackKind]](dict)

    async def load_thread(self, thread_id: str, context: RequestContext) -> ThreadMetadata:
        return self._threads[context.user_id].load(thread_id)

    async def save_thread(self, thread: ThreadMetadata, context: RequestContext) -> None:
        self._threads[context.user_id].save(thread)

    async def load_threads(
        self, limit: int, after: str | None, order: str, context: RequestContext
    ) -> Page[ThreadMetadata]:
        return self._threads[context.user_id].page(after, limit, order)

    async def delete_thread(self, thread_id: str, context: RequestContext) -> None:
        self._threads[context.user_id].delete(thread_id)
        self._items.pop((context.user_id, thread_id), None)
        self._feedback.pop((context.user_id, thread_id), None)
        attachments = self._attachments[context.user_id]
        for attachment_id in list(attachments.texts):
            if attachments.load(attachment_id).thread_id == thread_id:
                attachments.delete(attachment_id)

    async def page_of_items(
        self, thread_id: str, after: str | None, limit: int, order: str, context: RequestContext
    ) -> Page[ThreadItem]:
        return self._items[context.user_id, thread_id].page(after, limit, order)

    async def add_thread_item(
        self, thread_id: str, item: ThreadItem, context: RequestContext
    ) -> None:
        await self.load_thread(thread_id, context)
        self._items[context.user_id, thread_id].save(item)

    async def load_item(self, thread_id: str, item_id: str, context: RequestContext) -> ThreadItem:
        return self._items[context.user_id, thread_id].load(item_id)

    async def delete_thread_item(
        self, thread_id: str, item_id: str, context: RequestContext
    ) -> None:
        self._items[context.user_id, thread_id].delete(item_id)
        self._feedback[context.user_id, thread_id].pop(item_id, None)

    async def save_feedback(
        self, thread_id: str, item_ids: Sequence[str], kind: FeedbackKind, context: RequestContext
    ) -> None:
        for item_id in item_ids:
            await self.load_item(thread_id, item_id, context)
        self._feedback[context.user_id, thread_id] |= dict.fromkeys(item_ids, kind)

    async def load_feedback(
        self, thread_id: str, context: RequestContext
    ) -> dict[str, FeedbackKind]:
        feedback = self._feedback[context.user_id, thread_id]
        items = self._items[context.user_id, thread_id].texts
        return {item_id: feedback[item_id] for item_id in items if item_id in feedback}

    async def save_attachment(self, attachment: Attachment, context: RequestContext) -> None:
        self._attachments[context.user_id].save(attachment)

    async def load_attachment(self, attachment_id: str, context: RequestContext) -> Attachment:
        return self._attachments[context.user_id].load(attachment_id)

    async def delete_attachment(self, attachment_id: str, context: RequestContext) -> None:
        self._attachments[context.user_id].delete(attachment_id)
