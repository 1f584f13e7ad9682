"""What a client has seen is what it gets again when it loads the thread anew."""

import asyncio
from collections.abc import AsyncGenerator
from datetime import datetime
from typing import Any

import pytest
from agents import Agent, RunContextWrapper, function_tool
from chat_client import Chat, thread_of
from chatkit.agents import AgentContext, ClientToolCall
from chatkit.types import (
    CustomSummary,
    CustomTask,
    ThreadItemAddedEvent,
    ThreadItemDoneEvent,
    ThreadItemUpdatedEvent,
    WidgetComponentUpdated,
    WidgetItem,
    WidgetRootUpdated,
    WidgetStreamingTextValueDelta,
    Workflow,
)
from chatkit.widgets import DynamicWidgetRoot
from live import applied
from scripted_model import ScriptedModel, tool_call
from scripted_server import scripted_server

from core.context import RequestContext
from core.turns.agent_server import AgentServer
from core.turns.feature import Feature

from app.wiring import Settings

Context = RunContextWrapper[AgentContext[RequestContext]]


def card(text: str = "", **props: Any) -> DynamicWidgetRoot:
    """A card with what the newest ChatKit.js knows, and this server's ChatKit does not."""
    words = {"type": "Text", "id": "words", "value": text, "streaming": True, "glow": 0.5}
    action = {"type": "go", "payload": {"dish": None, "list": [1, None, {"a": None}]}}
    cell = {"type": "Table.Cell", "colSpan": 2, "children": [words]}
    table = {"type": "Table", "children": [{"type": "Table.Row", "children": [cell]}]}
    button = {"type": "Button", "label": "Go", "onClickAction": action}
    date = {"type": "DatePicker", "name": "day", "defaultValue": "2026-03-04", "locale": "de"}
    children = [{"type": "Box", "padding": 4, "children": [table, button, date]}]
    return DynamicWidgetRoot.model_validate({"type": "Card", "children": children, **props})


async def growing() -> AsyncGenerator[DynamicWidgetRoot, None]:
    for length in range(4):
        yield card("abc"[:length], border=1)
        await asyncio.sleep(0)


@function_tool
async def show_card(context: Context) -> str:
    """Show a card."""
    await context.context.stream_widget(card("At once.", border={"size": 1}))
    return "Shown."


@function_tool
async def show_growing_card(context: Context) -> str:
    """Show a card that grows."""
    await context.context.stream_widget(growing())
    return "Shown."


@function_tool
async def update_card(context: Context) -> str:
    """Change what was shown."""
    turn = context.context
    page = await turn.store.load_thread_items(
        turn.thread.id, None, 50, "desc", turn.request_context
    )
    item_id = next(item.id for item in page.data if isinstance(item, WidgetItem))
    text = {"type": "Text", "id": "words", "value": "New", "streaming": True, "newer": [None]}
    for update in (
        WidgetStreamingTextValueDelta(component_id="words", delta=" More.", done=True),
        WidgetComponentUpdated.model_validate({"component_id": "words", "component": text}),
        WidgetStreamingTextValueDelta(component_id="words", delta="er.", done=False),
        WidgetRootUpdated(widget=card("Whole.", newest={"x": 1})),
        WidgetStreamingTextValueDelta(component_id="words", delta=" End.", done=False),
    ):
        await turn.stream(ThreadItemUpdatedEvent(item_id=item_id, update=update))
    return "Changed."


@function_tool
async def work(context: Context) -> str:
    """Show steps."""
    turn = context.context
    await turn.start_workflow(Workflow(type="custom", tasks=[]))
    await turn.add_workflow_task(CustomTask(title="One"))
    await turn.add_workflow_task(CustomTask(title="Two"))
    await turn.update_workflow_task(CustomTask(title="One, done"), 0)
    await turn.end_workflow(CustomSummary(title="Worked"), expanded=True)
    return "Done."


@function_tool
async def begin_nothing(context: Context) -> str:
    """Begin steps of which there are none."""
    await context.context.start_workflow(Workflow(type="custom", tasks=[]))
    return "Done."


@function_tool
async def ask_browser(context: Context) -> None:
    """Ask the browser in the middle of the work."""
    await context.context.add_workflow_task(CustomTask(title="One"))
    await context.context.add_workflow_task(CustomTask(title="Two"))
    context.context.client_tool_call = ClientToolCall(name="ask_browser", arguments={"a": None})


@function_tool
async def leave_open(context: Context) -> str:
    """Show a card, and never say that it is done."""
    turn = context.context
    item = WidgetItem(
        id=turn.generate_id("message"),
        thread_id=turn.thread.id,
        created_at=datetime.now(),
        widget=card("Open."),
    )
    await turn.stream(ThreadItemAddedEvent(item=item))
    other = item.model_copy(update={"id": turn.generate_id("message")})
    await turn.stream(ThreadItemDoneEvent(item=other))
    await turn.stream(
        ThreadItemUpdatedEvent(item_id=item.id, update=WidgetRootUpdated(widget=card("Changed.")))
    )
    await turn.stream(ThreadItemDoneEvent(item=item.model_copy(update={"widget": card("Done.")})))
    return "Shown."


TOOLS = [show_card, show_growing_card, update_card, work, begin_nothing, leave_open]
MODEL_AGENT = Agent[AgentContext[RequestContext]](name="Of the tests", tools=[*TOOLS])


@pytest.fixture
def model() -> ScriptedModel:
    return ScriptedModel()


@pytest.fixture
def server(settings: Settings, model: ScriptedModel) -> AgentServer:
    browser = Feature(client_tools=[ask_browser])
    return scripted_server(settings, model, agent=MODEL_AGENT, features=[browser])


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
        ["begin_nothing"],
        ["leave_open"],
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
