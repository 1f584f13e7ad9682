"""One database under two releases: each reads, and goes on with, what the other has stored."""

import json
import re
import signal
import sqlite3
import subprocess
import sys
import uuid
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from itertools import cycle, product
from pathlib import Path
from typing import Any

import httpx
import pytest

from scripts.dev import ROOT
from scripts.release import releases
from tests.backend import Client, Turn, message
from tests.postgres import create, execute
from tests.providers import KEY
from tests.releases import Answers, Template
from tests.render import render
from tests.standins import Answer, Silence, StandIn, Text, ToolCall
from tests.standins.request import Turn as Told
from tests.test_start import bare, started, wait_ready
from tests.users import Users, signed_in

# Each store at the level whose default it is. The provider is one that a stand-in can be without
# LiteLLM, of which old releases had another version than the one that is installed.
SAMPLES: dict[str, Answers] = {
    "sqlite": {"level": 2, "provider": "local", "store": "sqlite"},
    "postgres": {"level": 3, "provider": "local", "store": "postgres", "auth": "jwt"},
}
VERSIONS = [release.version for release in releases(ROOT)]
# The newest one with each store; the older ones, of which there will be many, in turn.
CASES = [
    *zip(VERSIONS[:-1], cycle(SAMPLES), strict=False),
    *product(VERSIONS[-1:], SAMPLES),
]

TOKYO = ToolCall("current_time", {"time_zone": "Asia/Tokyo"})
MENU = ToolCall("show_menu", {})
TIME_ZONE = ToolCall("browser_time_zone", {})


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Template:
    return Template.released(tmp_path_factory.mktemp("releases") / "template")


@pytest.fixture
def users(store: str) -> Iterator[Users]:
    with signed_in("jwt" if store == "postgres" else None) as users:
        yield users


class Releases:
    """Projects of two releases with the same answers, the same settings and one database."""

    def __init__(
        self, template: Template, version: str, store: str, users: Users, folder: Path, url: str
    ) -> None:
        self.store = store
        self.old = template.copy(folder / "myapp", version, SAMPLES[store])
        self.new = render(**SAMPLES[store])
        self.database = (
            create("template0")
            if store == "postgres"
            else f"sqlite:///{(folder / 'chat.db').as_posix()}"
        )
        self._headers = users.headers("ada")
        self._env = users.env | {
            "DATABASE_URL": self.database,
            "MODEL_BASE_URL": f"{url}/v1",
            "LOCAL_API_KEY": KEY,
            "RATE_LIMIT": "off",
            "TITLES": "false",
            # For what no client is shown, such as the feedback.
            "DEBUG": "true",
        }

    @contextmanager
    def serving(self, project: Path) -> Iterator[Client]:
        """A worker of this project, until it is told to end."""
        with started(project, self._env) as (process, url):
            wait_ready(url)
            with httpx.Client(
                base_url=url, headers=self._headers, timeout=30, trust_env=False, verify=False
            ) as http:
                yield Client(http)
            process.send_signal(signal.SIGTERM)
            assert process.wait(15) in (0, -signal.SIGTERM), process.communicate()[0]

    def migrate(self, project: Path) -> None:
        """Bring the database to the project's schema, by the command of its README."""
        if self.store == "postgres":
            readme = (project / "README.md").read_text(encoding="utf-8")
            [command] = set(re.findall(r"^alembic upgrade \w+", readme, re.MULTILINE))
            migrated = subprocess.run(
                [sys.executable, "-m", *command.split()],
                cwd=project / "backend",
                env=bare(self._env),
                capture_output=True,
                text=True,
                check=False,
            )
            assert migrated.returncode == 0, migrated.stderr

    def attach(self, thread: str) -> str:
        """The id of a new attachment of the thread: to upload one takes code of the user's own."""
        attachment = f"atc_{uuid.uuid4().hex}"
        data = {
            "type": "file",
            "id": attachment,
            "name": "plan.pdf",
            "mime_type": "application/pdf",
        }
        statement = (
            "INSERT INTO attachments (owner, id, thread_id, data)"
            f" SELECT owner, '{attachment}', id, '{json.dumps(data)}' FROM threads"
            f" WHERE id = '{thread}'"
        )
        if self.store == "postgres":
            execute(self.database, statement)
        else:
            path = self.database.removeprefix("sqlite:///")
            with closing(sqlite3.connect(path, isolation_level=None)) as connection:
                connection.execute(statement)
        return attachment


@dataclass
class Story:
    """What one release has stored, and what it would tell the model of it next."""

    thread: str
    told: list[Told] = field(default_factory=list)
    menu: str = ""
    """The id of a widget whose buttons nobody has pressed."""
    asked: str = ""
    """The thread in which the browser has not answered yet."""


def tell(releases: Releases, client: Client, standin: StandIn) -> Story:
    """A conversation with everything in it that a release stores."""
    standin.answers(
        Answer(Text("Hello — 你好 🍜.")),
        Answer(Text("Let me look."), TOKYO),
        Answer(Text("It is late.")),
        Answer(Text("Once upon "), Silence(30)),
    )
    story = Story(said(client.say("Hello\nthere")).thread)
    thread = story.thread
    turn = said(client.say("What time is it in Tokyo?", thread))
    client.ask("threads.update", thread_id=thread, title="Über die Zeit 🕰")
    words = of_type(turn, "assistant_message")
    client.ask("items.feedback", thread_id=thread, item_ids=words[:1], kind="negative")
    client.ask("items.feedback", thread_id=thread, item_ids=words[1:], kind="positive")
    events = client.events(*message("Tell me a story.", thread))
    while "Once upon" not in str(next(events)):
        pass
    # It closes the connection, which stops the answer.
    events.close()
    if releases.store == "postgres":
        # Level 3 has tools that show something, and tools that the browser answers.
        standin.answers(
            Answer(MENU), Answer(Text("Enjoy.")), Answer(Text("Let me ask."), TIME_ZONE)
        )
        [story.menu] = of_type(said(client.say("What is for lunch?", thread)), "widget")
        story.asked = said(client.say("What time is it here?")).thread
    else:
        said(client.say("Something else."))
    standin.answers(Answer(Text("I have read it.")))
    kind, params = message("Read this.", thread)
    params["input"]["attachments"] = [releases.attach(thread)]
    said(client.turn(kind, **params))
    told = standin.requests[-1].turns
    for part in ("你好", str(TOKYO), "JST", "Once upon", "stopped the answer", "plan.pdf"):
        assert part in str(told)
    assert ("Pumpkin soup" in str(told)) == bool(story.menu)
    story.told = [*told, ("assistant", "I have read it.")]
    return story


def go_on(client: Client, story: Story, standin: StandIn) -> None:
    """Go on with what the other release has stored, in every way in which it can be."""
    standin.answers(Answer(Text("Gladly.")))
    assert said(client.say("Go on.", story.thread)).text == "Gladly."
    assert lines(standin.requests[-1].turns) == lines([*story.told, ("user", "Go on.")])
    client.ask("threads.update", thread_id=story.thread, title="Went on")
    if story.menu:
        for action in (
            {"type": "lunch.choose", "payload": {"dish": "soup"}},
            {"type": "lunch.order", "payload": {"dish": "soup", "portions": 2}},
        ):
            params = {"thread_id": story.thread, "item_id": story.menu, "action": action}
            said(client.turn("threads.custom_action", **params))
        standin.answers(Answer(Text("Soup.")))
        assert said(client.say("What did I order?", story.thread)).text == "Soup."
        assert "The user ordered: Pumpkin soup, 2 portions." in str(standin.requests[-1].turns)
    if story.asked:
        standin.answers(Answer(Text("It is noon.")))
        result = {"time_zone": "Europe/Berlin"}
        turn = client.turn("threads.add_client_tool_output", thread_id=story.asked, result=result)
        assert said(turn).text == "It is noon."
        assert [who for who, _ in standin.requests[-1].turns] == [
            *("user", "assistant", "tool_call", "tool_output")
        ]
        assert "Europe/Berlin" in standin.requests[-1].turns[-1][1]


def said(turn: Turn) -> Turn:
    assert not turn.errors, turn.errors
    return turn


def of_type(turn: Turn, type: str) -> list[str]:
    """The ids of these items."""
    return [id for id, item in turn.items.items() if item["type"] == type]


NOTHING_MORE = "(Nothing more was said.)"


def lines(turns: list[Told]) -> list[Told]:
    """Who says what, line by line, in no order.

    Newer releases join messages of the user, and tell a tool's call before what the tool has shown,
    between which a local model is told that nobody answered; or it is told what was shown together
    with the tool's output.
    """
    shown = "[The user is shown"
    said = [
        ("user" if line.startswith(shown) else who, line)
        for who, text in turns
        for line in text.splitlines()
        if (who, line) not in (("assistant", "(No answer.)"), ("assistant", NOTHING_MORE))
    ]
    return sorted(each for each in said if each[1])


def seen(client: Client) -> Mapping[str, Any]:
    """Everything that is stored, as a client is shown it, and what only the developer is."""
    threads = client.ask("threads.list", limit=100)["data"]
    found = {
        "threads": threads,
        "each": [client.ask("threads.get_by_id", thread_id=thread["id"]) for thread in threads],
        "items": [client.items(thread["id"]) for thread in threads],
        "debug": client.http.get("/debug/threads").json()["threads"],
    }
    # Up to 0.6.1 a widget is loaded with defaults that nobody sent, and without what is newer.
    shown: Mapping[str, Any] = without_widgets(found)
    return shown


def without_widgets(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: without_widgets(each) for name, each in value.items() if name != "widget"}
    return [without_widgets(each) for each in value] if isinstance(value, list) else value


@pytest.mark.parametrize(("version", "store"), CASES)
def test_a_release_and_this_one_read_each_other_s_conversations_and_go_on(
    version: str, store: str, template: Template, standin: StandIn, users: Users, tmp_path: Path
) -> None:
    releases = Releases(template, version, store, users, tmp_path, standin.url)
    releases.migrate(releases.old)
    with releases.serving(releases.old) as old:
        story = tell(releases, old, standin)
        before = seen(old)
    assert len(before["threads"]) == 2
    releases.migrate(releases.new)
    with releases.serving(releases.new) as new:
        assert seen(new) == before
        go_on(new, story, standin)
        story = tell(releases, new, standin)
        after = seen(new)
    assert len(after["threads"]) == 4
    # Of this one's: before 0.2.0, level 2 took the feedback and threw it away.
    assert "negative" in str(after["debug"]) and "positive" in str(after["debug"])
    with releases.serving(releases.old) as old:
        assert seen(old) == after
        go_on(old, story, standin)
        tell(releases, old, standin)


@pytest.mark.parametrize("store", SAMPLES)
def test_while_an_update_is_rolled_out_old_and_new_workers_share_a_conversation(
    store: str, template: Template, standin: StandIn, users: Users, tmp_path: Path
) -> None:
    releases = Releases(template, VERSIONS[-1], store, users, tmp_path, standin.url)
    with ExitStack() as workers:
        if store == "postgres":
            releases.migrate(releases.old)
            old = workers.enter_context(releases.serving(releases.old))
            # The old worker goes on while the schema becomes the new one.
            releases.migrate(releases.new)
            new = workers.enter_context(releases.serving(releases.new))
        else:
            # A file has the schema of the worker that made it: elsewhere that is the old one.
            new = workers.enter_context(releases.serving(releases.new))
            old = workers.enter_context(releases.serving(releases.old))
        thread = said(old.say("Message 0")).thread
        for number in range(1, 6):
            said((old, new)[number % 2].say(f"Message {number}", thread))
        expected = [
            each
            for number in range(6)
            for each in (("user", f"Message {number}"), ("assistant", f"ok {number + 1}"))
        ]
        assert old.texts(thread) == new.texts(thread) == expected
        assert standin.requests[-1].turns == expected[:-1]
        for writer, title in ((old, "By the old one"), (new, "By the new one")):
            writer.ask("threads.update", thread_id=thread, title=title)
            for reader in (old, new):
                assert reader.ask("threads.get_by_id", thread_id=thread)["title"] == title
        if store == "postgres":
            at_once(old, new, thread, standin)
        assert seen(old) == seen(new)
        new.ask("threads.delete", thread_id=thread)
        assert old.post("threads.get_by_id", thread_id=thread).status_code == 404


def at_once(old: Client, new: Client, thread: str, standin: StandIn) -> None:
    """Send two messages to one thread at the same time: the second waits for the first's answer."""
    for number in range(3):
        before = old.texts(thread)
        standin.answers(
            Answer(Text("Answer "), Silence(0.4), Text("one.")),
            Answer(Text("Answer "), Silence(0.4), Text("two.")),
        )
        messages = f"Old {number}", f"New {number}"
        with ThreadPoolExecutor(2) as aside:
            saying = [
                aside.submit(client.say, text, thread)
                for client, text in zip((old, new), messages, strict=True)
            ]
            for turn in saying:
                said(turn.result())
        told = old.texts(thread)
        assert told[: len(before)] == before
        [first, one, second, two] = told[len(before) :]
        assert {first, second} == {("user", text) for text in messages}
        assert (one, two) == (("assistant", "Answer one."), ("assistant", "Answer two."))
        assert standin.requests[-1].turns == told[:-1]
