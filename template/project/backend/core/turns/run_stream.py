"""A run of the agent as ChatKit events: own ids, Stop, silence, kept partial answers."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeGuard

from agents import (
    InputGuardrailTripwireTriggered,
    OutputGuardrailTripwireTriggered,
    RunResultStreaming,
)
from chatkit.agents import AgentContext, ResponseStreamConverter
from chatkit.types import (
    AssistantMessageItem,
    ClientToolCallItem,
    GeneratedImageItem,
    HiddenContextItem,
    NoticeEvent,
    SDKHiddenContextItem,
    ThreadItem,
    ThreadItemAddedEvent,
    ThreadItemDoneEvent,
    ThreadItemRemovedEvent,
    ThreadItemReplacedEvent,
    ThreadItemUpdatedEvent,
    ThreadStreamEvent,
    WorkflowItem,
)

from core.context import RequestContext
from core.models.complete_answers import CutShort
from core.own_code import given_by
from core.protocol.events import is_thought
from core.protocol.updates import GrowingItem
from core.turns.begun_run import BegunRun
from core.turns.failures import (
    CUT,
    EMPTY,
    SILENT,
    Tripwire,
    blocked_run,
    failed,
    failed_run,
    is_guardrail_error,
)
from core.turns.final_output import ShowOutput
from core.turns.item_converter import BLOCKED_MESSAGE, blocked_answer
from core.turns.run_events import chatkit_events, in_order
from core.turns.thoughts import is_thoughts
from core.turns.watched_run import Unanswered, WatchedRun

STOPPED = "The user stopped the answer above. Do not continue it unless asked to."


async def stream_run(
    run: BegunRun,
    context: AgentContext[RequestContext],
    *,
    converter: ResponseStreamConverter,
    stop: asyncio.Event,
    blocked: Callable[[Tripwire], str],
    silence: float,
    show_output: ShowOutput,
    api_key: str | None,
    ask: Callable[[RunResultStreaming, Unanswered], AsyncIterator[ThreadStreamEvent]],
    before: Unanswered | None = None,
) -> AsyncIterator[ThreadStreamEvent]:
    """The events of a run, in which every item that is begun is also ended.

    When `stop` is set or the run fails, what was said is kept. A model that says nothing for
    `silence` seconds is given up. An answer that the provider has cut for a reason, such as the
    model's length limit, ends with a notice. A run that waits for approvals ends with the events of
    `ask`; when it goes on, `before` is what it had left unanswered. Raises CustomStreamError, with
    a sentence for the chat, for a run that failed, and for one that a guardrail has ended:
    `blocked` gives its sentence, and what is blocked is marked in the thread, lest the model is
    told of it again.
    """
    watched = WatchedRun(run.result, run.calls, context, stop, silence, show_output, before)
    request = context.request_context
    items = RunItems()
    events = in_order(chatkit_events(watched, context, converter), watched.item_ids)
    try:
        async for event in events:
            yield items.follow(event)
        answered = bool(items.shown)
        error = watched.error
        if error is not None and must_not_stay(error):
            ending = items.take_back()
            answered = False
        else:
            ending = items.end(goes_on=context.workflow_item)
        for event in ending:
            yield event
        if isinstance(error, Tripwire):
            sentence = given_by("blocked", blocked(error), str)
            for item in items.blocked(error, sentence):
                yield ThreadItemDoneEvent(item=item)
            yield ThreadItemDoneEvent(item=blocked_item(error, sentence, context))
            raise blocked_run(error, sentence, request)
        if answered and isinstance(error, CutShort) and error.reason in CUT:
            yield NoticeEvent(level="warning", message=request.told(CUT[error.reason]))
        elif error is not None:
            raise failed_run(error, request, begun=answered, api_key=api_key)
        elif watched.interrupted:
            async for event in ask(run.result, watched.unanswered):
                yield event
        elif watched.silent:
            raise failed(SILENT, request)
        elif watched.stopped:
            # Whoever leaves when all has been said has not stopped anything.
            complete = isinstance(items.last, AssistantMessageItem | ClientToolCallItem)
            if not (complete and watched.idle):
                yield ThreadItemDoneEvent(item=stopped_item(context))
        elif items.only_thoughts:
            raise failed(EMPTY, request)
    finally:
        watched.close()
        # Read to the end also by a reader who goes before it, because an item cannot be stored,
        # say: a task of the SDK would wait for ever otherwise.
        async for _ in events:
            pass


@dataclass
class RunItems:
    """The items of one run, as its client has them. `follow` sees every event before the client."""

    open: dict[str, ThreadItem | GrowingItem] = field(default_factory=dict)
    """The items that are begun and not ended, by id.

    "Added" puts one in; "done", "replaced" and "removed" take it out. What is left when the run has
    ended, however it has, `end` ends: else the client shows what no reload brings back. A message
    gathers its updates here; a workflow gathers its tasks itself.
    """
    shown: dict[str, None] = field(default_factory=dict)
    """The ids of all that the client has got and that is not removed again, in their order."""
    thoughts: set[str] = field(default_factory=set)
    """Those of them that are thoughts, which answer nobody."""
    last: ThreadItem | None = None
    """What was done last. Hidden items count: a tool has run, whatever becomes of the answer."""
    calls: list[HiddenContextItem] = field(default_factory=list)
    """The newest calls of tools, which the model has made at once."""
    shown_by_tools: str | None = None
    """The first item that these, or those under way, have shown."""

    @property
    def only_thoughts(self) -> bool:
        """Whether nothing was shown that answers the user."""
        return self.thoughts.issuperset(self.shown)

    def follow(self, event: ThreadStreamEvent) -> ThreadStreamEvent:
        """Note what the event does to its item. The event to send, which may be another one."""
        match event:
            case ThreadItemAddedEvent(item=AssistantMessageItem() | WorkflowItem() as item):
                self.open[item.id] = GrowingItem(item)
                self.shown[item.id] = None
            case ThreadItemAddedEvent(item=item):
                self.open[item.id] = item
                self.shown[item.id] = None
            case ThreadItemUpdatedEvent(item_id=item_id, update=update):
                if isinstance(message := self.open.get(item_id), GrowingItem):
                    message.grow(update)
            case ThreadItemReplacedEvent(item=item):
                self.open.pop(item.id, None)
                self.shown[item.id] = None
            case ThreadItemDoneEvent(item=AssistantMessageItem() as item) if not text_in(item):
                # Some providers refuse a history with such a message in it.
                return self.follow(ThreadItemRemovedEvent(item_id=item.id))
            case ThreadItemDoneEvent(item=HiddenContextItem() as item):
                self._order(item)
                self.last = item
            case ThreadItemDoneEvent(item=item):
                self._order(item)
                self.last = item
                self.open.pop(item.id, None)
                self.shown[item.id] = None
                if is_thought(item):
                    self.thoughts.add(item.id)
            case ThreadItemRemovedEvent(item_id=item_id):
                self.open.pop(item_id, None)
                self.shown.pop(item_id, None)
            case _:
                pass
        return event

    def _order(self, item: ThreadItem) -> None:
        """Note in a tool's call, which is kept when the tool has run, what stands behind it."""
        newest = self.calls[-1] if self.calls else None
        if is_call(item):
            at_once = newest is not None and newest.created_at == item.created_at
            if not at_once and self.last is newest:
                self.shown_by_tools = None
            self.calls = [*self.calls, item] if at_once else [item]
            if self.shown_by_tools:
                item.content["before"] = self.shown_by_tools
        elif is_thoughts(item):
            # They stand ahead of the calls that they led to.
            if self.last is newest:
                self.shown_by_tools = None
            elif self.shown_by_tools:
                item.content["before"] = self.shown_by_tools
        elif isinstance(item, AssistantMessageItem | GeneratedImageItem) or is_thought(item):
            self.shown_by_tools = None  # The model has made these.
        elif self.shown_by_tools is None or self.last is newest:
            self.shown_by_tools = item.id

    def blocked(self, error: Tripwire, sentence: str) -> Iterator[HiddenContextItem]:
        """The calls whose output was the answer that a guardrail has blocked, without it."""
        # The SDK tells no data of a run whose answer was a tool's output.
        if isinstance(error, OutputGuardrailTripwireTriggered) and error.run_data is None:
            for call in self.calls:
                yield call.model_copy(update={"content": call.content | {"output": sentence}})

    def end(self, goes_on: WorkflowItem | None) -> Iterator[ThreadStreamEvent]:
        """End what is open: a message with the text that came, a workflow with its tasks.

        Whatever else is open is removed. The workflow that `goes_on` is for the next turn to end.
        """
        for opened in list(self.open.values()):
            item = opened.item() if isinstance(opened, GrowingItem) else opened
            match item:
                case AssistantMessageItem() if text_in(item):
                    yield ThreadItemDoneEvent(item=item)
                case WorkflowItem() if goes_on is not None and item.id == goes_on.id:
                    yield ThreadItemReplacedEvent(item=goes_on)
                case WorkflowItem():
                    yield ThreadItemDoneEvent(item=item)
                case _:
                    yield self.follow(ThreadItemRemovedEvent(item_id=item.id))

    def take_back(self) -> Iterator[ThreadStreamEvent]:
        """Remove all that the client has got."""
        for item_id in list(self.shown):
            yield self.follow(ThreadItemRemovedEvent(item_id=item_id))


def text_in(item: AssistantMessageItem) -> str:
    """The message's text; nothing if it is blank."""
    return "".join(part.text for part in item.content).strip()


def must_not_stay(error: Exception) -> bool:
    """Whether what was said has to be taken back: a guardrail has said no, or could not say."""
    said_no = isinstance(error, InputGuardrailTripwireTriggered | OutputGuardrailTripwireTriggered)
    return said_no or is_guardrail_error(error)


def is_call(item: ThreadItem) -> TypeGuard[HiddenContextItem]:
    """Whether the item keeps a tool's call."""
    match item:
        case HiddenContextItem(content={"type": "tool_call"}):
            return True
        case _:
            return False


def blocked_item(
    error: Tripwire, sentence: str, context: AgentContext[RequestContext]
) -> HiddenContextItem:
    """Says in later turns that the user's message was blocked, or what stood in for the answer."""
    message = isinstance(error, InputGuardrailTripwireTriggered)
    return HiddenContextItem(
        id=context.generate_id("sdk_hidden_context"),
        thread_id=context.thread.id,
        created_at=datetime.now(),
        content=BLOCKED_MESSAGE if message else blocked_answer(sentence),
    )


def stopped_item(context: AgentContext[RequestContext]) -> SDKHiddenContextItem:
    """Tells the model on the next turn why its answer ends where it ends."""
    return SDKHiddenContextItem(
        id=context.generate_id("sdk_hidden_context"),
        thread_id=context.thread.id,
        created_at=datetime.now(),
        content=STOPPED,
    )
