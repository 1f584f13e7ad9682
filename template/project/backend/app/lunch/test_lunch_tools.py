"""The tools of the lunch example: what they show, and what the model is told."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from chat_client import Chat, thread_of
from scripted_model import ScriptedModel, tool_call
from scripted_server import scripted_server

from core.turns.server import TurnServer

from app.lunch import LUNCH, kitchen
from app.wiring import Settings


@pytest.fixture
def model() -> ScriptedModel:
    return ScriptedModel()


@pytest.fixture
def server(settings: Settings, model: ScriptedModel) -> TurnServer:
    kitchen._orders.clear()
    return scripted_server(settings, model, features=[LUNCH])


def items(chat: Chat, thread_id: str, type: str) -> list[dict[str, Any]]:
    page = chat.post("items.list", thread_id=thread_id, order="asc").json()
    return [item for item in page["data"] if item["type"] == type]


def inputs(model: ScriptedModel, type: str) -> list[Any]:
    """What the model was told of this type, the last time it was asked."""
    return [item for item in model.inputs[-1] if item.get("type") == type]


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
    [call] = inputs(model, "function_call")
    assert call["name"] == "show_menu"
    assert "sees the menu" in inputs(model, "function_call_output")[0]["output"]
    assert "Pumpkin soup · € 4.50" in str(model.inputs[-1])
    assert "ListViewItem" not in str(model.inputs[-1])


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
    async def stuck(order: kitchen.Order) -> AsyncIterator[str]:
        yield "The kitchen has your order."
        await asyncio.Event().wait()

    monkeypatch.setattr(kitchen, "preparation", stuck)
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
    async def broken(order: kitchen.Order) -> AsyncIterator[str]:
        yield "The kitchen has your order."
        raise RuntimeError

    monkeypatch.setattr(kitchen, "preparation", broken)
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
    assert inputs(model, "function_call_output")[0]["output"] == "Miso ramen is sold out today."
    assert not [event for event in events if event["type"] == "error"]
    assert not items(chat, thread_of(events), "widget")


def test_a_defect_in_a_tool_is_not_told_in_detail(
    chat: Chat, model: ScriptedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kitchen, "dish_named", lambda name: 1 / 0)
    model.answers[:] = [tool_call("order_lunch", '{"dish": "soup", "portions": 1}'), "Sorry."]
    chat.say("A soup, please.")
    assert "division" not in str(model.inputs)
    assert "The tool failed" in inputs(model, "function_call_output")[0]["output"]
