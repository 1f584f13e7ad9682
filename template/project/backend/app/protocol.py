"""The ChatKit protocol, made strict: what is wrong is refused before anything is stored."""

import json
import logging
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing, suppress
from typing import Any, TypeVar, cast

from chatkit.server import ChatKitServer, NonStreamingResult, StreamingResult
from chatkit.store import NotFoundError
from chatkit.types import (
    AttachmentsCreateReq,
    AttachmentsDeleteReq,
    ChatKitReq,
    ClientToolCallItem,
    ErrorEvent,
    FeedbackKind,
    HiddenContextItem,
    InputTranscribeReq,
    ItemsFeedbackReq,
    NonStreamingReq,
    SDKHiddenContextItem,
    StreamingReq,
    StructuredInputItem,
    ThreadItem,
    ThreadItemAddedEvent,
    ThreadItemDoneEvent,
    ThreadItemRemovedEvent,
    ThreadItemReplacedEvent,
    ThreadsAddClientToolOutputReq,
    ThreadsAddStructuredInputReq,
    ThreadsAddUserMessageReq,
    ThreadsCreateReq,
    ThreadsCustomActionReq,
    ThreadsRetryAfterItemReq,
    ThreadsSyncCustomActionReq,
    ThreadStreamEvent,
    ThreadsUpdateReq,
    UserMessageInput,
    UserMessageItem,
    WidgetItem,
    is_streaming_req,
)
from pydantic import BaseModel, TypeAdapter, ValidationError
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from app.context import RequestContext
from app.store import BaseStore, StoreError
from app.text import whole

log = logging.getLogger("app")

# Built once: ChatKitServer.process builds it anew for every request, which costs milliseconds.
REQUEST: TypeAdapter[ChatKitReq] = TypeAdapter(ChatKitReq)

# no-transform and X-Accel-Buffering keep proxies from collecting the stream before they pass it on.
STREAM_HEADERS = {"Cache-Control": "no-cache, no-transform", "X-Accel-Buffering": "no"}

# For many clients these, too, end a line of a stream, as for Python's splitlines.
LINE_ENDS = {end.encode(): f"\\u{ord(end):04x}".encode() for end in "\x85\u2028\u2029"}

# The operations that need a method which ChatKitServer leaves to its subclasses.
OPTIONAL: dict[type[BaseModel], tuple[str, str]] = {
    InputTranscribeReq: ("transcribe", "This server takes no dictation."),
    ThreadsCustomActionReq: ("action", "This server takes no actions."),
    ThreadsSyncCustomActionReq: ("sync_action", "This server takes no actions."),
}
# The operations that are about an item of one kind.
ABOUT: dict[type[BaseModel], tuple[type[BaseModel], str]] = {
    ThreadsAddStructuredInputReq: (StructuredInputItem, "a structured input"),
    ThreadsCustomActionReq: (WidgetItem, "a widget"),
    ThreadsRetryAfterItemReq: (UserMessageItem, "a user message"),
    ThreadsSyncCustomActionReq: (WidgetItem, "a widget"),
}
HIDDEN = (HiddenContextItem, SDKHiddenContextItem)
"""The items that only the model sees."""
MOST_ITEMS = 100
"""The most items that one request may be about."""
TITLE_LENGTH = 60
FAILED = "Something went wrong on the server."
DELETED = "This conversation was deleted."
AWAY = "The conversations cannot be reached now. Try again in a moment."


class Refused(Exception):
    """A request that is answered with a sentence and an HTTP status instead of a stream."""

    def __init__(self, sentence: str, status: int = 400, **headers: str) -> None:
        super().__init__(sentence)
        self.sentence = sentence
        self.status = status
        self.headers = headers


class ProtocolServer(ChatKitServer[RequestContext]):
    """A ChatKitServer that checks a whole request before it acts on it.

    Subclasses write `respond`, and `start`, `close` and `not_ready` where they hold something.
    """

    store: BaseStore
    answered_by = "no model"
    """Who answers, for the eyes of the person at the chat."""
    starters: Sequence[str] = ()
    """First messages that show what this server can do."""
    cookies = False
    """Whether cookies say who asks, so that pages of allowed origins may send them."""
    models: Sequence[str] = ()
    """The models that a message may choose from, as its inference_options.model."""

    def hint(self) -> str | None:
        """What the person at the chat should know before the first message, or None."""
        return None

    async def start(self) -> None:
        """Called once, before the first request."""
        await self.store.open()

    async def close(self) -> None:
        """Called once, after the last request."""
        await self.store.close()

    async def identify(self, request: Request) -> RequestContext:
        """Who asks. There is no sign-in at this level: override it to have one.

        Raise Refused with 401 for a request of nobody.
        """
        return RequestContext(request_id=request.state.request_id)

    async def not_ready(self) -> str | None:
        """What keeps this server from answering, named by its part, or None. Raises StoreError."""
        await self.store.check()
        return None

    async def process(
        self, request: str | bytes | bytearray, context: RequestContext
    ) -> StreamingResult | NonStreamingResult:
        """Answer one request of the protocol.

        Raises Refused for what the protocol or this server does not take, and chatkit.store's
        NotFoundError for a thread, item or attachment that is not the caller's, both before a
        stream begins.
        """
        parsed = parse(request)
        if (thread_id := thread_id_of(parsed)) is not None:
            await self.store.load_thread(thread_id, context)
        if is_streaming_req(parsed):
            return StreamingResult(await self.begin(parsed, context))
        return NonStreamingResult(await self.answer(parsed, context))

    def response(self, result: StreamingResult, context: RequestContext) -> Response:
        """The stream as an HTTP response."""
        return StreamingResponse(result, media_type="text/event-stream", headers=STREAM_HEADERS)

    async def answer(self, request: NonStreamingReq, context: RequestContext) -> bytes:
        await self.check(request, context)
        return await self._process_non_streaming(request, context)

    async def begin(
        self, request: StreamingReq, context: RequestContext
    ) -> AsyncGenerator[bytes, None]:
        await self.check(request, context)
        return self.encoded(self._process_streaming_impl(request, context), context)

    async def check(self, request: ChatKitReq, context: RequestContext) -> None:
        """Raise Refused or NotFoundError for what cannot be done."""
        kind = type(request)
        if kind in OPTIONAL and not self.has(OPTIONAL[kind][0]):
            raise Refused(OPTIONAL[kind][1])
        item: ThreadItem | None = None
        if (item_id := getattr(request.params, "item_id", None)) is not None:
            item = await self.store.load_item(str(thread_id_of(request)), item_id, context)
            if kind in ABOUT and not isinstance(item, ABOUT[kind][0]):
                raise Refused(f"params.item_id: this item is not {ABOUT[kind][1]}.")
        match request:
            case ThreadsCreateReq() | ThreadsAddUserMessageReq():
                message = request.params.input
                if not text_of(message).strip() and not message.attachments:
                    raise Refused("params.input.content: the message is empty.")
                for attachment_id in message.attachments:
                    await self.store.load_attachment(attachment_id, context)
            case AttachmentsCreateReq() | AttachmentsDeleteReq() if self.attachment_store is None:
                raise Refused("This server takes no attachments.")
            case AttachmentsDeleteReq(params=params):
                await self.store.load_attachment(params.attachment_id, context)
            case ThreadsUpdateReq():
                request.params.title = request.params.title.strip()
                if not request.params.title:
                    raise Refused("params.title: a title needs at least one character.")
            case ItemsFeedbackReq(params=params):
                if len(params.item_ids) > MOST_ITEMS:
                    raise Refused(f"params.item_ids: at most {MOST_ITEMS} items.")
                for item_id in params.item_ids:
                    await self.store.load_item(params.thread_id, item_id, context)
            case ThreadsAddStructuredInputReq():
                if isinstance(item, StructuredInputItem) and item.status != "pending":
                    raise Refused("This question has been answered already.", 409)
            case ThreadsAddClientToolOutputReq():
                if await self.waiting_call(request.params.thread_id, context) is None:
                    raise Refused("No client tool call is waiting for an output.", 409)
            case _:
                pass

    async def waiting_call(
        self, thread_id: str, context: RequestContext
    ) -> ClientToolCallItem | None:
        """The call that waits for the client's output: it can only be answered while newest."""
        newest = await self.store.load_thread_items(thread_id, None, 1, "desc", context)
        match newest.data:
            case [ClientToolCallItem(status="pending") as call]:
                return call
            case _:
                return None

    async def add_feedback(
        self, thread_id: str, item_ids: list[str], feedback: FeedbackKind, context: RequestContext
    ) -> None:
        await self.store.save_feedback(thread_id, item_ids, feedback, context)

    def has(self, method: str) -> bool:
        """Whether this server has its own version of a method that ChatKitServer leaves open."""
        return getattr(type(self), method) is not getattr(ChatKitServer, method)

    async def encoded(
        self, events: AsyncGenerator[ThreadStreamEvent, None], context: RequestContext
    ) -> AsyncGenerator[bytes, None]:
        """The events as they are sent. A failure that nobody foresaw ends them with a sentence."""
        failed: str | None = None
        retry = True
        # What the client has, but the store has not yet got.
        begun: dict[str, None] = {}
        try:
            async with aclosing(events):
                async for event in events:
                    # ChatKit holds back the hidden items that are done, but no others.
                    if isinstance(vars(event).get("item"), HIDDEN):
                        continue
                    match event:
                        case ErrorEvent(message=None):
                            # ChatKit has caught and logged it, without the request's id.
                            log.error("request %s: the turn failed, see above", context.request_id)
                            failed = FAILED
                            # If the store is away, that is why.
                            await self.store.check()
                            continue
                        case ThreadItemAddedEvent(item=item):
                            begun[item.id] = None
                        case ThreadItemDoneEvent(item=item) | ThreadItemReplacedEvent(item=item):
                            begun.pop(item.id, None)
                        case ThreadItemRemovedEvent(item_id=item_id):
                            begun.pop(item_id, None)
                        case _:
                            pass
                    yield self._sent(event)
        except StoreError as error:
            log.error("request %s: %s", context.request_id, error)
            failed = AWAY
        except NotFoundError:
            failed, retry = DELETED, False
        except Exception:
            log.exception("request %s: the turn failed", context.request_id)
            failed = FAILED
        if failed is not None:
            for item_id in begun:
                yield self._sent(ThreadItemRemovedEvent(item_id=item_id))
            yield self._sent(ErrorEvent(message=context.signed(failed), allow_retry=retry))

    def _sent(self, event: ThreadStreamEvent) -> bytes:
        data = self._serialize(event)
        for character, escape in LINE_ENDS.items():
            data = data.replace(character, escape)
        return b"data: " + data + b"\n\n"

    def _serialize(self, obj: BaseModel) -> bytes:
        # ChatKit's own times are naive and local; a client in another time zone needs the offset.
        return super()._serialize(with_offset(obj))


ModelT = TypeVar("ModelT", bound=BaseModel)


def parse(body: str | bytes | bytearray) -> ChatKitReq:
    """The request in a body. Raises Refused with the first thing that is wrong with it."""
    try:
        return REQUEST.validate_json(body)
    except ValidationError as error:
        sentence = _sentence(error)
    if "hex escape" in sentence:
        # Half a character, as a browser writes it when a person has typed it.
        with suppress(ValueError, RecursionError):
            return REQUEST.validate_json(whole(json.dumps(json.loads(body), ensure_ascii=False)))
    raise Refused(sentence)


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


def thread_id_of(request: ChatKitReq) -> str | None:
    """The thread that a request is about; one that makes a thread has none."""
    thread_id: str | None = getattr(request.params, "thread_id", None)
    return thread_id


def with_offset(obj: ModelT) -> ModelT:
    """A copy whose created_at, and those of what it holds, carry the local time's offset."""
    # Not by getattr: that a model lacks a field takes pydantic long to find out.
    fields = vars(obj)
    changed: dict[str, Any] = {}
    for name in ("item", "thread", "items", "updated_item"):
        if isinstance(inner := fields.get(name), BaseModel):
            changed[name] = with_offset(inner)
    if isinstance(data := fields.get("data"), list):
        changed["data"] = [with_offset(entry) for entry in cast(list[BaseModel], data)]
    if (created_at := fields.get("created_at")) is not None:
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
