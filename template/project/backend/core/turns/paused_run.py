"""A run that waits for approvals, as it is kept, and as it goes on: on any worker, days later."""

import json
import uuid
from collections.abc import Callable, Iterator
from typing import Any

from agents import (
    Agent,
    ModelBehaviorError,
    RunContextWrapper,
    RunResultStreaming,
    RunState,
    UserError,
)
from agents.items import ToolApprovalItem
from chatkit.agents import AgentContext
from chatkit.store import StoreItemType
from pydantic import BaseModel

from core.context import RequestContext
from core.turns.agents import agents_of, named
from core.turns.approvals import BEGUN, NOT_APPROVED, Card, KeptCall, Waiting
from core.turns.item_converter import APPROVAL_CARD
from core.turns.watched_run import Unanswered

PausedState = RunState[AgentContext[RequestContext], Agent[Any]]
TEXT = "\0text"
"""The name in the kept state behind which a text's number stands."""
SHARED_CHARACTERS = 500
"""A text of at least this length, such as an image, is kept once; the state repeats it."""


class ProgramChanged(Exception):
    """The run cannot go on with the agents and tools that there are now. The text says why."""


class PausedRun(BaseModel):
    """What it takes to go on."""

    state: str
    """RunState's JSON, in which long texts are numbers of `texts`.

    Both are JSON within JSON: a store mends what its database cannot hold, and the SDK would not
    know its own state again.
    """
    texts: list[str]
    unanswered: Unanswered


def waiting_for(
    run: RunResultStreaming,
    unanswered: Unanswered,
    message_id: str | None,
    new_id: Callable[[StoreItemType], str],
) -> Waiting:
    """A run that has ended with interruptions, a card for each. Raises UserError."""
    # The context is that of the request: who goes on has another one.
    state = run.to_state().to_json(context_serializer=lambda _: {}, strict_context=True)
    texts: dict[str, int] = {}
    packed = json.dumps(shared(state, texts))
    kept = PausedRun(
        state=packed, texts=[json.dumps(text) for text in texts], unanswered=unanswered
    )
    cards = [card_of(asked) for asked in run.interruptions]
    # For those the run has outputs of other kinds: the provider runs them, or they are a shell's.
    others = [
        KeptCall(
            call_id=card.call_id,
            name=card.name,
            arguments=card.arguments,
            item_id=new_id("tool_call"),
        )
        for card, asked in zip(cards, run.interruptions, strict=True)
        if raw_fields(asked)["type"] != "function_call"
    ]
    client_calls = [unanswered.client_call] if unanswered.client_call else []
    return Waiting(
        cards=cards,
        calls=[*unanswered.calls, *client_calls, *others],
        message_id=message_id,
        run=kept.model_dump(mode="json"),
    )


def begin(waiting: Waiting, kept: PausedRun) -> Iterator[tuple[KeptCall, str]]:
    """Each call that has been decided, with what the model is told of it until it has an output.

    That is stored before anything runs: a run that is broken off, by whatever, runs nothing twice.
    """
    decisions = {card.call_id: card.decision for card in waiting.cards}
    for call in kept.unanswered.calls:
        decision = decisions.get(call.call_id)
        # A call without a card is of an agent that is a tool, and that has asked.
        of_an_agent = decision is None and "approved" in decisions.values()
        call.approved = decision == "approved" or of_an_agent
        yield call, NOT_APPROVED if decision == "rejected" else BEGUN
    runs_here = {call.item_id for call in kept.unanswered.calls}
    for call in waiting.calls:
        if call.item_id not in runs_here and decisions.get(call.call_id) == "rejected":
            yield call, NOT_APPROVED


async def resumed(
    kept: PausedRun, agent: Agent[Any], context: AgentContext[RequestContext], cards: list[Card]
) -> PausedState:
    """The run where it stood, with what was decided. Raises ProgramChanged.

    Nothing has run by then. What a server of tools raises while it is away, it raises here.
    """
    texts = [json.loads(text) for text in kept.texts]
    given = restored(json.loads(kept.state), texts)
    # The SDK would hide what fails here.
    await named(agent, given["current_agent"]["name"]).get_all_tools(RunContextWrapper(context))
    try:
        state = await RunState.from_json(
            agent,
            given,
            context_deserializer=lambda _: context,
            strict_context=True,
        )
    except (UserError, ValueError, ModelBehaviorError) as error:
        raise ProgramChanged(str(error)) from error
    except Exception:
        # Here it hides what has failed in an agent that is a tool, such as a server that is away.
        for each in agents_of(agent):
            await each.get_all_tools(RunContextWrapper(context))
        raise
    asked = state.get_interruptions()
    if [each.call_id or "" for each in asked] != [card.call_id for card in cards]:
        raise ProgramChanged("the run has other interruptions than cards")
    for interruption, card in zip(asked, cards, strict=True):
        await check_tool(interruption, context)
        if card.decision == "approved":
            state.approve(interruption, always_approve=card.always)
        else:
            state.reject(interruption, rejection_message=rejection(card))
    return state


def rejection(card: Card) -> str | None:
    """What the model is told, if the user gave a reason; else the run has words of its own."""
    return f"{NOT_APPROVED} They said: {card.reason}" if card.reason else None


async def check_tool(asked: ToolApprovalItem, context: AgentContext[RequestContext]) -> None:
    """Raise ProgramChanged if the agent does not have the tool any more."""
    tools = await asked.agent.get_all_tools(RunContextWrapper(context))
    if label := hosted_server(asked):
        known = any(getattr(tool, "tool_config", {}).get("server_label") == label for tool in tools)
    else:
        known = any(tool.name == asked.tool_name for tool in tools)
    if not known:
        raise ProgramChanged(f"the agent {asked.agent.name} has no tool {name_of(asked)} any more")


def hosted_server(asked: ToolApprovalItem) -> str | None:
    """The label of the MCP server whose tool it is, if the provider runs that tool."""
    fields = raw_fields(asked)
    return fields["server_label"] if fields["type"] == "mcp_approval_request" else None


def raw_fields(asked: ToolApprovalItem) -> dict[str, Any]:
    raw = asked.raw_item
    return raw.model_dump() if isinstance(raw, BaseModel) else dict(raw)


def name_of(asked: ToolApprovalItem) -> str:
    return asked.name or "a tool"


def card_of(asked: ToolApprovalItem) -> Card:
    """The question that an interruption asks."""
    return Card(
        item_id=f"{APPROVAL_CARD}{uuid.uuid4().hex}",
        call_id=asked.call_id or "",
        name=name_of(asked),
        arguments=asked.arguments or "{}",
        agent=asked.agent.name,
    )


def shared(value: Any, texts: dict[str, int]) -> Any:
    """The value with each long text as its number in `texts`, to which it is added."""
    if isinstance(value, str) and len(value) >= SHARED_CHARACTERS:
        return {TEXT: texts.setdefault(value, len(texts))}
    if isinstance(value, dict):
        return {name: shared(each, texts) for name, each in value.items()}
    return [shared(each, texts) for each in value] if isinstance(value, list) else value


def restored(value: Any, texts: list[str]) -> Any:
    """The opposite of `shared`; and what an assistant said is the plain text again that it was.

    The SDK's state makes a list of parts of it, which is refused for every chat-completions model
    ("Unhandled item type"): https://github.com/openai/openai-agents-python/pull/2021
    """
    match value:
        case dict() if TEXT in value:
            return texts[value[TEXT]]
        case {"role": "assistant", "content": [*parts]} if "type" not in value:
            said = "".join(restored(part, texts).get("text", "") for part in parts)
            return {"role": "assistant", "content": said}
        case dict():
            return {name: restored(each, texts) for name, each in value.items()}
        case list():
            return [restored(each, texts) for each in value]
        case _:
            return value
