"""Tools, widget actions and first messages that belong together."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from agents import Agent, Tool

from core.settings import give_up
from core.turns.agents import WrongAgent, agents_of, answering
from core.turns.client_tools import StopAtClientTools, stops_at
from core.turns.widget_actions import Actions


@dataclass(frozen=True)
class Feature:
    """What the agents can do besides, in one piece: app/wiring.py hands features to the server."""

    tools: Sequence[Tool] = ()
    """They run here."""
    client_tools: Sequence[Tool] = ()
    """A run stops at these, and goes on with what the browser answers."""
    actions: Actions = field(default_factory=dict)
    """What the buttons and forms of its widgets do, by the actions' types."""
    starters: Sequence[str] = ()
    """First messages that the chat page offers."""
    agents: Sequence[str] | None = None
    """The names of the agents that get its tools: by default all that may answer the user."""


def equip(agent: Agent[Any], features: Sequence[Feature]) -> None:
    """Give the features' tools to the agent, and to those it hands over to.

    Each keeps the tools that it has, and gets none twice. An agent that is a tool of another one
    has what it was written with. Raises WrongAgent where an agent cannot have them.
    """
    for each in answering(agent):
        for feature in features:
            if feature.agents is None or each.name in feature.agents:
                _give(each, feature)
    client_tools = {tool.name for feature in features for tool in feature.client_tools}
    asked = answering(agent)
    for each in agents_of(agent):
        theirs = [tool.name for tool in each.tools if tool.name in client_tools]
        if theirs and not any(each is other for other in asked):
            raise WrongAgent(
                f"The agent {each.name} is a tool of another one, and its run cannot wait for the "
                f"browser: it cannot have the client tool {theirs[0]}."
            )


def _give(agent: Agent[Any], feature: Feature) -> None:
    missing: list[Tool] = []
    for tool in (*feature.tools, *feature.client_tools):
        same = [each for each in (*agent.tools, *missing) if each.name == tool.name]
        if any(each is not tool for each in same):
            raise WrongAgent(f"The agent {agent.name} has two tools named {tool.name}.")
        if not same:
            missing.append(tool)
    if missing:
        agent.tools = [*agent.tools, *missing]
    stops = agent.tool_use_behavior
    names = [tool.name for tool in feature.client_tools]
    usual = isinstance(stops, dict | StopAtClientTools) or stops == "run_llm_again"
    if names and not usual:
        raise WrongAgent(
            f"The agent {agent.name}: with client tools, tool_use_behavior has to be StopAtTools."
        )
    known = stops.client_tools if isinstance(stops, StopAtClientTools) else ()
    if new := [name for name in names if name not in known]:
        others = [name for name in stops_at(agent) if name not in (*known, *new)]
        agent.tool_use_behavior = StopAtClientTools((*known, *new), others)


def check_features(agents: Sequence[Agent[Any]], features: Sequence[Feature]) -> None:
    """End the program with a sentence for a feature of an agent that is none of these.

    Those that they hand over to count, too.
    """
    known = [each.name for agent in agents for each in answering(agent)]
    for feature in features:
        if isinstance(feature.agents, str):
            give_up("app/wiring.py: a Feature's agents are a list of names, and not one name.")
        for name in feature.agents or ():
            if name not in known:
                give_up(f"app/wiring.py: a Feature is for the agent {name}, and there is none.")


def actions_of(features: Sequence[Feature]) -> Actions:
    """The features' actions. Ends the program with a sentence where two have the same type."""
    found: dict[str, Any] = {}
    for feature in features:
        if both := set(found) & set(feature.actions):
            give_up(f"Two features have an action of the type {min(both)}.")
        found |= feature.actions
    return found
