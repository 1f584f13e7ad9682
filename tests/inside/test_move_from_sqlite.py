"""The move of a SQLite file into PostgreSQL: all of it, in order, whatever stops it."""

import asyncio
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial
from io import StringIO
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from chatkit.types import LockedStatus, Page
from database_postgres import execute, new_database
from store_samples import ADA, BOB, a_file, a_thread, an_item, every_kind_of_item
from tqdm import tqdm  # type: ignore[import-untyped]

from core.context import RequestContext
from core.stores import move_from_sqlite
from core.stores.base import BaseStore
from core.stores.postgres import PostgresStore
from core.stores.postgres_connection import address_of
from core.stores.sqlite import SQLiteStore

BACKEND = Path(__file__).resolve().parents[1]
LOCAL = RequestContext()
ODD = "\\0 \0 ' \" 🧑‍🚀 \u202e \u2028 %s {x} "
ITEMS = 2 * move_from_sqlite.BATCH + 1
# The threads in the file, and the attachments that are in none of them.
THREADS = {
    "ada": ["thr_1", "thr_" + "f" * 200, "thr_" + ODD, *(f"thr_short_{n}" for n in range(12))],
    "bob": ["thr_1", "thr_empty"],
    "local": ["thr_local"],
}
ATTACHMENTS = {"ada": ["atc_1", "atc_\\", "atc_\0", "atc_loose", "atc_lost"], "bob": ["atc_1"]}


def use(store: BaseStore, using: Callable[[Any], Coroutine[Any, Any, Any]]) -> Any:
    """Use the store in an event loop of its own, from its opening to its closing."""

    async def session() -> Any:
        await store.open()
        try:
            return await using(store)
        finally:
            await store.close()

    return asyncio.run(session())


async def fill(store: BaseStore) -> None:
    """Threads of three users, one of whom has many items, and every kind of record."""
    await store.save_thread(a_thread("thr_1"), ADA)
    for item in every_kind_of_item():
        await store.add_thread_item("thr_1", item, ADA)
    await store.save_thread(a_thread("thr_1", title=None, status=LockedStatus(reason="x")), BOB)
    await store.add_thread_item("thr_1", an_item("msg_1", "Bob's"), BOB)
    long, odd = THREADS["ada"][1:3]
    for thread_id in THREADS["ada"][1:]:
        await store.save_thread(a_thread(thread_id, title=ODD + "\ud800"), ADA)
        await store.add_thread_item(thread_id, an_item("msg_1", "Hi", thread_id), ADA)
    for number in range(2, ITEMS + 1):
        await store.add_thread_item(long, an_item(f"msg_{number}", "Hi", long), ADA)
    for item_id in ("msg_" + ODD, "msg_\\"):
        await store.add_thread_item(odd, an_item(item_id, ODD + "\udfff", odd), ADA)
    # An order that no id and no time tells.
    await store.delete_thread_item(long, "msg_1", ADA)
    await store.add_thread_item(long, an_item("msg_1", "Last", long), ADA)
    await store.save_thread(a_thread("thr_empty"), BOB)
    await store.save_thread(a_thread("thr_local"), LOCAL)
    await store.save_feedback("thr_1", ["msg_1", "wdg_1"], "negative", ADA)
    await store.save_feedback(odd, ["msg_\\"], "positive", ADA)
    for attachment_id in ("atc_1", "atc_\\", "atc_\0"):
        await store.save_attachment(a_file(attachment_id, thread_id="thr_short_5"), ADA)
    await store.save_attachment(a_file("atc_1", thread_id="thr_1"), BOB)
    await store.save_attachment(a_file("atc_loose", metadata={"odd": ODD}), ADA)
    await store.save_attachment(a_file("atc_lost", thread_id="thr_deleted"), ADA)


async def paged(load: Callable[..., Coroutine[Any, Any, Page[Any]]]) -> list[Any]:
    """Every record, page after page."""
    page = await load(after=None)
    records = page.data
    while page.has_more:
        page = await load(after=page.after)
        records += page.data
    return records


async def everything(store: BaseStore) -> dict[str, Any]:
    """All that the store gives back, both ways round."""
    found: dict[str, Any] = {}
    for user in THREADS:
        context = RequestContext(user_id=user)
        for order in ("asc", "desc"):
            asked: dict[str, Any] = {"order": order, "context": context}
            found[f"{user} {order}"] = await paged(partial(store.load_threads, limit=5, **asked))
            for thread in found[f"{user} {order}"]:
                items = partial(store.load_thread_items, thread.id, limit=400, **asked)
                found[f"{user} {order} {thread.id}"] = await paged(items)
                found[f"{user} {thread.id}"] = await store.load_feedback(thread.id, context)
        for attachment_id in ATTACHMENTS.get(user, []):
            attachment = await store.load_attachment(attachment_id, context)
            found[f"{user} {attachment_id}"] = attachment
    return found


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("filled") / "chat.db"
    use(SQLiteStore(file), fill)
    return file


@pytest.fixture(scope="module")
def all_of_it(filled: Path) -> dict[str, Any]:
    found: dict[str, Any] = use(SQLiteStore(filled), everything)
    assert [thread.id for thread in found["ada asc"]] == THREADS["ada"]
    assert len(found[f"ada asc {THREADS['ada'][1]}"]) == ITEMS
    return found


@pytest.fixture
def file(filled: Path, tmp_path: Path) -> Path:
    """A file of the test's own."""
    return Path(shutil.copy(filled, tmp_path))


@dataclass
class Ended:
    """How the command ended."""

    code: Any
    out: str
    err: str


@pytest.fixture
def move(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., Ended]:
    """The command, in this process."""
    monkeypatch.setenv("DATABASE_URL", postgres_url)

    def command(*arguments: str | Path) -> Ended:
        monkeypatch.setattr(sys, "argv", ["move_from_sqlite", *map(str, arguments)])
        try:
            code: Any = move_from_sqlite.main()
        except SystemExit as ended:
            code = ended.code
        return Ended(code, *capsys.readouterr())

    return command


Move = Callable[..., Ended]


def rows(url: str) -> list[Any]:
    """What the tables hold, with the transaction that wrote it."""
    return [
        execute(url, f"SELECT *, xmin::text FROM {table} ORDER BY id, owner, xmin::text")
        for table in ("threads", "items", "attachments")
    ]


# -- what is moved ------------------------------------------------------------------------------


def test_everything_is_there_as_it_was(
    move: Move, file: Path, postgres_url: str, all_of_it: dict[str, Any]
) -> None:
    ended = move(file)
    assert (ended.code, ended.err) == (0, "")
    threads = sum(map(len, THREADS.values()))
    with closing(sqlite3.connect(file)) as source:
        [items] = source.execute("SELECT count(*) FROM items").fetchone()
    counted = f"{threads} threads, {items:,} items, 6 attachments"
    assert ended.out.splitlines() == [
        f"In the file: {counted}",
        f"In PostgreSQL, with equal checksums: {counted}",
    ]
    assert use(PostgresStore(postgres_url), everything) == all_of_it


def test_a_second_move_finds_nothing_to_do(move: Move, file: Path, postgres_url: str) -> None:
    first, before = move(file), rows(postgres_url)
    assert move(file) == first
    assert rows(postgres_url) == before


def test_moved_threads_come_behind_older_ones_and_before_newer_ones(
    move: Move, file: Path, postgres_url: str
) -> None:
    store = PostgresStore(postgres_url)
    use(store, lambda store: store.save_thread(a_thread("thr_older"), ADA))
    assert move(file).code == 0
    use(store, lambda store: store.save_thread(a_thread("thr_newer"), ADA))
    use(store, lambda store: store.add_thread_item("thr_1", an_item("msg_newer"), ADA))
    threads = use(store, lambda store: store.load_threads(100, None, "asc", ADA)).data
    assert [thread.id for thread in threads] == ["thr_older", *THREADS["ada"], "thr_newer"]
    items = use(store, lambda store: store.load_thread_items("thr_1", None, 1, "desc", ADA)).data
    assert [item.id for item in items] == ["msg_newer"]


def test_the_progress_is_shown_to_whoever_watches(
    move: Move, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Terminal(StringIO):
        def isatty(self) -> bool:
            return True

    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    assert move(file).code == 0
    assert "100%" in terminal.getvalue() and " items/s" in terminal.getvalue()


# -- whose they are -----------------------------------------------------------------------------


def test_a_user_gets_the_threads_of_a_project_without_a_sign_in(
    move: Move, file: Path, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(move_from_sqlite, "find_spec", lambda name: name == "core.auth.users")
    assert move(file, "--user", "ada").code == 0
    store = PostgresStore(postgres_url)
    threads = use(store, lambda store: store.load_threads(100, None, "asc", ADA)).data
    assert [thread.id for thread in threads] == [*THREADS["ada"], "thr_local"]
    assert use(store, lambda store: store.load_threads(9, None, "asc", LOCAL)).data == []
    assert len(use(store, lambda store: store.load_threads(9, None, "asc", BOB)).data) == 2


def test_where_users_sign_in_one_has_to_be_named(
    move: Move, file: Path, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(move_from_sqlite, "find_spec", lambda name: name == "core.auth.users")
    for user in ((), ("--user", "local")):
        ended = move(file, *user)
        assert (ended.code, ended.out) == (2, "")
        assert "Say with --user who else gets them." in ended.err
    assert rows(postgres_url) == [[], [], []]
    assert move(file, "--user", "eve").code == 0
    assert execute(postgres_url, "SELECT id FROM threads WHERE owner = 'eve'")[0][0] == "thr_local"
    with closing(sqlite3.connect(file)) as source, source:
        source.execute("DELETE FROM threads WHERE owner = 'local'")
    assert move(file).code == 0


def test_where_nobody_signs_in_no_user_gets_threads_that_nobody_could_read(
    move: Move, file: Path, postgres_url: str
) -> None:
    ended = move(file, "--user", "ada")
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.startswith("Cannot start: --user ") and len(ended.err.splitlines()) == 1
    assert rows(postgres_url) == [[], [], []]


@pytest.mark.parametrize("user", ["", " ", "a\nb", "x" * 256])
def test_a_user_who_cannot_sign_in_gets_nothing(
    move: Move, file: Path, postgres_url: str, user: str
) -> None:
    ended = move(file, "--user", user)
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.endswith("a user's id has 1 to 255 visible characters\n")
    assert rows(postgres_url) == [[], [], []]


# -- what is there already ----------------------------------------------------------------------

DIFFERENCES = {
    "a title": "UPDATE threads SET data = '{}' WHERE id = 'thr_short_0'",
    "a text": "UPDATE items SET data = '{}' WHERE data LIKE '%thr_short_1\"%'",
    "an id": "UPDATE items SET id = 'msg_2' WHERE data LIKE '%thr_short_2\"%'",
    "feedback": "UPDATE items SET feedback = 'positive' WHERE data LIKE '%thr_short_3\"%'",
    "an item less": "DELETE FROM items WHERE data LIKE '%thr_short_4\"%'",
    "an attachment less": "DELETE FROM attachments WHERE id = 'atc_1' AND owner = 'ada'",
    "an attachment more": "INSERT INTO attachments VALUES ('ada', 'atc_x', 'thr_short_6', '{}')",
    "an item more": "INSERT INTO items (owner, thread, id, data) SELECT owner, seq, 'msg_0', '{}'"
    " FROM threads WHERE id = 'thr_short_7'",
    "another order": "WITH one AS (DELETE FROM items WHERE id = 'msg_2' AND data LIKE"
    " '%thr_fffff%' RETURNING *) INSERT INTO items (owner, thread, id, data)"
    " SELECT owner, thread, id, data FROM one",
    "an attachment of no thread": "UPDATE attachments SET data = '{}' WHERE id = 'atc_loose'",
}
TOLD = {*(f"thr_short_{number}" for number in range(8)), THREADS["ada"][1], "atc_loose"}


def test_what_differs_is_told_and_left_as_it_is(move: Move, file: Path, postgres_url: str) -> None:
    assert move(file).code == 0
    for difference, statement in DIFFERENCES.items():
        before = rows(postgres_url)
        execute(postgres_url, statement)
        assert rows(postgres_url) != before, difference
    before = rows(postgres_url)
    ended = move(file)
    assert ended.code == 1
    told = [f"{known} of ada differs in PostgreSQL, and was left as it is." for known in TOLD]
    assert sorted(ended.err.splitlines()) == sorted(told)
    assert "In the file: 18 threads" in ended.out
    assert "In PostgreSQL, with equal checksums: 9 threads" in ended.out
    assert rows(postgres_url) == before


def test_a_thread_whose_attachment_another_one_has_is_not_moved(
    move: Move, file: Path, postgres_url: str
) -> None:
    execute(postgres_url, "INSERT INTO attachments VALUES ('ada', 'atc_1', 'thr_x', '{}')")
    ended = move(file)
    assert ended.code == 1
    assert ended.err == "thr_short_5 of ada differs in PostgreSQL, and was left as it is.\n"
    assert execute(postgres_url, "SELECT 1 FROM threads WHERE id = 'thr_short_5'") == []
    assert len(execute(postgres_url, "SELECT 1 FROM threads")) == 17


SPOIL = (
    """CREATE FUNCTION spoil() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    IF NEW.data LIKE '%thr_short_3"%' THEN NEW.data := NEW.data || ' '; END IF;
    RETURN NEW;
    END $$""",
    "CREATE TRIGGER t BEFORE INSERT ON items FOR EACH ROW EXECUTE FUNCTION spoil()",
)


def test_what_was_written_is_not_believed_but_read(
    move: Move, file: Path, postgres_url: str
) -> None:
    for statement in SPOIL:
        execute(postgres_url, statement)
    ended = move(file)
    execute(postgres_url, "DROP FUNCTION spoil CASCADE")
    assert ended.code == 1
    assert "thr_short_3 of ada" in ended.err and len(ended.err.splitlines()) == 1
    assert execute(postgres_url, "SELECT 1 FROM threads WHERE id = 'thr_short_3'") == []


# -- stops --------------------------------------------------------------------------------------


@contextmanager
def held_up(url: str) -> Iterator[None]:
    """The move waits in thr_short_5, with its items written, for an attachment that is not kept."""
    ready, over = threading.Event(), threading.Event()

    async def hold() -> None:
        connection = await asyncpg.connect(url)
        await connection.execute("BEGIN")
        await connection.execute("INSERT INTO attachments VALUES ('ada', 'atc_1', NULL, '{}')")
        ready.set()
        await asyncio.to_thread(over.wait)
        await connection.close()

    with ThreadPoolExecutor(1) as aside:
        holding = aside.submit(asyncio.run, hold())
        assert ready.wait(30)
        try:
            yield
        finally:
            over.set()
            holding.result()


WAITING = (
    "SELECT pid FROM pg_stat_activity"
    " WHERE datname = current_database() AND wait_event_type = 'Lock'"
)


def wait_until_it_waits(url: str, moves: int = 1) -> None:
    deadline = time.monotonic() + 60
    while len(execute(url, WAITING)) < moves:
        assert time.monotonic() < deadline
        time.sleep(0.02)


def started(url: str, file: Path) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "core.stores.move_from_sqlite", str(file)],
        cwd=BACKEND,
        env={**os.environ, "DATABASE_URL": url},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize(
    ("stop", "code", "said"),
    [
        ("kill", -signal.SIGKILL, ""),
        ("Ctrl-C", 130, "Stopped. Run it again, and it goes on.\n"),
        ("away", 2, "Stopped: The database PLACE cannot be used: connection was closed"),
    ],
)
def test_a_stop_leaves_whole_threads_and_the_next_run_goes_on(
    move: Move,
    file: Path,
    postgres_url: str,
    all_of_it: dict[str, Any],
    stop: str,
    code: int,
    said: str,
) -> None:
    with held_up(postgres_url):
        process = started(postgres_url, file)
        wait_until_it_waits(postgres_url)
        if stop == "away":
            execute(postgres_url, f"SELECT pg_terminate_backend(pid) FROM ({WAITING}) AS waiting")
        else:
            process.send_signal(signal.SIGKILL if stop == "kill" else signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (code, "")
    assert err.startswith(said.replace("PLACE", address_of(postgres_url))), err
    # Python 3.14 tells after a kill that the lock of tqdm is left.
    assert stop == "kill" or len(err.splitlines()) <= 1
    with closing(sqlite3.connect(file)) as source:
        order = [row[0] for row in source.execute("SELECT id FROM threads ORDER BY seq")]
    moved = execute(postgres_url, "SELECT id, data FROM threads ORDER BY seq")
    assert len(moved) == order.index("thr_short_5")
    whole = execute(postgres_url, "SELECT count(*) FROM items")[0][0]
    assert move(file).code == 0
    assert use(PostgresStore(postgres_url), everything) == all_of_it
    assert whole < execute(postgres_url, "SELECT count(*) FROM items")[0][0]


def test_a_file_that_is_still_written_to_is_moved_as_it_was_at_the_start(
    move: Move,
    file: Path,
    postgres_url: str,
    all_of_it: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def go_on(store: BaseStore) -> None:
        await store.save_thread(a_thread("thr_new"), ADA)
        await store.add_thread_item("thr_short_9", an_item("msg_new"), ADA)

    def counted(**options: Any) -> Any:
        with ThreadPoolExecutor(1) as aside:
            aside.submit(use, SQLiteStore(file), go_on).result()
        return tqdm(**options)

    with monkeypatch.context() as patched:
        patched.setattr(move_from_sqlite, "tqdm", counted)
        assert move(file).code == 0
    assert use(PostgresStore(postgres_url), everything) == all_of_it
    again = move(file)
    assert again.err == "thr_short_9 of ada differs in PostgreSQL, and was left as it is.\n"
    assert len(execute(postgres_url, "SELECT 1 FROM threads WHERE id = 'thr_new'")) == 1


def test_two_moves_at_once_move_everything_once(
    move: Move, file: Path, postgres_url: str, all_of_it: dict[str, Any]
) -> None:
    with ThreadPoolExecutor(2) as aside:
        with held_up(postgres_url):
            both = [aside.submit(move, file) for _ in range(2)]
            wait_until_it_waits(postgres_url, moves=2)
        assert [moving.result().code for moving in both] == [0, 0]
    assert use(PostgresStore(postgres_url), everything) == all_of_it


# -- bad input ----------------------------------------------------------------------------------


def a_text(path: Path) -> None:
    path.write_text("Not a database. " * 100)


def another_program_s(path: Path) -> None:
    with closing(sqlite3.connect(path)) as other:
        other.execute("CREATE TABLE threads (id)")


def a_newer_version(path: Path) -> None:
    use(SQLiteStore(path), lambda store: store.open())
    with closing(sqlite3.connect(path)) as newer:
        newer.execute("PRAGMA user_version = 2")


def damaged(path: Path) -> None:
    use(SQLiteStore(path), fill)
    with path.open("r+b") as file:
        file.seek(8192)
        file.write(b"\xff" * (path.stat().st_size - 8192))


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (None, 'Cannot start: There is no file "{path}".'),
        (Path.mkdir, 'Cannot start: There is no file "{path}".'),
        (a_text, 'Stopped: "{path}" cannot be read: file is not a database.'),
        (Path.touch, 'Cannot start: "{path}" belongs to another program.'),
        (another_program_s, 'Cannot start: "{path}" belongs to another program.'),
        (a_newer_version, 'Cannot start: "{path}" is of version 2; this program moves version 1.'),
        (damaged, 'Stopped: "{path}" cannot be read: database disk image is malformed.'),
    ],
)
def test_a_file_that_cannot_be_moved_is_one_line(
    move: Move, tmp_path: Path, make: Callable[[Path], None] | None, sentence: str
) -> None:
    path = tmp_path / "a folder #1?" / "chat 100%.db"
    path.parent.mkdir()
    if make is not None:
        make(path)
    ended = move(path)
    assert (ended.code, ended.out) == (2, "")
    assert ended.err == sentence.format(path=path) + "\n"


@pytest.mark.parametrize(
    ("url", "said"),
    [
        (None, "Cannot start: DATABASE_URL must be postgresql://"),
        ("sqlite:///chat.db", "Cannot start: DATABASE_URL must be postgresql://"),
        ("postgresql://127.0.0.1:{port}/chat", "cannot be used: Connection refused."),
        ("{empty}", "In backend/, run: alembic upgrade heads"),
    ],
)
def test_a_database_that_cannot_be_moved_to_is_one_line(
    move: Move,
    file: Path,
    postgres_server: str,
    monkeypatch: pytest.MonkeyPatch,
    url: str | None,
    said: str,
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with new_database(postgres_server) as empty:
        if url is None:
            monkeypatch.delenv("DATABASE_URL")
        else:
            monkeypatch.setenv("DATABASE_URL", url.format(port=port, empty=empty))
        ended = move(file)
    assert (ended.code, ended.out) == (2, "")
    assert said in ended.err and len(ended.err.splitlines()) == 1
