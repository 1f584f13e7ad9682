"""The ChatKit protocol, made strict: what is wrong is refused before anything is stored."""

import logging
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any, TypeVar, cast

from chatkit.server import ChatKitServer, NonStreamingResult, StreamingResult
from chatkit.types import (
    AttachmentsCreateReq,
    AttachmentsDeleteReq,
    ChatKitReq,
    ClientToolCallItem,
    InputTranscribeReq,
    ItemsFeedbackReq,
    NonStreamingReq,
    StreamingReq,
    StructuredInputItem,
    ThreadCreatedEvent,
    ThreadsAddClientToolOutputReq,
    ThreadsAddStructuredInputReq,
    ThreadsAddUserMessageReq,
    ThreadsCreateReq,
    ThreadsCustomActionReq,
    ThreadsDeleteReq,
    ThreadsRetryAfterItemReq,
    ThreadsSyncCustomActionReq,
    ThreadsUpdateReq,
    UserMessageInput,
    UserMessageItem,
    WidgetItem,
    is_streaming_req,
)
from pydantic import BaseModel, TypeAdapter, ValidationError

from app.context import RequestContext
from app.store import BaseStore
from app.turns import Turns

log = logging.getLogger("app")

# Built once: ChatKitServer.process builds it anew for every request, which costs milliseconds.
REQUEST: TypeAdapter[ChatKitReq] = TypeAdapter(ChatKitReq)

TITLE_LENGTH = 60


class Refused(Exception):
    """A request that is answered with a sentence and an HTTP status instead of a stream."""

    def __init__(self, sentence: str, status: int = 400) -> None:
        super().__init__(sentence)
        self.sentence = sentence
        self.status = status


class ProtocolServer(ChatKitServer[RequestContext]):
    """A ChatKitServer that checks a whole request before it acts on it.

    Subclasses write `respond`, and `start`, `close` and `not_ready` where they hold something.
    """

    def __init__(self, store: BaseStore) -> None:
        super().__init__(store)
        self.turns = Turns()
        self._open_store, self._close_store = store.open, store.close

    async def start(self) -> None:
        """Called once, before the first request."""
        await self._open_store()

    async def close(self) -> None:
        """Called once, after the last turn."""
        await self._close_store()

    async def not_ready(self) -> str | None:
        """What keeps this server from answering, named by its part, or None."""
        try:
            await self.store.load_threads(1, None, "desc", RequestContext())
        except Exception as error:
            log.error("not ready: the store answers %r", error)
            return f"database: {type(error).__name__}"
        return None

    async def process(
        self, request: str | bytes | bytearray, context: RequestContext
    ) -> StreamingResult | NonStreamingResult:
        """Answer one request of the protocol.

        Raises Refused for what the protocol or this server does not take, chatkit.store's
        NotFoundError for a thread, item or attachment that is not the caller's, and Busy for a
        thread that is still being answered; all three before a stream begins.
        """
        parsed = parse(request)
        thread_id = cast(str | None, getattr(parsed.params, "thread_id", None))
        if thread_id is not None:
            await self.store.load_thread(thread_id, context)
        if is_streaming_req(parsed):
            return StreamingResult(await self._begin(parsed, thread_id, context))
        return NonStreamingResult(await self._answer(parsed, context))

    async def _answer(self, request: NonStreamingReq, context: RequestContext) -> bytes:
        match request:
            case AttachmentsCreateReq() | AttachmentsDeleteReq() if self.attachment_store is None:
                raise Refused("This server takes no attachments.")
            case InputTranscribeReq() if not self._overrides("transcribe"):
                raise Refused("This server takes no dictation.")
            case ThreadsSyncCustomActionReq():
                await self._check_action(request, "sync_action", context)
            case ItemsFeedbackReq():
                for item_id in request.params.item_ids:
                    await self.store.load_item(request.params.thread_id, item_id, context)
            case ThreadsUpdateReq():
                return await self._rename(request, context)
            case ThreadsDeleteReq():
                return await self._delete(request, context)
            case _:
                pass
        return await self._process_non_streaming(request, context)

    async def _rename(self, request: ThreadsUpdateReq, context: RequestContext) -> bytes:
        thread_id, title = request.params.thread_id, request.params.title.strip()
        if not title:
            raise Refused("params.title: a title needs at least one character.")
        request.params.title = title
        async with self.turns.changing(thread_id):
            answer = await self._process_non_streaming(request, context)
            self.turns.renamed(thread_id, title)
        return answer

    async def _delete(self, request: ThreadsDeleteReq, context: RequestContext) -> bytes:
        thread_id = request.params.thread_id
        self.turns.stop(thread_id)
        await self.turns.begin(thread_id, context)
        try:
            async with self.turns.changing(thread_id):
                return await self._process_non_streaming(request, context)
        finally:
            self.turns.end(thread_id)

    async def _begin(
        self, request: StreamingReq, thread_id: str | None, context: RequestContext
    ) -> AsyncGenerator[bytes, None]:
        if thread_id is not None:
            await self.turns.begin(thread_id, context)
        try:
            await self._check(request, thread_id, context)
        except BaseException:
            if thread_id is not None:
                self.turns.end(thread_id)
            raise
        return self._turn(request, thread_id, context)

    async def _turn(
        self, request: StreamingReq, thread_id: str | None, context: RequestContext
    ) -> AsyncGenerator[bytes, None]:
        try:
            async with aclosing(self._process_streaming_impl(request, context)) as events:
                async for event in events:
                    if isinstance(event, ThreadCreatedEvent):
                        await self.turns.begin(event.thread.id, context)
                        thread_id = event.thread.id
                    yield b"data: " + self._serialize(event) + b"\n\n"
        finally:
            if thread_id is not None:
                self.turns.end(thread_id)

    async def _check(
        self, request: StreamingReq, thread_id: str | None, context: RequestContext
    ) -> None:
        if thread_id is not None:
            # Read only now that nobody else writes to the thread. The SDK does not enforce it.
            status = (await self.store.load_thread(thread_id, context)).status
            if status.type != "active":
                reason = f" {status.reason}" if status.reason else ""
                raise Refused(f"This conversation is {status.type}.{reason}", 409)
        match request:
            case ThreadsCreateReq() | ThreadsAddUserMessageReq():
                await self._check_input(request.params.input, context)
            case ThreadsRetryAfterItemReq():
                await self._check_item(request, UserMessageItem, "a user message", context)
            case ThreadsCustomActionReq():
                await self._check_action(request, "action", context)
            case ThreadsAddStructuredInputReq():
                question = await self._check_item(
                    request, StructuredInputItem, "a structured input", context
                )
                if question.status != "pending":
                    raise Refused("This question has been answered already.", 409)
            case ThreadsAddClientToolOutputReq():
                newest = await self.store.load_thread_items(
                    request.params.thread_id, None, 1, "desc", context
                )
                match newest.data:
                    case [ClientToolCallItem(status="pending")]:
                        pass
                    case _:
                        raise Refused("No client tool call is waiting for an output.", 409)

    async def _check_input(self, message: UserMessageInput, context: RequestContext) -> None:
        if not text_of(message).strip() and not message.attachments:
            raise Refused("params.input.content: the message is empty.")
        for attachment_id in message.attachments:
            await self.store.load_attachment(attachment_id, context)

    async def _check_action(
        self,
        request: ThreadsCustomActionReq | ThreadsSyncCustomActionReq,
        method: str,
        context: RequestContext,
    ) -> None:
        if not self._overrides(method):
            raise Refused("This server takes no actions.")
        if request.params.item_id is not None:
            await self._check_item(request, WidgetItem, "a widget", context)

    async def _check_item(
        self, request: Any, kind: type["ItemT"], name: str, context: RequestContext
    ) -> "ItemT":
        item = await self.store.load_item(request.params.thread_id, request.params.item_id, context)
        if not isinstance(item, kind):
            raise Refused(f"params.item_id: this item is not {name}.")
        return item

    def _overrides(self, method: str) -> bool:
        return getattr(type(self), method) is not getattr(ChatKitServer, method)

    def _serialize(self, obj: BaseModel) -> bytes:
        # ChatKit's own times are naive and local; a client in another time zone needs the offset.
        return super()._serialize(with_offset(obj))


ItemT = TypeVar("ItemT", UserMessageItem, WidgetItem, StructuredInputItem)
ModelT = TypeVar("ModelT", bound=BaseModel)


def parse(body: str | bytes | bytearray) -> ChatKitReq:
    """The request in a body. Raises Refused with the first thing that is wrong with it."""
    try:
        return REQUEST.validate_json(body)
    except ValidationError as error:
        raise Refused(_sentence(error)) from None


def _sentence(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_input=False)[0]
    match first["type"]:
        case "json_invalid":
            return f"The body is not JSON: {first['ctx']['error']}."
        case "union_tag_not_found":
            return 'The request has no "type".'
        case "union_tag_invalid" if len(first["loc"]) == 0:
            return f"Unknown operation {first['ctx']['tag'][:100]!r}."
        case _ if not first["loc"]:
            return "The body must be a JSON object."
        case _:
            where = ".".join(str(part) for part in first["loc"][1:])
            return f"{where}: {first['msg']}."


def with_offset(obj: ModelT) -> ModelT:
    """A copy whose created_at, and those of what it holds, carry the local time's offset."""
    changed: dict[str, Any] = {}
    for name in ("item", "thread", "items", "updated_item"):
        inner = getattr(obj, name, None)
        if isinstance(inner, BaseModel):
            changed[name] = with_offset(inner)
    if isinstance(data := getattr(obj, "data", None), list):
        changed["data"] = [with_offset(entry) for entry in cast(list[BaseModel], data)]
    if (created_at := getattr(obj, "created_at", None)) is not None:
        changed["created_at"] = created_at.astimezone()
    return obj.model_copy(update=changed) if changed else obj


def text_of(message: UserMessageInput | UserMessageItem) -> str:
    """The message's words, tags as the user sees them."""
    return "".join(part.text for part in message.content)


def title_of(message: UserMessageItem) -> str:
    """A thread's first title: the beginning of its first message, TITLE_LENGTH at most."""
    words = " ".join(text_of(message).split())
    if len(words) <= TITLE_LENGTH:
        return words or "New chat"
    return words[: TITLE_LENGTH - 1].rstrip() + "…"
