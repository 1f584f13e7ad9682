"""Tools that ask for approval: what the user is shown, what runs, and what the model is told."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from agents import function_tool
from chat_client import Chat, serving, thread_of
from chatkit.types import ThreadStreamEvent
from chatkit.widgets import DynamicWidgetRoot, WidgetRoot
from scripted_model import ScriptedModel, tool_call
from scripted_server import AGENT, scripted_server

from core.context import RequestContext
from core.turns.agent_server import AgentServer
from core.turns.approval_server import ApprovalServer
from core.turns.approvals import ALWAYS, APPROVE, LEFT, OUTCOMES, REJECT, Approval
from core.turns.server import TurnServer

from app.wiring import Settings, build_app

deleted: list[str] = []
"""What the tool has deleted."""


@function_tool(needs_approval=True)
async def delete_file(path: str) -> str:
    """Delete a file."""
    deleted.append(path)
    return f"{path} is gone."


TOOLS = [*AGENT.tools, delete_file]
DELETE = tool_call("delete_file", '{"path": "/old"}')
DELETE_OTHER = tool_call("delete_file", '{"path": "/other"}', call_id="call_2")


@pytest.fixture
def model() -> ScriptedModel:
    deleted.clear()
    return ScriptedModel()


@pytest.fixture
def server(settings: Settings, model: ScriptedModel) -> TurnServer:
    return scripted_server(settings, model, agent=AGENT.clone(tools=TOOLS))


def cards(chat: Chat, thread_id: str) -> list[dict[str, Any]]:
    page = chat.post("items.list", thread_id=thread_id, order="asc").json()
    return [item for item in page["data"] if item["type"] == "widget"]


def offers(card: dict[str, Any]) -> dict[str, Any]:
    """The actions of the card's buttons, by their types."""
    row = card["widget"]["children"][-1]
    found = [button["onClickAction"] for button in row.get("children") or []]
    return {action["type"]: action for action in found}


def pressed(card: dict[str, Any], type: str) -> dict[str, Any]:
    """What a client sends when the button is pressed."""
    action = {name: offers(card)[type][name] for name in ("type", "payload")}
    return {"thread_id": card["thread_id"], "item_id": card["id"], "action": action}


def press(chat: Chat, card: dict[str, Any], type: str) -> list[dict[str, Any]]:
    return chat.stream("threads.custom_action", **pressed(card, type))


def outputs(model: ScriptedModel) -> list[str]:
    """What the model was told that its calls have given, the last time it was asked."""
    calls = [item["call_id"] for item in model.inputs[-1] if item.get("type") == "function_call"]
    given = [item for item in model.inputs[-1] if item.get("type") == "function_call_output"]
    assert sorted(calls) == sorted(item["call_id"] for item in given)
    return [item["output"] for item in given]


def test_an_approved_tool_runs_once_and_its_answer_follows(
    chat: Chat, model: ScriptedModel
) -> None:
    model.answers[:] = [DELETE, "It is deleted.", "Yes."]
    thread_id = thread_of(events := chat.say("Delete the old file."))
    assert not [event for event in events if event["type"] == "error"]
    [card] = cards(chat, thread_id)
    assert "delete_file" in str(card["widget"])
    assert "/old" in str(card["widget"])
    assert not deleted
    decision = pressed(card, APPROVE)
    assert "It is deleted." in str(press(chat, card, APPROVE))
    [card] = cards(chat, thread_id)
    assert "Approved." in str(card["widget"])
    assert not offers(card)
    assert chat.post("threads.custom_action", **decision).status_code == 409
    chat.say("Really?", thread_id)
    assert outputs(model) == ["/old is gone."]
    assert deleted == ["/old"]


def test_what_the_user_has_gone_on_without_under_an_older_release_is_not_run(
    chat: Chat, model: ScriptedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def leave_nothing(*_: Any) -> AsyncIterator[ThreadStreamEvent]:
        return
        yield

    model.answers[:] = [DELETE, "As you like.", "Nothing."]
    thread_id = thread_of(chat.say("Delete the old file."))
    [card] = cards(chat, thread_id)
    with monkeypatch.context() as older:
        older.setattr(ApprovalServer, "_leave", leave_nothing)
        older.setattr("core.turns.agent_server.WAITING", "unknown")
        chat.say("Never mind.", thread_id)
    assert chat.post("threads.custom_action", **pressed(card, APPROVE)).status_code == 409
    chat.say("What now?", thread_id)
    [card] = cards(chat, thread_id)
    assert OUTCOMES["left"] in str(card["widget"])
    assert not deleted


def test_what_is_rejected_is_not_run_and_the_model_knows(chat: Chat, model: ScriptedModel) -> None:
    model.answers[:] = [DELETE, "As you like.", "No."]
    thread_id = thread_of(chat.say("Delete the old file."))
    [card] = cards(chat, thread_id)
    decision = pressed(card, REJECT)
    decision["action"]["payload"]["reason"] = "It is precious."
    assert "As you like." in str(chat.stream("threads.custom_action", **decision))
    assert "It is precious." in outputs(model)[0]
    chat.say("Is it deleted?", thread_id)
    assert "not approve" in outputs(model)[0]
    assert not deleted


def test_the_run_goes_on_when_all_is_decided(chat: Chat, model: ScriptedModel) -> None:
    model.answers[:] = [[DELETE, DELETE_OTHER], "One of them is deleted."]
    thread_id = thread_of(chat.say("Delete both."))
    one, other = cards(chat, thread_id)
    assert "1 more" in str(press(chat, one, REJECT))
    assert len(model.inputs) == 1
    assert chat.post("threads.custom_action", **pressed(one, APPROVE)).status_code == 409
    assert "One of them is deleted." in str(press(chat, other, APPROVE))
    assert deleted == ["/other"]
    assert not [offer for card in cards(chat, thread_id) for offer in offers(card)]


def test_a_new_message_counts_as_no(chat: Chat, model: ScriptedModel) -> None:
    model.answers[:] = [DELETE, "Never mind then."]
    thread_id = thread_of(chat.say("Delete the old file."))
    [card] = cards(chat, thread_id)
    late = pressed(card, APPROVE)
    events = chat.say("Never mind.", thread_id)
    assert "you went on" in str(events)
    assert outputs(model) == [LEFT]
    assert chat.messages(thread_id)[-1] == "Never mind then."
    assert chat.post("threads.custom_action", **late).status_code == 409
    assert not deleted


def test_an_agent_that_lost_the_tool_closes_the_card(
    chat: Chat, model: ScriptedModel, server: AgentServer
) -> None:
    model.answers[:] = [DELETE, "I cannot."]
    thread_id = thread_of(chat.say("Delete the old file."))
    server.agent = AGENT
    [card] = cards(chat, thread_id)
    assert "the program has changed" in str(press(chat, card, APPROVE))
    assert not offers(cards(chat, thread_id)[0])
    chat.say("And now?", thread_id)
    assert chat.messages(thread_id)[-1] == "I cannot."
    assert not deleted


class OwnCards(AgentServer):
    """With cards of its own, and with actions of its own that have nothing to do with them."""

    def approval_card(self, approval: Approval, context: RequestContext) -> WidgetRoot:
        button = {
            "type": "Button",
            "label": "Always",
            "onClickAction": approval.always.model_dump(),
        }
        children = [{"type": "Row", "children": [] if approval.outcome else [button]}]
        return DynamicWidgetRoot.model_validate({"type": "Card", "children": children})

    async def action(self, *args: Any) -> AsyncIterator[ThreadStreamEvent]:
        raise AssertionError("nobody asks for it")
        yield


def test_a_project_may_offer_to_approve_a_tool_once_and_for_all(
    settings: Settings, model: ScriptedModel
) -> None:
    agent = AGENT.clone(tools=TOOLS)
    server = scripted_server(settings, model, kind=OwnCards, agent=agent)
    model.answers[:] = [DELETE, DELETE_OTHER, "Both are deleted."]
    with serving(build_app(settings, server)) as http:
        chat = Chat(http)
        thread_id = thread_of(chat.say("Delete both."))
        [card] = cards(chat, thread_id)
        refused = {**pressed(card, ALWAYS), "action": {**offers(card)[ALWAYS], "type": APPROVE}}
        assert chat.post("threads.custom_action", **refused).status_code == 409
        assert "Both are deleted." in str(press(chat, card, ALWAYS))
    assert deleted == ["/old", "/other"]
