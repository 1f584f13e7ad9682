"""The stand-in: a loopback server that answers like every provider, as its script says."""

import asyncio
import json
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from types import TracebackType

from tests.standins.anthropic import Anthropic
from tests.standins.chat_completions import ChatCompletions
from tests.standins.gemini import Gemini
from tests.standins.http1 import Head, Response, read_body, read_head
from tests.standins.request import Request
from tests.standins.responses import Responses
from tests.standins.script import (
    Answer,
    Cut,
    Empty,
    Fault,
    Finish,
    Hosted,
    HttpError,
    MalformedJson,
    Moved,
    NoFinish,
    NotFound,
    Raw,
    Reply,
    Said,
    Silence,
    Source,
    Text,
    Usage,
)
from tests.standins.wire import Wire

ENDPOINTS: dict[str, type[Wire]] = {
    ":streamGenerateContent": Gemini,
    "/messages": Anthropic,
    "/chat/completions": ChatCompletions,
    "/responses": Responses,
}
"""The format by the end of the path: a base URL may have put any prefix before it."""

MODELS = {"object": "list", "data": [{"id": "stand-in", "object": "model", "owned_by": "tests"}]}


class StandIn:
    """A provider on a free port of 127.0.0.1, in a thread and an event loop of its own.

    `with StandIn() as provider:` starts it. Any thread may call its methods. A mistake that it
    makes itself (a request that it cannot read, say) is raised when the block ends.
    """

    def __init__(self) -> None:
        self.requests: list[Request] = []
        """What it has been asked, in order."""
        self.unexpected: list[str] = []
        """Requests to addresses that no provider has: "POST /path"."""
        self._replies: deque[Reply] = deque()
        self._default: Callable[[int], Reply] = lambda number: Answer(Text(f"ok {number}"))
        self._changed = threading.Condition()
        self._started = threading.Event()
        self._connections: set[asyncio.Task[None]] = set()
        self._mistakes: list[Exception] = []
        self._thread = threading.Thread(target=self._run, name="stand-in", daemon=True)
        self._loop: asyncio.AbstractEventLoop
        self._stop: asyncio.Event
        self.url = ""

    def answers(self, *replies: Reply) -> None:
        """Say these to the following requests, one each. With none left it says "ok 7" to the
        seventh request of all."""
        self._replies.extend(replies)

    def always(self, reply: Reply) -> None:
        """Say this to every request for which `answers` has nothing left."""
        self._default = lambda number: reply

    def closed(self, index: int) -> bool:
        """Whether the client closed request `index` before its answer ended."""
        return self.requests[index].closed_at is not None

    def wait_closed(self, index: int, timeout: float) -> bool:
        """Wait `timeout` seconds for that, or until the answer has ended."""
        request = self.wait_request(index, timeout)
        with self._changed:
            self._changed.wait_for(lambda: request.closed_at or request.ended_at, timeout)
        return self.closed(index)

    def wait_request(self, index: int, timeout: float) -> Request:
        """Wait until request `index` has come. Raises TimeoutError after `timeout` seconds."""
        with self._changed:
            if not self._changed.wait_for(lambda: len(self.requests) > index, timeout):
                raise TimeoutError(f"only {len(self.requests)} requests came, not {index + 1}")
            return self.requests[index]

    # -- start and end --------------------------------------------------------------------------

    def start(self) -> None:
        self._thread.start()
        assert self._started.wait(10), "the stand-in did not start"

    def stop(self) -> None:
        """End, and with it every connection. Raises the first mistake that it made."""
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)
        assert not self._thread.is_alive(), "the stand-in did not stop"
        if self._mistakes:
            raise self._mistakes[0]

    def __enter__(self) -> "StandIn":
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def _run(self) -> None:
        asyncio.run(self._serve())

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        self._started.set()
        await self._stop.wait()
        server.close()
        for connection in self._connections:
            connection.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    # -- a connection ---------------------------------------------------------------------------

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # A task of our own: asyncio keeps no hold of the one that it makes of a coroutine here.
        connection = asyncio.create_task(self._converse(reader, writer))
        self._connections.add(connection)
        connection.add_done_callback(self._connections.discard)

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await read_head(reader)
            while head is not None:
                head = await self._exchange(head, reader, writer)
        except ConnectionError:
            pass  # The client has gone; there is nobody to tell.
        except Exception as mistake:
            self._mistakes.append(mistake)
        finally:
            writer.close()

    async def _exchange(
        self, head: Head, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> Head | None:
        """Answer one request. The head of the next one, or None if the connection has ended."""
        body = await read_body(reader, head)
        response = Response(writer)
        if head.method == "GET" and head.path.endswith("/models"):
            await response.json(200, MODELS)
            return await read_head(reader)
        wire = next((wire for end, wire in ENDPOINTS.items() if head.path.endswith(end)), None)
        if head.method != "POST" or wire is None:
            self.unexpected.append(f"{head.method} {head.path}")
            await response.json(404, {"error": {"message": "The stand-in has no such address."}})
            return await read_head(reader)
        request, reply = self._record(head, body, wire)

        # The next request is waited for while this one is answered, so that the end of the
        # connection is noticed at once, also while nothing is being written.
        following = asyncio.create_task(read_head(reader))
        answering = asyncio.create_task(perform(reply, wire(request), response))
        try:
            await asyncio.wait({following, answering}, return_when=asyncio.FIRST_COMPLETED)
            if not answering.done():
                self._note(request, closed=True)
                return None
            self._note(request, closed=isinstance(answering.exception(), ConnectionError))
            return await following if answering.result() else None
        finally:
            following.cancel()
            answering.cancel()

    def _record(self, head: Head, raw: bytes, wire: type[Wire]) -> tuple[Request, Reply]:
        body = json.loads(raw)
        in_path = head.path.rpartition("/")[2].partition(":")[0]
        if wire is not Gemini and not body.get("stream"):
            raise ValueError(f"the stand-in only streams, and was asked not to: {head.path}")
        with self._changed:
            number = len(self.requests) + 1
            request = Request(
                format=wire.format,
                method=head.method,
                path=head.path,
                query=head.query,
                headers=head.headers,
                body=body,
                model=body.get("model", in_path),
                conversation=wire.conversation(body),
                number=number,
                at=time.monotonic(),
            )
            self.requests.append(request)
            self._changed.notify_all()
            if error := wire.unacceptable(request):
                return request, error
            reply = self._replies.popleft() if self._replies else self._default(number)
        return request, reply

    def _note(self, request: Request, closed: bool) -> None:
        with self._changed:
            if closed:
                request.closed_at = time.monotonic()
            else:
                request.ended_at = time.monotonic()
            self._changed.notify_all()


async def perform(reply: Reply, wire: Wire, response: Response) -> bool:
    """Say it. Whether the connection can be used again: not after a cut."""
    match reply:
        case Answer():
            if not await perform_answer(reply, wire, response):
                return False
            await response.end()
        case HttpError():
            after = {} if reply.retry_after is None else {"retry-after": str(reply.retry_after)}
            body = wire.http_error(reply, wire.request)
            await response.json(reply.status, body, after)
        case MalformedJson():
            await response.whole(200, b'{"error": {"message": "' + reply.marker.encode())
        case Moved():
            await response.whole(307, b"", {"location": reply.location})
        case NotFound():
            kind = reply.content_type
            await response.whole(reply.status, reply.body.encode(), content_type=kind)
        case Cut():
            return False
    return True


async def perform_answer(answer: Answer, wire: Wire, response: Response) -> bool:
    """Say an answer up to its end. Whether it ended as HTTP wants it: not after a cut."""
    waiting: list[bytes] = []
    begun = False

    async def say(events: Iterable[bytes]) -> None:
        if answer.delay:
            for event in events:
                await response.send([event])
                await asyncio.sleep(answer.delay)
        else:
            waiting.extend(events)

    async def flush() -> None:
        if waiting:
            await response.send(waiting)
            waiting.clear()

    for piece in answer.pieces:
        if isinstance(piece, Silence):
            await flush()
            if piece.headers:
                response.begin()
            await asyncio.sleep(piece.seconds)
            continue
        if not begun:
            begun = True
            await say(wire.begin())
        match piece:
            case Cut():
                if piece.inside:
                    await say([wire.half_a_line()])
                await flush()
                response.begin()
                return False
            case MalformedJson():
                await say([wire.half_a_line() + piece.marker.encode() + b"\n\n"])
            case Fault():
                await say(wire.fault(piece))
                await flush()
                return True
            case NoFinish():
                await flush()
                return True
            case Source():
                assert isinstance(wire, Responses)
                await say(wire.cite(piece))
            case Hosted():
                assert isinstance(wire, Responses)
                await say(wire.host(piece))
            case Said():
                await say(wire.said(piece.reason))
            case Usage():
                await say(wire.usage())
            case Empty():
                await say(wire.empty())
            case Raw():
                await say([piece.data])
            case Finish():
                await say(wire.finish(piece.reason))
                await flush()
                return True
            case _:
                await say(wire.say(piece))
    if not begun:
        await say(wire.begin())
    await say(wire.finish("stop"))
    await flush()
    return True
