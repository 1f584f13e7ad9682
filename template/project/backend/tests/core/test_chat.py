"""The agent's turns, with a model that says what the test wrote."""

import pytest
from chat_client import Chat, thread_of
from scripted_model import ScriptedModel, tool_call
from scripted_server import scripted_server

from core.turns.server import TurnServer

from app.wiring import Settings


@pytest.fixture
def model() -> ScriptedModel:
    return ScriptedModel("The first answer.", "The second answer.")


@pytest.fixture
def server(settings: Settings, model: ScriptedModel) -> TurnServer:
    return scripted_server(settings, model)


def test_the_second_message_is_answered_and_the_first_is_remembered(
    chat: Chat, model: ScriptedModel
) -> None:
    thread_id = thread_of(chat.say("My name is Ada."))
    chat.say("What is my name?", thread_id)
    assert chat.messages(thread_id) == [
        "My name is Ada.",
        "The first answer.",
        "What is my name?",
        "The second answer.",
    ]
    assert model.instructions[1]
    assert "My name is Ada." in str(model.inputs[1])
    assert "The first answer." in str(model.inputs[1])


def test_the_answer_streams(chat: Chat) -> None:
    events = chat.say("Hello")
    deltas = [
        event["update"]["delta"]
        for event in events
        if event["type"] == "thread.item.updated" and "delta" in event["update"]
    ]
    assert deltas == ["The", "first", "answer."]


def test_a_tool_is_used_and_its_result_remembered(chat: Chat, model: ScriptedModel) -> None:
    model.answers[:] = [tool_call("throw_die"), "A six!", "As I said."]
    thread_id = thread_of(chat.say("Throw a die."))
    chat.say("What was it?", thread_id)
    [output] = [item for item in model.inputs[2] if item.get("type") == "function_call_output"]
    assert output["output"] == "A six."


def test_a_failure_is_told_in_words_and_can_be_retried(chat: Chat, model: ScriptedModel) -> None:
    model.answers[:] = [RuntimeError("a secret of the provider"), "Now it works."]
    events = chat.say("Hello")
    [error] = [event for event in events if event["type"] == "error"]
    assert error["allow_retry"] is True
    assert "secret" not in str(events)

    [asked] = [e["item"] for e in events if e.get("item", {}).get("type") == "user_message"]
    chat.post("threads.retry_after_item", thread_id=asked["thread_id"], item_id=asked["id"])
    assert chat.messages(asked["thread_id"]) == ["Hello", "Now it works."]
