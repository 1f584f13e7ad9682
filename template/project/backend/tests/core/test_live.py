"""What a client has seen is what it gets again when it loads the thread anew."""

from typing import Any

import pytest
from chat_client import Chat, thread_of
from live import applied
from scripted_model import ScriptedModel, tool_call
from scripted_server import scripted_server
from shown_things import ACTIONS, AGENT, EVERY_COMPONENT, ask_browser

from core.stores.records import without_nulls
from core.turns.agent_server import AgentServer
from core.turns.feature import Feature

from app.wiring import Settings


@pytest.fixture
def model() -> ScriptedModel:
    return ScriptedModel()


@pytest.fixture
def server(settings: Settings, model: ScriptedModel) -> AgentServer:
    browser = Feature(client_tools=[ask_browser], actions=ACTIONS)
    return scripted_server(settings, model, agent=AGENT, features=[browser])


def loaded(chat: Chat, thread_id: str) -> list[dict[str, Any]]:
    """The thread's items as a client loads them, in both ways."""
    items = chat.post("items.list", thread_id=thread_id, order="asc").json()["data"]
    thread = chat.post("threads.get_by_id", thread_id=thread_id).json()
    assert thread["items"]["data"] == items
    assert isinstance(items, list)
    return items


@pytest.mark.parametrize(
    "tools",
    [
        ["show_card"],
        ["show_growing_card"],
        ["show_card", "update_card"],
        ["work"],
        ["work_twice"],
        ["begin_nothing"],
        ["leave_open"],
        ["leave_message_open"],
        ["show_half_a_character"],
        ["ask_browser"],
        ["work", "show_growing_card", "ask_browser"],
    ],
    ids=" ".join,
)
def test_what_was_seen_is_what_is_loaded(
    chat: Chat, model: ScriptedModel, tools: list[str]
) -> None:
    calls = [tool_call(name, call_id=f"call_{n}") for n, name in enumerate(tools)]
    model.answers[:] = [*calls, "Here you are."]
    events = chat.say("Show me.")
    thread_id = thread_of(events)
    live = applied(events)
    assert live == loaded(chat, thread_id)
    if "ask_browser" in tools:
        live = applied(
            chat.stream("threads.add_client_tool_output", thread_id=thread_id, result={"b": None}),
            live,
        )
        assert live == loaded(chat, thread_id)
    assert live[-1]["content"][0]["text"] == "Here you are."
    if "work" in tools:
        [steps] = [item["workflow"] for item in live if item["type"] == "workflow"][:1]
        assert steps["expanded"] is True and len(steps["tasks"]) == 2
    for widget in (item["widget"] for item in live if item["type"] == "widget"):
        assert widget["children"][0]["children"][1]["onClickAction"]["payload"] == {
            "dish": None,
            "list": [1, None, {"a": None}],
        }
        assert widget["children"][0]["children"][2]["defaultValue"] == "2026-03-04"


def test_workflows_that_are_quicker_than_the_stream_are_told_apart(
    chat: Chat, model: ScriptedModel
) -> None:
    model.answers[:] = [tool_call("work_twice"), "Here you are."]
    events = chat.say("Show me.")
    begun = [event["item"] for event in events if event["type"] == "thread.item.added"]
    added = [item["workflow"]["tasks"] for item in begun if item["type"] == "workflow"]
    assert [[task["title"] for task in tasks] for tasks in added] == [["First"], ["Same"]]
    placed = [event["update"] for event in events if event["type"] == "thread.item.updated"]
    assert [update["task_index"] for update in placed if "task_index" in update] == [1, 2]
    steps = [item["workflow"] for item in loaded(chat, thread_of(events)) if "workflow" in item]
    assert [each["expanded"] for each in steps] == [True, True]
    assert [task["title"] for task in steps[1]["tasks"]] == ["Same", "Same", "Last"]


@pytest.mark.parametrize("by", ["a tool", "an action"])
def test_a_message_that_is_left_open_is_kept_as_it_was_seen(
    chat: Chat, model: ScriptedModel, by: str
) -> None:
    model.answers[:] = ["Hello."]
    if by == "a tool":
        model.answers.insert(0, tool_call("leave_message_open"))
    events = chat.say("Show me.")
    thread_id, live = thread_of(events), applied(events)
    if by == "an action":
        acted = chat.stream("threads.custom_action", thread_id=thread_id, action={"type": "say"})
        live = applied(acted, live)
    assert live == loaded(chat, thread_id)
    [first, second] = next(
        item["content"]
        for item in live
        if item["type"] == "assistant_message" and len(item["content"]) == 2
    )
    assert (first["text"], second["text"]) == ("Hello you \U0001f600", "and more.\ufffd")
    assert first["annotations"][0]["source"]["url"] == "https://example.com"


def test_every_component_is_loaded_as_it_was_sent(chat: Chat, model: ScriptedModel) -> None:
    model.answers[:] = [tool_call("show_every_component"), "Here you are."]
    events = chat.say("Show me.")
    live = applied(events)
    assert live == loaded(chat, thread_of(events))
    card_widget, list_view, basic = (i["widget"] for i in live if i["type"] == "widget")
    for shown in (card_widget["children"], list_view["children"][0]["children"], basic["children"]):
        for component, sent in zip(shown, EVERY_COMPONENT, strict=True):
            # Only what is null is not sent, but in a payload.
            assert component == without_nulls(sent)
    assert card_widget["children"][14]["onSubmitAction"]["payload"] == {"id": None}


def test_a_widget_that_an_action_has_changed_is_loaded_so(chat: Chat, model: ScriptedModel) -> None:
    model.answers[:] = [tool_call("show_card"), "Here you are."]
    events = chat.say("Show me.")
    thread_id, live = thread_of(events), applied(events)
    [item_id] = [item["id"] for item in live if item["type"] == "widget"]
    payload = {"dish": None, "list": [1, None, {"a": None}]}
    for kind in ("go", "again"):
        params = {"item_id": item_id, "action": {"type": kind, "payload": payload}}
        live = applied(chat.stream("threads.custom_action", thread_id=thread_id, **params), live)
        assert live == loaded(chat, thread_id)
    params = {"item_id": item_id, "action": {"type": "at_once", "payload": payload}}
    answer = chat.post("threads.sync_custom_action", thread_id=thread_id, **params).json()
    live = [answer["updated_item"] if item["id"] == item_id else item for item in live]
    assert live == loaded(chat, thread_id)
    assert [item["widget"]["step"] for item in live if item["type"] == "widget"] == [3]


def test_what_a_newer_release_has_stored_is_loaded_and_not_told_to_the_model(
    chat: Chat, model: ScriptedModel
) -> None:
    model.answers[:] = [tool_call("store_newer"), "Done.", "Well."]
    thread_id = thread_of(chat.say("Go on."))
    items = loaded(chat, thread_id)
    known = {item["id"]: item for item in items}
    assert known["poll_1"]["votes"] == {"soup": [1, None, 2.5]}
    assert known["wf_2"]["workflow"] == {"tasks": [{"type": "new"}]}
    assert known["msg_3"]["attachments"][0]["blur"] == {"hash": None}
    assert "metadata" not in known["msg_3"]["attachments"][0]
    assert known["msg_4"]["content"][0]["annotations"][0]["source"]["rank"] == 1
    after = None
    for item in items:
        page = chat.post(
            "items.list", thread_id=thread_id, order="asc", limit=1, after=after
        ).json()
        assert page["data"] == [item]
        after = page.get("after")
    chat.say("And now?", thread_id)
    assert "soup" not in str(model.inputs[-1])


def test_pages_are_full_however_many_tools_have_run(chat: Chat, model: ScriptedModel) -> None:
    calls = [tool_call("show_nothing", call_id=f"call_{n}") for n in range(60)]
    model.answers[:] = [calls, "Done."]
    thread_id = thread_of(chat.say("Go on."))
    items = loaded(chat, thread_id)
    assert [item["type"] for item in items] == ["user_message", "assistant_message"]
    for order, expected in (("asc", items), ("desc", items[::-1])):
        page = chat.post("items.list", thread_id=thread_id, order=order, limit=1).json()
        assert (page["data"], page["has_more"]) == (expected[:1], True)
        params = {"thread_id": thread_id, "order": order, "limit": 1, "after": page["after"]}
        page = chat.post("items.list", **params).json()
        assert (page["data"], page["has_more"]) == (expected[1:], False)


def test_what_a_newer_client_sends_is_loaded(chat: Chat, model: ScriptedModel) -> None:
    model.answers[:] = ["Hello."]
    part = {"type": "input_tag", "id": "t", "text": "Ada", "data": {"a": None}, "color": "red"}
    message = {"content": [part], "attachments": [], "inference_options": {}, "via": {"x": None}}
    events = chat.stream("threads.create", input=message)
    assert applied(events) == loaded(chat, thread_of(events))
    assert applied(events)[0]["content"] == [part | {"interactive": False}]
