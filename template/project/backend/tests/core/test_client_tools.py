"""Tools that the browser runs: what it is asked, and what the model is told."""

from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any

import pytest
from agents import RunContextWrapper, function_tool
from chat_client import Chat, thread_of
from chatkit.agents import AgentContext, ClientToolCall
from chatkit.types import (
    AssistantMessageContent,
    AssistantMessageItem,
    ProgressUpdateEvent,
    ThreadItemDoneEvent,
    ThreadStreamEvent,
    WidgetItem,
)
from pydantic import BaseModel
from scripted_model import ScriptedModel, tool_call
from scripted_server import AGENT, scripted_server

from core.context import RequestContext
from core.stores.base import new_id
from core.turns.agent_server import AgentServer
from core.turns.feature import Feature, equip
from core.turns.server import TurnServer
from core.turns.widget_actions import StreamingAction

from app.wiring import Settings


@function_tool
async def browser_time_zone(context: RunContextWrapper[AgentContext[RequestContext]]) -> None:
    """Ask the browser for its time zone."""
    context.context.client_tool_call = ClientToolCall(name="browser_time_zone", arguments={})


@function_tool
async def lost_browser() -> None:
    """Ask a browser that is not there."""
    raise ConnectionError


async def note(
    payload: BaseModel, sender: WidgetItem | None, context: RequestContext
) -> AsyncIterator[ThreadStreamEvent]:
    yield ProgressUpdateEvent(text="Noting it …")
    if payload.model_extra:
        yield ThreadItemDoneEvent(
            item=AssistantMessageItem(
                id=new_id("message"),
                thread_id=context.thread.id,
                created_at=datetime.now(),
                content=[AssistantMessageContent(text="Noted.")],
            )
        )


class Note(BaseModel, extra="allow"):
    pass


BROWSER = Feature(
    client_tools=[browser_time_zone],
    actions={"note": StreamingAction(Note, note, sender="any")},
)
LOST = Feature(client_tools=[lost_browser])
ASK_TIME_ZONE = tool_call("browser_time_zone")
THROW_DIE = tool_call("throw_die", call_id="call_2")
BERLIN = {"time_zone": "Europe/Berlin"}


@pytest.fixture
def model() -> ScriptedModel:
    return ScriptedModel()


@pytest.fixture
def server(settings: Settings, model: ScriptedModel) -> TurnServer:
    return scripted_server(settings, model, features=[BROWSER, LOST])


def items(chat: Chat, thread_id: str, type: str) -> list[dict[str, Any]]:
    page = chat.post("items.list", thread_id=thread_id, order="asc").json()
    return [item for item in page["data"] if item["type"] == type]


def inputs(model: ScriptedModel, type: str) -> list[Any]:
    """What the model was told of this type, the last time it was asked."""
    return [item for item in model.inputs[-1] if item.get("type") == type]


def output(chat: Chat, thread_id: str, result: Any) -> list[dict[str, Any]]:
    return chat.stream("threads.add_client_tool_output", thread_id=thread_id, result=result)


def test_the_browser_runs_tools_one_after_the_other(chat: Chat, model: ScriptedModel) -> None:
    model.answers[:] = [ASK_TIME_ZONE, ASK_TIME_ZONE, "It is noon."]
    events = chat.say("What time is it here?")
    thread_id = thread_of(events)
    for _ in range(2):
        assert "pending" in [call["status"] for call in items(chat, thread_id, "client_tool_call")]
        output(chat, thread_id, BERLIN)
    assert chat.messages(thread_id) == ["What time is it here?", "It is noon."]
    calls, outputs = inputs(model, "function_call"), inputs(model, "function_call_output")
    assert len(calls) == len(outputs) == 2
    call_ids = [call["call_id"] for call in calls]
    assert call_ids == [given["call_id"] for given in outputs]
    assert len(set(call_ids)) == 2
    assert "Europe/Berlin" in outputs[0]["output"]


def test_server_and_client_tools_at_once_are_all_remembered(
    chat: Chat, model: ScriptedModel
) -> None:
    model.answers[:] = [[ASK_TIME_ZONE, THROW_DIE], "It is noon, and a six."]
    thread_id = thread_of(chat.say("Throw a die, and what time is it here?"))
    output(chat, thread_id, BERLIN)
    outputs = [given["output"] for given in inputs(model, "function_call_output")]
    assert len(outputs) == 2
    assert any("A six." in given for given in outputs)
    assert any("Europe/Berlin" in given for given in outputs)


def test_the_model_goes_on_where_a_client_tool_fails(chat: Chat, model: ScriptedModel) -> None:
    lost = tool_call("lost_browser", call_id="call_3")
    model.answers[:] = [lost, ASK_TIME_ZONE, "It is noon."]
    thread_id = thread_of(chat.say("What time is it here?"))
    assert chat.messages(thread_id) == ["What time is it here?"]
    output(chat, thread_id, BERLIN)
    assert chat.messages(thread_id) == ["What time is it here?", "It is noon."]
    failed, answered = [given["output"] for given in inputs(model, "function_call_output")]
    assert "error" in failed
    assert "Europe/Berlin" in answered


def test_of_two_client_tools_at_once_the_model_knows_which_was_not_run(
    chat: Chat, model: ScriptedModel
) -> None:
    again = ASK_TIME_ZONE.model_copy(update={"call_id": "call_2"})
    model.answers[:] = [[ASK_TIME_ZONE, again], "It is noon."]
    events = chat.say("What time is it here?")
    asked = [event for event in events if "client_tool_call" in str(event)]
    assert len(asked) == 1
    output(chat, thread_of(events), BERLIN)
    outputs = [given["output"] for given in inputs(model, "function_call_output")]
    assert len(outputs) == len(inputs(model, "function_call")) == 2
    assert "one tool at a time" in outputs[0]


def test_whoever_goes_on_without_the_tool_is_answered(chat: Chat, model: ScriptedModel) -> None:
    model.answers[:] = [ASK_TIME_ZONE, "Never mind then."]
    thread_id = thread_of(chat.say("What time is it here?"))
    chat.say("Never mind.", thread_id)
    assert chat.messages(thread_id)[-1] == "Never mind then."
    [call] = items(chat, thread_id, "client_tool_call")
    assert call["status"] == "completed"
    assert "not run" in inputs(model, "function_call_output")[0]["output"]
    late = chat.post("threads.add_client_tool_output", thread_id=thread_id, result=BERLIN)
    assert late.status_code == 409


@pytest.mark.parametrize("payload", [{}, {"show": True}])
def test_an_action_meanwhile_leaves_the_tool_to_the_browser(
    chat: Chat, model: ScriptedModel, payload: dict[str, bool]
) -> None:
    model.answers[:] = [ASK_TIME_ZONE, "It is noon."]
    thread_id = thread_of(chat.say("What time is it here?"))
    action = {"type": "note", "payload": payload}
    events = chat.stream("threads.custom_action", thread_id=thread_id, action=action)
    assert "client_tool_call" not in str(events)
    [call] = items(chat, thread_id, "client_tool_call")
    events = output(chat, thread_id, BERLIN)
    noted = ["Noted."] if payload else []
    assert chat.messages(thread_id) == ["What time is it here?", *noted, "It is noon."]
    assert "Europe/Berlin" in model.inputs[-1][-1]["output"]
    # A client has it where a reload brings it.
    [told] = [event for event in events if event.get("item", {}).get("id") == call["id"]]
    removed = [event for event in events if event.get("item_id") == call["id"]]
    kinds = ["thread.item.removed", "thread.item.done"] if payload else ["thread.item.replaced"]
    assert [event["type"] for event in [*removed, told]] == kinds
    assert told["item"]["status"] == "completed"


def test_only_the_model_sees_what_the_tools_returned(chat: Chat, model: ScriptedModel) -> None:
    model.answers[:] = [THROW_DIE, "Not bad!"]
    events = chat.say("Throw a die.")
    thread_id = thread_of(events)
    shown = str(events) + chat.post("items.list", thread_id=thread_id).text
    shown += chat.post("threads.get_by_id", thread_id=thread_id).text
    assert "A six." not in shown
    assert "hidden" not in shown


def test_an_agent_whose_runs_end_at_other_tools_is_refused(
    settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    other = AGENT.clone(tool_use_behavior="stop_on_first_tool")
    with pytest.raises(SystemExit):
        scripted_server(settings, ScriptedModel(), agent=other, features=[BROWSER])
    assert "StopAtTools" in capsys.readouterr().err
    equip(other, [Feature()])
    assert other.tool_use_behavior == "stop_on_first_tool"


def test_such_an_agent_of_one_turn_ends_that_turn_alone(
    chat: Chat, model: ScriptedModel, server: AgentServer
) -> None:
    server.agent = AGENT.clone(tool_use_behavior="stop_on_first_tool")
    [error] = [event for event in chat.say("Hello") if event["type"] == "error"]
    assert "set up wrongly" in error["message"]
    server.agent = AGENT.clone()
    model.answers[:] = ["Hello."]
    assert chat.messages(thread_of(chat.say("Hello")))[-1] == "Hello."


def test_two_features_cannot_have_the_same_action(
    settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    one = Feature(actions={"go": StreamingAction(BaseModel, go)})
    with pytest.raises(SystemExit):
        scripted_server(settings, ScriptedModel(), features=[one, one])
    assert "Two features have an action of the type go." in capsys.readouterr().err


async def go(
    payload: BaseModel, sender: WidgetItem, context: RequestContext
) -> AsyncIterator[ThreadStreamEvent]:
    raise AssertionError("nobody asks for it")
    yield
