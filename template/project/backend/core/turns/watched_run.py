"""A run of the Agents SDK, watched: it ends when the client has left or the model is silent."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from agents import Agent, RunResultStreaming, StreamEvent
from agents.items import (
    HandoffCallItem,
    HandoffOutputItem,
    ReasoningItem,
    ToolCallItem,
    ToolCallOutputItem,
)
from agents.stream_events import RawResponsesStreamEvent, RunItemStreamEvent
from chatkit.agents import (
    AgentContext,
    ClientToolCall,
    ResponseStreamConverter,
    stream_agent_response,
)
from chatkit.types import (
    AssistantMessageItem,
    HiddenContextItem,
    ThreadItem,
    ThreadItemAddedEvent,
    ThreadItemDoneEvent,
    ThreadItemRemovedEvent,
    ThreadStreamEvent,
)
from openai.types.responses import ResponseFunctionToolCall

from core.context import RequestContext
from core.turns.approvals import KeptCall
from core.turns.raw_events import RawEvents
from core.turns.server import NOT_RUN
from core.turns.thoughts import thoughts_item_content

ONE_AT_A_TIME = "Not run: the client runs one tool at a time. Call it again if it is still needed."


@dataclass
class Unanswered:
    """The calls that a run which waits for approvals has left without an output."""

    calls: list[KeptCall] = field(default_factory=list)
    """Those that run here, when it goes on."""
    client_tool: ClientToolCall | None = None
    """What the client is asked for when all of them have run."""
    client_call: KeptCall | None = None
    """The call that this comes from."""


class WatchedRun:
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
        before: Unanswered | None = None,
    ) -> None:
        """`before` is what the run has left unanswered, if it is one that goes on."""
        self.error: Exception | None = None
        self.silent = False
        self.stopped = False
        self._run = run
        self._context = context
        self._stop = stop
        self._silence = silence
        self._raw_events = RawEvents(lambda: context.generate_id("message"))
        self._calls: dict[str, KeptCall] = {}
        self._thoughts: list[ReasoningItem] = []
        self._client_calls: list[tuple[KeptCall, str]] = []
        self._before = before or Unanswered()
        if before is not None:
            # Its tools run before the model is asked again.
            self._calls = {call.call_id: call for call in before.calls}
            self._raw_events.responding = False
        self._answered_at = datetime.now()
        self._last_event = asyncio.get_running_loop().time()
        self._watching = asyncio.create_task(self._watch())

    async def stream_events(self) -> AsyncIterator[StreamEvent]:
        loop = asyncio.get_running_loop()
        workflow = self._context.workflow_item
        if workflow and workflow.workflow.summary and workflow.workflow.expanded:
            # It has ended before the turn, to stay open. ChatKit would end it once more.
            self._context.workflow_item = None
        try:
            async for event in self._run.stream_events():
                self._last_event = loop.time()
                match event:
                    case RawResponsesStreamEvent():
                        if event.data.type == "response.completed":
                            self._answered_at = datetime.now()
                        for data in self._raw_events.translated(event.data):
                            yield RawResponsesStreamEvent(data=data)
                    case RunItemStreamEvent():
                        yield await self._tool_event(event)
                    case _:
                        yield event
        except Exception as error:
            self.error = error
        self._watching.cancel()
        await self._end_client_calls()
        if (workflow := self._context.workflow_item) is None:
            return
        if not workflow.workflow.tasks and workflow.workflow.type != "reasoning":
            # The client has not been shown it, and ChatKit would store it.
            self._context.workflow_item = None
        elif self._context.client_tool_call is None:
            # An open workflow would be taken up by the next turn.
            await self._context.end_workflow()

    @property
    def tools_run(self) -> bool:
        """Whether the tools are at work that the model has called."""
        return bool(self._calls) and not self._raw_events.responding

    @property
    def idle(self) -> bool:
        """Whether neither the model nor a tool is at work."""
        return not self._calls and not self._raw_events.responding

    @property
    def interrupted(self) -> bool:
        """Whether the run has ended because it waits for approvals."""
        return self.error is None and bool(self._run.interruptions)

    @property
    def unanswered(self) -> Unanswered:
        """The calls that have no output yet."""
        return replace(self._before, calls=list(self._calls.values()))

    def close(self) -> None:
        """Stop the run, wherever it is, and the watch over it."""
        self._watching.cancel()
        self._run.cancel()

    async def _watch(self) -> None:
        """Cancel the run when the client has left, or the model is silent for too long."""
        loop = asyncio.get_running_loop()
        while True:
            left = self._last_event + self._silence - loop.time()
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
        """Remember calls of server tools and hand-offs, with their outputs, in the thread.

        No item would hold them.
        """
        match event.item:
            case ToolCallItem(raw_item=ResponseFunctionToolCall() as call):
                own = self._context.generate_id("tool_call")
                self._calls[call.call_id] = self._kept(call)
                item = ToolCallItem(
                    agent=event.item.agent, raw_item=call.model_copy(update={"id": own})
                )
                return RunItemStreamEvent(name=event.name, item=item)
            case HandoffCallItem(raw_item=call):
                self._calls[call.call_id] = self._kept(call)
                return event
            case HandoffOutputItem(raw_item={"call_id": str(call_id), "output": str(output)}):
                if (called := self._calls.pop(call_id, None)) is not None:
                    await self._remember(called, output)
                return event
            case ReasoningItem() as thought:
                self._thoughts.append(thought)
                return event
            case ToolCallOutputItem() as output:
                if is_stopped_by_tools(output.agent):
                    await self._remember_thoughts()
                called = self._calls.pop(str(output.call_id), None)
                if called is not None and is_client_tool(output.agent, called.name):
                    self._client_calls.append((called, str(output.output)))
                elif called is not None:
                    await self._remember(called, str(output.output))
                return event
            case _:
                return event

    async def _remember_thoughts(self) -> None:
        """Remember a response's thoughts ahead of its first call, as one may be the client's."""
        content = thoughts_item_content(self._thoughts, self._calls.values())
        self._thoughts.clear()
        if content is not None:
            item = HiddenContextItem(
                id=self._context.generate_id("tool_call"),
                thread_id=self._context.thread.id,
                created_at=datetime.now(),
                content=content,
            )
            await self._context.stream(ThreadItemDoneEvent(item=item))

    async def _end_client_calls(self) -> None:
        """Remember the calls that the client is not asked for: those that failed, and all but one.

        A model may call several at once, but ChatKit's context holds the last one only. It is asked
        for when all else has run: in a run that waits for approvals, when that has gone on.
        """
        calls, asked = self._client_calls, self._context.client_tool_call
        last: KeptCall | None = None
        if asked is not None and calls:
            of_its_name = [call for call, _ in calls if call.name == asked.name]
            last = (of_its_name or [call for call, _ in calls])[-1]
        for call, output in calls:
            if call is not last:
                await self._remember(call, output if asked is None else ONE_AT_A_TIME)
        before = self._before
        if self.interrupted:
            self._context.client_tool_call = None
            if asked is not None:
                before.client_tool, before.client_call = asked, last
        elif before.client_tool is not None:
            goes_on = self.error is None and not (self.silent or self.stopped or asked)
            if goes_on:
                self._context.client_tool_call = before.client_tool
            elif before.client_call is not None:
                await self._remember(before.client_call, ONE_AT_A_TIME if asked else NOT_RUN)

    def _kept(self, call: ResponseFunctionToolCall) -> KeptCall:
        return KeptCall(
            call_id=call.call_id,
            name=call.name,
            arguments=call.arguments,
            item_id=self._context.generate_id("tool_call"),
            provider_data=getattr(call, "provider_data", None),
        )

    async def _remember(self, call: KeptCall, output: str) -> None:
        # The same time for all that the model has called in one answer.
        item = call.item(self._context.thread, output, self._answered_at)
        await self._context.stream(ThreadItemDoneEvent(item=item))


async def chatkit_events(
    run: WatchedRun,
    context: AgentContext[RequestContext],
    converter: ResponseStreamConverter,
) -> AsyncIterator[ThreadStreamEvent]:
    """The run's events as ChatKit makes them. What ChatKit cannot take is the run's own error."""
    try:
        # It looks like a run to ChatKit, and it never raises: an exception would leave a
        # task behind in _merge_generators
        # (https://github.com/openai/chatkit-python/blob/main/chatkit/agents.py).
        async for event in stream_agent_response(context, run, converter=converter):  # type: ignore[arg-type]
            yield event
            # It is over, though ChatKit may have taken it up when it was late to see it begin: it
            # would end it once more, and close it.
            if isinstance(event, ThreadItemDoneEvent) and event.item == context.workflow_item:
                context.workflow_item = None
    except Exception as error:
        run.error = error


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


def is_stopped_by_tools(agent: Agent[Any]) -> bool:
    """Whether there are tools at which the agent's run stops."""
    stops = agent.tool_use_behavior
    return isinstance(stops, dict) and bool(stops["stop_at_tool_names"])


def is_client_tool(agent: Agent[Any], name: str) -> bool:
    """Whether the agent's run stops at this tool, for the client to go on."""
    stops = agent.tool_use_behavior
    return isinstance(stops, dict) and name in stops["stop_at_tool_names"]
