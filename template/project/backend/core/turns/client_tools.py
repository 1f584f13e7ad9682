"""Tools that the browser runs: a run stops at them, and goes on with what the browser answers."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from agents import Agent, FunctionToolResult, RunContextWrapper, ToolsToFinalOutputResult


@dataclass(frozen=True)
class StopAtClientTools:
    """An agent's tool_use_behavior, as StopAtTools, but for a client tool that asks for nothing.

    The model hears of that at once, such as of one that failed: nobody else would answer the user.
    """

    client_tools: Sequence[str]
    others: Sequence[str] = ()
    """The other tools at which the agent's runs stop."""

    def __call__(
        self, context: RunContextWrapper[Any], results: list[FunctionToolResult]
    ) -> ToolsToFinalOutputResult:
        asked = context.context.client_tool_call is not None
        for result in results:
            names = {result.tool.name, result.tool.qualified_name}
            # What has asked before the user approved of another tool has returned nothing.
            waits = names & {*self.client_tools} and (asked or result.output is None)
            if waits or names & {*self.others}:
                return ToolsToFinalOutputResult(is_final_output=True, final_output=result.output)
        return ToolsToFinalOutputResult(is_final_output=False)


def stops_at(agent: Agent[Any]) -> list[str]:
    """The tools at which the agent's runs stop."""
    match agent.tool_use_behavior:
        case StopAtClientTools(client_tools, others):
            return [*others, *client_tools]
        case dict(stops):
            return list(stops["stop_at_tool_names"])
        case _:
            return []
