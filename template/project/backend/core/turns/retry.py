"""Retry: the answer that stands there goes when a new one has come, and not before."""

from collections.abc import AsyncGenerator, AsyncIterator, Sequence

from chatkit.types import (
    AssistantMessageContentPartTextDelta,
    AssistantMessageItem,
    ClientToolCallItem,
    ErrorEvent,
    SDKHiddenContextItem,
    ThreadItem,
    ThreadItemAddedEvent,
    ThreadItemDoneEvent,
    ThreadItemRemovedEvent,
    ThreadItemReplacedEvent,
    ThreadItemUpdatedEvent,
    ThreadStreamEvent,
)

from core.context import RequestContext
from core.protocol.events import HIDDEN, is_thought
from core.stores.base import BaseStore


class Retry:
    """A message that is answered again, in the place of `old`, all that stands below it.

    The client is told that `old` is removed when the new answer begins, and the store gives it up
    when it has the first item of that one. If nothing is left of the new answer, `old` stands.
    Thoughts are no answer.
    """

    def __init__(
        self, thread_id: str, old: Sequence[ThreadItem], store: BaseStore, context: RequestContext
    ) -> None:
        self._thread_id = thread_id
        self._old = old
        self._store = store
        self._context = context
        # What the client has of a new answer, and whether the store has it as one.
        self._new: dict[str, bool] = {}
        self._told = False
        # Nobody who reads the thread in this request finds them, such as what makes the model's
        # input.
        context.set_aside = frozenset(item.id for item in old)

    async def answered(
        self, events: AsyncIterator[ThreadStreamEvent]
    ) -> AsyncGenerator[ThreadStreamEvent, None]:
        """What answers the message, without the note that an answer was stopped where none is."""
        async for event in events:
            item = vars(event).get("item")
            if not (self._context.set_aside and isinstance(item, SDKHiddenContextItem)):
                yield event

    async def stored(
        self, events: AsyncIterator[ThreadStreamEvent]
    ) -> AsyncGenerator[ThreadStreamEvent, None]:
        """The events, of which the store has what is done, with those of the old answer."""
        async for event in events:
            if isinstance(event, ErrorEvent):
                async for restored in self._end():
                    yield restored
            elif self._answers(event) and not self._told:
                self._told = True
                for item in self._old:
                    if not isinstance(item, HIDDEN):
                        yield ThreadItemRemovedEvent(item_id=item.id)
            yield event
            match event:
                case ThreadItemDoneEvent(item=item) | ThreadItemReplacedEvent(item=item):
                    self._new[item.id] = not is_thought(item)
                    if self._new[item.id]:
                        await give_up_old(self._thread_id, self._store, self._context)
                case ThreadItemRemovedEvent(item_id=item_id):
                    self._new.pop(item_id, None)
        async for restored in self._end():
            yield restored

    def _answers(self, event: ThreadStreamEvent) -> bool:
        """Whether the event shows something of a new answer."""
        match event:
            case ThreadItemAddedEvent(item=item):
                self._new[item.id] = False
                empty = isinstance(item, AssistantMessageItem) and not item.content
                return not empty and not is_thought(item)
            case ThreadItemDoneEvent(item=item) | ThreadItemReplacedEvent(item=item):
                return not is_thought(item)
            case ThreadItemUpdatedEvent(update=update):
                return isinstance(update, AssistantMessageContentPartTextDelta)
            case _:
                return False

    async def _end(self) -> AsyncIterator[ThreadStreamEvent]:
        """Let the old answer stand if nothing has come of another one.

        It is sent again: a client may have taken it away when it asked for the other one.
        """
        if any(self._new.values()):
            return
        for item_id in self._new:
            await self._store.delete_thread_item(self._thread_id, item_id, self._context)
            yield ThreadItemRemovedEvent(item_id=item_id)
        self._new = {}
        for item in self._old:
            # A call that waits for the client would be answered by running its tool once more.
            if isinstance(item, ClientToolCallItem) and item.status == "pending":
                continue
            await self._store.save_item(self._thread_id, item, self._context)
            if not isinstance(item, HIDDEN):
                yield ThreadItemDoneEvent.model_construct(item=item)
        self._old = []


async def give_up_old(thread_id: str, store: BaseStore, context: RequestContext) -> None:
    """Delete the answer that Retry has set aside, now that the store has another one."""
    for item_id in context.set_aside:
        await store.delete_thread_item(thread_id, item_id, context)
    context.set_aside = frozenset()
