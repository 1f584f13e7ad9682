"""What is told at the start: an agent that is set up so that it could not answer."""

import inspect
from collections import Counter
from collections.abc import Iterator
from typing import Any, get_args, get_origin

from agents import (
    Agent,
    AgentOutputSchema,
    AgentOutputSchemaBase,
    FunctionTool,
    Handoff,
    InputGuardrail,
    OutputGuardrail,
    Tool,
)

from core.models.provider import Models
from core.models.source import UnknownModel
from core.turns.agents import WrongAgent, agents_of, answering, handed_to

# What an agent's lists hold, and what makes it of a function.
KINDS: dict[str, tuple[tuple[type[Any], ...], str]] = {
    "tools": (tuple(get_origin(kind) or kind for kind in get_args(Tool)), "@function_tool"),
    "handoffs": ((Agent, Handoff), "handoff(…)"),
    "input_guardrails": ((InputGuardrail,), "@input_guardrail"),
    "output_guardrails": ((OutputGuardrail,), "@output_guardrail"),
}


def check_kinds(agent: Any) -> None:
    """Raise WrongAgent where something else stands than an agent, a tool, and so on."""
    if not isinstance(agent, Agent):
        raise WrongAgent(f"{called(agent)} is no Agent of the Agents SDK.")
    for each in agents_of(agent):
        for name, (kinds, maker) in KINDS.items():
            for given in getattr(each, name):
                if not isinstance(given, kinds):
                    remedy = f" It may want {maker}." if callable(given) else ""
                    wrong = f"{called(given)} cannot stand in its {name}.{remedy}"
                    raise WrongAgent(f"The agent {each.name}: {wrong}")


def check_agents(agent: Agent[Any], models: Models) -> None:
    """Raise WrongAgent for what no run could do."""
    # Further away, one of the first agent's name is its clone, or the other way round.
    others = [each for each in answering(agent) if each is not agent]
    names = [each.name for each in others if each.name != agent.name or each in handed_to(agent)]
    if twice := next((name for name in names if [*names, agent.name].count(name) > 1), None):
        raise WrongAgent(f"Two agents are named {twice}: a thread could not go on with either.")
    for each in agents_of(agent):
        if problem := next(problems(each, models), None):
            raise WrongAgent(f"The agent {each.name}: {problem}")


def problems(agent: Agent[Any], models: Models) -> Iterator[str]:
    """What the agent could not be run for, in sentences."""
    if isinstance(agent.model, str):
        try:
            models.source(agent.model)
        except UnknownModel as error:
            yield str(error)
    # Of two that are not there for everybody, each may be for some.
    always = [tool.name for tool in agent.tools if getattr(tool, "is_enabled", True) is True]
    always += handoff_names(agent)
    if twice := next((name for name, count in Counter(always).items() if count > 1), None):
        yield f"it has two tools, or hand-offs, named {twice}."
    if callable(agent.instructions) and len(inspect.signature(agent.instructions).parameters) != 2:
        yield "the function of its instructions takes two arguments, the context and the agent."
    kind = agent.output_type
    if kind not in (None, str) and not isinstance(kind, AgentOutputSchemaBase):
        try:
            AgentOutputSchema(kind)
        except Exception as error:
            yield (
                f"its output_type cannot be asked for ({type(error).__name__}). "
                "AgentOutputSchema(…, strict_json_schema=False) takes more kinds of types."
            )


def handoff_names(agent: Agent[Any]) -> list[str]:
    """What the model calls to hand over, where that is always offered."""
    return [
        each.tool_name if isinstance(each, Handoff) else Handoff.default_tool_name(each)
        for each in agent.handoffs
        if not isinstance(each, Handoff) or each.is_enabled is True
    ]


def called(value: Any) -> str:
    """What something is called in a sentence."""
    if inspect.isroutine(value):
        return f"the function {value.__name__}"
    if isinstance(value, FunctionTool | Agent):
        return f"{type(value).__name__} {value.name}"
    return f"{str(value)[:60]!r}"
