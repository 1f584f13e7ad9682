"""ChatKit's own server, mended where it would lose what a client has, or what it does not know.

Each method stands in for one of https://github.com/openai/chatkit-python/blob/main/chatkit/server.py
"""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Any

from chatkit.server import DEFAULT_PAGE_SIZE, ChatKitServer
from chatkit.types import (
    AssistantMessageItem,
    ItemsListReq,
    NonStreamingReq,
    Page,
    StreamingReq,
    Thread,
    ThreadItem,
    ThreadMetadata,
    ThreadsRetryAfterItemReq,
    ThreadStreamEvent,
    UserMessageItem,
)
from pydantic import BaseModel

from core.context import RequestContext
from core.protocol.events import HIDDEN, as_json
from core.stores.base import BaseStore
from core.turns.retry import Retry, give_up_old


class MendedServer(ChatKitServer[RequestContext]):
    """A ChatKitServer whose Retry keeps the old answer, and whose answers keep unknown things."""

    store: BaseStore

    # --- Retry: ChatKit deletes the answer that stands there before it asks for another one ---

    async def _process_streaming_impl(
        self, request: StreamingReq, context: RequestContext
    ) -> AsyncGenerator[ThreadStreamEvent, None]:
        parts = (
            self._retry(request, context)
            if isinstance(request, ThreadsRetryAfterItemReq)
            else super()._process_streaming_impl(request, context)
        )
        async with aclosing(parts) as events:
            async for event in events:
                yield event

    async def _retry(
        self, request: ThreadsRetryAfterItemReq, context: RequestContext
    ) -> AsyncGenerator[ThreadStreamEvent, None]:
        thread_id, item_id = request.params.thread_id, request.params.item_id
        thread = await self.store.load_thread(thread_id, context)
        asked = await self.store.load_item(thread_id, item_id, context)
        assert isinstance(asked, UserMessageItem)
        old: list[ThreadItem] = []
        async for item in self._paginate_thread_items_reverse(thread_id, context):
            if item.id == item_id:
                break
            old.insert(0, item)
        retry = Retry(thread_id, old, self.store, context)

        def answer() -> AsyncIterator[ThreadStreamEvent]:
            return retry.answered(self.respond(thread, asked, context))

        async with aclosing(retry.stored(self._process_events(thread, context, answer))) as events:
            async for event in events:
                yield event

    async def handle_stream_cancelled(
        self, thread: ThreadMetadata, pending_items: list[ThreadItem], context: RequestContext
    ) -> None:
        said = (
            part.text
            for item in pending_items
            if isinstance(item, AssistantMessageItem)
            for part in item.content
        )
        # Without a new answer that was begun, the one that Retry has set aside stands.
        if not context.set_aside or "".join(said).strip():
            await super().handle_stream_cancelled(thread, pending_items, context)
            await give_up_old(thread.id, self.store, context)

    # --- Pages of what a client is shown: ChatKit takes what is hidden out of a page it has ---

    async def _process_non_streaming(
        self, request: NonStreamingReq, context: RequestContext
    ) -> bytes:
        match request:
            case ItemsListReq(params=params):
                limit = params.limit or DEFAULT_PAGE_SIZE
                page = await self.store.items_that(
                    is_shown, params.thread_id, params.after, limit, params.order, context
                )
                return self._serialize(page)
            case _:
                return await super()._process_non_streaming(request, context)

    # --- Answers without the classes that know less than a thread holds ---

    async def _load_full_thread(self, thread_id: str, context: RequestContext) -> Thread:
        thread = await self.store.load_thread(thread_id, context)
        items = await self.store.items_that(
            is_shown, thread_id, None, DEFAULT_PAGE_SIZE, "asc", context
        )
        return Thread.model_construct(**dict(thread), items=items)

    def _to_thread_response(self, thread: ThreadMetadata | Thread) -> Thread:
        items = thread.items if isinstance(thread, Thread) else Page[Any]()
        return Thread.model_construct(**dict(thread) | {"metadata": {}, "items": items})

    def _serialize(self, obj: BaseModel) -> bytes:
        return as_json(obj)


def is_shown(item: ThreadItem) -> bool:
    """Whether clients get the item, and not only the model."""
    return not isinstance(item, HIDDEN)
