"""The tools' calls of a run that have begun, and their outputs, before the run's events tell any.

The Agents SDK tells the outputs of an answer's calls when all of them have returned: it tells none
if the run is stopped before, or if one of them ends it by raising an error.
"""

from typing import Any

from agents import Agent, FunctionTool, RunContextWrapper, RunHooks, Tool
from agents.items import ItemHelpers, ToolCallOutputItem
from agents.tool_context import ToolContext
from chatkit.agents import AgentContext
from openai.types.responses import ResponseFunctionToolCall

from core.context import RequestContext
from core.turns.kept_calls import Told

Context = RunContextWrapper[AgentContext[RequestContext]]


class BegunCalls(RunHooks[AgentContext[RequestContext]]):
    """Those of one run, and not of the agents that are its tools: they have runs of their own."""

    def __init__(self, hooks: RunHooks[AgentContext[RequestContext]] | None) -> None:
        """`hooks` are the project's own, which get all that these get."""
        self._hooks = hooks or RunHooks[AgentContext[RequestContext]]()
        self.calls: dict[str, ResponseFunctionToolCall] = {}
        """The calls that have begun, by their ids."""
        self.outputs: dict[str, ToolCallOutputItem] = {}
        """What those of them have returned that are done."""

    async def on_tool_start(self, context: Context, agent: Agent[Any], tool: Tool) -> None:
        await self._hooks.on_tool_start(context, agent, tool)
        if call := called(context, tool):
            self.calls[call.call_id] = call

    async def on_tool_end(
        self, context: Context, agent: Agent[Any], tool: Tool, result: object
    ) -> None:
        if call := called(context, tool):
            raw = ItemHelpers.tool_call_output_item(call, result)
            self.outputs[call.call_id] = ToolCallOutputItem(
                agent=agent, raw_item=raw, output=result
            )
        await self._hooks.on_tool_end(context, agent, tool, result)

    async def on_llm_start(self, *args: Any, **kwargs: Any) -> None:
        await self._hooks.on_llm_start(*args, **kwargs)

    async def on_llm_end(self, *args: Any, **kwargs: Any) -> None:
        await self._hooks.on_llm_end(*args, **kwargs)

    async def on_agent_start(self, *args: Any, **kwargs: Any) -> None:
        await self._hooks.on_agent_start(*args, **kwargs)

    async def on_agent_end(self, *args: Any, **kwargs: Any) -> None:
        await self._hooks.on_agent_end(*args, **kwargs)

    async def on_handoff(self, *args: Any, **kwargs: Any) -> None:
        await self._hooks.on_handoff(*args, **kwargs)

    def told(self, call_id: str) -> None:
        """Forget a call of which the run's events have told."""
        self.calls.pop(call_id, None)
        self.outputs.pop(call_id, None)


def called(context: Context, tool: Tool) -> ResponseFunctionToolCall | None:
    """The call, if it is one that is kept with its output: not a shell's, say."""
    if isinstance(context, ToolContext) and isinstance(tool, FunctionTool):
        return context.tool_call
    return None


def told_of(output: ToolCallOutputItem) -> Told:
    """A tool's output as the model is told it."""
    raw: Any = output.raw_item
    told: Told = raw["output"]
    return told
