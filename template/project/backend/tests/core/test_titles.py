"""The titles that the model makes beside its answers."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from chat_client import Chat, thread_of
from scripted_model import ScriptedModel, scripted_models
from scripted_server import AGENT
from servers import Everybody

from core.turns import titles
from core.turns.agent_server import AgentServer
from core.turns.running import Turns
from core.turns.titles import Titles

from app.wiring import Settings, open_locks, open_store


class NamingModel(ScriptedModel):
    """Is asked for titles too, and gives `title` as soon as the test lets it."""

    def __init__(self) -> None:
        super().__init__("The first answer.", "The second answer.")
        self.title: str | Exception = "Tea in Kyoto"
        self.asked: list[Any] = []
        self.asked_to_answer = threading.Event()
        self.may_name = threading.Event()
        self.may_answer = threading.Event()
        self.may_name.set()
        self.may_answer.set()

    async def stream_response(
        self, system_instructions: str | None, input: Any, *args: Any, **kwargs: Any
    ) -> AsyncIterator[Any]:
        if system_instructions == titles.agent.instructions:
            self.asked.append(input)
            await asyncio.to_thread(self.may_name.wait, 5)
            answer = ScriptedModel(self.title).stream_response(None, input)
        else:
            self.asked_to_answer.set()
            await asyncio.to_thread(self.may_answer.wait, 5)
            answer = super().stream_response(system_instructions, input, *args, **kwargs)
        async for event in answer:
            yield event


@pytest.fixture
def model() -> NamingModel:
    return NamingModel()


@pytest.fixture
def server(settings: Settings, model: NamingModel) -> AgentServer:
    models, store, turns = scripted_models(model), open_store(settings), Turns(open_locks(settings))
    return AgentServer(
        store,
        turns,
        agent=AGENT.clone(),
        model_provider=models,
        settings=settings,
        sign_in=Everybody(),
        titles=Titles(store, turns, models),
    )


def title_of(chat: Chat, thread_id: str) -> str:
    title: str = chat.post("threads.get_by_id", thread_id=thread_id).json()["title"]
    return title


def until(server: AgentServer) -> None:
    """Wait for the titles that are being made."""
    deadline = time.monotonic() + 5
    assert isinstance(server.titles, Titles)
    while server.titles._tasks:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_the_model_names_the_thread(chat: Chat, model: NamingModel, server: AgentServer) -> None:
    thread_id = thread_of(chat.say("Where can I drink tea in Kyoto, and when?"))
    until(server)
    assert title_of(chat, thread_id) == "Tea in Kyoto"
    # Once, and about nothing but the first message.
    chat.say("And coffee?", thread_id)
    until(server)
    assert len(model.asked) == 1
    assert title_of(chat, thread_id) == "Tea in Kyoto"


def test_the_answer_does_not_wait_for_its_title(
    chat: Chat, model: NamingModel, server: AgentServer
) -> None:
    model.may_name.clear()
    thread_id = thread_of(chat.say("Where is tea?"))
    assert chat.messages(thread_id)[-1] == "The first answer."
    assert title_of(chat, thread_id) == "Where is tea?"
    model.may_name.set()
    until(server)
    assert title_of(chat, thread_id) == "Tea in Kyoto"


def test_a_title_that_comes_in_time_is_shown_with_the_answer(
    chat: Chat, model: NamingModel, server: AgentServer
) -> None:
    model.may_answer.clear()
    with ThreadPoolExecutor(1) as aside:
        saying = aside.submit(chat.say, "Where is tea?")
        assert model.asked_to_answer.wait(5)
        until(server)
        model.may_answer.set()
        events = saying.result()
    shown = [event["thread"]["title"] for event in events if event["type"] == "thread.updated"]
    assert shown[-1] == "Tea in Kyoto"


def test_a_rename_during_the_answer_is_not_overwritten(
    chat: Chat, model: NamingModel, server: AgentServer
) -> None:
    model.may_name.clear()
    model.may_answer.clear()
    with ThreadPoolExecutor(1) as aside:
        saying = aside.submit(chat.say, "Where is tea?")
        assert model.asked_to_answer.wait(5)
        [thread] = chat.post("threads.list").json()["data"]
        chat.post("threads.update", thread_id=thread["id"], title="My own")
        model.may_name.set()
        until(server)
        model.may_answer.set()
        assert "Tea in Kyoto" not in str(saying.result())
    assert title_of(chat, thread["id"]) == "My own"


@pytest.mark.parametrize("title", [RuntimeError("quota"), "", "No.\nTitle.", "Long " * 20])
def test_without_a_title_the_first_words_stay(
    chat: Chat, model: NamingModel, server: AgentServer, title: str | Exception
) -> None:
    model.title = title
    events = chat.say("Where is tea?")
    until(server)
    assert title_of(chat, thread_of(events)) == "Where is tea?"
    assert not [event for event in events if event["type"] == "error"]


def test_a_rename_is_not_overwritten(chat: Chat, model: NamingModel, server: AgentServer) -> None:
    model.may_name.clear()
    thread_id = thread_of(chat.say("Where is tea?"))
    chat.post("threads.update", thread_id=thread_id, title="My own")
    model.may_name.set()
    until(server)
    assert title_of(chat, thread_id) == "My own"


def test_a_deleted_thread_does_not_come_back_for_its_title(
    chat: Chat, model: NamingModel, server: AgentServer
) -> None:
    model.may_name.clear()
    thread_id = thread_of(chat.say("Where is tea?"))
    chat.post("threads.delete", thread_id=thread_id)
    model.may_name.set()
    until(server)
    assert chat.post("threads.list").json()["data"] == []


def test_a_retry_asks_for_no_second_title(
    chat: Chat, model: NamingModel, server: AgentServer
) -> None:
    model.answers[:] = [RuntimeError("overloaded"), "Now it works."]
    model.title = RuntimeError("overloaded")
    events = chat.say("Where is tea?")
    [asked] = [e["item"] for e in events if e.get("item", {}).get("type") == "user_message"]
    chat.post("threads.retry_after_item", thread_id=asked["thread_id"], item_id=asked["id"])
    until(server)
    assert chat.messages(asked["thread_id"])[-1] == "Now it works."
    assert len(model.asked) == 1
