"""A run of the agent as ChatKit events: own ids, Stop, silence, kept partial answers."""

import asyncio
import logging
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any

from agents import (
    Agent,
    InputGuardrailTripwireTriggered,
    OutputGuardrailTripwireTriggered,
    RunResultStreaming,
    StreamEvent,
    UserError,
)
from agents.items import ToolCallItem, ToolCallOutputItem
from agents.stream_events import RawResponsesStreamEvent, RunItemStreamEvent
from chatkit.agents import AgentContext, stream_agent_response
from chatkit.errors import CustomStreamError
from chatkit.types import (
    AssistantMessageContent,
    AssistantMessageContentPartTextDelta,
    AssistantMessageItem,
    ClientToolCallItem,
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
from openai.types.responses import ResponseFunctionToolCall

from app.context import RequestContext
from app.errors import CUT, EMPTY, SILENT, Failure, explain, log_line
from app.finish import CutShort
from app.history import tool_call_item_content
from app.model_events import ModelEvents

log = logging.getLogger("app")

STOPPED = "The user stopped the answer above. Do not continue it unless asked to."
ONE_AT_A_TIME = "Not run: the client runs one tool at a time. Call it again if it is still needed."
GUARDRAILS = (InputGuardrailTripwireTriggered, OutputGuardrailTripwireTriggered)


async def stream_run(
    run: RunResultStreaming,
    context: AgentContext[RequestContext],
    *,
    stop: asyncio.Event,
    silence: float,
    api_key: str | None,
) -> AsyncIterator[ThreadStreamEvent]:
    """The events of a run, in which every item that is begun is also ended.

    When `stop` is set or the run fails, what was said is kept: an open message is done with the
    text that came, a workflow with its tasks; whatever else is not done is removed. A model that
    says nothing for `silence` seconds is given up. An answer that the provider has cut for a
    reason, such as the model's length limit, ends with a notice. Raises CustomStreamError, with a
    sentence for the chat, for a run that failed.
    """
    source = RunSource(run, context, stop, silence)
    request = context.request_context
    begun: dict[str, ThreadItem] = {}
    produced: dict[str, None] = {}
    thoughts: set[str] = set()
    last: ThreadItem | None = None
    events = in_order(chatkit_events(source, context))
    try:
        async for event in events:
            match event:
                case ThreadItemAddedEvent(item=item):
                    # A message's text is gathered in a copy; a workflow gathers its own tasks.
                    message = isinstance(item, AssistantMessageItem)
                    begun[item.id] = item.model_copy(deep=True) if message else item
                    produced[item.id] = None
                case ThreadItemUpdatedEvent(
                    update=AssistantMessageContentPartTextDelta() as update
                ):
                    add_text(begun.get(event.item_id), update)
                case ThreadItemReplacedEvent(item=item):
                    begun.pop(item.id, None)
                    produced[item.id] = None
                case ThreadItemDoneEvent(item=AssistantMessageItem() as item) if not words(item):
                    # Some providers refuse a history with such a message in it.
                    begun.pop(item.id, None)
                    produced.pop(item.id, None)
                    event = ThreadItemRemovedEvent(item_id=item.id)
                case ThreadItemDoneEvent(item=HiddenContextItem() as last):
                    pass  # A tool has run, whatever becomes of the answer.
                case ThreadItemDoneEvent(item=last):
                    begun.pop(last.id, None)
                    produced[last.id] = None
                    if is_thought(last):
                        thoughts.add(last.id)
                case ThreadItemRemovedEvent(item_id=item_id):
                    begun.pop(item_id, None)
                    produced.pop(item_id, None)
                case _:
                    pass
            yield event

        answered = bool(produced)
        if isinstance(source.error, GUARDRAILS):
            for item_id in produced:
                yield ThreadItemRemovedEvent(item_id=item_id)
        else:
            for item in begun.values():
                match item:
                    case AssistantMessageItem() if words(item):
                        yield ThreadItemDoneEvent(item=item)
                    case WorkflowItem() if item is context.workflow_item:
                        pass  # It may go on in the next turn.
                    case WorkflowItem():
                        yield ThreadItemDoneEvent(item=item)
                    case _:
                        del produced[item.id]
                        yield ThreadItemRemovedEvent(item_id=item.id)
        if answered and isinstance(source.error, CutShort) and source.error.reason in CUT:
            yield NoticeEvent(level="warning", message=CUT[source.error.reason])
            return
        if source.error is not None:
            raise failed_turn(source.error, request, begun=answered, api_key=api_key)
        if source.silent:
            raise told(SILENT, request)
        if source.stopped:
            # Whoever leaves when all has been said has not stopped anything.
            ended = isinstance(last, AssistantMessageItem | ClientToolCallItem)
            if not (ended and source.idle):
                yield ThreadItemDoneEvent(item=stopped_item(context))
        elif thoughts.issuperset(produced):
            raise told(EMPTY, request)
    finally:
        source.close()
        # So would a reader who goes before the end, because an item cannot be stored, say.
        async for _ in events:
            pass


class RunSource:
    """The run's events as ChatKit should see them, ending quietly however the run ends.

    `error` is the exception the run ended with; `silent` says that it was given up, and `stopped`
    that the client stopped it.
    """

    def __init__(
        self,
        run: RunResultStreaming,
        context: AgentContext[RequestContext],
        stop: asyncio.Event,
        silence: float,
    ) -> None:
        self.error: Exception | None = None
        self.silent = False
        self.stopped = False
        self._run = run
        self._context = context
        self._stop = stop
        self._silence = silence
        self._model_events = ModelEvents(lambda: context.generate_id("message"))
        self._calls: dict[str, ResponseFunctionToolCall] = {}
        self._client_calls: list[tuple[ResponseFunctionToolCall, str]] = []
        self._heard = asyncio.get_running_loop().time()
        self._guard = asyncio.create_task(self._watch())

    async def stream_events(self) -> AsyncIterator[StreamEvent]:
        loop = asyncio.get_running_loop()
        try:
            async for event in self._run.stream_events():
                self._heard = loop.time()
                match event:
                    case RawResponsesStreamEvent():
                        for data in self._model_events.prepared(event.data):
                            yield RawResponsesStreamEvent(data=data)
                    case RunItemStreamEvent():
                        yield await self._tool_event(event)
                    case _:
                        yield event
        except Exception as error:
            self.error = error
        self._guard.cancel()
        await self._keep_client_calls()
        if not (workflow := self._context.workflow_item) or self._context.client_tool_call:
            return
        # An open workflow would be taken up by the next turn.
        if workflow.workflow.tasks or workflow.workflow.type == "reasoning":
            await self._context.end_workflow()

    @property
    def tools_run(self) -> bool:
        """Whether the tools are at work that the model has called."""
        return bool(self._calls) and not self._model_events.responding

    @property
    def idle(self) -> bool:
        """Whether neither the model nor a tool is at work."""
        return not self._calls and not self._model_events.responding

    def close(self) -> None:
        """Stop the run, wherever it is, and the watch over it."""
        self._guard.cancel()
        self._run.cancel()

    async def _watch(self) -> None:
        """Cancel the run when the client has left, or the model is silent for too long."""
        loop = asyncio.get_running_loop()
        while True:
            left = self._heard + self._silence - loop.time()
            if left <= 0 and not self.tools_run:
                self.silent = True
                break
            try:
                await asyncio.wait_for(self._stop.wait(), max(left, 0.2))
                self.stopped = True
                break
            except asyncio.TimeoutError:
                continue
        self._run.cancel()

    async def _tool_event(self, event: RunItemStreamEvent) -> RunItemStreamEvent:
        """Remember a server tool's call and output in the thread, where no item would hold them."""
        match event.item:
            case ToolCallItem(raw_item=ResponseFunctionToolCall() as call):
                own = self._context.generate_id("tool_call")
                self._calls[call.call_id] = call
                item = ToolCallItem(
                    agent=event.item.agent, raw_item=call.model_copy(update={"id": own})
                )
                return RunItemStreamEvent(name=event.name, item=item)
            case ToolCallOutputItem() as output:
                called = self._calls.pop(str(output.call_id), None)
                if called is not None and is_client_tool(output.agent, called.name):
                    self._client_calls.append((called, str(output.output)))
                elif called is not None:
                    await self._keep(called, str(output.output))
                return event
            case _:
                return event

    async def _keep_client_calls(self) -> None:
        """Remember the calls that the client is not asked for: those that failed, and all but one.

        A model may call several at once, but ChatKit's context holds the last one only.
        """
        calls, asked = self._client_calls, self._context.client_tool_call
        if asked is not None:
            of_its_name = [call for call in calls if call[0].name == asked.name]
            calls = [call for call in calls if call is not (of_its_name or calls)[-1]]
        for call, output in calls:
            await self._keep(call, output if asked is None else ONE_AT_A_TIME)

    async def _keep(self, call: ResponseFunctionToolCall, output: str) -> None:
        item = HiddenContextItem(
            id=self._context.generate_id("tool_call"),
            thread_id=self._context.thread.id,
            created_at=datetime.now(),
            content=tool_call_item_content(call.name, call.arguments, output),
        )
        await self._context.stream(ThreadItemDoneEvent(item=item))


async def chatkit_events(
    source: RunSource, context: AgentContext[RequestContext]
) -> AsyncIterator[ThreadStreamEvent]:
    """The run as ChatKit tells it. What ChatKit cannot take counts as the run's own error."""
    try:
        # The source looks like a run to ChatKit, and it never raises: an exception would leave a
        # task behind in _merge_generators
        # (https://github.com/openai/chatkit-python/blob/main/chatkit/agents.py).
        async for event in stream_agent_response(context, source):  # type: ignore[arg-type]
            yield event
    except Exception as error:
        source.error = error


async def in_order(events: AsyncIterator[ThreadStreamEvent]) -> AsyncIterator[ThreadStreamEvent]:
    """The events, with what a tool does behind the message of the model that stands before it.

    ChatKit takes them from two queues, and the store has the order in which the items are done.
    """
    message: str | None = None
    behind: list[ThreadStreamEvent] = []
    async for event in events:
        item: ThreadItem | None = getattr(event, "item", None)
        about: str | None = item.id if item else getattr(event, "item_id", None)
        if isinstance(event, ThreadItemAddedEvent) and isinstance(item, AssistantMessageItem):
            message = about
        if message and about != message:
            behind.append(event)
            continue
        yield event
        if isinstance(event, ThreadItemDoneEvent | ThreadItemRemovedEvent):
            message = None
            while behind:
                yield behind.pop(0)
    for event in behind:
        yield event


def is_client_tool(agent: Agent[Any], name: str) -> bool:
    """Whether the agent's run stops at this tool, for the client to go on."""
    stops = agent.tool_use_behavior
    return isinstance(stops, dict) and name in stops["stop_at_tool_names"]


def add_text(item: ThreadItem | None, update: AssistantMessageContentPartTextDelta) -> None:
    """Append a delta to the copy of a message that is kept if the message is never done."""
    if isinstance(item, AssistantMessageItem):
        while len(item.content) <= update.content_index:
            item.content.append(AssistantMessageContent(text=""))
        item.content[update.content_index].text += update.delta


def words(item: AssistantMessageItem) -> str:
    """What the message says; nothing if it is blank."""
    return "".join(part.text for part in item.content).strip()


def is_thought(item: ThreadItem) -> bool:
    """Whether the item is none that answers the user."""
    return isinstance(item, WorkflowItem) and item.workflow.type == "reasoning"


def stopped_item(context: AgentContext[RequestContext]) -> SDKHiddenContextItem:
    """Tells the model on the next turn why its answer ends where it ends."""
    return SDKHiddenContextItem(
        id=context.generate_id("sdk_hidden_context"),
        thread_id=context.thread.id,
        created_at=datetime.now(),
        content=STOPPED,
    )


def failed_turn(
    error: Exception, request: RequestContext, *, begun: bool, api_key: str | None
) -> CustomStreamError:
    """The error as the chat shows it; the log gets its kind, not the provider's words."""
    failure = explain(error, begun=begun, api_key=api_key)
    # A tool's own error is the project's, and is told in full; a provider's words are not.
    own = (error.__cause__ or error) if isinstance(error, UserError) else None
    log.warning("request %s: the run failed: %s", request.request_id, log_line(error), exc_info=own)
    return as_event(failure, request)


def told(failure: Failure, request: RequestContext) -> CustomStreamError:
    """A failure without an error, as the chat shows it and the log has it."""
    log.warning("request %s: %s", request.request_id, failure.sentence)
    return as_event(failure, request)


def as_event(failure: Failure, request: RequestContext) -> CustomStreamError:
    return CustomStreamError(request.signed(failure.sentence), allow_retry=failure.retry)
