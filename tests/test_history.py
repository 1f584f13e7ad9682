"""What the model is told of a long thread, on every provider's wire format."""

import asyncio
import importlib
import json
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from chatkit import types

from tests.backend import Backend
from tests.providers import REMOTE, talking_to
from tests.standins import Answer, StandIn, Text, ToolCall
from tests.standins.request import Request

BERLIN = ToolCall("current_time", {"time_zone": "Europe/Berlin"})
PIXEL = "data:image/png;base64," + "iVBORw0KGgoA" * 20_000


def messages(request: Request) -> list[str]:
    """The conversation as it went over the wire, without the marks of Claude's cache."""
    body = request.body
    sent = next(body[name] for name in ("messages", "input", "contents") if name in body)
    return [json.dumps(without_marks(message)) for message in sent]


def without_marks(value: Any) -> Any:
    match value:
        case dict():
            return {k: without_marks(each) for k, each in value.items() if k != "cache_control"}
        case list():
            return [without_marks(each) for each in value]
        case _:
            return value


def kept(standin: StandIn) -> float:
    """Of the requests that begin a turn, how many begin with the whole one before."""
    first = [
        messages(request) for request in standin.requests if request.turns[-1][0] != "tool_output"
    ]
    pairs = list(pairwise(first))
    return sum(after[: len(before)] == before for before, after in pairs) / len(pairs)


@pytest.mark.parametrize("provider", REMOTE)
def test_a_turn_begins_with_the_whole_turn_before_so_that_caches_serve_it(
    provider: str, standin: StandIn, tmp_path: Path
) -> None:
    turns = 100 if provider == "local" else 60
    with talking_to(standin, tmp_path, provider) as backend:
        thread = ""
        for number in range(turns):
            if number % 4 == 0:
                standin.answers(Answer(BERLIN), Answer(Text("It is late.")))
            turn = backend.say(f"Message {number}.", thread or None)
            assert not turn.errors
            thread = turn.thread
        assert thread
    assert kept(standin) >= 0.9
    told = [text for role, text in standin.requests[-1].turns if role == "user"]
    assert 10 < len(told) < 50  # It was cut, and not to nothing.
    assert told == [f"Message {number}." for number in range(turns - len(told), turns)]
    assert len({json.dumps(request.body.get("tools")) for request in standin.requests}) == 1
    assert len({request.system for request in standin.requests}) == 1


def test_many_words_are_cut_in_steps_too(standin: StandIn, tmp_path: Path) -> None:
    with talking_to(standin, tmp_path, HISTORY_TOKENS="4000") as backend:
        thread = backend.say("Message 0.").thread
        for number in range(1, 100):
            backend.say(f"Message {number}. " + "word " * 100, thread)
    assert kept(standin) >= 0.9
    longest = max(len(str(request.body["messages"])) for request in standin.requests)
    assert 8_000 < longest < 18_000


def test_claude_is_told_where_its_cache_may_end(standin: StandIn, tmp_path: Path) -> None:
    with talking_to(standin, tmp_path, "anthropic") as backend:
        thread = backend.say("Hello").thread
        backend.say("Hello again", thread)
    for request in standin.requests:
        assert request.body["system"][-1]["cache_control"] == {"type": "ephemeral"}
        last = request.body["messages"][-1]["content"][-1]
        assert last["cache_control"] == {"type": "ephemeral"}
        assert str(request.body).count("cache_control") == 2


def test_an_old_thread_keeps_what_it_began_with_until_there_is_too_much(
    standin: StandIn, tmp_path: Path
) -> None:
    with talking_to(standin, tmp_path, HISTORY_ITEMS="20") as backend:
        thread = backend.say("Message 0.").thread
        counts = []
        for number in range(1, 40):
            backend.say(f"Message {number}.", thread)
            users = [text for role, text in standin.requests[-1].turns if role == "user"]
            assert users[-1] == f"Message {number}."
            counts.append(len(users))
    assert max(counts) == 10
    assert min(counts[10:]) == 5


def test_one_long_message_does_not_crowd_out_the_rest(standin: StandIn, tmp_path: Path) -> None:
    with talking_to(standin, tmp_path, HISTORY_TOKENS="1000") as backend:
        thread = backend.say("I am Ada.").thread
        backend.say("x" * 30_000, thread)
        whole = standin.requests[-1].turns
        backend.say("Who am I?", thread)
    assert ("user", "x" * 30_000) in whole
    assert ("user", "I am Ada.") in whole
    told = [text for role, text in standin.requests[-1].turns if role == "user"]
    assert [text[:9] for text in told] == ["I am Ada.", "x" * 9, "Who am I?"]
    assert len(told[1]) < 1000


def add(backend: Backend, thread: str, *items: Any) -> None:
    """Store these in the thread, as what an agent has shown."""
    from core.context import RequestContext

    async def added() -> None:
        for item in items:
            await backend.main.server.store.add_thread_item(thread, item, RequestContext())

    asyncio.run(added())


def own(kind: str, number: int, thread: str) -> dict[str, Any]:
    return {"id": f"{kind}_{number}", "thread_id": thread, "created_at": datetime.now()}


@pytest.mark.parametrize("provider", REMOTE)
def test_images_do_not_take_the_room_of_words_and_the_newest_are_kept(
    provider: str, standin: StandIn, tmp_path: Path
) -> None:
    with talking_to(standin, tmp_path, provider, HISTORY_IMAGES="4") as backend:
        thread = backend.say("I am Ada.").thread
        for number in range(8):
            image = types.GeneratedImage(id=f"img_{number}", url=f"{PIXEL}{number:04}")
            item = types.GeneratedImageItem(image=image, **own("image", number, thread))
            add(backend, thread, item)
            assert not backend.say(f"Look at {number}.", thread).errors
    for number, request in enumerate(standin.requests[1:]):
        shown = [n for n in range(8) if f"{PIXEL[-40:]}{n:04}" in str(request.body)]
        assert 0 < len(shown) <= 4
        assert shown == list(range(number + 1))[-len(shown) :]
        assert ("user", "I am Ada.") in request.turns
    lines = [text for _, text in standin.requests[-1].turns if "An image was here" in text]
    assert len(lines) + len(shown) == 8


def test_files_are_counted_by_what_they_are(standin: StandIn, tmp_path: Path) -> None:
    class Converter(importlib.import_module("core.turns.item_converter").ItemConverter):  # type: ignore[misc]
        async def attachment_to_message_content(self, attachment: Any) -> Any:
            data = "data:application/pdf;base64," + "JVBERi0x" * 50_000
            return {"type": "input_file", "filename": attachment.name, "file_data": data}

    with talking_to(standin, tmp_path, "openai", HISTORY_IMAGES="1") as backend:
        backend.main.server.item_converter = Converter()
        thread = backend.say("I am Ada.").thread
        for number in range(3):
            file = types.FileAttachment(id="f", name=f"{number}.pdf", mime_type="application/pdf")
            asked = types.UserMessageItem(
                content=[types.UserMessageTextContent(text=f"Read {number}.")],
                attachments=[file],
                inference_options=types.InferenceOptions(),
                **own("msg", number, thread),
            )
            add(backend, thread, asked)
        assert not backend.say("And now?", thread).errors
    sent = standin.requests[-1].body["input"]
    assert "I am Ada." in str(sent)
    assert str(sent).count("base64,") == 1
    assert "[The file 1.pdf was here.]" in str(sent)
