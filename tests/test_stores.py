"""All stores under the same contract, and what a SQLite file must stand besides."""

import asyncio
import os
import random
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import closing
from datetime import datetime, timezone
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from chatkit.store import NotFoundError
from chatkit.types import ThreadMetadata
from pydantic import TypeAdapter, ValidationError

from tests.postgres import new_database
from tests.render import BACKEND, the_template

pytest.register_assert_rewrite("store_contract", "store_safety")
with the_template():
    from store_contract import StoreContract
    from store_samples import (
        ADA,
        BOB,
        a_file,
        a_thread,
        all_items,
        an_item,
        every_kind_of_item,
        filled,
        ids,
    )

    from core.context import RequestContext
    from core.errors import StoreError
    from core.settings import ROOT
    from core.stores.base import BaseStore
    from core.stores.memory import MemoryStore
    from core.stores.postgres import PostgresStore
    from core.stores.sqlite import SQLiteStore
    from core.stores.sqlite_file import DatabaseUrl, _write_ahead, usable


class TestMemory(StoreContract):
    @pytest.fixture
    def new_store(self) -> BaseStore:
        return MemoryStore()


class TestSQLite(StoreContract):
    @pytest.fixture
    def new_store(self, tmp_path: Path) -> BaseStore:
        return SQLiteStore(tmp_path / "chat.db")


class TestSQLiteInMemory(StoreContract):
    @pytest.fixture
    def new_store(self) -> BaseStore:
        return SQLiteStore(":memory:")


Use = Callable[[BaseStore], Coroutine[Any, Any, None]]


def run(use: Use, path: Path | str) -> None:
    """Use a store on this file in an event loop of its own, from opening to closing."""

    async def session() -> None:
        store = SQLiteStore(path)
        try:
            await use(store)
        finally:
            await store.close()

    asyncio.run(session())


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "chat.db"


@pytest.fixture(params=["memory", "sqlite"])
def store(request: pytest.FixtureRequest, file: Path) -> Iterator[BaseStore]:
    store = MemoryStore() if request.param == "memory" else SQLiteStore(file)
    yield store
    asyncio.run(store.close())


# -- as ChatKit uses a store --------------------------------------------------------------------


def test_a_context_needs_no_more_than_a_user_id(store: BaseStore) -> None:
    someone = cast(RequestContext, SimpleNamespace(user_id="someone"))

    async def use() -> None:
        assert store.generate_thread_id(someone).startswith("thr_")
        await store.save_thread(a_thread(), someone)
        for item in every_kind_of_item():
            await store.add_thread_item("thr_1", item, someone)
        assert await all_items(store, context=someone) == every_kind_of_item()
        assert ids(await store.load_threads(10, None, "desc", someone)) == ["thr_1"]
        await store.save_attachment(a_file(), someone)
        await store.load_attachment("atc_1", someone)
        await store.delete_attachment("atc_1", someone)
        await store.delete_thread_item("thr_1", "msg_1", someone)
        await store.delete_thread("thr_1", someone)

    asyncio.run(use())


def test_each_call_may_come_from_an_event_loop_of_its_own(store: BaseStore) -> None:
    asyncio.run(store.save_thread(a_thread(), ADA))
    asyncio.run(store.add_thread_item("thr_1", an_item("msg_1"), ADA))
    assert len(asyncio.run(all_items(store))) == 1


def test_an_item_may_name_another_thread_than_the_one_it_is_stored_in(store: BaseStore) -> None:
    item = an_item("msg_1", thread_id="thr_elsewhere")

    async def use() -> None:
        await store.save_thread(a_thread(), ADA)
        await store.add_thread_item("thr_1", item, ADA)
        assert await all_items(store) == [item]
        assert await all_items(store, "thr_elsewhere") == []

    asyncio.run(use())


def test_a_subclass_may_make_its_own_ids(file: Path) -> None:
    class Counting(SQLiteStore):
        made = 0

        def generate_thread_id(self, context: RequestContext) -> str:
            self.made += 1
            return f"thr_custom_{self.made}"

    store = Counting(file)
    assert store.generate_thread_id(ADA) == "thr_custom_1"
    assert store.generate_item_id("message", a_thread(), ADA).startswith("msg_")


@pytest.mark.parametrize("seed", [11, 12, 13])
def test_all_stores_give_the_same_answers(file: Path, seed: int) -> None:
    """300 operations, each on every store, with ids that clash and cursors that may be wrong."""
    url = new_database()
    dice = random.Random(seed)
    thread = dice.choice

    def operation(step: int) -> Callable[[BaseStore], Coroutine[Any, Any, Any]]:
        user = thread([ADA, BOB])
        thread_id, item_id = f"thr_{dice.randrange(3)}", f"msg_{dice.randrange(9)}"
        attachment_id, text = f"atc_{dice.randrange(3)}", str(step)
        limit, order = dice.randrange(-1, 5), dice.choice(["asc", "desc", ""])
        after = dice.choice([None, None, item_id])
        after_thread = dice.choice([None, None, thread_id])
        file = a_file(attachment_id, thread_id=dice.choice([None, thread_id]))
        item = an_item(item_id, text)
        weighted: list[tuple[int, Callable[[BaseStore], Coroutine[Any, Any, Any]]]] = [
            (3, lambda store: store.save_thread(a_thread(thread_id, title=text), user)),
            (1, lambda store: store.delete_thread(thread_id, user)),
            (9, lambda store: store.add_thread_item(thread_id, item, user)),
            (3, lambda store: store.save_item(thread_id, item, user)),
            (2, lambda store: store.delete_thread_item(thread_id, item_id, user)),
            (2, lambda store: store.save_attachment(file, user)),
            (1, lambda store: store.delete_attachment(attachment_id, user)),
            (2, lambda store: store.load_attachment(attachment_id, user)),
            (2, lambda store: store.load_thread(thread_id, user)),
            (2, lambda store: store.load_item(thread_id, item_id, user)),
            (2, lambda store: store.save_feedback(thread_id, [item_id], "positive", user)),
            (2, lambda store: store.load_feedback(thread_id, user)),
            (4, lambda store: store.load_threads(limit, after_thread, order, user)),
            (9, lambda store: store.load_thread_items(thread_id, after, limit, order, user)),
        ]
        weights, operations = zip(*weighted, strict=True)
        return cast(
            Callable[[BaseStore], Coroutine[Any, Any, Any]], dice.choices(operations, weights)[0]
        )

    async def answer(asking: Coroutine[Any, Any, Any]) -> Any:
        try:
            return await asking
        except NotFoundError:
            return NotFoundError

    async def use(sqlite: BaseStore) -> None:
        memory, postgres = MemoryStore(), PostgresStore(url)
        answers = []
        for step in range(300):
            ask = operation(step)
            answers.append(await answer(ask(memory)))
            for other in (sqlite, postgres):
                assert await answer(ask(other)) == answers[-1], f"operation {step}"
        await postgres.close()
        assert NotFoundError in answers
        assert any(getattr(page, "has_more", False) for page in answers)

    run(use, file)


# -- the file -----------------------------------------------------------------------------------


def test_a_restart_loses_nothing(file: Path) -> None:
    async def before(store: BaseStore) -> None:
        await filled(store, 3)
        await store.save_attachment(a_file(), ADA)

    async def after(store: BaseStore) -> None:
        assert await store.load_thread("thr_1", ADA) == a_thread()
        await store.add_thread_item("thr_1", an_item("msg_new"), ADA)
        names = [item.id for item in await all_items(store)]
        assert names == ["thr_1_msg_0", "thr_1_msg_1", "thr_1_msg_2", "msg_new"]
        assert await store.load_attachment("atc_1", ADA) == a_file()

    run(before, file)
    run(after, file)


def test_nothing_of_a_deleted_thread_stays_in_the_file(file: Path) -> None:
    async def use(store: BaseStore) -> None:
        await filled(store)
        await store.save_attachment(a_file(thread_id="thr_1"), ADA)
        await store.delete_thread("thr_1", ADA)

    run(use, file)
    with closing(sqlite3.connect(file)) as database:
        for table in ("threads", "items", "attachments"):
            assert database.execute(f"SELECT count(*) FROM {table}").fetchone() == (0,), table


def test_the_folder_is_made(tmp_path: Path) -> None:
    async def use(store: BaseStore) -> None:
        await store.open()

    run(use, str(tmp_path / "a" / "new folder" / "chat.db"))
    assert (tmp_path / "a" / "new folder" / "chat.db").exists()


def test_first_uses_at_once_open_the_store_once() -> None:
    async def use(store: BaseStore) -> None:
        names = [f"thr_{number}" for number in range(50)]
        await asyncio.gather(*(store.save_thread(a_thread(name), ADA) for name in names))
        assert ids(await store.load_threads(100, None, "asc", ADA)) == names

    # Each opening of :memory: is a database of its own.
    run(use, ":memory:")


def test_a_start_that_broke_off_does_not_spoil_the_file(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect = sqlite3.connect

    def breaking_off(*args: Any, **kwargs: Any) -> sqlite3.Connection:
        def authorize(action: int, *_: str | None) -> int:
            last = action == sqlite3.SQLITE_CREATE_TRIGGER
            return sqlite3.SQLITE_DENY if last else sqlite3.SQLITE_OK

        connection: sqlite3.Connection = connect(*args, **kwargs)
        connection.set_authorizer(authorize)
        return connection

    with monkeypatch.context() as patched:
        patched.setattr(sqlite3, "connect", breaking_off)
        with pytest.raises(StoreError):
            run(lambda store: store.open(), file)
    run(lambda store: store.save_thread(a_thread(), ADA), file)


@pytest.mark.parametrize("first_use", ["open", "load"])
def test_a_path_that_cannot_be_used_is_told_in_one_sentence(tmp_path: Path, first_use: str) -> None:
    (tmp_path / "file").write_text("no folder")

    async def use(store: BaseStore) -> None:
        if first_use == "open":
            await store.open()
        else:
            await store.load_threads(1, None, "desc", ADA)

    for path in (tmp_path, tmp_path / "file" / "chat.db"):
        with pytest.raises(StoreError, match=r"^The database .* cannot be opened: .+\.$"):
            run(use, path)


def test_a_file_that_is_no_database_is_refused_and_left_alone(file: Path) -> None:
    file.write_bytes(b"My diary. " * 500)
    with pytest.raises(StoreError, match=r"cannot be opened: file is not a database\.$"):
        run(lambda store: store.open(), file)
    assert file.read_bytes() == b"My diary. " * 500


def test_another_program_s_database_is_refused_and_left_alone(file: Path) -> None:
    with closing(sqlite3.connect(file)) as other:
        other.executescript("CREATE TABLE threads (id TEXT); PRAGMA user_version = 1;")
    before = file.read_bytes()
    with pytest.raises(StoreError, match=r"belongs to another program\.$"):
        run(lambda store: store.open(), file)
    assert file.read_bytes() == before


def test_a_newer_version_s_file_is_refused_and_left_alone(file: Path) -> None:
    run(lambda store: store.open(), file)
    with closing(sqlite3.connect(file)) as newer:
        newer.execute("PRAGMA user_version = 99")
    before = file.read_bytes()
    with pytest.raises(StoreError, match=r"newer version of this program\.$"):
        run(lambda store: store.open(), file)
    assert file.read_bytes() == before


def test_the_file_is_fast_and_safe_to_share(file: Path) -> None:
    run(lambda store: store.open(), file)
    with closing(sqlite3.connect(file)) as database:
        assert database.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_times_are_stored_in_utc_and_move_with_the_machine(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not hasattr(time, "tzset"):
        pytest.skip("the time zone of a process cannot be changed here")

    def move_to(zone: str) -> None:
        monkeypatch.setenv("TZ", zone)
        time.tzset()

    async def save(store: BaseStore) -> None:
        await store.save_thread(a_thread(created_at=datetime(2026, 7, 1, 12)), ADA)

    async def load(store: BaseStore) -> None:
        thread: ThreadMetadata = await store.load_thread("thr_1", ADA)
        assert thread.created_at == datetime(2026, 7, 1, 18)
        moment = datetime(2026, 7, 1, 16, tzinfo=timezone.utc)
        assert thread.created_at.astimezone(timezone.utc) == moment

    try:
        move_to("EST5EDT,M3.2.0,M11.1.0")
        run(save, file)
        with closing(sqlite3.connect(file)) as database:
            [(data,)] = database.execute("SELECT data FROM threads")
        assert '"created_at":"2026-07-01T16:00:00Z"' in data
        move_to("CET-1CEST,M3.5.0,M10.5.0/3")
        run(load, file)
    finally:
        monkeypatch.undo()
        time.tzset()


def test_a_url_names_the_file() -> None:
    url: TypeAdapter[str] = TypeAdapter(DatabaseUrl)
    assert url.validate_python("sqlite:///chat.db") == str(ROOT / "chat.db")
    assert url.validate_python("sqlite:////data/chat.db") == str(Path("/data/chat.db"))
    assert url.validate_python("sqlite:///:memory:") == ":memory:"
    for wrong in ("chat.db", "sqlite://chat.db", "sqlite:///", "sqlite:///data/", "mysql:///x.db"):
        with pytest.raises(ValidationError):
            url.validate_python(wrong)


# -- speed --------------------------------------------------------------------------------------


def test_no_statement_reads_more_than_it_gives(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    statements: list[str] = []
    connect = sqlite3.connect

    def traced(*args: Any, **kwargs: Any) -> sqlite3.Connection:
        connection: sqlite3.Connection = connect(*args, **kwargs)
        connection.set_trace_callback(statements.append)
        return connection

    async def use(store: BaseStore) -> None:
        await store.open()
        statements.clear()
        item_ids = await filled(store, 20)
        await store.save_item("thr_1", an_item(item_ids[0]), ADA)
        await store.load_thread("thr_1", ADA)
        await store.load_item("thr_1", item_ids[0], ADA)
        for order in ("asc", "desc"):
            await store.load_thread_items("thr_1", None, 5, order, ADA)
            await store.load_thread_items("thr_1", item_ids[9], 5, order, ADA)
            await store.load_threads(5, None, order, ADA)
            await store.load_threads(5, "thr_1", order, ADA)
        await store.save_attachment(a_file(thread_id="thr_1"), ADA)
        await store.load_attachment("atc_1", ADA)
        await store.delete_attachment("atc_1", ADA)
        await store.delete_thread_item("thr_1", item_ids[0], ADA)
        await store.delete_thread("thr_1", ADA)

    with monkeypatch.context() as patched:
        patched.setattr(sqlite3, "connect", traced)
        run(use, file)

    # The trigger and the cascade are not traced as statements of their own.
    of_thread = "DELETE FROM attachments WHERE owner = 'ada' AND thread_id = 'thr_1'"
    statements += [of_thread, "DELETE FROM items WHERE thread = 1"]
    asked = {text for text in statements if text.split()[0] in ("SELECT", "INSERT", "DELETE")}
    assert len(asked) > 15
    with closing(sqlite3.connect(file)) as database:
        plans = {
            text: [row[3] for row in database.execute(f"EXPLAIN QUERY PLAN {text}")]
            for text in asked
        }
    for text, plan in plans.items():
        for line in plan:
            assert "SCAN" not in line, (text, plan)
            assert "TEMP B-TREE" not in line, (text, plan)
            # By the row's number alone means: through the rows of all other threads.
            assert "USING INTEGER PRIMARY KEY" not in line, (text, plan)
    assert "thread_id=?" in plans[of_thread][0]


def test_reading_does_not_wait_for_another_writer(file: Path) -> None:
    async def use(store: BaseStore) -> None:
        await filled(store)
        with closing(sqlite3.connect(file, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            writing = asyncio.create_task(store.save_thread(a_thread(title="new"), ADA))
            for _ in range(5):
                assert len(await asyncio.wait_for(all_items(store), 2)) == 5
            assert not writing.done()
            other.execute("COMMIT")
        await writing
        assert (await store.load_thread("thr_1", ADA)).title == "new"

    run(use, file)


def test_the_event_loop_never_waits_for_the_disk(file: Path) -> None:
    """Every use of SQLite is in a thread of its own, the opening too."""
    loop_thread = threading.get_ident()
    used: set[int] = set()
    connect = sqlite3.connect

    def watched(*args: Any, **kwargs: Any) -> sqlite3.Connection:
        used.add(threading.get_ident())
        connection: sqlite3.Connection = connect(*args, **kwargs)
        connection.set_trace_callback(lambda _: used.add(threading.get_ident()))
        return connection

    async def use(store: BaseStore) -> None:
        await filled(store)
        await all_items(store)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(sqlite3, "connect", watched)
        run(use, file)
    assert used
    assert loop_thread not in used


# -- several processes, and their ends ----------------------------------------------------------

WRITER = """
import asyncio, os, sys, time
from core.context import RequestContext
from core.stores.sqlite import SQLiteStore
from store_samples import a_thread, an_item

path, name, begin, end = sys.argv[1:]
ada = RequestContext(user_id="ada")
store = SQLiteStore(path)

async def main():
    while time.time() < float(begin):
        time.sleep(0.001)
    await store.save_thread(a_thread(), ada)
    await asyncio.gather(
        *(store.add_thread_item("thr_1", an_item(f"{name}_{n}"), ada) for n in range(150))
    )

asyncio.run(main())
if end == "killed":
    os._exit(9)
"""


def start_writer(
    file: Path, name: str, begin: float = 0, end: str = "unclosed"
) -> "subprocess.Popen[bytes]":
    path = os.pathsep.join([str(BACKEND), str(BACKEND / "tests")])
    return subprocess.Popen(
        [sys.executable, "-c", WRITER, str(file), name, str(begin), end],
        env={**os.environ, "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"},
    )


def exit_code(process: "subprocess.Popen[bytes]") -> int:
    try:
        return process.wait(30)
    finally:
        process.kill()
        process.wait()


async def has_all(store: BaseStore, *names: str) -> None:
    kept = [item.id for item in await all_items(store)]
    for name in names:
        own = [item_id for item_id in kept if item_id.startswith(name)]
        assert own == [f"{name}_{number}" for number in range(150)]
    assert len(kept) == 150 * len(names)


def test_a_new_file_that_another_process_is_at_is_opened_as_soon_as_it_can_be() -> None:
    """Between real processes SQLite refuses without waiting once in hundreds of times."""

    class Busy:
        tries = 0

        def execute(self, statement: str) -> None:
            assert statement == "PRAGMA journal_mode = WAL"
            self.tries += 1
            if self.tries < 3:
                raise sqlite3.OperationalError("database is locked")

    busy = Busy()
    _write_ahead(cast(sqlite3.Connection, busy))
    assert busy.tries == 3


def test_two_processes_may_use_one_new_file_at_once(file: Path) -> None:
    begin = time.time() + 3
    writers = [start_writer(file, name, begin) for name in ("one", "two")]
    assert [exit_code(process) for process in writers] == [0, 0]
    run(lambda store: has_all(store, "one", "two"), file)


def test_a_killed_process_loses_nothing_that_was_saved(file: Path) -> None:
    assert exit_code(start_writer(file, "one", end="killed")) == 9
    run(lambda store: has_all(store, "one"), file)


def test_a_process_that_closes_nothing_ends_nevertheless(file: Path) -> None:
    """aiosqlite's thread would keep it: when this passes without the mend, take the mend out."""
    assert exit_code(start_writer(file, "one")) == 0


def test_a_file_that_can_only_be_read_is_refused_at_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "chat.db"
    usable(str(file))
    real = sqlite3.connect
    # Root may write to every file, so that SQLite has to be told. Its other files are there as long
    # as somebody has this one open.
    with closing(real(file)) as other:
        other.execute("SELECT * FROM threads").fetchall()
        monkeypatch.setattr(
            sqlite3, "connect", lambda path, **more: real(f"file:{path}?mode=ro", uri=True, **more)
        )
        with pytest.raises(SystemExit):
            usable(str(file))
    assert "readonly database" in capsys.readouterr().err
