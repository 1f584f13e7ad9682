"""The ChatKit protocol, made strict: what is wrong is refused before anything is stored."""

import json
import logging
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Any

from chatkit.server import ChatKitServer, NonStreamingResult, StreamingResult
from chatkit.store import NotFoundError
from chatkit.types import (
    ChatKitReq,
    ClientToolCallItem,
    ErrorEvent,
    FeedbackKind,
    HiddenContextItem,
    SDKHiddenContextItem,
    StructuredInputItem,
    ThreadItemAddedEvent,
    ThreadItemDoneEvent,
    ThreadItemRemovedEvent,
    ThreadItemReplacedEvent,
    ThreadStreamEvent,
    UserMessageInput,
    UserMessageItem,
    WidgetItem,
    is_streaming_req,
)
from pydantic import BaseModel, TypeAdapter, ValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response, StreamingResponse

from app.context import RequestContext, request_id_of
from app.store import BaseStore, StoreError, whole

log = logging.getLogger("app")

# Built once: ChatKitServer.process builds it anew for every request, which costs milliseconds.
REQUEST: TypeAdapter[ChatKitReq] = TypeAdapter(ChatKitReq)
# no-transform and X-Accel-Buffering keep proxies from collecting the stream before they pass it on.
STREAM_HEADERS = {"Cache-Control": "no-cache, no-transform", "X-Accel-Buffering": "no"}
# For many clients these, too, end a line of a stream, as for Python's splitlines.
LINE_ENDS = {end.encode(): f"\\u{ord(end):04x}".encode() for end in "\x85\u2028\u2029"}
# What some operations need that ChatKitServer leaves to its subclasses.
NEEDS = {
    "attachments.create": "attachment_store",
    "attachments.delete": "attachment_store",
    "input.transcribe": "transcribe",
    "threads.custom_action": "action",
    "threads.sync_custom_action": "sync_action",
}
# The kind of item that some operations are about.
ABOUT = {
    "threads.add_structured_input": StructuredInputItem,
    "threads.custom_action": WidgetItem,
    "threads.retry_after_item": UserMessageItem,
    "threads.sync_custom_action": WidgetItem,
}
# The items that only the model sees.
HIDDEN = (HiddenContextItem, SDKHiddenContextItem)
MOST_ITEMS = 100
# Each that is wrong costs pydantic an error, and all other requests their time.
MOST_VALUES = 10_000
TITLE_LENGTH = 60
LONGEST_TITLE = 500
FAILED = "Something went wrong on the server."


class Refused(Exception):
    """A request that is answered with a sentence and an HTTP status instead of a stream."""

    def __init__(self, sentence: str, status: int = 400, **headers: str) -> None:
        super().__init__(sentence)
        self.sentence, self.status, self.headers = sentence, status, headers


class ProtocolServer(ChatKitServer[RequestContext]):
    """A ChatKitServer that checks a whole request before it acts on it.

    Subclasses write `respond`, and `start`, `close` and `not_ready` where they hold something.
    """

    store: BaseStore
    # Who answers, first messages that show how, and what inference_options.model may be.
    answered_by = "no model"
    starters: Sequence[str] = ()
    models: Sequence[str] = ()
    # Whether cookies say who asks, so that pages of allowed origins may send them.
    cookies = False

    def hint(self) -> str | None:
        """What the person at the chat should know before the first message, or None."""
        return None

    async def start(self) -> None:
        """Called once, before the first request."""
        await self.store.open()

    async def close(self) -> None:
        """Called once, after the last request."""
        await self.store.close()

    async def not_ready(self) -> str | None:
        """What keeps this server from answering, named by its part, or None. Raises StoreError."""
        await self.store.check()
        return None

    async def identify(self, request: Request) -> RequestContext:
        """Who asks: everyone is the same user, unless a subclass has a sign-in. Raises Refused."""
        return RequestContext(request_id=request_id_of(request))

    async def process(
        self, request: str | bytes | bytearray, context: RequestContext
    ) -> StreamingResult | NonStreamingResult:
        """Answer one request. Raises Refused and NotFoundError, both before a stream begins."""
        parsed = await self.parsed(request, context)
        await self.check(parsed, context)
        if is_streaming_req(parsed):
            events = self._process_streaming_impl(parsed, context)
            return StreamingResult(self.encoded(events, context))
        return NonStreamingResult(await self._process_non_streaming(parsed, context))

    async def parsed(self, body: str | bytes | bytearray, context: RequestContext) -> ChatKitReq:
        """The request in a body, if its thread is the caller's."""
        request = parse(body)
        if (thread_id := thread_id_of(request)) is not None:
            await self.store.load_thread(thread_id, context)
        return request

    def response(
        self, result: StreamingResult | NonStreamingResult, context: RequestContext
    ) -> Response:
        """The answer as an HTTP response."""
        if isinstance(result, NonStreamingResult):
            return Response(result.json, media_type="application/json")
        return StreamingResponse(result, media_type="text/event-stream", headers=STREAM_HEADERS)

    async def check(self, request: ChatKitReq, context: RequestContext) -> None:
        """Raise Refused or NotFoundError for what cannot be done in the thread."""
        if not self.offers(request.type):
            raise Refused(f"This server does not offer {request.type}.")
        params = {name: value for name, value in request.params if value is not None}
        thread_id = params.get("thread_id", "")
        # What it names must be there.
        if "attachment_id" in params:
            await self.store.load_attachment(params["attachment_id"], context)
        for name in ("content", "attachments"):
            if len(getattr(params.get("input"), name, [])) > MOST_ITEMS:
                raise Refused(f"params.input.{name}: at most {MOST_ITEMS} parts.")
        for attachment_id in getattr(params.get("input"), "attachments", []):
            await self.store.load_attachment(attachment_id, context)
        item_ids = [params["item_id"]] if "item_id" in params else params.get("item_ids", [])
        if len(item_ids) > MOST_ITEMS:
            raise Refused(f"params.item_ids: at most {MOST_ITEMS} items.")
        item: Any = None
        for item_id in item_ids:
            item = await self.store.load_item(thread_id, item_id, context)
        if item and not isinstance(item, ABOUT.get(request.type, object)):
            raise Refused(f"params.item_id: {request.type} is not for a {item.type}.")
        match request.type:
            case "threads.create" | "threads.add_user_message":
                if not text_of(params["input"]).strip() and not params["input"].attachments:
                    raise Refused("params.input.content: the message is empty.")
            case "threads.update":
                request.params.title = params["title"].strip()
                if not 0 < len(request.params.title) <= LONGEST_TITLE:
                    raise Refused(f"params.title: a title has 1 to {LONGEST_TITLE} characters.")
            case "threads.add_structured_input" if item.status != "pending":
                raise Refused("This question has been answered already.", 409)
            case "threads.add_client_tool_output":
                if await self.waiting_call(thread_id, context) is None:
                    raise Refused("No client tool call is waiting for an output.", 409)

    def offers(self, operation: str) -> bool:
        """Whether this server has what the operation needs."""
        if (name := NEEDS.get(operation)) is None:
            return True
        left_open = getattr(type(self), name, self) is getattr(ChatKitServer, name, None)
        return not left_open and getattr(self, name) is not None

    async def waiting_call(
        self, thread_id: str, context: RequestContext
    ) -> ClientToolCallItem | None:
        """The call that waits for the client's output: it can only be answered while newest."""
        newest = await self.store.load_thread_items(thread_id, None, 1, "desc", context)
        for item in newest.data:
            if isinstance(item, ClientToolCallItem) and item.status == "pending":
                return item
        return None

    async def add_feedback(
        self, thread_id: str, item_ids: list[str], feedback: FeedbackKind, context: RequestContext
    ) -> None:
        await self.store.save_feedback(thread_id, item_ids, feedback, context)

    async def encoded(
        self, events: AsyncGenerator[ThreadStreamEvent, None], context: RequestContext
    ) -> AsyncGenerator[bytes, None]:
        """The events as they are sent. A failure that nobody foresaw ends them with a sentence."""
        failure: Refused | None = None
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
                            failure = Refused(FAILED, 500)
                            # If the store is away, that is why.
                            await self.store.check()
                            continue
                        case ThreadItemAddedEvent(item=item):
                            begun[item.id] = None
                        case ThreadItemDoneEvent(item=item) | ThreadItemReplacedEvent(item=item):
                            begun.pop(item.id, None)
                        case ThreadItemRemovedEvent(item_id=item_id):
                            begun.pop(item_id, None)
                    yield self._sent(event)
        except Exception as error:
            failure = as_refused(error, context.request_id)
            if failure.status == 500:
                log.exception("request %s: the turn failed", context.request_id)
        if failure:
            for item_id in begun:
                yield self._sent(ThreadItemRemovedEvent(item_id=item_id))
            sentence, retry = context.signed(failure.sentence), failure.status != 404
            yield self._sent(ErrorEvent(message=sentence, allow_retry=retry))

    def _sent(self, event: ThreadStreamEvent) -> bytes:
        data = self._serialize(event)
        for character, escape in LINE_ENDS.items():
            data = data.replace(character, escape)
        return b"data: " + data + b"\n\n"

    def _serialize(self, obj: BaseModel) -> bytes:
        # ChatKit's own times are naive and local; a client in another time zone needs the offset.
        return super()._serialize(with_offset(obj))


def as_refused(error: Exception, request_id: str) -> Refused:
    """What a client is told of an error. The log has the rest."""
    match error:
        case Refused():
            return error
        case HTTPException():
            return Refused(f"{error.detail}.", error.status_code, **(error.headers or {}))
        case ClientDisconnect():
            return Refused("The client has left.", 499)
        case NotFoundError():
            return Refused("There is no such thread, item or attachment.", 404)
        case StoreError():
            log.error("request %s: %s", request_id, error)
            away = "The conversations cannot be reached now. Try again in a moment."
            return Refused(away, 503, **{"Retry-After": "5"})
        case _:
            # Who swallows the error logs its traceback.
            log.error("request %s failed: %s", request_id, type(error).__name__)
            return Refused(FAILED, 500)


def parse(body: str | bytes | bytearray) -> ChatKitReq:
    """The request in a body. Raises Refused with the first thing that is wrong with it."""
    try:
        # Python's own reader takes half a character, as a browser writes one that was typed.
        values = [json.loads(body)]
        for value in values:  # They become more on the way, by what each one holds.
            if isinstance(value, dict | list):
                values += value.values() if isinstance(value, dict) else value
            if len(values) > MOST_VALUES:
                many = f"The request has too many values: the limit is {MOST_VALUES}."
                raise Refused(many, 413)
        # Written anew, lest what has the same name as a later value is validated uncounted.
        body = whole(json.dumps(values[0], ensure_ascii=False))
    except (ValueError, RecursionError) as error:
        raise Refused(f"The body is not JSON: {error}.") from None
    try:
        return REQUEST.validate_json(body)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
    said = first["msg"]
    if first["type"].startswith("union_tag"):
        if not first["loc"]:
            raise Refused("The request's type is not an operation of the ChatKit protocol.")
        said = "this type is not known"  # pydantic would quote it, however long it is.
    # The client's own names may stand in the path.
    path = json.dumps(".".join(map(str, first["loc"][1:])))[1:-1][:100]
    raise Refused(f"{path or 'The body'}: {said}.")


def thread_id_of(request: ChatKitReq) -> str | None:
    """The thread that a request is about; one that makes a thread has none."""
    thread_id: str | None = getattr(request.params, "thread_id", None)
    return thread_id


def with_offset(value: Any) -> Any:
    """A copy in which each created_at, also of what it holds, carries the local time's offset."""
    if isinstance(value, list):
        return [with_offset(each) for each in value]
    if not isinstance(value, BaseModel):
        return value
    fields = vars(value)
    held = ("item", "thread", "items", "updated_item", "data")
    changed = {name: with_offset(fields[name]) for name in held if name in fields}
    if (created_at := fields.get("created_at")) is not None:
        changed["created_at"] = created_at.astimezone()
    return value.model_copy(update=changed) if changed else value


def text_of(message: UserMessageInput | UserMessageItem) -> str:
    """The message's words, tags as the user sees them."""
    return "".join(part.text for part in message.content)


def title_of(message: UserMessageItem) -> str:
    """A thread's first title: the beginning of its first message, TITLE_LENGTH at most."""
    words = " ".join(text_of(message).split())
    if len(words) <= TITLE_LENGTH:
        return words or "New chat"
    return words[: TITLE_LENGTH - 1].rstrip() + "…"
