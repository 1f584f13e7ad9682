"""A server that asks before something is done: its cards, and what the user decides with them."""

from abc import abstractmethod
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, suppress
from datetime import datetime
from typing import Any

from chatkit.store import NotFoundError
from chatkit.types import (
    ChatKitReq,
    HiddenContextItem,
    StreamingReq,
    ThreadItem,
    ThreadItemDoneEvent,
    ThreadItemReplacedEvent,
    ThreadMetadata,
    ThreadsCustomActionReq,
    ThreadStreamEvent,
    UserMessageItem,
    WidgetItem,
)
from chatkit.widgets import WidgetComponentBase, WidgetRoot
from pydantic import ValidationError
from typing_extensions import TypeIs

from core.context import RequestContext
from core.errors import Refused
from core.own_code import given_by
from core.sentences import Sentence, both
from core.settings import give_up
from core.stores.base import BaseStore
from core.turns.action_server import ActionServer
from core.turns.approvals import (
    ALWAYS,
    APPROVE,
    BROKEN_OFF,
    LEFT,
    OUTCOMES,
    REASON_RULE,
    REJECT,
    WAITING,
    Approval,
    Outcome,
    Pressed,
    Waiting,
    approval_card,
    approval_of,
    was_approved,
)
from core.turns.running import Turns
from core.turns.server import TurnServer
from core.turns.widget_actions import GONE, Actions, is_offered

PAGE = 20
DECISIONS = {APPROVE, ALWAYS, REJECT}


class ApprovalServer(ActionServer):
    """Takes what the user decides, whatever a project's own `action` does.

    What waits in a thread is one hidden item of it. It goes on when each of its cards is decided,
    and is given up by whatever else the user begins in the thread, but for a widget's action.
    """

    def __init__(self, store: BaseStore, turns: Turns, *, actions: Actions, **parts: Any) -> None:
        """ActionServer and TurnServer take the other parts."""
        super().__init__(store, turns, actions=actions, **parts)
        if both := DECISIONS & set(actions):
            give_up(f"The core has an action of the type {min(both)} already.")

    # --- What a project may decide for itself, in app/server.py ---

    def approval_card(self, approval: Approval, context: RequestContext) -> WidgetRoot:
        """Called for each tool that asks for approval, and again when it has been decided.

        The widget that the user gets: with `approval.approve` and `approval.reject` as the actions
        of its buttons, until `approval.outcome` says what was decided.
        """
        return approval_card(approval, context)

    @abstractmethod
    def go_on(
        self, thread: ThreadMetadata, waiting_id: str, waiting: Waiting, context: RequestContext
    ) -> AsyncIterator[ThreadStreamEvent]:
        """Go on with what has waited, now that all of it is decided."""

    # --- The way of a decision ---

    def offers(self, operation: str) -> bool:
        return operation == "threads.custom_action" or super().offers(operation)

    async def check(self, request: ChatKitReq, context: RequestContext) -> None:
        if not decides(request):
            await super().check(request, context)
            return
        await TurnServer.check(self, request, context)
        params = request.params
        sender = await self._sender(request, context)
        if not is_offered(params.action, sender, "reason"):
            raise Refused(GONE, 409)
        try:
            pressed = Pressed.model_validate(params.action.payload)
        except ValidationError:
            raise Refused(REASON_RULE) from None
        thread = await self.store.load_thread(params.thread_id, context)
        waiting_id, waiting = await self._waiting(thread, context)
        if waiting is None or waiting_id != pressed.waiting or waiting.card(sender.id) is None:
            raise Refused(GONE, 409)
        if await self._has_gone_on(thread.id, waiting_id, context):
            raise Refused(GONE, 409)

    async def _process_streaming_impl(
        self, request: StreamingReq, context: RequestContext
    ) -> AsyncGenerator[ThreadStreamEvent, None]:
        if decides(request):
            thread = await self.store.load_thread(request.params.thread_id, context)
            sender = await self._sender(request, context)
            decided = self._decide(thread, request, sender, context)
            turn = self._process_events(thread, context, lambda: decided)
        else:
            turn = super()._process_streaming_impl(request, context)
        async with aclosing(turn) as events:  # type: ignore[type-var]
            async for event in events:
                yield event

    async def _decide(
        self,
        thread: ThreadMetadata,
        request: ThreadsCustomActionReq,
        sender: WidgetItem,
        context: RequestContext,
    ) -> AsyncIterator[ThreadStreamEvent]:
        action = request.params.action
        pressed = Pressed.model_validate(action.payload)
        waiting_id, waiting = await self._waiting(thread, context)
        assert waiting is not None
        card = waiting.card(sender.id)
        assert card is not None
        card.decision = "rejected" if action.type == REJECT else "approved"
        card.always = action.type == ALWAYS
        card.reason = pressed.reason
        if not waiting.undecided:
            async for event in self.go_on(thread, waiting_id, waiting, context):
                yield event
            return
        await self.store.save_item(thread.id, waiting.item(waiting_id, thread), context)
        more = Sentence("It waits for the decision on {count} more.", count=waiting.undecided)
        outcome = both(OUTCOMES[card.decision], more)
        approval = approval_of(waiting_id, card, context.told(outcome))
        widget = self._widget(approval, context)
        yield ThreadItemReplacedEvent(item=sender.model_copy(update={"widget": widget}))

    async def _paginate_thread_items_reverse(
        self, thread_id: str, context: RequestContext
    ) -> AsyncIterator[ThreadItem]:
        # For Retry, which deletes what it finds here before it comes to its message. What has run
        # with the user's approval below that message is done, and stays for the model to know.
        done: list[ThreadItem] = []
        async for item in super()._paginate_thread_items_reverse(thread_id, context):
            if was_approved(item):
                done.append(item)
                continue
            yield item
            if isinstance(item, UserMessageItem):
                while done:
                    yield done.pop()

    async def _sender(self, request: ThreadsCustomActionReq, context: RequestContext) -> WidgetItem:
        params = request.params
        if params.item_id is None:
            raise Refused("params.item_id: this action comes from a widget.")
        sender = await self.store.load_item(params.thread_id, params.item_id, context)
        assert isinstance(sender, WidgetItem)
        return sender

    # --- What waits ---

    async def ask(
        self, waiting: Waiting, thread: ThreadMetadata, context: RequestContext
    ) -> AsyncIterator[ThreadStreamEvent]:
        """Let it wait, in the place of what waits already, and show its cards."""
        async for event in self._leave(thread, context):
            yield event
        waiting_id = self.store.generate_item_id("message", thread, context)
        thread.metadata[WAITING] = waiting_id
        # It comes first: a card without it would ask for ever.
        yield ThreadItemDoneEvent(item=waiting.item(waiting_id, thread))
        for card in waiting.cards:
            approval = approval_of(waiting_id, card, None)
            item = WidgetItem(
                id=card.item_id,
                thread_id=thread.id,
                created_at=datetime.now(),
                widget=self._widget(approval, context),
            )
            yield ThreadItemDoneEvent(item=item)

    def _widget(self, approval: Approval, context: RequestContext) -> WidgetRoot:
        widget = self.approval_card(approval, context)
        return given_by("approval_card", widget, WidgetComponentBase)

    async def close_cards(
        self,
        thread: ThreadMetadata,
        waiting_id: str,
        waiting: Waiting,
        context: RequestContext,
        outcome: Outcome | None = None,
    ) -> AsyncIterator[ThreadStreamEvent]:
        """Show on each card what was decided, or why it was not, and store that."""
        for card in waiting.cards:
            end = card.decision if card.decision == "rejected" else outcome or card.decision
            assert end is not None
            approval = approval_of(waiting_id, card, context.told(OUTCOMES[end]))
            widget = self._widget(approval, context)
            # It is not there if the turn was broken off while it asked.
            with suppress(NotFoundError):
                item = await self.store.load_item(thread.id, card.item_id, context)
                item = item.model_copy(update={"widget": widget})
                await self.store.save_item(thread.id, item, context)
                yield ThreadItemReplacedEvent(item=item)

    async def drop(
        self,
        thread: ThreadMetadata,
        waiting_id: str,
        waiting: Waiting,
        context: RequestContext,
        *,
        outcome: Outcome,
        told: str,
    ) -> AsyncIterator[ThreadStreamEvent]:
        """Close the cards, and keep of each call, for the model, what came of it."""
        async for event in self.close_cards(thread, waiting_id, waiting, context, outcome):
            yield event
        for call in waiting.calls:
            item = call.item(thread, BROKEN_OFF if call.begun else told)
            await self.store.save_item(thread.id, item, context)
        await self.store.delete_thread_item(thread.id, waiting_id, context)

    async def _go_on_without(
        self, request: StreamingReq, thread_id: str, context: RequestContext
    ) -> AsyncIterator[ThreadStreamEvent]:
        async for event in super()._go_on_without(request, thread_id, context):
            yield event
        if isinstance(request, ThreadsCustomActionReq):
            return
        thread = await self.store.load_thread(thread_id, context)
        async for event in self._leave(thread, context):
            yield event

    async def _leave(
        self, thread: ThreadMetadata, context: RequestContext
    ) -> AsyncIterator[ThreadStreamEvent]:
        """Give up what waits in the thread: the user has gone on without it."""
        waiting_id, waiting = await self._waiting(thread, context)
        if waiting is not None:
            closing = self.drop(thread, waiting_id, waiting, context, outcome="left", told=LEFT)
            async for event in closing:
                yield event

    async def _waiting(
        self, thread: ThreadMetadata, context: RequestContext
    ) -> tuple[str, Waiting | None]:
        """What waits in the thread, and the id of the item that holds it."""
        waiting_id = str(thread.metadata.get(WAITING, ""))
        if not waiting_id:
            return waiting_id, None
        try:
            item = await self.store.load_item(thread.id, waiting_id, context)
        except NotFoundError:
            # It is done: the thread's metadata may be behind.
            return waiting_id, None
        assert isinstance(item, HiddenContextItem)
        return waiting_id, Waiting.model_validate(item.content)

    async def _has_gone_on(self, thread_id: str, waiting_id: str, context: RequestContext) -> bool:
        """Whether the user has written since this waits, to a release that knows no approvals."""
        after: str | None = waiting_id
        while after is not None:
            page = await self.store.load_thread_items(thread_id, after, PAGE, "asc", context)
            if any(isinstance(item, UserMessageItem) for item in page.data):
                return True
            after = page.after
        return False


def decides(request: ChatKitReq) -> TypeIs[ThreadsCustomActionReq]:
    """Whether the request is what the user decides with a card."""
    return isinstance(request, ThreadsCustomActionReq) and request.params.action.type in DECISIONS
