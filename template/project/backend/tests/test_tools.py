"""The tools: what they show, what the model is told, and what the browser is asked."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from conftest import Chat, thread_of
from production import production_server
from scripted_model import ScriptedModel, tool_call

from app import lunch, tools
from app.agent import agent
from app.production import with_tools
from app.protocol import ProtocolServer
from app.wiring import Settings

ASK_TIME_ZONE = tool_call("browser_time_zone")
SHOW_MENU = tool_call("show_menu", call_id="call_2")
BERLIN = {"time_zone": "Europe/Berlin"}


@pytest.fixture
def model() -> ScriptedModel:
    return ScriptedModel()


@pytest.fixture
def server(settings: Settings, model: ScriptedModel) -> ProtocolServer:
    lunch._orders.clear()
    return production_server(settings, model)


def items(chat: Chat, thread_id: str, type: str) -> list[dict[str, Any]]:
    page = chat.post("items.list", thread_id=thread_id, order="asc").json()
    return [item for item in page["data"] if item["type"] == type]


def told(model: ScriptedModel, type: str) -> list[Any]:
    """What the model was told of this type, the last time it was asked."""
    return [item for item in model.told[-1] if item.get("type") == type]


def output(chat: Chat, thread_id: str, result: Any) -> list[dict[str, Any]]:
    return chat.stream("threads.add_client_tool_output", thread_id=thread_id, result=result)


def test_a_tool_tells_its_progress_and_shows_a_widget(chat: Chat, model: ScriptedModel) -> None:
    model.answers[:] = [tool_call("show_menu"), "Enjoy!", "You are welcome."]
    events = chat.say("What is for lunch?")
    assert [event["text"] for event in events if event["type"] == "progress_update"] == [
        "Opening today's menu",
        "Found 4 dishes",
    ]
    thread_id = thread_of(events)
    [menu] = items(chat, thread_id, "widget")
    assert menu["widget"]["type"] == "ListView"
    assert len(menu["widget"]["children"]) == 4

    chat.say("Thanks!", thread_id)
    # The next turn knows of the call, its output, and what the user saw.
    [call] = told(model, "function_call")
    assert call["name"] == "show_menu"
    assert "sees the menu" in told(model, "function_call_output")[0]["output"]
    assert "Pumpkin soup · € 4.50" in str(model.told[-1])
    assert "ListViewItem" not in str(model.told[-1])


def test_a_widget_grows_while_the_tool_works(chat: Chat, model: ScriptedModel) -> None:
    order = tool_call("order_lunch", '{"dish": "Greek salad", "portions": 2}')
    model.answers[:] = [order, "It is on its way."]
    events = chat.say("Two Greek salads, please.")
    grown = [event["update"] for event in events if event["type"] == "thread.item.updated"]
    deltas = [update["delta"] for update in grown if "component_id" in update]
    assert deltas == [" It is being prepared.", " It is ready at noon."]
    [card] = items(chat, thread_of(events), "widget")
    assert "The kitchen has your order. It is being prepared. It is ready" in str(card)


def test_a_widget_that_is_not_done_goes_with_whoever_leaves(
    chat: Chat, model: ScriptedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def stuck(order: lunch.Order) -> AsyncIterator[str]:
        yield "The kitchen has your order."
        await asyncio.Event().wait()

    monkeypatch.setattr(lunch, "preparation", stuck)
    order = tool_call("order_lunch", '{"dish": "soup", "portions": 1}')
    model.answers[:] = ["Hello.", order, "There it was stuck."]
    thread_id = thread_of(chat.say("Hello"))
    content = [{"type": "input_text", "text": "A soup, please."}]
    message = {"content": content, "attachments": [], "inference_options": {}}
    params = {"thread_id": thread_id, "input": message}
    body = {"type": "threads.add_user_message", "params": params}
    with chat.http.stream("POST", "/chatkit", json=body) as response:
        assert any("The kitchen has your order." in line for line in response.iter_lines())
    # The next message waits for the end of the turn that was left.
    chat.say("What became of it?", thread_id)
    assert not items(chat, thread_id, "widget")
    assert chat.messages(thread_id)[-1] == "There it was stuck."


def test_a_widget_whose_tool_fails_in_the_middle_goes(
    chat: Chat, model: ScriptedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(order: lunch.Order) -> AsyncIterator[str]:
        yield "The kitchen has your order."
        raise RuntimeError

    monkeypatch.setattr(lunch, "preparation", broken)
    model.answers[:] = [tool_call("order_lunch", '{"dish": "soup", "portions": 1}'), "Sorry."]
    events = chat.say("A soup, please.")
    [begun] = [e["item"]["id"] for e in events if "widget" in e.get("item", {}).get("type", "")]
    removed = [event["item_id"] for event in events if event["type"] == "thread.item.removed"]
    assert removed == [begun]
    assert chat.messages(thread_of(events))[-1] == "Sorry."


def test_a_tool_that_fails_says_why(chat: Chat, model: ScriptedModel) -> None:
    ramen = tool_call("order_lunch", '{"dish": "miso ramen", "portions": 1}')
    model.answers[:] = [ramen, "Sorry, there is none left."]
    events = chat.say("A ramen, please.")
    assert told(model, "function_call_output")[0]["output"] == "Miso ramen is sold out today."
    assert not [event for event in events if event["type"] == "error"]
    assert not items(chat, thread_of(events), "widget")


def test_a_defect_in_a_tool_is_not_told_in_detail(
    chat: Chat, model: ScriptedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lunch, "dish_named", lambda name: 1 / 0)
    model.answers[:] = [tool_call("order_lunch", '{"dish": "soup", "portions": 1}'), "Sorry."]
    chat.say("A soup, please.")
    assert "division" not in str(model.told)
    assert "The tool failed" in told(model, "function_call_output")[0]["output"]


def test_the_browser_runs_tools_one_after_the_other(chat: Chat, model: ScriptedModel) -> None:
    model.answers[:] = [ASK_TIME_ZONE, ASK_TIME_ZONE, "It is noon."]
    events = chat.say("What time is it here?")
    thread_id = thread_of(events)
    for _ in range(2):
        assert "pending" in [call["status"] for call in items(chat, thread_id, "client_tool_call")]
        output(chat, thread_id, BERLIN)
    assert chat.messages(thread_id) == ["What time is it here?", "It is noon."]
    calls, outputs = told(model, "function_call"), told(model, "function_call_output")
    assert len(calls) == len(outputs) == 2
    call_ids = [call["call_id"] for call in calls]
    assert call_ids == [given["call_id"] for given in outputs]
    assert len(set(call_ids)) == 2
    assert "Europe/Berlin" in outputs[0]["output"]


def test_server_and_client_tools_at_once_are_all_remembered(
    chat: Chat, model: ScriptedModel
) -> None:
    model.answers[:] = [[ASK_TIME_ZONE, SHOW_MENU], "Lunch is at noon."]
    thread_id = thread_of(chat.say("What is for lunch, and what time is it here?"))
    output(chat, thread_id, BERLIN)
    outputs = [given["output"] for given in told(model, "function_call_output")]
    assert len(outputs) == 2
    assert any("sees the menu" in given for given in outputs)
    assert any("Europe/Berlin" in given for given in outputs)


def test_of_two_client_tools_at_once_the_model_knows_which_was_not_run(
    chat: Chat, model: ScriptedModel
) -> None:
    again = ASK_TIME_ZONE.model_copy(update={"call_id": "call_2"})
    model.answers[:] = [[ASK_TIME_ZONE, again], "It is noon."]
    events = chat.say("What time is it here?")
    asked = [event for event in events if "client_tool_call" in str(event)]
    assert len(asked) == 1
    output(chat, thread_of(events), BERLIN)
    outputs = [given["output"] for given in told(model, "function_call_output")]
    assert len(outputs) == len(told(model, "function_call")) == 2
    assert "one tool at a time" in outputs[0]


def test_whoever_goes_on_without_the_tool_is_answered(chat: Chat, model: ScriptedModel) -> None:
    model.answers[:] = [ASK_TIME_ZONE, "Never mind then."]
    thread_id = thread_of(chat.say("What time is it here?"))
    chat.say("Never mind.", thread_id)
    assert chat.messages(thread_id)[-1] == "Never mind then."
    [call] = items(chat, thread_id, "client_tool_call")
    assert call["status"] == "completed"
    assert "not run" in told(model, "function_call_output")[0]["output"]
    late = chat.post("threads.add_client_tool_output", thread_id=thread_id, result=BERLIN)
    assert late.status_code == 409


def test_only_the_model_sees_what_the_tools_returned(chat: Chat, model: ScriptedModel) -> None:
    model.answers[:] = [SHOW_MENU, "Enjoy!"]
    events = chat.say("What is for lunch?")
    thread_id = thread_of(events)
    shown = str(events) + chat.post("items.list", thread_id=thread_id).text
    shown += chat.post("threads.get_by_id", thread_id=thread_id).text
    assert "sees the menu" not in shown
    assert "hidden" not in shown


def test_an_agent_whose_runs_end_at_other_tools_is_refused(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    other = agent.clone(tool_use_behavior="stop_on_first_tool")
    with pytest.raises(SystemExit):
        with_tools(other)
    assert "StopAtTools" in capsys.readouterr().err
    monkeypatch.setattr(tools, "CLIENT_TOOLS", [])
    assert with_tools(other).tool_use_behavior == "stop_on_first_tool"
