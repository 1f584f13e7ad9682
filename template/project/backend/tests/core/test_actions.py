"""Actions: what a widget sends, and what the page's own code does."""

import asyncio
import time
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any

import pytest
from agents import function_tool
from chat_client import Chat, thread_of
from chatkit.actions import Action, ActionConfig
from chatkit.types import (
    AssistantMessageContent,
    AssistantMessageItem,
    ProgressUpdateEvent,
    SyncCustomActionResponse,
    ThreadItemDoneEvent,
    ThreadMetadata,
    ThreadStreamEvent,
    WidgetItem,
)
from chatkit.widgets import Button, Card, DynamicWidgetRoot
from pydantic import BaseModel, Field
from scripted_model import ScriptedModel, tool_call
from scripted_server import scripted_server

from core.context import RequestContext
from core.stores.base import new_id
from core.turns.agent_server import AgentServer
from core.turns.feature import Feature
from core.turns.server import TurnServer
from core.turns.tools import ToolContext
from core.turns.widget_actions import StreamingAction, SyncAction, is_offered

from app.wiring import Settings

STREAM, SYNC = "threads.custom_action", "threads.sync_custom_action"
PICK = ActionConfig(type="pick", handler="client")


class Cart(BaseModel):
    count: int = Field(default=0, le=99)


@function_tool
async def show_card(context: ToolContext) -> str:
    """Show a card."""
    await context.context.stream_widget(Card(children=[Button(label="Pick", onClickAction=PICK)]))
    return "It is shown."


def told(thread_id: str, text: str) -> ThreadStreamEvent:
    return ThreadItemDoneEvent(
        item=AssistantMessageItem(
            id=new_id("message"),
            thread_id=thread_id,
            created_at=datetime.now(),
            content=[AssistantMessageContent(text=text)],
        )
    )


async def pick(
    payload: Cart, sender: WidgetItem, context: RequestContext
) -> AsyncIterator[ThreadStreamEvent]:
    yield told(sender.thread_id, "Picked.")


async def put(
    payload: Cart, sender: WidgetItem | None, context: RequestContext
) -> AsyncIterator[ThreadStreamEvent]:
    where = "a card" if sender else "no card"
    yield told(context.thread.id, f"{payload.count} from {where}.")


async def count(
    payload: Cart, sender: WidgetItem | None, context: RequestContext
) -> WidgetItem | None:
    return sender


async def work(
    payload: Cart, sender: WidgetItem | None, context: RequestContext
) -> AsyncIterator[ThreadStreamEvent]:
    yield ProgressUpdateEvent(text="Working …")
    await asyncio.sleep(30)
    yield told(context.thread.id, "Done.")


CARDS = Feature(
    tools=[show_card],
    actions={
        "pick": StreamingAction(Cart, pick),
        "put": StreamingAction(Cart, put, sender="any"),
        "work": StreamingAction(Cart, work, sender="any"),
        "count": SyncAction(Cart, count, sender="any"),
    },
)


class OwnActions(AgentServer):
    """Takes actions as ChatKit's own server does."""

    async def action(
        self,
        thread: ThreadMetadata,
        action: Action[str, Any],
        sender: WidgetItem | None,
        context: RequestContext,
    ) -> AsyncIterator[ThreadStreamEvent]:
        yield told(thread.id, f"{action.type}: {action.payload}, {sender and sender.type}")

    async def sync_action(
        self,
        thread: ThreadMetadata,
        action: Action[str, Any],
        sender: WidgetItem | None,
        context: RequestContext,
    ) -> SyncCustomActionResponse:
        return SyncCustomActionResponse(updated_item=sender)


@pytest.fixture(params=[AgentServer])
def server(request: pytest.FixtureRequest, settings: Settings) -> TurnServer:
    model = ScriptedModel(tool_call("show_card"), "Pick one.")
    return scripted_server(settings, model, request.param, features=[CARDS])


class Shown:
    """A thread with a card in it."""

    def __init__(self, chat: Chat) -> None:
        self.chat = chat
        self.thread_id = thread_of(chat.say("Show it."))
        [self.card] = [item["id"] for item in self.items() if item["type"] == "widget"]

    def items(self) -> list[dict[str, Any]]:
        page = self.chat.post("items.list", thread_id=self.thread_id, order="asc").json()
        items: list[dict[str, Any]] = page["data"]
        return items

    def act(self, type: str, operation: str = STREAM, **params: Any) -> Any:
        """Send an action. The events, or the answer, or the status if it is refused."""
        params = {"payload": {}, "item_id": None, **params}
        action = {"type": type, "payload": params.pop("payload")}
        response = self.chat.post(operation, thread_id=self.thread_id, action=action, **params)
        return response.status_code if response.status_code != 200 else response


@pytest.fixture
def shown(chat: Chat) -> Shown:
    return Shown(chat)


def test_the_page_s_code_sends_an_action_without_a_widget(shown: Shown) -> None:
    for number, nothing in enumerate((None, "")):
        shown.act("put", payload={"count": number}, item_id=nothing)
    assert shown.chat.messages(shown.thread_id)[2:] == ["0 from no card.", "1 from no card."]
    assert shown.act("count", SYNC).json() == {}


def test_whoever_stops_an_action_can_go_on_at_once(
    shown: Shown, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("core.turns.running.HANDLER_SECONDS", 0.1)
    body = {"type": STREAM, "params": {"thread_id": shown.thread_id, "action": {"type": "work"}}}
    with shown.chat.http.stream("POST", "/chatkit", json=body) as response:
        assert any("Working" in line for line in response.iter_lines())
    begun = time.monotonic()
    shown.act("put")
    assert time.monotonic() - begun < 2
    assert shown.chat.messages(shown.thread_id)[2:] == ["0 from no card."]


def test_after_a_client_handler_it_sends_another_action_of_the_widget(shown: Shown) -> None:
    shown.act("put", payload=None, item_id=shown.card)
    assert shown.chat.messages(shown.thread_id)[-1] == "0 from a card."
    answer = shown.act("count", SYNC, item_id=shown.card).json()
    assert answer["updated_item"]["id"] == shown.card


def test_what_is_not_declared_for_it_comes_from_the_widget_that_offers_it(shown: Shown) -> None:
    before = shown.items()
    assert shown.act("pick") == shown.act("pick", item_id="") == 400
    assert shown.act("pick", item_id=before[0]["id"]) == 400
    assert shown.act("put", item_id="msg_none") == 404
    assert shown.items() == before
    shown.act("pick", item_id=shown.card)
    assert shown.chat.messages(shown.thread_id)[-1] == "Picked."


OFFERED: dict[str, Any] = {
    "id": 1,
    "none": None,
    "on": True,
    "list": [1, None],
    "todo": {"of": None},
    "note": None,
}
FIELDS = [{"type": "Input", "name": name} for name in ("note", "todo.title", "a.b.c")]


@pytest.mark.parametrize(
    ("changed", "taken"),
    [
        ({}, True),
        ({"note": "x", "todo": {"of": None, "title": "y"}, "a": {"b": {"c": True}}}, True),
        ({"id": 1.0}, True),
        ({"id": True}, False),
        ({"on": 1}, False),
        ({"none": 1}, False),
        ({"list": [1, 2]}, False),
        ({"list": [1, None, 2]}, False),
        ({"todo": {"of": 1}}, False),
        ({"todo": {"of": None, "by": 1}}, False),
        ({"todo": None}, False),
        ({"a": {"b": {"d": 1}}}, False),
        ({"a": 1}, False),
        ({"more": {}}, False),
        ({"Calendar": 1}, False),
    ],
    ids=str,
)
def test_only_the_widget_s_fields_add_to_the_payload_that_it_offers(
    changed: dict[str, Any], taken: bool
) -> None:
    button = {"type": "Button", "onClickAction": {"type": "pick", "payload": OFFERED}}
    icon = {"type": "Icon", "name": "Calendar"}
    card = {"type": "Card", "children": [{"type": "Form", "children": [button, icon, *FIELDS]}]}
    widget = DynamicWidgetRoot.model_validate(card)
    sender = WidgetItem(id="w", thread_id="t", created_at=datetime.now(), widget=widget)
    action = Action[str, Any](type="pick", payload=OFFERED | changed)
    assert is_offered(action, sender) is taken


@pytest.mark.parametrize("operation", [STREAM, SYNC])
def test_an_action_that_is_none_is_refused_and_nothing_is_stored(
    shown: Shown, operation: str
) -> None:
    kind = "put" if operation == STREAM else "count"
    before = shown.items()
    actions: list[Any] = [None, 1, "put", [], {}, {"payload": {}}, {"type": "x" * 100_000}]
    types: list[Any] = [None, 1, [], {}, True]
    actions += [{"type": type} for type in types]
    wrong: list[Any] = [
        0,
        1,
        False,
        "",
        "x",
        [],
        [1],
        {"count": 100},
        {"count": "x"},
        {"count": None},
    ]
    actions += [{"type": kind, "payload": payload} for payload in wrong]
    for action in actions:
        given = {"thread_id": shown.thread_id, "action": action}
        assert shown.chat.post(operation, **given).status_code == 400, action
    item_ids: list[Any] = [1, [], {}, False, "x" * 100_000]
    for item_id in item_ids:
        given = {"thread_id": shown.thread_id, "item_id": item_id, "action": {"type": kind}}
        assert shown.chat.post(operation, **given).status_code in (400, 404), item_id
    assert shown.chat.post(operation, thread_id=shown.thread_id).status_code == 400
    assert shown.items() == before


@pytest.mark.parametrize("server", [OwnActions], indirect=True)
def test_a_server_s_own_methods_take_every_action(shown: Shown) -> None:
    shown.act("any", payload=[1])
    shown.act("other", item_id=shown.card)
    said = ["any: [1], None", "other: {}, widget"]
    assert shown.chat.messages(shown.thread_id)[2:] == said
    assert shown.act("any", SYNC).json() == {}
    untyped = {"thread_id": shown.thread_id, "action": {"payload": {}}}
    assert shown.chat.post(STREAM, **untyped).status_code == 400
