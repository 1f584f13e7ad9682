"""What the functions of tools need: the type of their context, and words for what fails."""

import logging
from typing import Any

from agents import ModelBehaviorError, RunContextWrapper
from chatkit.agents import AgentContext

from core.context import RequestContext
from core.errors import Refused

log = logging.getLogger("app")

ToolContext = RunContextWrapper[AgentContext[RequestContext]]
"""A tool's first parameter. Its `context` is the turn: thread, store, and `request_context`, which
says who asks and has the resources."""


def explain_failure(context: RunContextWrapper[Any], error: Exception) -> str:
    """What the model is told of a tool that failed: for `function_tool(failure_error_function=…)`.

    It hears the words of a Refused, and so can say them; of a defect it hears that there was one.
    """
    if isinstance(error, Refused | ModelBehaviorError):
        return str(error)
    log.error("a tool failed", exc_info=error)
    return "The tool failed. Tell the user that this did not work."
