"""A ChatKitServer whose answers take time: one at a time in each thread, and stopped by leaving."""

from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, aclosing
from datetime import datetime

from chatkit.server import NonStreamingResult, StreamingResult
from chatkit.types import (
    ChatKitReq,
    NonStreamingReq,
    StreamingReq,
    ThreadAddUserMessageParams,
    ThreadCreatedEvent,
    ThreadItemReplacedEvent,
    ThreadMetadata,
    ThreadsAddClientToolOutputReq,
    ThreadsAddUserMessageReq,
    ThreadsCreateReq,
    ThreadsDeleteReq,
    ThreadsRetryAfterItemReq,
    ThreadsSyncCustomActionReq,
    ThreadStreamEvent,
    ThreadsUpdateReq,
    is_streaming_req,
)
from starlette.responses import Response

from app.context import RequestContext
from app.protocol import ProtocolServer, Refused, thread_id_of
from app.store import BaseStore
from app.turns import Locks, Turns

NOT_RUN = "The tool was not run: the user went on without it."
KEEPS_CLIENT_TOOL_CALL = (ThreadsAddClientToolOutputReq, ThreadsRetryAfterItemReq)
"""The first answers the call that waits for the client; the second removes it."""


class TurnServer(ProtocolServer):
    """A ProtocolServer that keeps turns, renames and deletions from getting in each other's way."""

    def __init__(self, store: BaseStore, locks: Locks) -> None:
        super().__init__(store)
        self.turns = Turns(locks)

    async def start(self) -> None:
        await super().start()
        self.turns.start()

    async def close(self) -> None:
        await self.turns.close()
        await super().close()

    async def not_ready(self) -> str | None:
        await self.turns.check()
        return await super().not_ready()

    async def process(
        self, request: str | bytes | bytearray, context: RequestContext
    ) -> StreamingResult | NonStreamingResult:
        """What can change is checked by the thread's one writer, and not before."""
        parsed = await self.parsed(request, context)
        if is_streaming_req(parsed):
            return StreamingResult(await self.begin(parsed, context))
        return NonStreamingResult(await self.answer(parsed, context))

    def response(
        self, result: StreamingResult | NonStreamingResult, context: RequestContext
    ) -> Response:
        if isinstance(result, StreamingResult):
            return self.turns.answer(result.json_events, context)
        return super().response(result, context)

    async def answer(self, request: NonStreamingReq, context: RequestContext) -> bytes:
        match request:
            case ThreadsUpdateReq(params=params):
                async with self.turns.changing(params.thread_id, context):
                    answer = await self.checked(request, context)
                    self.turns.renamed(params.thread_id, params.title, context)
                return answer
            case ThreadsDeleteReq(params=params):
                async with self.turns.deleting(params.thread_id, context):
                    return await self.checked(request, context)
            case ThreadsSyncCustomActionReq(params=params):
                async with self.turns.writing(params.thread_id, context):
                    return await self.checked(request, context)
            case _:
                return await self.checked(request, context)

    async def checked(self, request: NonStreamingReq, context: RequestContext) -> bytes:
        await self.check(request, context)
        return await self._process_non_streaming(request, context)

    async def admit(self, context: RequestContext, held: AsyncExitStack) -> None:
        """Raise Refused if no turn may begin. What enters `held` ends with the turn."""

    async def begin(
        self, request: StreamingReq, context: RequestContext
    ) -> AsyncGenerator[bytes, None]:
        async with AsyncExitStack() as held:
            await self.admit(context, held)
            created: ThreadMetadata | None = None
            if isinstance(request, ThreadsCreateReq):
                await self.check(request, context)
                # Made here, so that nothing is begun that cannot be kept.
                created = ThreadMetadata(
                    id=self.store.generate_thread_id(context), created_at=datetime.now()
                )
                params = ThreadAddUserMessageParams(
                    thread_id=created.id, input=request.params.input
                )
                request = ThreadsAddUserMessageReq(params=params, metadata=request.metadata)
            thread_id = request.params.thread_id
            await held.enter_async_context(self.turns.writing(thread_id, context))
            if created is None:
                await self.check(request, context)
            else:
                await self.store.save_thread(created, context)
            turn = self._turn(request, thread_id, created, held.pop_all(), context)
        return self.encoded(turn, context)

    async def _turn(
        self,
        request: StreamingReq,
        thread_id: str,
        created: ThreadMetadata | None,
        held: AsyncExitStack,
        context: RequestContext,
    ) -> AsyncGenerator[ThreadStreamEvent, None]:
        async with held:
            if created is not None:
                yield ThreadCreatedEvent(thread=self._to_thread_response(created))
            elif not isinstance(request, KEEPS_CLIENT_TOOL_CALL) and (
                call := await self.waiting_call(thread_id, context)
            ):
                call = call.model_copy(update={"status": "completed", "output": NOT_RUN})
                await self.store.save_item(thread_id, call, context)
                yield ThreadItemReplacedEvent(item=call)
            async with aclosing(self._process_streaming_impl(request, context)) as events:
                async for event in events:
                    yield event

    async def check(self, request: ChatKitReq, context: RequestContext) -> None:
        """Also what only the thread's one writer can know. The SDK does not enforce it."""
        thread_id = thread_id_of(request)
        changes = is_streaming_req(request) or isinstance(request, ThreadsSyncCustomActionReq)
        if thread_id is not None and changes:
            status = (await self.store.load_thread(thread_id, context)).status
            if status.type != "active":
                reason = f" {status.reason}" if status.reason else ""
                raise Refused(f"This conversation is {status.type}.{reason}", 409)
        await super().check(request, context)
