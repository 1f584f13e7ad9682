"""Tools whose run is broken off: the model is told what each has done, as far as it is known."""

import asyncio
import time
from typing import Any

import pytest
from agents import Agent, function_tool
from chat_client import Chat, thread_of
from scripted_model import ScriptedModel, tool_call
from scripted_server import AGENT, scripted_server

from core.turns.approvals import BEGUN, BROKEN_OFF
from core.turns.server import TurnServer

from app.wiring import Settings

done: list[str] = []


@function_tool
async def look() -> str:
    """Look."""
    return "It is there."


@function_tool
async def pay() -> str:
    """Pay, which takes long."""
    done.append("paid")
    await asyncio.sleep(10)
    return "Paid."


@function_tool(failure_error_function=None)
async def fail() -> str:
    """Fail, when the others have begun."""
    await asyncio.sleep(0.2)
    raise LookupError


@function_tool(timeout=0.2, timeout_behavior="raise_exception")
async def send() -> str:
    """Send, which takes too long."""
    done.append("sent")
    await asyncio.sleep(10)
    return "Sent."


@function_tool(needs_approval=True)
async def delete() -> str:
    """Delete."""
    return "Deleted."


async def streamed(event: Any) -> None:
    """Makes the SDK stream an agent that is a tool, as the scripted model wants it."""


NESTED = Agent[Any](name="Nested", instructions="Clean up.", tools=[look, delete])
ask = NESTED.as_tool("ask", "Ask another one.", on_stream=streamed)
TOOLS = [look, pay, fail, send, ask]
ASKED = tool_call("ask", '{"input": "Clean up."}')


@pytest.fixture
def model() -> ScriptedModel:
    done.clear()
    return ScriptedModel()


@pytest.fixture
def server(settings: Settings, model: ScriptedModel) -> TurnServer:
    return scripted_server(settings, model, agent=AGENT.clone(tools=TOOLS))


def told(model: ScriptedModel) -> list[tuple[str, str]]:
    """The calls that the model was told of last, with their outputs."""
    items = model.inputs[-1]
    names = {each["call_id"]: each["name"] for each in items if each.get("type") == "function_call"}
    outputs = [each for each in items if each.get("type") == "function_call_output"]
    assert len(outputs) == len(names)
    return [(names[each["call_id"]], each["output"]) for each in outputs]


@pytest.mark.parametrize("ends", ["fail", "send"])
def test_a_tool_that_ends_the_run_leaves_the_others_known(
    ends: str, chat: Chat, model: ScriptedModel
) -> None:
    calls = [tool_call("look"), tool_call("pay", call_id="call_2")]
    model.answers[:] = [[*calls, tool_call(ends, call_id="call_3")], "Yes, I did."]
    thread_id = thread_of(events := chat.say("Pay."))
    assert [event for event in events if event["type"] == "error"]
    chat.say("Did you pay?", thread_id)
    assert done[0] == "paid"
    assert told(model) == [("look", "It is there."), ("pay", BEGUN), (ends, BEGUN)]


def test_a_tool_that_is_at_work_when_the_user_stops_is_known(
    chat: Chat, model: ScriptedModel
) -> None:
    model.answers[:] = [[tool_call("look"), tool_call("pay", call_id="call_2")], "Yes, I did."]
    asking = {"content": [{"type": "input_text", "text": "Pay."}], "attachments": []}
    body = {"type": "threads.create", "params": {"input": asking | {"inference_options": {}}}}
    with chat.http.stream("POST", "/chatkit", json=body) as response:
        lines = response.iter_lines()
        created = next(line for line in lines if "thread.created" in line)
        while not done:
            time.sleep(0.01)
    thread_id = created.partition('"id":"')[2].partition('"')[0]
    chat.say("Did you pay?", thread_id)
    assert told(model) == [("look", "It is there."), ("pay", BEGUN)]
    assert "stopped" in str(model.inputs[-1])


def test_an_agent_that_waits_within_has_done_what_it_did(chat: Chat, model: ScriptedModel) -> None:
    inner = [tool_call("look", call_id="call_2"), tool_call("delete", call_id="call_3")]
    model.answers[:] = [ASKED, *inner, "As you like."]
    thread_id = thread_of(chat.say("Clean up."))
    chat.say("Never mind.", thread_id)
    assert told(model) == [("ask", BROKEN_OFF)]
