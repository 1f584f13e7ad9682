"""Every tool that fails is in the log, whoever tells the model of it, in whichever run."""

import logging
from typing import Any

import agents.tool
from agents import (
    FunctionTool,
    RunContextWrapper,
    ToolErrorFormatterArgs,
    default_tool_error_function,
)
from agents.tool import resolve_function_tool_failure_error_function

from core.context import RequestContext
from core.own_code import log_own
from core.turns.failures import log_line, said_by_project, server_away

log = logging.getLogger("app")

_told = agents.tool.maybe_invoke_function_tool_failure_error_function


async def told_and_logged(
    *, function_tool: FunctionTool, context: RunContextWrapper[Any], error: BaseException
) -> str | None:
    """What the model is told of the failure; None if it ends the run, which is logged by itself."""
    told = await _told(function_tool=function_tool, context=context, error=error)
    if told is None or not isinstance(error, Exception):
        return told
    line = "%sthe tool %s failed: %s"
    if away := server_away(error):
        log.warning(line, request_of(context), function_tool.name, away)
    elif not said_by_project(error):
        named = request_of(context), function_tool.name, log_line(error)
        log_own(log, line, *named, error=error)
    # An agent that is a tool, and an MCP server's, ask no formatter of the run.
    by = resolve_function_tool_failure_error_function(function_tool, context)
    return (by is default_tool_error_function and for_everyone(error)) or told


def request_of(context: RunContextWrapper[Any]) -> str:
    """The request as the log names it, if the run has the context of one."""
    request = getattr(context.context, "request_context", None)
    return f"request {request.request_id}: " if isinstance(request, RequestContext) else ""


def told_of_tool_error(failed: ToolErrorFormatterArgs[Any]) -> str | None:
    """Tell the model what is meant for everyone of why a tool failed.

    Of all else it is told in the SDK's own words, which name no cause. The log has it.
    """
    return for_everyone(failed.error) if failed.error else None


def for_everyone(error: Exception) -> str | None:
    """What the model may be told of why a tool failed, if there is such a thing."""
    if refused := said_by_project(error):
        return refused.sentence
    away = server_away(error)
    return str(away) if away else None


def log_failed_tools() -> None:
    """Have every tool that fails from now on logged.

    The Agents SDK tells nobody but the tool's own failure function, and an agent that is a tool has
    one that says nothing: https://github.com/openai/openai-agents-python/pull/1804
    """
    agents.tool.maybe_invoke_function_tool_failure_error_function = told_and_logged
