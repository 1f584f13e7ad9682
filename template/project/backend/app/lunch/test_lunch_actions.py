"""The buttons and forms of the widgets, as a client uses and misuses them."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from chat_client import Chat, thread_of
from chatkit.types import LockedStatus, ThreadMetadata
from scripted_model import ScriptedModel, tool_call
from scripted_server import scripted_server
from servers import USER

from core.context import RequestContext
from core.turns.agent_server import AgentServer

from app.lunch import LUNCH, kitchen, widgets
from app.wiring import Settings

STREAM, SYNC = "threads.custom_action", "threads.sync_custom_action"


@pytest.fixture
def model() -> ScriptedModel:
    return ScriptedModel(tool_call("show_menu"), "Enjoy!", "You are welcome.")


@pytest.fixture
def server(settings: Settings, model: ScriptedModel) -> AgentServer:
    kitchen._orders.clear()
    return scripted_server(settings, model, features=[LUNCH])


class Menu:
    """The menu that the first answer shows, and what becomes of it."""

    def __init__(self, chat: Chat) -> None:
        self.chat = chat
        events = chat.say("What is for lunch?")
        self.thread_id = thread_of(events)
        self.id = self.widgets()[0]["id"]

    def act(
        self, type: str, operation: str = STREAM, item_id: str | None = None, **payload: Any
    ) -> httpx.Response:
        action = {"type": type, "payload": payload}
        params = {"thread_id": self.thread_id, "item_id": item_id or self.id, "action": action}
        return self.chat.post(operation, **params)

    def widgets(self) -> list[dict[str, Any]]:
        """As whoever reloads the page sees them."""
        page = self.chat.post("items.list", thread_id=self.thread_id, order="asc").json()
        return [item for item in page["data"] if item["type"] == "widget"]


@pytest.fixture
def menu(chat: Chat) -> Menu:
    return Menu(chat)


def test_an_order_by_button_and_form_survives_a_reload(menu: Menu, model: ScriptedModel) -> None:
    form = menu.act("lunch.choose", dish="soup")
    assert "lunch.order" in str(menu.widgets())
    assert "thread.item.replaced" in form.text
    # A form's values are strings.
    done = menu.act("lunch.order", dish="soup", portions="2", note="Hot, 'please' <b>")
    assert "progress_update" in done.text
    [card] = menu.widgets()
    assert card["id"] == menu.id
    assert "Pumpkin soup, 2 portions" in str(card)
    [order] = kitchen._orders[USER].values()
    assert (order.dish.id, order.portions, order.note) == ("soup", 2, "Hot, 'please' <b>")

    # The model knows; no client sees how it was told.
    menu.chat.say("Thanks!", menu.thread_id)
    assert "The user ordered: Pumpkin soup, 2 portions." in str(model.inputs[-1])
    assert "The user ordered" not in done.text


def test_a_sync_action_answers_with_the_changed_widget(menu: Menu) -> None:
    menu.act("lunch.choose", dish="soup")
    menu.act("lunch.order", dish="soup", portions=1)
    [order_id] = kitchen._orders[USER]
    answer = menu.act("lunch.cancel", SYNC, order=order_id).json()
    assert "Cancelled by you." in str(answer["updated_item"])
    assert "Cancelled by you." in str(menu.widgets())
    assert kitchen._orders[USER] == {}


def test_a_second_click_is_told_and_not_done_again(menu: Menu) -> None:
    menu.act("lunch.choose", dish="soup")
    menu.act("lunch.order", dish="soup", portions=1)
    again = menu.act("lunch.order", dish="soup", portions=1)
    assert again.status_code == 409
    assert "done already" in again.json()["detail"]
    assert len(kitchen._orders[USER]) == 1


def test_of_two_clicks_at_once_one_counts(menu: Menu) -> None:
    menu.act("lunch.choose", dish="soup")
    with ThreadPoolExecutor(2) as both:
        clicks = [both.submit(menu.act, "lunch.order", dish="soup", portions=1) for _ in range(2)]
    assert sorted(click.result().status_code for click in clicks) == [200, 409]
    assert len(kitchen._orders[USER]) == 1


def test_a_locked_thread_takes_no_actions(
    menu: Menu, server: AgentServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    load_thread = server.store.load_thread

    async def locked(thread_id: str, context: RequestContext) -> ThreadMetadata:
        thread = await load_thread(thread_id, context)
        thread.status = LockedStatus(reason="Lunch is over.")
        return thread

    monkeypatch.setattr(server.store, "load_thread", locked)
    for type, operation in (("lunch.choose", STREAM), ("lunch.back", SYNC)):
        refused = menu.act(type, operation, dish="soup")
        assert refused.status_code == 409
        assert "Lunch is over." in refused.json()["detail"]


@pytest.mark.parametrize(
    ("type", "operation", "payload", "status", "words"),
    [
        ("lunch.explode", STREAM, {}, 400, "Unknown action"),
        ("lunch.order", STREAM, {"dish": "soup", "portions": 1}, 409, "no longer offered"),
        ("lunch.choose", STREAM, {"dish": "ramen"}, 409, "no longer offered"),
        ("lunch.choose", STREAM, {}, 409, "no longer offered"),
        ("lunch.choose", SYNC, {"dish": "soup"}, 400, "SyncAction"),
    ],
    ids=["unknown", "of another widget", "another payload", "no payload", "the wrong way"],
)
def test_a_client_cannot_invent_an_action(
    menu: Menu, type: str, operation: str, payload: dict[str, Any], status: int, words: str
) -> None:
    refused = menu.act(type, operation, **payload)
    assert refused.status_code == status, refused.text
    assert words in refused.json()["detail"]
    assert "ListView" in str(menu.widgets())
    assert USER not in kitchen._orders


def test_a_bad_value_in_a_form_is_refused_before_anything_is_done(menu: Menu) -> None:
    menu.act("lunch.choose", dish="soup")
    for portions in ("0", "10", "many", None):
        refused = menu.act("lunch.order", dish="soup", portions=portions)
        assert refused.status_code == 400
        assert refused.json()["detail"].startswith("portions: ")
    assert "lunch.order" in str(menu.widgets())


def test_what_the_kitchen_refuses_is_told_and_the_form_stays(menu: Menu) -> None:
    for _ in range(kitchen.MOST_ORDERS):
        kitchen.place(USER, kitchen.MENU["salad"], 1)
    menu.act("lunch.choose", dish="soup")
    told = menu.act("lunch.order", dish="soup", portions=1)
    assert "Cancel one of them first." in told.text
    assert '"allow_retry":false' in told.text
    assert "lunch.order" in str(menu.widgets())


def test_a_defect_in_an_action_is_told_without_its_cause(
    menu: Menu, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(widgets, "order_form", lambda dish: 1 / 0)
    told = menu.act("lunch.choose", dish="soup")
    assert "This did not work." in told.text
    assert "division" not in told.text


def test_an_action_needs_a_widget_of_one_s_own(menu: Menu) -> None:
    assert menu.act("lunch.choose", item_id="msg_unknown", dish="soup").status_code == 404
    action = {"type": "lunch.choose", "payload": {"dish": "soup"}}
    nowhere = menu.chat.post(STREAM, thread_id=menu.thread_id, action=action)
    assert nowhere.status_code == 400
