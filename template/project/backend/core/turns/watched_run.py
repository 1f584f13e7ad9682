"""A run of the Agents SDK, watched: it ends when the client has left or the model is silent."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from agents import (
    ModelBehaviorError,
    ModelRefusalError,
    RunResultStreaming,
    StreamEvent,
)
from agents.items import (
    HandoffCallItem,
    HandoffOutputItem,
    ReasoningItem,
    ToolCallItem,
    ToolCallOutputItem,
)
from agents.stream_events import (
    AgentUpdatedStreamEvent,
    RawResponsesStreamEvent,
    RunItemStreamEvent,
)
from chatkit.agents import (
    AgentContext,
    ClientToolCall,
    _EventWrapper,
)
from chatkit.types import (
    HiddenContextItem,
    ThreadItemDoneEvent,
)
from openai.types.responses import ResponseFunctionToolCall

from core.context import RequestContext
from core.turns.approvals import BEGUN, KeptCall
from core.turns.begun_calls import BegunCalls, told_of
from core.turns.client_tools import stops_at
from core.turns.final_output import HeldMessages, InvalidOutput, ShowOutput, final_output_of
from core.turns.hosted_tools import HostedCalls
from core.turns.kept_calls import Told
from core.turns.raw_events import RawEvents
from core.turns.server import NOT_RUN
from core.turns.thoughts import thoughts_item_content

ONE_AT_A_TIME = "Not run: the client runs one tool at a time. Call it again if it is still needed."
NOT_BEGUN = "Not run: the answer was broken off before."


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
        begun: BegunCalls,
        context: AgentContext[RequestContext],
        stop: asyncio.Event,
        silence: float,
        show_output: ShowOutput,
        before: Unanswered | None = None,
    ) -> None:
        """`begun` are the run's calls; `before` is what it has left unanswered, if it goes on."""
        self.error: Exception | None = None
        self.silent = False
        self.stopped = False
        self._run = run
        self._begun = begun
        self._context = context
        self._stop = stop
        self._silence = silence
        self._show_output = show_output
        self._raw_events = RawEvents(lambda: context.generate_id("message"))
        self.item_ids = self._raw_events.item_ids
        self._calls: dict[str, KeptCall] = {}
        self._thoughts: list[ReasoningItem] = []
        self._client_calls: list[tuple[KeptCall, ToolCallOutputItem]] = []
        self._before = before or Unanswered()
        if before is not None:
            # Its tools run before the model is asked again.
            self._calls = {call.call_id: call for call in before.calls}
            self._raw_events.responding = False
        self._answered_at = datetime.now()
        self._messages = HeldMessages(run.last_agent)
        self._hosted = HostedCalls(context)
        self._outputs: list[ToolCallOutputItem] = []
        """What tools have returned since the model spoke last."""
        self._last_event = asyncio.get_running_loop().time()
        self._watching = asyncio.create_task(self._watch())

    async def stream_events(self) -> AsyncIterator[StreamEvent | _EventWrapper]:
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
                            for each in self._model_event(data):
                                yield each
                    case RunItemStreamEvent():
                        yield await self._tool_event(event)
                    case AgentUpdatedStreamEvent(new_agent=agent):
                        self._messages.agent = agent
                        yield event
                    case _:
                        yield event
        except Exception as error:
            for data in self._last_words(error):
                yield RawResponsesStreamEvent(data=data)
        self._watching.cancel()
        self._hosted.close()
        if not self.interrupted:
            await self._end_broken_off()
        await self._end_client_calls()
        workflow = self._context.workflow_item
        if workflow and not workflow.workflow.tasks and workflow.workflow.type != "reasoning":
            # The client has not been shown it, and ChatKit would store it.
            self._context.workflow_item = None
        elif workflow and self._context.client_tool_call is None:
            # An open workflow would be taken up by the next turn.
            await self._context.end_workflow()
        if self.error is None and self._context.client_tool_call is None:
            await self._show_final_output()

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
        for call in self._calls.values():
            call.begun = call.begun or call.call_id in self._begun.calls
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

    def _model_event(self, data: Any) -> Iterator[StreamEvent | _EventWrapper]:
        """A model's event as ChatKit gets it, if at all, and what the chat gets before it."""
        if data.type == "response.output_item.added":
            self._outputs.clear()
        for event in self._hosted.follow(data):
            # As if from ChatKit's other queue, but in its place among the model's events.
            # https://github.com/openai/chatkit-python/blob/main/chatkit/agents.py
            yield _EventWrapper(event)
        for each in self._messages.pass_on(data):
            yield RawResponsesStreamEvent(data=each)

    def _last_words(self, error: Exception) -> Iterator[Any]:
        """Note what the run has failed of. What is held back of an answer that is no output."""
        match error:
            case ModelRefusalError():
                yield from self._messages.all()
            case ModelBehaviorError() if self._messages.text is not None:
                self.error = InvalidOutput()
                yield from self._messages.all()
            case _:
                self.error = error

    async def _show_final_output(self) -> None:
        """Show what the run has ended with, where no message of the model has told it."""
        agent = self._run.last_agent
        output = self._run.final_output
        final = final_output_of(output, agent, self._outputs, self._messages.text)
        if final is None:
            return
        try:
            items = await final.items(self._show_output, agent, self._context)
        except Exception as error:
            self.error = error
        else:
            for item in items:
                await self._context.stream(ThreadItemDoneEvent(item=item))

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
                await self._returned(output)
                return event
            case _:
                return event

    async def _returned(self, output: ToolCallOutputItem) -> None:
        if stops := stops_at(output.agent):
            await self._remember_thoughts()
        call_id = str(output.call_id)
        self._begun.told(call_id)
        called = self._calls.pop(call_id, None)
        self._outputs.append(output)
        asked = self._context.client_tool_call is not None
        if called is not None and asked and called.name in stops:
            self._client_calls.append((called, output))
        elif called is not None:
            await self._remember(called, told_of(output))
        elif (raw := dict(output.raw_item))["type"] != "function_call_output":
            # Of a tool that only OpenAI's models can call, such as a shell.
            kept = self._hosted.kept(raw)
            await self._context.stream(ThreadItemDoneEvent(item=kept))

    async def _end_broken_off(self) -> None:
        """Remember the calls of which the run has not told what they returned, if there are any.

        Those that it goes on with are kept already, as begun.
        """
        begun = dict(self._begun.calls)
        for call_id, call in begun.items():
            self._calls.setdefault(call_id, self._kept(call))
        for output in list(self._begun.outputs.values()):
            await self._returned(output)
        kept = {call.call_id for call in self._before.calls}
        for call_id, left in self._calls.items():
            if call_id in begun and call_id not in kept:
                await self._remember(left, BEGUN)
            elif call_id not in kept and not self._raw_events.responding:
                await self._remember(left, NOT_BEGUN)

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
            for_clients = [call for call, output in calls if output.output is None]
            last = (of_its_name or for_clients or [call for call, _ in calls])[-1]
        for call, output in calls:
            if call is not last:
                # What has returned something has run, though the agent's run stops at it, too.
                ran = asked is None or output.output is not None
                await self._remember(call, told_of(output) if ran else ONE_AT_A_TIME)
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
            namespace=call.namespace,
            provider_data=getattr(call, "provider_data", None),
        )

    async def _remember(self, call: KeptCall, output: Told) -> None:
        # The same time for all that the model has called in one answer.
        item = call.item(self._context.thread, output, self._answered_at)
        await self._context.stream(ThreadItemDoneEvent(item=item))
