"""Tools, client tools, widgets and what is kept of them, on every provider's wire format."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from tests.backend import Backend
from tests.providers import REMOTE, production, talking_to
from tests.standins import Answer, StandIn, Text, ToolCall, chat_completions, wire

ASK_TIME_ZONE = ToolCall("browser_time_zone", {})
TOKYO = ToolCall("current_time", {"time_zone": "Asia/Tokyo"})
SHOW_MENU = ToolCall("show_menu", {})


@contextmanager
def with_tools(standin: StandIn, folder: Path, provider: str, **env: str) -> Iterator[Backend]:
    with production(standin, folder, provider, **env) as (backend, _):
        yield backend


def told(standin: StandIn, role: str) -> list[str]:
    return [what for who, what in standin.requests[-1].turns if who == role]


@pytest.mark.parametrize("provider", REMOTE)
def test_the_browser_answers_two_tools_in_a_row_and_the_next_turn_knows(
    provider: str, standin: StandIn, tmp_path: Path
) -> None:
    standin.answers(
        Answer(Text("Let me ask."), ASK_TIME_ZONE),
        Answer(ASK_TIME_ZONE),
        Answer(Text("It is noon.")),
        Answer(Text("Yes.")),
    )
    with with_tools(standin, tmp_path, provider) as backend:
        turn = backend.say("What time is it here?")
        for number in (1, 2):
            asked = [i for i in turn.items.values() if i["type"] == "client_tool_call"]
            assert [call["status"] for call in asked].count("pending") == 1
            result = {"time_zone": "Europe/Berlin", "number": number}
            turn = backend.turn(
                "threads.add_client_tool_output", thread_id=turn.thread, result=result
            )
            assert not turn.errors
        assert turn.text == "It is noon."
        assert backend.say("Are you sure?", turn.thread).text == "Yes."
        assert not [item for item in backend.items(turn.thread) if "hidden" in item["type"]]
    calls, outputs = told(standin, "tool_call"), told(standin, "tool_output")
    assert calls == [str(ASK_TIME_ZONE)] * 2
    assert ["number" in output for output in outputs] == [True, True]


@pytest.mark.parametrize("provider", REMOTE)
def test_server_and_client_tools_of_one_answer_are_all_told_to_the_model(
    provider: str, standin: StandIn, tmp_path: Path
) -> None:
    standin.answers(Answer(TOKYO, ASK_TIME_ZONE, ASK_TIME_ZONE), Answer(Text("Late and noon.")))
    with with_tools(standin, tmp_path, provider) as backend:
        turn = backend.say("What time is it in Tokyo, and here?")
        asked = [item for item in turn.items.values() if item["type"] == "client_tool_call"]
        assert len(asked) == 1
        result = {"time_zone": "Europe/Berlin"}
        turn = backend.turn("threads.add_client_tool_output", thread_id=turn.thread, result=result)
        assert turn.text == "Late and noon."
        assert not turn.errors
    calls, outputs = told(standin, "tool_call"), told(standin, "tool_output")
    assert sorted(calls) == sorted([str(TOKYO), str(ASK_TIME_ZONE), str(ASK_TIME_ZONE)])
    for words in ("JST", "Europe/Berlin", "one tool at a time"):
        assert len([output for output in outputs if words in output]) == 1


@pytest.mark.parametrize("provider", REMOTE)
def test_whoever_goes_on_without_the_client_tool_is_answered(
    provider: str, standin: StandIn, tmp_path: Path
) -> None:
    standin.answers(Answer(ASK_TIME_ZONE), Answer(Text("Never mind.")))
    with with_tools(standin, tmp_path, provider) as backend:
        turn = backend.say("What time is it here?")
        turn = backend.say("Forget it.", turn.thread)
        assert turn.text == "Never mind."
        assert not turn.errors
    assert "not run" in told(standin, "tool_output")[0]


@pytest.mark.parametrize("provider", REMOTE)
def test_a_widget_and_what_the_user_did_with_it_reach_the_next_turn(
    provider: str, standin: StandIn, tmp_path: Path
) -> None:
    standin.answers(Answer(SHOW_MENU), Answer(Text("Enjoy!")), Answer(Text("You ordered soup.")))
    with with_tools(standin, tmp_path, provider) as backend:
        turn = backend.say("What is for lunch?")
        [menu] = [item for item in turn.items.values() if item["type"] == "widget"]
        choice = {"type": "lunch.choose", "payload": {"dish": "soup"}}
        form = {"type": "lunch.order", "payload": {"dish": "soup", "portions": 2}}
        for action in (choice, form):
            params = {"thread_id": turn.thread, "item_id": menu["id"], "action": action}
            assert not backend.turn("threads.custom_action", **params).errors
        turn = backend.say("What did I order?", turn.thread)
        assert turn.text == "You ordered soup."
        assert not turn.errors
        [card] = [item for item in backend.items(turn.thread) if item["type"] == "widget"]
        assert "Pumpkin soup, 2 portions" in str(card)
    # A local model is told what a tool has shown together with the tool's output.
    seen = " ".join(told(standin, "user") + told(standin, "tool_output"))
    assert "The user ordered: Pumpkin soup, 2 portions." in seen
    assert "The kitchen has your order." in seen
    assert "data:image" not in seen


@pytest.mark.parametrize("provider", REMOTE)
def test_the_model_names_the_thread(provider: str, standin: StandIn, tmp_path: Path) -> None:
    standin.always(Answer(Text("Tea in Kyoto")))
    with with_tools(standin, tmp_path, provider, TITLES="true") as backend:
        turn = backend.say("Where can I drink tea?")
        assert turn.text == "Tea in Kyoto"
        deadline = time.monotonic() + 5
        while (thread := backend.ask("threads.list")["data"][0])["title"] != "Tea in Kyoto":
            assert time.monotonic() < deadline, thread
    systems = [request.system for request in standin.requests]
    assert sorted("You name conversations." in system for system in systems) == [False, True]


@pytest.mark.parametrize("provider", REMOTE)
def test_a_thread_with_every_kind_of_item_can_go_on(
    provider: str, standin: StandIn, tmp_path: Path
) -> None:
    standin.answers(Answer(Text("Hello.")), Answer(Text("Still here.")))
    with with_tools(standin, tmp_path, provider) as backend:
        turn = backend.say("Hello")
        asyncio.run(fill(backend, turn.thread))
        turn = backend.say("Are you there?", turn.thread)
        assert turn.text == "Still here."
        assert not turn.errors
    users = " ".join(told(standin, "user"))
    for words in ("Which size?: Large", "Booked: a table", "Only the model knows."):
        assert words in users
    # One that nobody answered was not run: the user went on without it.
    calls = [str(ToolCall(name, {"a": 1})) for name in ("waits", "done")]
    assert told(standin, "tool_call") == calls
    assert "not run" in told(standin, "tool_output")[0]


async def fill(backend: Backend, thread_id: str) -> None:
    """Give the thread the kinds of items that no test above makes."""
    from chatkit import types

    from core.context import RequestContext

    rest: dict[str, Any] = {"thread_id": thread_id, "created_at": datetime.now()}
    task = types.CustomTask(title="Booked", content="a table")
    question = types.StructuredInputMultipleChoice(
        id="q_1",
        question="Which size?",
        options=[types.StructuredInputMultipleChoiceOption(label="Large", value="Large")],
        answer=types.StructuredInputAnswer(values=["Large"]),
    )
    call: dict[str, Any] = {"call_id": "call_1", "arguments": {"a": 1}, **rest}
    items: list[types.ThreadItem] = [
        types.ClientToolCallItem(id="tc_1", name="waits", **call),
        types.ClientToolCallItem(id="tc_2", name="done", status="completed", output=2, **call),
        types.StructuredInputItem(id="msg_q", inputs=[question], status="answered", **rest),
        types.TaskItem(id="tsk_1", task=task, **rest),
        types.WorkflowItem(id="wf_1", workflow=types.Workflow(type="custom", tasks=[task]), **rest),
        types.EndOfTurnItem(id="end_1", **rest),
        types.HiddenContextItem(id="hid_1", content="Only the model knows.", **rest),
        types.HiddenContextItem(id="hid_2", content={"type": "of my own"}, **rest),
    ]
    store = backend.main.server.store
    for item in items:
        await store.add_thread_item(thread_id, item, RequestContext(user_id="ada"))


@pytest.mark.parametrize("call_id", ["call_0", ""])
def test_a_server_may_count_its_calls_anew_or_not_at_all(
    call_id: str, standin: StandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The Agents SDK fails where two calls of a run have the same id."""
    token = wire.token
    monkeypatch.setattr(
        chat_completions,
        "token",
        lambda prefix, *length: call_id if prefix == "call_" else token(prefix, *length),
    )
    zones = ["Asia/Tokyo", "Europe/Berlin", "Europe/Rome"]
    tokyo, berlin, rome = (ToolCall("current_time", {"time_zone": zone}) for zone in zones)
    standin.answers(Answer(tokyo), Answer(berlin, rome), Answer(Text("It is late.")))
    with talking_to(standin, tmp_path) as backend:
        turn = backend.say("What time is it there?")
        assert (turn.errors, turn.text) == ([], "It is late.")
    messages = standin.requests[-1].body["messages"]
    asked = [call["id"] for message in messages for call in message.get("tool_calls") or ()]
    answered = [message["tool_call_id"] for message in messages if message["role"] == "tool"]
    assert sorted(asked) == sorted(answered)
    assert len({*asked, ""}) == 4
