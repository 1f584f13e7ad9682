"""What the model is told of a thread: what happened, in its order, and what the user sees."""

import asyncio
from datetime import datetime
from typing import Any

import pytest
from agents import GuardrailFunctionOutput, InputGuardrail, RunContextWrapper, function_tool
from chat_client import Chat, thread_of
from chatkit.agents import AgentContext
from chatkit.types import (
    HiddenContextItem,
    StructuredInputItem,
    StructuredInputMultipleChoice,
    StructuredInputMultipleChoiceOption,
    ThreadItemDoneEvent,
    WidgetItem,
)
from chatkit.widgets import DynamicWidgetRoot
from scripted_model import ScriptedModel, tool_call
from scripted_server import AGENT, scripted_server

from core.context import RequestContext
from core.turns.agent_server import AgentServer
from core.turns.item_converter import ItemConverter

from app.wiring import Settings


@function_tool
async def ask_size(context: RunContextWrapper[AgentContext[RequestContext]]) -> str:
    """Ask the user for a size."""
    size = StructuredInputMultipleChoice(
        id="size",
        question="Which size?",
        options=[StructuredInputMultipleChoiceOption(value=size) for size in ("Small", "Large")],
    )
    item = StructuredInputItem(id="question_1", inputs=[size], **of(context.context.thread.id))
    await context.context.stream(ThreadItemDoneEvent(item=item))
    return "The user is asked."


def of(thread_id: str) -> dict[str, Any]:
    return {"thread_id": thread_id, "created_at": datetime.now()}


async def about_secrets(_context: Any, _agent: Any, given: Any) -> GuardrailFunctionOutput:
    return GuardrailFunctionOutput(None, "secret" in str(given))


@pytest.fixture
def model() -> ScriptedModel:
    return ScriptedModel()


@pytest.fixture
def server(settings: Settings, model: ScriptedModel) -> AgentServer:
    guardrail = InputGuardrail(about_secrets, run_in_parallel=False)
    agent = AGENT.clone(tools=[ask_size], input_guardrails=[guardrail])
    return scripted_server(settings, model, agent=agent)


def told(model: ScriptedModel) -> list[str]:
    """What the model was told the last time, in its order."""
    return [
        str(item.get("output") or item.get("name") or item["content"]) for item in model.inputs[-1]
    ]


def test_a_blocked_message_blocks_no_other(chat: Chat, model: ScriptedModel) -> None:
    model.answers[:] = ["Hello.", "Ada."]
    thread_id = thread_of(chat.say("I am Ada."))
    [error] = [e for e in chat.say("Tell me the secret.", thread_id) if e["type"] == "error"]
    assert "cannot be answered here" in error["message"]
    assert error["allow_retry"] is False
    chat.say("Who am I?", thread_id)
    assert chat.messages(thread_id)[-3:] == ["Tell me the secret.", "Who am I?", "Ada."]
    assert "secret" not in str(model.inputs)


def test_an_answer_is_told_behind_its_question(chat: Chat, model: ScriptedModel) -> None:
    model.answers[:] = [tool_call("ask_size"), "Choose one.", "Large it is."]
    thread_id = thread_of(chat.say("I want a coffee."))
    answer = {"status": "answered", "answers": {"size": {"values": ["Large"]}}}
    params = {"thread_id": thread_id, "item_id": "question_1", "input": answer}
    chat.stream("threads.add_structured_input", **params)
    words = ["I want", "ask_size", "is asked.", "Small · Large", "Choose one.", "size?: Large"]
    assert [word in text for word, text in zip(words, told(model), strict=True)] == [True] * 6


def test_whoever_writes_instead_has_skipped_the_question(chat: Chat, model: ScriptedModel) -> None:
    model.answers[:] = [tool_call("ask_size"), "Choose one.", "Tea, then."]
    thread_id = thread_of(chat.say("I want a coffee."))
    events = chat.say("No, a tea.", thread_id)
    [settled] = [event["item"] for event in events if event["type"] == "thread.item.replaced"]
    assert settled["status"] == "skipped"
    assert "Which size?: skipped" in told(model)[-1]
    assert told(model)[-1].endswith("'No, a tea.'}]")
    late = {"thread_id": thread_id, "item_id": "question_1", "input": {"status": "answered"}}
    assert chat.post("threads.add_structured_input", **late).status_code == 409


def test_what_a_person_reads_in_a_widget_is_told() -> None:
    widget = {
        "type": "Card",
        "status": {"text": "Open until noon"},
        "confirm": {"label": "Order", "action": {"type": "order", "payload": {"text": "no"}}},
        "children": [
            {"type": "Button", "label": "A button"},
            {
                "type": "Select",
                "name": "dish",
                "defaultValue": "b",
                "options": [{"value": "a", "label": "Soup"}, {"value": "b", "label": "Stew"}],
            },
            {"type": "Input", "name": "guests", "defaultValue": "4 guests"},
            {"type": "Input", "name": "pin", "inputType": "password", "defaultValue": "1234"},
            {"type": "Checkbox", "name": "now", "label": "At once", "defaultChecked": True},
            {
                "type": "Chart",
                "data": [{"day": "mon", "sold": 7}],
                "series": [{"type": "bar", "dataKey": "sold", "label": "Sold"}],
                "xAxis": {"dataKey": "day", "labels": {"mon": "Monday"}},
            },
            {"type": "Table", "children": [{"type": "Table.Row", "children": [cell("Bread")]}]},
            {"type": "OfTomorrow", "tabs": [{"title": "A tab", "children": [text("Inside")]}]},
        ],
    }
    item = WidgetItem(id="w", widget=DynamicWidgetRoot.model_validate(widget), **of("thr"))
    [message] = asyncio.run(ItemConverter().to_agent_input([item]))
    shown = str(message)
    words = ["Open until noon", "Order", "Soup", "Stew (chosen)", "4 guests", "At once"]
    for word in [*words, "(checked)", "Monday: Sold 7", "Bread", "A tab", "Inside"]:
        assert word in shown, word
    for word in ["A button", "1234", "order", "no'", "dish"]:
        assert word not in shown, word


def text(value: str) -> dict[str, Any]:
    return {"type": "Text", "value": value, "color": "danger"}


def cell(value: str) -> dict[str, Any]:
    return {"type": "Table.Cell", "children": [text(value)]}


def test_hidden_context_of_a_project_may_be_more_than_a_text() -> None:
    item = HiddenContextItem(id="h", content={"type": "seat", "row": 12}, **of("thr"))
    told = asyncio.run(ItemConverter().to_agent_input([item]))
    assert '{"type": "seat", "row": 12}' in str(told)
