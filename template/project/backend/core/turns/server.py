"""The ChatKitServer: a request is parsed, checked, begun, answered and sent, in this order."""

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, aclosing
from datetime import datetime
from typing import Protocol

from chatkit.server import ChatKitServer, NonStreamingResult, StreamingResult
from chatkit.store import AttachmentStore
from chatkit.types import (
    ChatKitReq,
    ClientToolCallItem,
    FeedbackKind,
    NonStreamingReq,
    StreamingReq,
    StructuredInputItem,
    StructuredInputSubmission,
    ThreadAddUserMessageParams,
    ThreadCreatedEvent,
    ThreadItemDoneEvent,
    ThreadItemRemovedEvent,
    ThreadItemReplacedEvent,
    ThreadMetadata,
    ThreadsAddClientToolOutputReq,
    ThreadsAddUserMessageReq,
    ThreadsCreateReq,
    ThreadsCustomActionReq,
    ThreadsDeleteReq,
    ThreadsRetryAfterItemReq,
    ThreadsSyncCustomActionReq,
    ThreadStreamEvent,
    ThreadsUpdateReq,
    is_streaming_req,
)

from core.auth.sign_in import SignIn
from core.context import RequestContext
from core.errors import Refused
from core.moved_names import check_overrides
from core.protocol.checks import check_choice, check_request
from core.protocol.events import send_events
from core.protocol.inference_options import ModelOption, ToolOption, by_id, check_kinds, named
from core.protocol.questions import pending_call, pending_questions, settled_item
from core.protocol.requests import parse, thread_id_of
from core.protocol.updates import with_updates_stored
from core.sentences import Catalogue, Languages
from core.stores.base import BaseStore
from core.turns.mended_server import MendedServer
from core.turns.own_failures import own_failures_told
from core.turns.own_methods import check_methods
from core.turns.resources import Resources
from core.turns.running import Turns

NOT_RUN = "The tool was not run: the user went on without it."
# What some operations need that ChatKitServer leaves to its subclasses.
NEEDS = {
    "attachments.create": "attachment_store",
    "attachments.delete": "attachment_store",
    "input.transcribe": "transcribe",
    "threads.custom_action": "action",
    "threads.sync_custom_action": "sync_action",
}


class TurnLimit(Protocol):
    """What bounds the turns of a user."""

    async def start(self) -> None:
        """Called once, before the first request."""

    async def close(self) -> None:
        """Called once, after the last request."""

    def turn(self, context: RequestContext) -> AbstractAsyncContextManager[None]:
        """Entered before a turn begins, left when it has ended. Raises Refused for one too many."""


class TurnServer(MendedServer):
    """A ChatKitServer that checks a whole request before it acts on it.

    One turn at a time runs in each thread; renames and deletions do not get in its way. Subclasses
    write `respond`.
    """

    # Who answers, first messages that show how, and what the user may choose beside a message: its
    # inference_options may name nothing else.
    answered_by = "no model"
    starters: Sequence[str] = ()
    models: Sequence[ModelOption | str] = ()
    tools: Sequence[ToolOption] = ()
    # What is said in which language, beside the template's own or in its place: by the language,
    # and there by the English sentence.
    sentences: Mapping[str, Catalogue] = {}
    # Seconds that `respond` takes to end by itself when its turn is stopped. Without them it is
    # cancelled, and what it said is kept.
    patience = 0.0

    def __init__(
        self,
        store: BaseStore,
        turns: Turns,
        *,
        sign_in: SignIn,
        limits: Sequence[TurnLimit] = (),
        resources: Resources | None = None,
        attachment_store: AttachmentStore[RequestContext] | None = None,
    ) -> None:
        super().__init__(store, attachment_store)
        check_overrides(type(self))
        check_methods(type(self))
        check_kinds(self.models, "models", ModelOption, str)
        check_kinds(self.tools, "tools", ToolOption)
        # By their ids; None: a subclass takes whatever is chosen.
        models = [named(model) for model in self.models]
        self.model_options: Mapping[str, ModelOption] | None = by_id(models, "models")
        self.tool_options: Mapping[str, ToolOption] | None = by_id(self.tools, "tools")
        self.languages = Languages(self.sentences)
        self.turns = turns
        turns.patience = self.patience
        self.sign_in = sign_in
        self.limits = limits
        self.resources = resources or Resources()

    async def start(self) -> None:
        """Called once, before the first request."""
        await self.store.open()
        self.turns.start()
        self.resources.start()
        await self.sign_in.start()
        for limit in self.limits:
            await limit.start()

    async def close(self) -> None:
        """Called once, after the last request: the turns under way keep what was said."""
        await self.turns.close()
        for limit in self.limits:
            await limit.close()
        await self.sign_in.close()
        await self.resources.close()
        await self.store.close()

    async def not_ready(self) -> str | None:
        """What keeps this server from answering, named by its part, or None. Raises StoreError."""
        await self.turns.check()
        await self.store.check()
        return self.resources.not_ready() or await self.sign_in.not_ready()

    def hint(self) -> str | None:
        """What the person at the chat should know before the first message, or None."""
        return None

    # --- The way of a request ---

    async def process(
        self, request: str | bytes | bytearray, context: RequestContext
    ) -> StreamingResult | NonStreamingResult:
        """Answer one request. Raises Refused and NotFoundError, both before a stream begins."""
        parsed = parse(request)
        context.store, context.languages = self.store, self.languages
        if (thread_id := thread_id_of(parsed)) is not None:
            await self.store.load_thread(thread_id, context)
        if not self.offers(parsed.type):
            raise Refused(f"This server does not offer {parsed.type}.")
        # Whoever reads or renames does not wait for them.
        waits = is_streaming_req(parsed) or parsed.type in NEEDS
        context.resources = await self.resources.get() if waits else self.resources.value
        if is_streaming_req(parsed):
            events = await self._begin(parsed, context)
            return StreamingResult(send_events(events, self.store, context, self._serialize))
        return NonStreamingResult(await self._answer(parsed, context))

    def offers(self, operation: str) -> bool:
        """Whether this server has what the operation needs."""
        if (name := NEEDS.get(operation)) is None:
            return True
        left_open = getattr(type(self), name, self) is getattr(ChatKitServer, name, None)
        return not left_open and getattr(self, name) is not None

    async def check(self, request: ChatKitReq, context: RequestContext) -> None:
        """Raise Refused or NotFoundError for what cannot be done.

        For a request that changes a thread it is called by the thread's one writer, so that what
        is true here stays true.
        """
        await check_request(request, self.store, context)
        await check_choice(request, self.model_options, self.tool_options, self.store, context)

    async def admit(self, request: StreamingReq, context: RequestContext) -> None:
        """Called before a turn begins, within the limits, and before anything is stored.

        Raise Refused to refuse it: a message, a widget's action, the output of a client's tool, or
        a retry. Here everybody who is signed in may begin one.
        """

    async def _begin(
        self, request: StreamingReq, context: RequestContext
    ) -> AsyncGenerator[ThreadStreamEvent, None]:
        """The events of a turn that may begin: its thread is locked until they have ended."""
        async with AsyncExitStack() as held:
            for limit in self.limits:
                await held.enter_async_context(limit.turn(context))
            await self.admit(request, context)
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
            return self._turn(request, thread_id, created, held.pop_all(), context)

    async def _turn(
        self,
        request: StreamingReq,
        thread_id: str,
        created: ThreadMetadata | None,
        held: AsyncExitStack,
        context: RequestContext,
    ) -> AsyncGenerator[ThreadStreamEvent, None]:
        async with held:
            call: ClientToolCallItem | None = None
            moved = False
            if created is not None:
                yield ThreadCreatedEvent(thread=self._to_thread_response(created))
            elif isinstance(request, ThreadsAddClientToolOutputReq):
                call = await pending_call(self.store, thread_id, context)
                assert call is not None
                if moved := await self._bring_to_end(thread_id, call, context):
                    yield ThreadItemRemovedEvent(item_id=call.id)
            else:
                async for event in self._go_on_without(request, thread_id, context):
                    yield event
            # ChatKit's own part: it stores what `respond` or `action` yields, and passes it on.
            async with aclosing(self._process_streaming_impl(request, context)) as events:
                async for event in events:
                    yield event
                    if call is not None:
                        # ChatKit has stored its output before the first event.
                        done = await self.store.load_item(thread_id, call.id, context)
                        done_event = ThreadItemDoneEvent if moved else ThreadItemReplacedEvent
                        yield done_event(item=done)
                        call = None

    async def _bring_to_end(
        self, thread_id: str, call: ClientToolCallItem, context: RequestContext
    ) -> bool:
        """Put the call behind what actions have added since: ChatKit finds the newest item only.

        False if it is the newest item already.
        """
        newest = await self.store.load_thread_items(thread_id, None, 1, "desc", context)
        if newest.data[0].id == call.id:
            return False
        await self.store.delete_thread_item(thread_id, call.id, context)
        await self.store.add_thread_item(thread_id, call, context)
        return True

    async def _go_on_without(
        self, request: StreamingReq, thread_id: str, context: RequestContext
    ) -> AsyncIterator[ThreadStreamEvent]:
        """End what waits for the user, who does something else."""
        # Retry removes the call; an action may come from the tool that is at work.
        if isinstance(request, ThreadsRetryAfterItemReq | ThreadsCustomActionReq):
            return
        if call := await pending_call(self.store, thread_id, context):
            call = call.model_copy(update={"status": "completed", "output": NOT_RUN})
            await self.store.save_item(thread_id, call, context)
            yield ThreadItemReplacedEvent(item=call)
        if isinstance(request, ThreadsAddUserMessageReq):
            for question in await pending_questions(self.store, thread_id, context):
                yield await self._skip(question, context)

    async def _skip(
        self, question: StructuredInputItem, context: RequestContext
    ) -> ThreadItemReplacedEvent:
        """Settle the question of a user who writes instead."""
        skip = StructuredInputSubmission(status="skipped")
        skipped = await self._apply_structured_input_submission(question, skip)
        await self.store.save_item(question.thread_id, skipped, context)
        await self.store.add_thread_item(question.thread_id, settled_item(skipped), context)
        return ThreadItemReplacedEvent(item=skipped)

    def noted(self, events: AsyncIterator[ThreadStreamEvent]) -> AsyncIterator[ThreadStreamEvent]:
        """A turn's events, with what the thread has to keep besides for the turns to come."""
        return events

    async def _process_events(
        self,
        thread: ThreadMetadata,
        context: RequestContext,
        stream: Callable[[], AsyncIterator[ThreadStreamEvent]],
    ) -> AsyncIterator[ThreadStreamEvent]:
        # A rename meanwhile reaches the thread that the turn holds, and saves at its end.
        self.turns.of(context).thread = thread

        def whole() -> AsyncIterator[ThreadStreamEvent]:
            told = own_failures_told(stream, context)
            return with_updates_stored(self.noted(told), thread.id, self.store, context)

        async for event in super()._process_events(thread, context, whole):
            yield event

    async def _answer(self, request: NonStreamingReq, context: RequestContext) -> bytes:
        """The answer to a request that is answered at once."""
        async with AsyncExitStack() as held:
            match request:
                case ThreadsUpdateReq(params=params):
                    changing = self.turns.changing(params.thread_id, context)
                    await held.enter_async_context(changing)
                case ThreadsDeleteReq(params=params):
                    deleting = self.turns.deleting(params.thread_id, context)
                    await held.enter_async_context(deleting)
                case ThreadsSyncCustomActionReq(params=params):
                    writing = self.turns.writing(params.thread_id, context)
                    await held.enter_async_context(writing)
            await self.check(request, context)
            answer = await self._process_non_streaming(request, context)
            if isinstance(request, ThreadsUpdateReq):
                self.turns.renamed(request.params.thread_id, request.params.title, context)
            return answer

    async def add_feedback(
        self, thread_id: str, item_ids: list[str], feedback: FeedbackKind, context: RequestContext
    ) -> None:
        await self.store.save_feedback(thread_id, item_ids, feedback, context)
