"""A database that goes away while the server runs, and comes back."""

import asyncio
import shutil
import socket
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from chat_client import Chat, serving, thread_of
from database_postgres import execute, upgrade
from scripted_model import ScriptedModel, scripted_models
from scripted_server import AGENT, scripted_server
from servers import Everybody
from test_postgres import Wire, through_a_wire

from core.stores.local_postgres import LocalPostgres
from core.stores.locks_postgres import ThreadLocks
from core.stores.postgres import PostgresStore
from core.turns.agent_server import AgentServer
from core.turns.running import Turns
from core.turns.server import TurnServer

from app.wiring import Settings, build_app, open_store

SENTENCE = "The conversations cannot be reached now. Try again in a moment."


@pytest.fixture
def postgres() -> Iterator[LocalPostgres]:
    """A server that a test may stop and start again."""
    folder = Path(tempfile.mkdtemp(prefix="chatkit-"))
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port: int = listening.getsockname()[1]
    server = LocalPostgres(folder, port=port)
    server.start()
    yield server
    server.stop()
    shutil.rmtree(folder)


@pytest.fixture
def database(postgres: LocalPostgres) -> dict[str, str]:
    upgrade(postgres.url)
    return {"DATABASE_URL": postgres.url, "DATABASE_TIMEOUT": "2"}


def on(settings: Settings, store: PostgresStore, locks: ThreadLocks) -> AgentServer:
    """A server whose model is never asked."""
    return AgentServer(
        store,
        Turns(locks),
        agent=AGENT.clone(),
        model_provider=scripted_models(ScriptedModel()),
        sign_in=Everybody(),
        settings=settings,
    )


@pytest.fixture
def server(settings: Settings) -> TurnServer:
    return scripted_server(settings, ScriptedModel("The first answer.", "The second answer."))


def test_a_database_that_was_away_is_used_again_without_a_restart(
    chat: Chat, postgres: LocalPostgres
) -> None:
    thread_id = thread_of(chat.say("Hello"))
    assert chat.http.get("/ready").status_code == 200
    postgres.stop()
    ready = chat.http.get("/ready")
    assert (ready.status_code, ready.json()["cause"]) == (503, "database: connection refused")
    assert chat.http.get("/health").status_code == 200
    message = {
        "content": [{"type": "input_text", "text": "Are you there?"}],
        "attachments": [],
        "inference_options": {},
    }
    for asked in (
        chat.post("threads.list"),
        chat.post("items.list", thread_id=thread_id),
        chat.post("threads.add_user_message", thread_id=thread_id, input=message),
        chat.post("threads.create", input=message),
    ):
        assert (asked.status_code, asked.json()["detail"]) == (503, SENTENCE)
        assert asked.headers["Retry-After"] == "5"
    postgres.start()
    assert chat.http.get("/ready").status_code == 200
    chat.say("Are you there?", thread_id)
    assert chat.messages(thread_id) == [
        "Hello",
        "The first answer.",
        "Are you there?",
        "The second answer.",
    ]


def test_a_database_that_goes_away_before_the_answer_is_stored_is_told(
    settings: Settings, postgres: LocalPostgres
) -> None:
    class Interrupted(ScriptedModel):
        async def stream_response(self, *args: Any, **kwargs: Any) -> AsyncIterator[Any]:
            if not self.inputs:
                await asyncio.to_thread(postgres.stop)
            async for event in super().stream_response(*args, **kwargs):
                yield event

    server = scripted_server(settings, Interrupted("Lost.", "Here I am."))
    with serving(build_app(settings, server)) as http:
        chat = Chat(http)
        events = chat.say("Are you there?")
        assert events[-1]["type"] == "error"
        assert SENTENCE in events[-1]["message"]
        postgres.start()
        thread_id = thread_of(events)
        assert chat.messages(thread_id) == ["Are you there?"]
        question = chat.post("items.list", thread_id=thread_id).json()["data"][0]["id"]
        chat.stream("threads.retry_after_item", thread_id=thread_id, item_id=question)
        assert chat.messages(thread_id) == ["Are you there?", "Here I am."]


def test_ready_does_not_wait_long_for_a_silent_database(
    settings: Settings, postgres: LocalPostgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("core.http.routes.READY_SECONDS", 0.5)

    async def use(wire: Wire, url: str) -> None:
        locks = ThreadLocks(url, timeout=5)
        server = on(settings, PostgresStore(url, timeout=5), locks)
        await server.start()
        app = httpx.ASGITransport(build_app(settings, server))
        async with httpx.AsyncClient(transport=app, base_url="http://localhost") as http:
            assert (await http.get("/ready")).status_code == 200
            wire.open.clear()
            for _ in range(3):
                began = time.monotonic()
                ready = await http.get("/ready")
                assert time.monotonic() - began < 4
                told = "database: it does not answer"
                assert (ready.status_code, ready.json()["cause"]) == (503, told)
            wire.open.set()
            # What the silence held up ends with its timeout.
            await asyncio.sleep(6)
            assert (await http.get("/ready")).status_code == 200
        async with locks.hold("", "ready", 0):
            pass
        assert locks._keys == {}
        await server.close()

    through_a_wire(use, postgres.url)


def test_no_thread_is_begun_that_cannot_be_locked(settings: Settings) -> None:
    locks = ThreadLocks("postgresql://nobody@127.0.0.1:9/chat", timeout=2)
    server = on(settings, open_store(settings), locks)
    with serving(build_app(settings, server)) as http:
        ready = http.get("/ready")
        assert (ready.status_code, ready.json()["cause"]) == (503, "database: connection refused")
        chat = Chat(http)
        message = {
            "content": [{"type": "input_text", "text": "Hello"}],
            "attachments": [],
            "inference_options": {},
        }
        asked = chat.post("threads.create", input=message)
        assert (asked.status_code, asked.json()["detail"]) == (503, SENTENCE)
        assert chat.post("threads.list").json()["data"] == []


def test_a_database_that_lost_its_tables_is_told_and_used_again_with_new_ones(
    chat: Chat, postgres: LocalPostgres
) -> None:
    chat.say("Hello")
    execute(postgres.url, "DROP SCHEMA public CASCADE")
    ready, listed = chat.http.get("/ready"), chat.post("threads.list")
    told = "database: not at the newest revision"
    assert (ready.status_code, ready.json()["cause"]) == (503, told)
    assert (listed.status_code, listed.json()["detail"]) == (503, SENTENCE)
    execute(postgres.url, "CREATE SCHEMA public")
    upgrade(postgres.url)
    assert chat.http.get("/ready").status_code == 200
    assert chat.post("threads.list").json()["data"] == []
    chat.say("Hello")


def test_a_database_that_can_only_be_read_is_not_ready(chat: Chat, postgres: LocalPostgres) -> None:
    chat.say("Hello")
    assert chat.http.get("/ready").status_code == 200
    execute(postgres.url, "ALTER DATABASE postgres SET default_transaction_read_only = on")
    execute(
        postgres.url,
        "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
        " WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()",
    )
    # The first answer may still be about the sessions that have ended.
    for _ in range(20):
        ready = chat.http.get("/ready")
        assert ready.status_code == 503
        if ready.json()["cause"] == "database: read only":
            break
        time.sleep(0.1)
    assert ready.json()["cause"] == "database: read only"
    writable = f"{postgres.url}?default_transaction_read_only=off"
    execute(writable, "ALTER DATABASE postgres RESET default_transaction_read_only")
