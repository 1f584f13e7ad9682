"""What waits for the user's word: cards that ask, and what is kept in the thread meanwhile."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from chatkit.actions import ActionConfig
from chatkit.types import HiddenContextItem, ThreadItem, ThreadMetadata
from chatkit.widgets import DynamicWidgetRoot, WidgetRoot
from pydantic import BaseModel, Field

from core.context import RequestContext
from core.sentences import Sentence
from core.turns.kept_calls import Told, tool_call_item_content

APPROVE, ALWAYS, REJECT = "approval.approve", "approval.always", "approval.reject"
"""The types of the actions that the cards offer."""
WAITING = "waiting"
"""Under this name the thread's metadata has the id of the hidden item that holds what waits."""

# What the cards say.
APPROVE_LABEL, REJECT_LABEL = Sentence("Approve"), Sentence("Reject")
OUTCOMES = {
    "approved": Sentence("Approved."),
    "rejected": Sentence("Not approved."),
    "left": Sentence("Not run: you went on without it."),
    "lost": Sentence(
        "This cannot be done any more, because the program has changed. Nothing was done."
    ),
}

REASON_RULE = Sentence("params.action.payload: the reason is a text of at most 2000 characters.")

# What the model is told, beside the Agents SDK's own words.
NOT_APPROVED = "Not run: the user did not approve it."
LEFT = "Not run: it waited for the user's approval, and the user went on without it."
LOST = "Not run: when the user had decided, the program had changed."
BROKEN_OFF = "Broken off where it waited for the user's approval. What it did before that is done."
BEGUN = "It was begun, and broken off: what came of it is not known."

Decision = Literal["approved", "rejected"]
Outcome = Literal["approved", "rejected", "left", "lost"]


class Pressed(BaseModel):
    """The payload of a card's action: what waits for it; a form may give a reason."""

    waiting: str
    reason: str | None = Field(default=None, max_length=2000)


class KeptCall(BaseModel):
    """A call of the model that has no output yet, and the id of the item that will hold both."""

    call_id: str
    name: str
    arguments: str
    item_id: str
    namespace: str | None = None
    """The tool's, on OpenAI: `tool_namespace` of the Agents SDK."""
    provider_data: dict[str, Any] | None = None
    """What the provider wants back with it, such as Gemini's signature of its thoughts."""
    approved: bool = False
    """Whether the user has approved it: what it did is done, and a Retry does not undo it."""
    begun: bool = False
    """Whether it waits within: an agent that is a tool, which may have used tools of its own."""

    def item(
        self, thread: ThreadMetadata, output: Told, created_at: datetime | None = None
    ) -> HiddenContextItem:
        """The item, which only the model is told."""
        content = tool_call_item_content(self.name, self.arguments, output, self.namespace)
        if self.approved:
            content["approved"] = True
        return HiddenContextItem(
            id=self.item_id,
            thread_id=thread.id,
            created_at=created_at or datetime.now(),
            content=content,
        )


def was_approved(item: ThreadItem) -> bool:
    """Whether the item holds a call that has begun to run because the user approved it."""
    match item:
        case HiddenContextItem(content={"type": "tool_call", "approved": True}):
            return True
        case _:
            return False


class Card(BaseModel):
    """One question to the user, as it is kept."""

    item_id: str
    """The widget's."""
    call_id: str
    name: str
    arguments: str
    agent: str
    decision: Decision | None = None
    always: bool = False
    reason: str | None = None


class Waiting(BaseModel):
    """What goes on when each of its cards is decided, as a hidden item of the thread holds it."""

    type: Literal["waiting"] = "waiting"
    cards: list[Card]
    calls: list[KeptCall]
    """The model's calls of which it is told that they were not run, if nothing comes of it."""
    message_id: str | None
    """The message of the user that is being answered, if it is one."""
    run: dict[str, Any]
    """What it takes to go on; paused_run.py writes and reads it."""

    def card(self, item_id: str) -> Card | None:
        """The card that this widget is, if it is still to be decided."""
        asking = (card for card in self.cards if card.decision is None)
        return next((card for card in asking if card.item_id == item_id), None)

    @property
    def undecided(self) -> int:
        return sum(card.decision is None for card in self.cards)

    def item(self, item_id: str, thread: ThreadMetadata) -> HiddenContextItem:
        """The item that keeps it: only here, deleted with its thread, and sent to nobody."""
        return HiddenContextItem(
            id=item_id,
            thread_id=thread.id,
            created_at=datetime.now(),
            content=self.model_dump(mode="json"),
        )


@dataclass(frozen=True)
class Approval:
    """What the user is asked to approve, for the card that asks, and for the same card later."""

    name: str
    """The tool's."""
    arguments: str
    """Its arguments as the model wrote them, which should be a JSON object."""
    agent: str
    """The name of the agent that wants to use it."""
    approve: ActionConfig
    """Approves this call."""
    always: ActionConfig
    """Approves it, and each further call of the tool until this run has ended."""
    reject: ActionConfig
    """Rejects it. If a form has a field named `reason`, the model is told what is in it."""
    outcome: str | None
    """What was decided, in words of the user's language. None as long as the card has to ask."""


def approval_of(waiting_id: str, card: Card, outcome: str | None) -> Approval:
    """What the card is about."""
    payload = {"waiting": waiting_id}
    return Approval(
        name=card.name,
        arguments=card.arguments,
        agent=card.agent,
        approve=ActionConfig(type=APPROVE, payload=payload),
        always=ActionConfig(type=ALWAYS, payload=payload),
        reject=ActionConfig(type=REJECT, payload=payload),
        outcome=outcome,
    )


def approval_card(approval: Approval, context: RequestContext) -> WidgetRoot:
    """The card about an approval: buttons that decide it, or what was decided."""
    end: dict[str, Any]
    if approval.outcome is None:
        end = {
            "type": "Row",
            "children": [
                button(context.told(APPROVE_LABEL), "primary", approval.approve),
                button(context.told(REJECT_LABEL), "secondary", approval.reject),
            ],
        }
    else:
        end = {"type": "Text", "value": approval.outcome, "weight": "semibold"}
    title = context.told(Sentence("Allow {name}?", name=approval.name))
    return DynamicWidgetRoot.model_validate(
        {
            "type": "Card",
            "size": "md",
            "children": [
                {"type": "Title", "value": title, "size": "sm"},
                *({"type": "Text", "value": line} for line in readable(approval.arguments)),
                end,
            ],
        }
    )


def button(label: str, style: str, action: ActionConfig) -> dict[str, Any]:
    return {
        "type": "Button",
        "label": label,
        "style": style,
        "onClickAction": action.model_dump(),
    }


def readable(arguments: str) -> Iterator[str]:
    """A tool's arguments, each on a line of its own; never as Markdown, which a model may forge."""
    try:
        given = json.loads(arguments)
    except ValueError:
        given = arguments
    if not isinstance(given, dict):
        yield str(given)
        return
    for name, value in given.items():
        said = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        yield f"{name}: {said}"
