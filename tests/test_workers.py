"""Several servers on one PostgreSQL: one conversation goes back and forth between them."""

import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.backend import Turn, message, sse
from tests.providers import environment
from tests.render import render
from tests.standins import Answer, Silence, StandIn, Text
from tests.test_start import started, wait_ready
from tests.users import Users, signed_in


@pytest.fixture
def users() -> Iterator[Users]:
    with signed_in("jwt") as users:
        yield users


@pytest.fixture
def env(standin: StandIn, users: Users, tmp_path: Path) -> dict[str, str]:
    """The settings that the servers share."""
    given = environment("local", standin, tmp_path, "postgres")
    return given | users.env | {"TITLES": "false", "RATE_LIMIT": "off"}


class Servers:
    """Processes of one project, each at an address of its own. A context manager."""

    def __init__(self, env: dict[str, str], users: Users) -> None:
        self._project = render(level=3, provider="local", store="postgres", auth="jwt")
        self._env = env
        self._headers = users.headers("ada")
        self._open = ExitStack()

    def __enter__(self) -> "Servers":
        return self

    def __exit__(self, *error: object) -> None:
        self._open.close()

    def start(self) -> "Server":
        process, url = self._open.enter_context(started(self._project, self._env))
        wait_ready(url)
        http = httpx.Client(base_url=url, headers=self._headers, timeout=30, trust_env=False)
        return Server(process, self._open.enter_context(http))


class Server:
    def __init__(self, process: Any, http: httpx.Client) -> None:
        self.process = process
        self.http = http

    def stream(self, text: str, thread: str | None = None) -> Any:
        kind, params = message(text, thread)
        return self.http.stream("POST", "/chatkit", json={"type": kind, "params": params})

    def ask(self, type: str, **params: Any) -> httpx.Response:
        return self.http.post("/chatkit", json={"type": type, "params": params})

    def say(self, text: str, thread: str | None = None) -> Turn:
        with self.stream(text, thread) as response:
            assert response.status_code == 200, response.read()
            return Turn.of(list(sse(response)))

    def texts(self, thread: str) -> list[str]:
        asked = {"type": "items.list", "params": {"thread_id": thread, "order": "asc"}}
        items = self.http.post("/chatkit", json=asked).json()["data"]
        return ["".join(part["text"] for part in item["content"]) for item in items]


def test_a_conversation_goes_back_and_forth_between_two_servers_one_answer_at_a_time(
    standin: StandIn, env: dict[str, str], users: Users
) -> None:
    standin.answers(
        *(Answer(Text(f"Answer {n}.")) for n in range(4)),
        Answer(Text("Answer "), Silence(8), Text("4.")),
        Answer(Text("Answer 5.")),
    )
    with Servers(env, users) as servers:
        two = [servers.start(), servers.start()]
        thread = two[0].say("Message 0").thread
        for number in range(1, 4):
            assert two[number % 2].say(f"Message {number}", thread).text == f"Answer {number}."
        with two[0].stream("Message 4", thread) as slow:
            events = sse(slow)
            while "Answer" not in str(next(events)):
                pass
            kind, params = message("Message 5", thread)
            busy = two[1].http.post("/chatkit", json={"type": kind, "params": params})
            assert busy.status_code == 409
            assert "still being answered" in busy.json()["detail"]
            assert busy.headers["Retry-After"]
            list(events)
        assert two[1].say("Message 5", thread).text == "Answer 5."
        expected = [text for n in range(6) for text in (f"Message {n}", f"Answer {n}.")]
        assert two[0].texts(thread) == two[1].texts(thread) == expected
    assert [text for _, text in standin.requests[-1].turns] == expected[:-1]


def test_a_rename_and_a_deletion_hold_on_every_server(
    standin: StandIn, env: dict[str, str], users: Users
) -> None:
    standin.answers(Answer(Silence(2, headers=True), Text("Hello.")))
    with Servers(env, users) as servers, ThreadPoolExecutor(1) as aside:
        one, other = servers.start(), servers.start()
        with one.stream("Hello") as slow:
            events = sse(slow)
            thread = next(events)["thread"]["id"]
            standin.wait_request(0, timeout=5)
            assert other.ask("threads.update", thread_id=thread, title="Mine").status_code == 200
            list(events)
        assert one.ask("threads.get_by_id", thread_id=thread).json()["title"] == "Mine"

        for number in range(25):
            thread = one.say("Hello").thread
            deleted = aside.submit(other.ask, "threads.delete", thread_id=thread)
            time.sleep(number % 6 / 1000)
            one.ask("threads.update", thread_id=thread, title="Still here?")
            assert deleted.result(10).status_code == 200
        assert len(other.ask("threads.list", limit=100).json()["data"]) == 1


def test_a_server_that_is_killed_loses_no_message_and_holds_no_thread(
    standin: StandIn, env: dict[str, str], users: Users
) -> None:
    standin.answers(
        Answer(Text("Hello.")), Answer(Text("Slowly "), Silence(30)), Answer(Text("Here I am."))
    )
    with Servers(env, users) as servers:
        one, other = servers.start(), servers.start()
        thread = one.say("Hello").thread
        with one.stream("Are you there?", thread) as slow:
            lines = sse(slow)
            while "Slowly" not in str(next(lines)):
                pass
            one.process.send_signal(signal.SIGKILL)
            one.process.wait()
        assert other.texts(thread) == ["Hello", "Hello.", "Are you there?"]
        assert other.say("Once more: are you there?", thread).text == "Here I am."
