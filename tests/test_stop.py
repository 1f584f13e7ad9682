"""Stop, and clients that leave: the model stops, what was said is kept, nothing is left behind."""

import asyncio
import gc
import logging
import time
from pathlib import Path

import pytest

from tests.backend import Backend, message, sse
from tests.matrix import STORES
from tests.providers import REMOTE, talking_to
from tests.standins import Answer, Silence, StandIn, Text, ToolCall

WORDS = [f"word{number} " for number in range(400)]


def leave_after(backend: Backend, deltas: int, text: str, thread: str | None = None) -> str:
    """Read this many deltas of the answer, then close the connection. The thread."""
    with backend.stream(*message(text, thread)) as response:
        seen = 0
        for event in sse(response):
            if event["type"] == "thread.created":
                thread = event["thread"]["id"]
            seen += "delta" in event.get("update", {})
            if seen == deltas:
                break
    assert thread is not None
    return thread


@pytest.mark.parametrize("provider", REMOTE)
@pytest.mark.parametrize("store", STORES)
def test_stop_ends_the_model_s_work_and_keeps_what_was_said(
    provider: str, store: str, standin: StandIn, tmp_path: Path
) -> None:
    standin.answers(Answer(Text(WORDS), delay=0.02), Answer(Text("As you wish.")))
    with talking_to(standin, tmp_path, provider, store) as backend:
        thread = leave_after(backend, 5, "Tell me a long story.")
        assert standin.wait_closed(0, timeout=1), "the model goes on generating"
        backend.settle()
        [_, (who, said)] = backend.texts(thread)
        assert who == "assistant"
        assert said.startswith("word0 word1 word2")
        assert "word300" not in said
        assert backend.say("Stop that.", thread).text == "As you wish."
    told = standin.requests[1].turns
    assert ("assistant", said) in told
    assert "stopped" in str(told)


@pytest.mark.parametrize("provider", REMOTE)
def test_leaving_before_the_first_word_ends_the_model_s_work(
    provider: str, standin: StandIn, tmp_path: Path
) -> None:
    standin.answers(Answer(Silence(20), Text("Too late.")), Answer(Text("Hello.")))
    with talking_to(standin, tmp_path, provider) as backend:
        with backend.stream(*message("Hello?")) as response:
            events = sse(response)
            thread: str = next(events)["thread"]["id"]
            standin.wait_request(0, timeout=5)
        assert standin.wait_closed(0, timeout=1), "the model goes on thinking"
        backend.settle()
        assert backend.texts(thread) == [("user", "Hello?")]
        assert backend.say("Hello!", thread).text == "Hello."


def test_a_retry_that_is_stopped_before_it_answers_leaves_the_old_answer(
    standin: StandIn, tmp_path: Path
) -> None:
    standin.answers(Answer(Text("Good.")), Answer(Silence(20), Text("Too late.")))
    standin.answers(Answer(Text(WORDS), delay=0.02), Answer(Text("As you wish.")))
    with talking_to(standin, tmp_path) as backend:
        turn = backend.say("Tell me.")
        retry = {"thread_id": turn.thread, "item_id": next(iter(turn.items))}
        with backend.stream("threads.retry_after_item", retry) as response:
            # Whoever drops them has left.
            events = sse(response)
            next(events)
            standin.wait_request(1, timeout=5)
        backend.settle()
        assert backend.texts(turn.thread) == [("user", "Tell me."), ("assistant", "Good.")]
        with backend.stream("threads.retry_after_item", retry) as response:
            for event in sse(response):
                if "delta" in event.get("update", {}):
                    break
        backend.settle()
        [_, (_, said)] = backend.texts(turn.thread)
        assert said.startswith("word0")
        assert backend.say("Stop that.", turn.thread).text == "As you wish."
    assert standin.requests[2].turns == [("user", "Tell me.")]
    assert str(standin.requests[3].turns).count("stopped") == 1


def test_no_tool_runs_after_stop(standin: StandIn, tmp_path: Path) -> None:
    call = ToolCall("current_time", {"time_zone": "Europe/Berlin"})
    standin.answers(Answer(Text(WORDS[:50]), call, delay=0.02))
    with talking_to(standin, tmp_path) as backend:
        leave_after(backend, 5, "What time is it?")
        backend.settle()
        time.sleep(1.5)
        assert len(standin.requests) == 1
        page = backend.http.get("/debug/threads").json()["threads"][0]["items"]
        assert "hidden_context_item" not in {item["type"] for item in page}


def test_nothing_is_left_behind_by_stopped_and_failed_turns(
    standin: StandIn, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "asyncio")
    with talking_to(standin, tmp_path) as backend:
        thread = backend.say("Hello.").thread
        backend.settle()
        before = tasks(backend)
        for _ in range(5):
            standin.answers(Answer(Text(WORDS), delay=0.02))
            leave_after(backend, 3, "Tell me.", thread)
            backend.settle()
        time.sleep(0.3)
        gc.collect()
        assert tasks(backend) <= before
    assert "never retrieved" not in caplog.text
    assert "destroyed" not in caplog.text


def tasks(backend: Backend) -> int:
    return len(asyncio.all_tasks(backend.loop))


def test_leaving_when_all_is_said_stops_nothing(standin: StandIn, tmp_path: Path) -> None:
    with talking_to(standin, tmp_path) as backend:
        with backend.stream(*message("Hello")) as response:
            for event in sse(response):
                if event["type"] == "thread.item.done" and event["item"]["type"] != "user_message":
                    backend.loop.call_soon_threadsafe(backend.main.server.turns._stop_all)
        backend.settle()
        [thread] = backend.http.get("/debug/threads").json()["threads"]
        assert [item["type"] for item in thread["items"]] == ["user_message", "assistant_message"]


def test_stop_between_a_text_and_a_tool_call_is_told_to_the_model(
    standin: StandIn, tmp_path: Path
) -> None:
    call = ToolCall("current_time", {"time_zone": "Europe/Berlin"})
    standin.answers(Answer(Text("Let me look."), call, Silence(20)), Answer(Text("Here.")))
    with talking_to(standin, tmp_path, "openai") as backend:
        thread = ""
        with backend.stream(*message("What time is it?")) as response:
            for event in sse(response):
                if event["type"] == "thread.created":
                    thread = event["thread"]["id"]
                if "Let me look." in str(event) and event["type"] == "thread.item.done":
                    break
        backend.settle()
        assert backend.say("And now?", thread).text == "Here."
    assert any("stopped the answer" in said for _, said in standin.requests[-1].turns)
