"""What a PostgreSQL store must stand besides the contract: a server that stops, hangs, is new."""

import asyncio
import inspect
import logging
import os
import random
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import pytest
from chatkit.store import NotFoundError
from database_postgres import execute, new_database, upgrade
from pydantic import SecretStr
from store_samples import ADA, BOB, a_file, a_thread, all_items, an_item, filled, ids

from core.errors import StoreError
from core.stores import postgres_schema as schema
from core.stores.local_postgres import LocalPostgres
from core.stores.locks_postgres import ThreadLocks
from core.stores.postgres import PostgresStore, storable, usable
from core.stores.postgres_connection import Connection, address_of, database_url

BACKEND = Path(__file__).resolve().parents[1]
PASSWORD = "Gr8-p%2Fss~word"
Use = Callable[[PostgresStore], Coroutine[Any, Any, None]]


def run(use: Use, url: str, **options: Any) -> None:
    """Use a store in an event loop of its own, from its opening to its closing."""

    async def session() -> None:
        store = PostgresStore(url, **options)
        try:
            await store.open()
            await use(store)
        finally:
            await store.close()

    asyncio.run(session())


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port: int = listening.getsockname()[1]
        return port


@pytest.fixture
def server() -> Iterator[LocalPostgres]:
    """A server that a test may stop and start again."""
    folder = Path(tempfile.mkdtemp(prefix="chatkit-"))
    server = LocalPostgres(folder, port=free_port())
    server.start()
    yield server
    server.stop()
    shutil.rmtree(folder)


@pytest.fixture
def own_url(postgres_server: str) -> Iterator[str]:
    """The DATABASE_URL of a test's own database, whose schema it may change."""
    with new_database(postgres_server) as url:
        upgrade(url)
        yield url


@pytest.fixture
def server_url(server: LocalPostgres) -> str:
    upgrade(server.url)
    return server.url


def alembic(url: str, *arguments: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "alembic", *arguments],
        cwd=BACKEND,
        env={**os.environ, "DATABASE_URL": url},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def with_option(url: str, option: str) -> str:
    return f"{url}{'&' if '?' in url else '?'}{option}"


def gives_up(url: str, capsys: pytest.CaptureFixture[str], timeout: float = 10) -> str:
    """The one line with which the start ends."""
    with pytest.raises(SystemExit) as ended:
        usable(PostgresStore(url, timeout=timeout))
    assert ended.value.code == 2
    said = capsys.readouterr()
    [line] = said.err.splitlines()
    assert said.out == ""
    assert line.startswith("Cannot start: DATABASE_URL: The database ")
    return line


# -- the setting --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://user:password@host:5432/name",
        "postgres://host/name",
        "postgresql://user@/name?host=/run/postgresql",
        "postgresql://%2Frun%2Fpostgresql/name",
        "postgresql://one:5432,two:5433/name?target_session_attrs=primary",
        "postgresql://user:p%40ss%2Fw%23rd@[::1]:5432/name?sslmode=require",
    ],
)
def test_a_good_url_is_taken(url: str) -> None:
    assert database_url(SecretStr(url)).get_secret_value() == url


@pytest.mark.parametrize(
    "url",
    [
        "",
        "chat.db",
        "sqlite:///chat.db",
        "mysql://host/name",
        "postgresql:///name",
        "postgresql://host",
        "postgresql://host/",
        "postgresql://host:port/name",
        "postgresql://host:0/name",
        "postgresql://host:70000/name",
        "postgresql://user:p@ss@host/name",
        "postgresql://user:p@ss:word@host/name",
        "postgresql://user:pa/ss@host/name",
        "postgresql://user:pa#ss@host/name",
        "postgresql://user:pa?ss@host/name",
        "postgresql://user:/pass@host/name",
        "postgresql://user:/pa?ss@host/name",
        "postgresql://[::1/name",
        "postgresql://host/na\udc80me",
        "postgresql://host/na\nme",
        "postgresql+asyncpg://host/name",
    ],
)
def test_a_bad_url_is_refused(url: str) -> None:
    with pytest.raises(ValueError):
        database_url(SecretStr(url))


def test_asyncpg_reads_the_urls_that_are_taken_as_they_are_meant() -> None:
    """Otherwise its error would quote the password: it splits at another @."""
    parse: Any = vars(asyncpg.connect_utils)["_parse_connect_dsn_and_args"]
    nothing = dict.fromkeys(inspect.signature(parse).parameters)
    dice, read = random.Random(1), 0
    for _ in range(20_000):
        text = "".join(dice.choices("ab@:/?#%[],.1", k=dice.randrange(1, 12)))
        url = f"postgresql://u:{text}@host:5432/name"
        try:
            database_url(SecretStr(url))
        except ValueError:
            continue
        read += 1
        try:
            addresses, _ = parse(**{**nothing, "dsn": url})
        except Exception as error:
            raise AssertionError(url) from error
        assert addresses == [("host", 5432)], url
    assert read > 1000


# -- the start ----------------------------------------------------------------------------------


def test_a_server_that_is_away_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    port = free_port()
    url = f"postgresql://ada:{PASSWORD}@127.0.0.1:{port}/chat"
    line = gives_up(url, capsys)
    assert f"The database 127.0.0.1:{port}/chat cannot be used: Connection refused." in line
    assert PASSWORD not in line and "ada" not in line


def test_a_server_that_is_silent_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"postgresql://ada:{PASSWORD}@127.0.0.1:{silent.getsockname()[1]}/chat"
        began = time.monotonic()
        assert "it does not answer" in gives_up(url, capsys, timeout=1)
        assert time.monotonic() - began < 5


@pytest.mark.parametrize(
    ("place", "cause"),
    [
        ("127.0.0.1:{port}/chat", 'password authentication failed for user "chatkit"'),
        ("no-such-host.invalid/chat", "Name or service not known|nodename|Temporary failure"),
        ("/chat?host=/no/such/folder", "No such file or directory"),
        ("127.0.0.1:{port}/chat?sslmode=require", "rejected SSL upgrade|SSL"),
        ("127.0.0.1:{port}/chat?sslmode=nonsense", "sslmode"),
    ],
)
def test_what_else_is_wrong_is_one_line(
    server: LocalPostgres, capsys: pytest.CaptureFixture[str], place: str, cause: str
) -> None:
    place = place.format(port=urlsplit(server.url).port)
    line = gives_up(f"postgresql://chatkit:{PASSWORD}@{place}", capsys)
    assert any(part in line for part in cause.split("|")), line
    assert PASSWORD not in line


def test_an_unknown_database_or_option_is_one_line(
    postgres_server: str, capsys: pytest.CaptureFixture[str]
) -> None:
    url = urlsplit(postgres_server)._replace(path="/nowhere").geturl()
    assert 'database "nowhere" does not exist' in gives_up(url, capsys)
    coloured = with_option(postgres_server, "colour=red")
    assert "unrecognized configuration parameter" in gives_up(coloured, capsys)


@pytest.mark.parametrize(
    "place",
    [
        "a..b/x",
        f"{'a' * 64}.example/x",
        "/x?host=/tmp&port=abc",
        "/x?host=127.0.0.1&port=99999",
        "h/x?p",
    ],
)
def test_an_address_that_cannot_be_is_one_line(
    place: str, capsys: pytest.CaptureFixture[str]
) -> None:
    line = gives_up(f"postgresql://ada:{PASSWORD}@{place}", capsys)
    assert line.endswith(" cannot be used: the URL has a host, a port or an option that cannot be.")
    assert PASSWORD not in line and "ada" not in line


def test_a_server_of_the_wrong_kind_is_one_line(
    postgres_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    line = gives_up(with_option(postgres_url, "target_session_attrs=standby"), capsys)
    assert "None of the hosts match" in line and "standby" in line


def test_a_database_of_another_encoding_is_refused(
    postgres_server: str, capsys: pytest.CaptureFixture[str]
) -> None:
    execute(postgres_server, "DROP DATABASE IF EXISTS latin")
    execute(postgres_server, "CREATE DATABASE latin TEMPLATE template0 ENCODING 'LATIN1'")
    url = urlsplit(postgres_server)._replace(path="/latin").geturl()
    assert "has the encoding LATIN1: it must be UTF8." in gives_up(url, capsys)
    execute(postgres_server, "DROP DATABASE latin")


@pytest.mark.parametrize("command", [["main.py"], ["-m", "uvicorn", "main:app"]])
def test_the_program_itself_ends_with_the_line(command: list[str]) -> None:
    url = f"postgresql://ada:{PASSWORD}@127.0.0.1:{free_port()}/chat"
    environment = {**os.environ, "DATABASE_URL": url, "LOG_LEVEL": "DEBUG"}
    ended = subprocess.run(
        [sys.executable, *command], cwd=BACKEND, env=environment, capture_output=True, text=True
    )
    assert ended.returncode == 2
    lines = (ended.stdout + ended.stderr).splitlines()
    [line] = [line for line in lines if line.startswith("Cannot start: ")]
    assert "Connection refused" in line
    assert "Traceback" not in ended.stderr
    assert PASSWORD not in ended.stdout + ended.stderr


def test_the_start_may_be_inside_an_event_loop(postgres_url: str) -> None:
    """As it is when uvicorn imports main.py in a worker."""

    async def start() -> None:
        store = usable(PostgresStore(postgres_url))
        await store.save_thread(a_thread(), ADA)
        await store.close()

    asyncio.run(start())


# -- the schema ---------------------------------------------------------------------------------


def test_a_database_without_tables_names_the_command(
    postgres_server: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with new_database(postgres_server) as url:
        line = gives_up(url, capsys)
        assert line.endswith(
            "has no tables, not at revision 0001. In backend/, run: alembic upgrade heads"
        )
        assert execute(url, "SELECT 1 FROM pg_tables WHERE schemaname = 'public'") == []


def test_a_newer_database_is_left_alone(own_url: str, capsys: pytest.CaptureFixture[str]) -> None:
    execute(own_url, "UPDATE alembic_version SET version_num = '0999'")
    line = gives_up(own_url, capsys)
    assert "is newer than this program: it is at revision 0999. Update the program." in line


def test_an_older_database_names_the_command(
    postgres_url: str,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shutil.copytree(schema.FOLDERS[0], tmp_path, dirs_exist_ok=True)
    (tmp_path / "0002_more.py").write_text('revision: str = "0002"\ndown_revision = "0001"\n')
    monkeypatch.setattr(schema, "FOLDERS", (tmp_path,))
    line = gives_up(postgres_url, capsys)
    assert line.endswith(
        "is at revision 0001, not at revision 0002. In backend/, run: alembic upgrade heads"
    )


def test_revisions_are_read_as_alembic_reads_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from alembic.script import ScriptDirectory

    versions = tmp_path / "versions"
    shutil.copytree(BACKEND / "migrations", tmp_path, dirs_exist_ok=True)
    for name, text in {
        "a": 'revision = "a"\ndown_revision = "0001"\n',
        "b": "revision: str = 'b'\ndown_revision: str | None = '0001'\n",
        "c": 'revision = "c"\ndown_revision: tuple[str, str] = ("a", "b")\n',
    }.items():
        (versions / f"{name}.py").write_text(text)
        monkeypatch.setattr(schema, "FOLDERS", (versions,))
        known, behind = schema._revisions()
        scripts = ScriptDirectory(str(tmp_path))
        assert known == {script.revision for script in scripts.walk_revisions()}
        assert known - behind == set(scripts.get_heads())


def test_upgrades_at_once_wait_for_each_other(postgres_server: str) -> None:
    waiting = "SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
    with new_database(postgres_server) as url:

        async def at_once() -> list[str]:
            async with locked(url, "SELECT pg_advisory_xact_lock(1130908532)"):
                processes = [alembic(url, "upgrade", "head") for _ in range(2)]
                deadline = time.monotonic() + 300
                while len(await asyncio.to_thread(execute, url, waiting)) < 2:
                    assert time.monotonic() < deadline
                    await asyncio.sleep(0.1)
            return [process.communicate(timeout=300)[0] for process in processes]

        said = asyncio.run(at_once())
        assert sum("Running upgrade" in text for text in said) == 1, said
        run(lambda store: store.save_thread(a_thread(), ADA), url)


def test_a_downgrade_leaves_nothing(own_url: str) -> None:
    process = alembic(own_url, "downgrade", "base")
    said, _ = process.communicate(timeout=300)
    assert process.returncode == 0, said
    tables = execute(own_url, "SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    assert [row[0] for row in tables] == ["alembic_version"]
    upgrade(own_url)
    run(lambda store: store.save_thread(a_thread(), ADA), own_url)


def test_alembic_tells_a_database_that_is_away() -> None:
    process = alembic(f"postgresql://ada:{PASSWORD}@127.0.0.1:{free_port()}/chat", "current")
    said, _ = process.communicate(timeout=300)
    assert process.returncode == 2
    assert len(said.splitlines()) == 1
    assert "Connection refused" in said and PASSWORD not in said


def test_the_sql_can_be_shown_without_a_database() -> None:
    process = alembic("postgresql://nowhere.invalid/chat", "upgrade", "head", "--sql")
    said, _ = process.communicate(timeout=300)
    assert process.returncode == 0, said
    assert "CREATE TABLE threads" in said


def test_a_new_revision_can_be_written(tmp_path: Path, own_url: str) -> None:
    project = tmp_path / "backend"
    shutil.copytree(BACKEND, project, ignore=shutil.ignore_patterns("__pycache__", "tests"))
    arguments = ["revision", "-m", "notes", "--rev-id", "0002"]
    subprocess.run(
        [sys.executable, "-m", "alembic", *arguments],
        cwd=project,
        env={**os.environ, "DATABASE_URL": own_url},
        check=True,
        capture_output=True,
    )
    written = project / "migrations" / "versions" / "0002_notes.py"
    text = written.read_text()
    assert '"""notes"""' in text and 'down_revision = "0001"' in text
    written.write_text(text.replace('op.execute("")', 'op.execute("CREATE TABLE notes ()")', 1))
    subprocess.run(
        [sys.executable, "-m", "alembic", "upgrade", "head"],
        cwd=project,
        env={**os.environ, "DATABASE_URL": own_url},
        check=True,
        capture_output=True,
    )
    assert execute(own_url, "SELECT * FROM notes") == []


# -- a database that goes away ------------------------------------------------------------------


def test_a_database_that_comes_back_is_used_again(
    server: LocalPostgres, server_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)

    async def use(store: PostgresStore) -> None:
        await asyncio.gather(*(store.save_thread(a_thread(f"thr_{n}"), ADA) for n in range(20)))
        await asyncio.to_thread(server.stop)
        for _ in range(3):
            with pytest.raises(StoreError):
                await store.load_thread("thr_1", ADA)
        server.start()
        assert len((await store.load_threads(50, None, "asc", ADA)).data) == 20
        loads = (store.load_thread(f"thr_{n}", ADA) for n in range(20))
        assert len(await asyncio.gather(*loads)) == 20

    run(use, server_url)
    password = urlsplit(server_url).password
    assert password and password not in caplog.text


def test_a_store_opens_with_its_first_use_after_the_database_was_away(
    server: LocalPostgres, server_url: str
) -> None:
    async def use() -> None:
        store = PostgresStore(server_url)
        server.stop()
        with pytest.raises(StoreError, match="Connection refused"):
            await store.open()
        with pytest.raises(StoreError):
            await store.load_thread("thr_1", ADA)
        server.start()
        await store.save_thread(a_thread(), ADA)
        await store.close()

    asyncio.run(use())


def test_connections_that_the_server_ends_are_replaced(postgres_url: str) -> None:
    async def use(store: PostgresStore) -> None:
        await filled(store, 20)
        await asyncio.gather(*(all_items(store) for _ in range(10)))
        admin = await asyncpg.connect(postgres_url)
        await admin.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        await admin.close()
        await asyncio.sleep(0.1)
        for _ in range(10):
            assert len(await all_items(store)) == 20

    run(use, postgres_url)


def test_ready_tells_that_the_database_is_away(server: LocalPostgres, server_url: str) -> None:
    from core.auth.no_sign_in import NoSignIn
    from core.turns.running import Turns
    from core.turns.server import TurnServer

    class Silent(TurnServer):
        def respond(self, thread: Any, input_user_message: Any, context: Any) -> Any:
            raise NotImplementedError

    async def use() -> None:
        turns = Turns(ThreadLocks(server_url, timeout=1))
        silent = Silent(PostgresStore(server_url, timeout=1), turns, sign_in=NoSignIn())
        await silent.start()
        assert await silent.not_ready() is None
        await asyncio.to_thread(server.stop)
        with pytest.raises(StoreError) as away:
            await silent.not_ready()
        assert away.value.cause == "connection refused"
        server.start()
        assert await silent.not_ready() is None
        await silent.close()

    asyncio.run(use())


END_SESSIONS = (
    "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
    " WHERE datname = current_database() AND pid <> pg_backend_pid()"
)


async def why_not(store: PostgresStore) -> str:
    """The cause for which neither a thread can be listed nor an item be written."""
    causes = set()
    for asked in (
        store.load_threads(1, None, "desc", ADA),
        store.add_thread_item("thr_1", an_item("msg_1"), ADA),
    ):
        with pytest.raises(StoreError) as away:
            await asked
        causes.add(away.value.cause)
    [cause] = causes
    return cause


@pytest.mark.parametrize(
    ("statement", "cause"),
    [
        ("DROP SCHEMA public CASCADE", "not at the newest revision"),
        ("DROP TABLE threads, items", "undefined table"),
        ("ALTER TABLE threads RENAME owner TO user_id", "undefined column"),
    ],
)
def test_tables_that_went_away_under_the_server_are_told(
    own_url: str, statement: str, cause: str
) -> None:
    async def use(store: PostgresStore) -> None:
        await store.save_thread(a_thread(), ADA)
        await asyncio.to_thread(execute, own_url, statement)
        assert await why_not(store) == cause

    run(use, own_url)


def test_a_user_without_rights_to_the_tables_is_told(own_url: str) -> None:
    execute(own_url, "GRANT SELECT ON alembic_version TO pg_monitor")

    async def use(store: PostgresStore) -> None:
        assert await why_not(store) == "insufficient privilege"

    run(use, with_option(own_url, "role=pg_monitor"))


def test_a_server_that_becomes_read_only_is_told(own_url: str) -> None:
    becomes = f"ALTER DATABASE {urlsplit(own_url).path[1:]} SET default_transaction_read_only = on"

    async def use(store: PostgresStore) -> None:
        writer = PostgresStore(with_option(own_url, "target_session_attrs=read-write"))
        await writer.open()
        await store.save_thread(a_thread(), ADA)
        for statement in (becomes, END_SESSIONS):
            await asyncio.to_thread(execute, own_url, statement)
        assert await why_not(writer) == "target server attribute not matched"
        await writer.close()
        await store.load_thread("thr_1", ADA)
        with pytest.raises(StoreError) as away:
            await store.save_thread(a_thread(), ADA)
        assert away.value.cause == "read only sql transaction"

    run(use, own_url)


def test_sessions_that_end_just_when_they_are_asked_cost_no_answer(own_url: str) -> None:
    told: Counter[str] = Counter()

    class Watched(PostgresStore):
        async def _fetch(self, *args: Any) -> Any:
            try:
                return await super()._fetch(*args)
            except Exception as error:
                told[type(error).__name__] += 1
                raise

    async def use() -> None:
        store = Watched(own_url, pool_size=3)
        await store.save_thread(a_thread(), ADA)
        # asyncpg has two ways to say it, and the second one is its defect.
        while not told["InternalClientError"]:
            assert sum(told.values()) < 500, told
            await asyncio.gather(*(store.load_thread("thr_1", ADA) for _ in range(3)))
            await asyncio.to_thread(execute, own_url, END_SESSIONS.replace(", 5000", ""))
            await store.load_thread("thr_1", ADA)
        await store.close()

    asyncio.run(use())
    print(told)


def test_a_database_that_is_gone_is_told(own_url: str, postgres_server: str) -> None:
    name = urlsplit(own_url).path[1:]

    async def use(store: PostgresStore) -> None:
        await store.save_thread(a_thread(), ADA)
        await asyncio.to_thread(execute, own_url, END_SESSIONS)
        rename = "ALTER DATABASE {} RENAME TO {}"
        await asyncio.to_thread(execute, postgres_server, rename.format(name, f"{name}_gone"))
        assert await why_not(store) == "invalid catalog name"
        await asyncio.to_thread(execute, postgres_server, rename.format(f"{name}_gone", name))
        await store.load_thread("thr_1", ADA)

    run(use, own_url)


# -- slow, cancelled, too many ------------------------------------------------------------------


@asynccontextmanager
async def locked(url: str, statement: str) -> AsyncIterator[Connection]:
    """Another session's transaction that has done this."""
    other = await asyncpg.connect(url)
    transaction = other.transaction()
    await transaction.start()
    await other.execute(statement)
    try:
        yield other
    finally:
        if not other.is_closed() and other.is_in_transaction():
            await transaction.rollback()
        await other.close()


async def statements_under_way(url: str) -> int:
    admin = await asyncpg.connect(url)
    try:
        count: int = await admin.fetchval(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
            " AND state <> 'idle' AND pid <> pg_backend_pid()"
            " AND backend_type = 'client backend'"  # autovacuum comes when it likes
        )
        return count
    finally:
        await admin.close()


def test_a_statement_that_takes_too_long_ends(postgres_url: str) -> None:
    async def use(store: PostgresStore) -> None:
        await store.save_thread(a_thread(), ADA)
        async with locked(postgres_url, "UPDATE threads SET data = data"):
            began = time.monotonic()
            with pytest.raises(StoreError):
                await store.save_thread(a_thread(title="late"), ADA)
            assert 0.9 < time.monotonic() - began < 6
            assert await statements_under_way(postgres_url) == 1  # the lock's own
        assert (await store.load_thread("thr_1", ADA)).title == "A title"
        await store.save_thread(a_thread(title="now"), ADA)
        assert (await store.load_thread("thr_1", ADA)).title == "now"

    run(use, postgres_url, timeout=1, pool_size=1)


def test_cancelled_requests_leave_the_pool_healthy(postgres_url: str) -> None:
    dice = random.Random(5)
    big = "x" * 200_000

    async def use(store: PostgresStore) -> None:
        await store.save_thread(a_thread(), ADA)
        for round in range(30):
            tasks = [
                asyncio.create_task(
                    store.add_thread_item("thr_1", an_item(f"msg_{round}_{n}", big), ADA)
                )
                for n in range(8)
            ]
            await asyncio.sleep(dice.random() * 0.01)
            for task in tasks:
                if dice.random() < 0.8:
                    task.cancel()
            ended = await asyncio.gather(*tasks, return_exceptions=True)
            assert all(
                error is None or isinstance(error, asyncio.CancelledError) for error in ended
            ), ended
        assert store._pool is not None
        assert store._pool.get_size() == store._pool.get_idle_size() <= 3
        assert await statements_under_way(postgres_url) == 0
        for item in await all_items(store):
            assert item == an_item(item.id, big)
        await asyncio.gather(
            *(store.add_thread_item("thr_1", an_item(f"end_{n}"), ADA) for n in range(50))
        )

    run(use, postgres_url, pool_size=3, timeout=5)


def test_a_cancelled_write_is_settled_before_the_next_one(postgres_url: str) -> None:
    """Or an old text could arrive after the new one, on another connection."""

    async def use(store: PostgresStore) -> None:
        await store.save_thread(a_thread(title="0"), ADA)
        async with locked(postgres_url, "UPDATE threads SET data = data") as other:
            old = asyncio.create_task(store.save_thread(a_thread(title="old"), ADA))
            await asyncio.sleep(0.3)
            assert await statements_under_way(postgres_url) == 2
            old.cancel()
            await asyncio.gather(old, return_exceptions=True)
            assert await statements_under_way(postgres_url) == 1
            new = asyncio.create_task(store.save_thread(a_thread(title="new"), ADA))
            await asyncio.sleep(0.1)
            await other.execute("ROLLBACK")
            await new
        assert (await store.load_thread("thr_1", ADA)).title == "new"

    run(use, postgres_url)


def test_more_requests_than_connections_wait_their_turn(postgres_url: str) -> None:
    async def use(store: PostgresStore) -> None:
        await filled(store, 5)
        pages = await asyncio.gather(*(all_items(store) for _ in range(300)))
        assert {len(page) for page in pages} == {5}
        rows = execute_aside(postgres_url)
        assert await rows <= 2

    async def execute_aside(url: str) -> int:
        admin = await asyncpg.connect(url)
        count: int = await admin.fetchval(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
            " AND pid <> pg_backend_pid() AND backend_type = 'client backend'"
        )
        await admin.close()
        return count

    run(use, postgres_url, pool_size=2)


def test_a_pool_that_is_used_up_fails_in_time_and_heals(postgres_url: str) -> None:
    async def use(store: PostgresStore) -> None:
        await store.save_thread(a_thread(), ADA)
        assert store._pool is not None
        async with store._pool.acquire():
            began = time.monotonic()
            with pytest.raises(StoreError):
                await store.load_thread("thr_1", ADA)
            assert 0.9 < time.monotonic() - began < 6
        await store.load_thread("thr_1", ADA)

    run(use, postgres_url, pool_size=1, timeout=1)


# -- two at once --------------------------------------------------------------------------------


def test_an_item_waits_for_a_deletion_and_brings_nothing_to_life(postgres_url: str) -> None:
    async def use(store: PostgresStore) -> None:
        await store.save_thread(a_thread(), ADA)
        async with locked(postgres_url, "DELETE FROM threads") as other:
            adding = asyncio.create_task(store.add_thread_item("thr_1", an_item("msg_1"), ADA))
            await asyncio.sleep(0.2)
            assert not adding.done()
            await other.execute("COMMIT")
            with pytest.raises(NotFoundError):
                await adding
        assert await all_items(store) == []

    run(use, postgres_url)


def test_a_deletion_takes_an_item_that_was_just_being_added(postgres_url: str) -> None:
    async def use(store: PostgresStore) -> None:
        await store.save_thread(a_thread(), ADA)
        adding = (
            "INSERT INTO items (owner, thread, id, data)"
            " SELECT owner, seq, 'msg_1', '{}' FROM threads FOR KEY SHARE"
        )
        async with locked(postgres_url, adding) as other:
            deleting = asyncio.create_task(store.delete_thread("thr_1", ADA))
            renaming = asyncio.create_task(store.save_thread(a_thread("thr_2"), ADA))
            await renaming
            await asyncio.sleep(0.2)
            assert not deleting.done()
            await other.execute("COMMIT")
            await deleting
        assert execute_rows == []

    execute_rows: list[Any] = []
    run(use, postgres_url)
    assert execute(postgres_url, "SELECT * FROM items") == []


def test_a_rename_does_not_wait_for_an_item(postgres_url: str) -> None:
    async def use(store: PostgresStore) -> None:
        await store.save_thread(a_thread(), ADA)
        adding = (
            "INSERT INTO items (owner, thread, id, data)"
            " SELECT owner, seq, 'msg_1', '{}' FROM threads FOR KEY SHARE"
        )
        async with locked(postgres_url, adding):
            await store.save_thread(a_thread(title="new"), ADA)

    run(use, postgres_url, timeout=1)


# -- ids that nobody expects --------------------------------------------------------------------

HOSTILE = {
    "NUL": "thr_\x00",
    "only NUL": "\x00",
    "half a pair": "thr_\ud800",
    "other half": "\udfff",
    "backslashes": "\\0\\\\ud800",
    "empty": "",
    "1 MB": "x" * 1_000_000,
    "1 MB of NUL": "\x00" * 1_000_000,
    "quotes": "'; DROP TABLE threads; --",
    "emoji": "🧑‍🚀",
}


@pytest.mark.parametrize("hostile", HOSTILE.values(), ids=HOSTILE.keys())
def test_a_hostile_id_is_not_found(postgres_url: str, hostile: str) -> None:
    async def use(store: PostgresStore) -> None:
        await filled(store, 3)
        with pytest.raises(NotFoundError):
            await store.load_thread(hostile, ADA)
        with pytest.raises(NotFoundError):
            await store.load_item(hostile, "msg_1", ADA)
        with pytest.raises(NotFoundError):
            await store.load_item("thr_1", hostile, ADA)
        with pytest.raises(NotFoundError):
            await store.load_attachment(hostile, ADA)
        with pytest.raises(NotFoundError):
            await store.load_threads(5, hostile, "asc", ADA)
        with pytest.raises(NotFoundError):
            await store.load_thread_items("thr_1", hostile, 5, "asc", ADA)
        with pytest.raises(NotFoundError):
            await store.add_thread_item(hostile, an_item("msg_1"), ADA)
        assert await all_items(store, hostile) == []
        await store.delete_thread(hostile, ADA)
        await store.delete_thread_item("thr_1", hostile, ADA)
        await store.delete_attachment(hostile, ADA)
        assert len(await all_items(store)) == 3

    run(use, postgres_url)


@pytest.mark.parametrize("name", ["NUL", "half a pair", "backslashes", "quotes", "emoji", "empty"])
def test_a_hostile_id_can_be_kept(postgres_url: str, name: str) -> None:
    hostile = HOSTILE[name]

    async def use(store: PostgresStore) -> None:
        await store.save_thread(a_thread(hostile), ADA)
        await store.add_thread_item(hostile, an_item(hostile), ADA)
        await store.save_attachment(a_file(hostile, thread_id=hostile), ADA)
        await store.load_thread(hostile, ADA)
        await store.load_item(hostile, hostile, ADA)
        assert len(await all_items(store, hostile)) == 1
        await store.delete_thread(hostile, ADA)
        with pytest.raises(NotFoundError):
            await store.load_attachment(hostile, ADA)

    run(use, postgres_url)


def test_no_two_ids_are_stored_as_one() -> None:
    alphabet = ["\\", "\0", "0", "u", "d", "8", "\ud800", "\udfff", "x", "\\ud800", "é"]
    dice, seen = random.Random(2), dict[str, str]()
    for _ in range(100_000):
        text = "".join(dice.choices(alphabet, k=dice.randrange(5)))
        stored = storable(text)
        assert stored is not None and "\0" not in stored
        assert seen.setdefault(stored, text) == text


# -- pages, plans and round trips ---------------------------------------------------------------


@pytest.mark.parametrize("order", ["asc", "desc"])
def test_a_thousand_items_in_pages(postgres_url: str, order: str) -> None:
    async def use(store: PostgresStore) -> None:
        item_ids = await filled(store, 1000)
        seen: list[str] = []
        after: str | None = None
        while True:
            page = await store.load_thread_items("thr_1", after, 37, order, ADA)
            seen += ids(page)
            if not page.has_more:
                break
            after = page.after
        assert seen == (item_ids if order == "asc" else item_ids[::-1])

    run(use, postgres_url)


MANY = """
WITH one AS (
    INSERT INTO threads (owner, id, data)
    SELECT owner, 'thr_' || n, '{}' FROM (VALUES ('ada', 2000), ('bob', 20)) AS users (owner, many),
    LATERAL generate_series(1, many) AS n RETURNING seq, owner, id
)
INSERT INTO items (owner, thread, id, data)
SELECT owner, seq, 'msg_' || n, '{"x": "a text of some length, as a message has"}'
FROM one, LATERAL generate_series(1, CASE WHEN owner = 'ada' AND id = 'thr_1000' THEN 100000
    WHEN owner = 'bob' THEN 2000 ELSE 5 END) AS n
"""
IDS = {"thread_id": "thr_1000", "item_id": "msg_50000", "attachment_id": "atc_1"}


@pytest.mark.parametrize("mode", ["force_custom_plan", "force_generic_plan"])
def test_every_statement_uses_an_index(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch, mode: str
) -> None:
    """In a thread of 100,000 items as in one of 5."""
    asked: dict[str, tuple[Any, ...]] = {}
    ask = PostgresStore._ask

    async def watched(self: PostgresStore, statement: str, ids: Any, *values: Any) -> Any:
        asked[statement] = (*ids, *values)
        return await ask(self, statement, ids, *values)

    async def use(store: PostgresStore) -> None:
        thread_id = IDS["thread_id"]
        monkeypatch.setattr(PostgresStore, "_ask", watched)
        for order in ("asc", "desc"):
            for after in (None, "msg_50000"):
                with pytest.raises(ValueError):  # these items are none
                    await store.load_thread_items(thread_id, after, 50, order, ADA)
            for after in (None, "thr_1000"):
                with pytest.raises(ValueError):
                    await store.load_threads(20, after, order, ADA)
        for load in (
            store.load_thread(thread_id, ADA),
            store.load_item(thread_id, "msg_50000", ADA),
            store.load_attachment("atc_1", ADA),
        ):
            with pytest.raises((ValueError, NotFoundError)):
                await load
        await store.add_thread_item(thread_id, an_item("msg_new"), ADA)
        await store.delete_thread_item(thread_id, "msg_new", ADA)
        await store.save_attachment(a_file(thread_id=thread_id), ADA)
        await store.delete_attachment("atc_1", ADA)
        await store.delete_thread("thr_7", ADA)

    async def plans() -> None:
        connection = await asyncpg.connect(postgres_url)
        await connection.execute(f"SET plan_cache_mode = {mode}")
        for statement, values in asked.items():
            transaction = connection.transaction()
            await transaction.start()
            rows = await connection.fetch(f"EXPLAIN (ANALYZE, BUFFERS) {statement}", *values)
            await transaction.rollback()
            plan = "\n".join(row[0] for row in rows)
            for word in ("Sort", "Seq Scan", "Rows Removed by Filter"):
                # There is hardly a row in attachments, so that reading them all is cheapest.
                if "attachments" not in statement:
                    assert word not in plan, f"{statement}\n{plan}"
            read = [float(rows) for rows in re.findall(r"actual time=\S+ rows=([\d.]+)", plan)]
            assert max(read) <= 60, plan
            if os.environ.get("SHOW"):
                print(statement, plan, sep="\n", end="\n\n")
        await connection.close()

    execute(postgres_url, MANY)
    execute(postgres_url, "ANALYZE")
    run(use, postgres_url)
    assert len(asked) == 16
    asyncio.run(plans())


class Wire:
    """Forwards to the server, `seconds` late, and counts how often the client asks and waits."""

    def __init__(self, upstream: int) -> None:
        self.upstream = upstream
        self.open = asyncio.Event()
        self.open.set()
        self.seconds = 0.0
        self.turns = 0
        self.asking = False

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        up_reader, up_writer = await asyncio.open_connection("127.0.0.1", self.upstream)

        async def pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter, up: bool) -> None:
            while chunk := await source.read(1 << 20):
                if up and not self.asking:
                    self.turns += 1
                self.asking = up
                await self.open.wait()
                await asyncio.sleep(self.seconds)
                sink.write(chunk)
            sink.close()

        await asyncio.gather(pump(reader, up_writer, True), pump(up_reader, writer, False))


def through_a_wire(use: Callable[[Wire, str], Coroutine[Any, Any, None]], server_url: str) -> None:
    """Use a wire to the server, and the URL of its near end."""
    parts = urlsplit(server_url)

    async def session() -> None:
        wire = Wire(parts.port or 0)
        proxy = await asyncio.start_server(wire.serve, "127.0.0.1", 0)
        port = proxy.sockets[0].getsockname()[1]
        await use(wire, server_url.replace(f":{parts.port}", f":{port}"))
        proxy.close()

    asyncio.run(session())


def test_an_operation_is_one_round_trip(server_url: str) -> None:
    counted: dict[str, int] = {}

    async def use(wire: Wire, url: str) -> None:
        store = PostgresStore(url, pool_size=1)
        operations: dict[str, Callable[[], Coroutine[Any, Any, Any]]] = {
            "save_thread": lambda: store.save_thread(a_thread(), ADA),
            "load_thread": lambda: store.load_thread("thr_1", ADA),
            "load_threads": lambda: store.load_threads(5, None, "desc", ADA),
            "load_threads after": lambda: store.load_threads(5, "thr_1", "desc", ADA),
            "add_thread_item": lambda: store.add_thread_item("thr_1", an_item("msg_1"), ADA),
            "save_item": lambda: store.save_item("thr_1", an_item("msg_1"), ADA),
            "load_item": lambda: store.load_item("thr_1", "msg_1", ADA),
            "load_thread_items": lambda: store.load_thread_items("thr_1", None, 5, "desc", ADA),
            "load_thread_items after": lambda: store.load_thread_items(
                "thr_1", "msg_1", 5, "desc", ADA
            ),
            "save_attachment": lambda: store.save_attachment(a_file(), ADA),
            "load_attachment": lambda: store.load_attachment("atc_1", ADA),
            "delete_attachment": lambda: store.delete_attachment("atc_x", ADA),
            "delete_thread_item": lambda: store.delete_thread_item("thr_1", "msg_x", ADA),
            "delete_thread": lambda: store.delete_thread("thr_x", ADA),
        }
        await store.open()
        counted["open"] = wire.turns
        for warm in (False, True):
            for name, operation in operations.items():
                before = wire.turns
                await operation()
                counted[f"{name}, {'again' if warm else 'first'}"] = wire.turns - before
        await store.close()

    through_a_wire(use, server_url)
    print(*counted.items(), sep="\n")
    assert {count for name, count in counted.items() if name.endswith("again")} == {1}


def test_a_network_that_falls_silent_ends_each_request_in_time(
    server_url: str,
) -> None:
    async def use(wire: Wire, url: str) -> None:
        store = PostgresStore(url, pool_size=3, timeout=1)
        await store.save_thread(a_thread(), ADA)
        wire.open.clear()

        async def failing() -> float:
            began = time.monotonic()
            with pytest.raises(StoreError):
                await store.load_thread("thr_1", ADA)
            return time.monotonic() - began

        took = await asyncio.gather(*(failing() for _ in range(10)))
        print("silent network, timeout 1 s:", sorted(round(each, 1) for each in took))
        assert max(took) < 8
        wire.open.set()
        for _ in range(5):
            await store.load_thread("thr_1", ADA)
        await store.close()

    through_a_wire(use, server_url)


def test_a_network_that_falls_silent_does_not_keep_the_server_from_its_end(
    server_url: str,
) -> None:
    async def use(wire: Wire, url: str) -> None:
        store, locks = PostgresStore(url, timeout=1), ThreadLocks(url, timeout=1)
        await store.save_thread(a_thread(), ADA)
        async with locks.hold("ada", "thr_1", 1):
            pass
        wire.open.clear()
        began = time.monotonic()
        await locks.close()
        await store.close()
        assert time.monotonic() - began < 8

    through_a_wire(use, server_url)


def test_a_stranger_s_cursor_is_not_found(postgres_url: str) -> None:
    async def use(store: PostgresStore) -> None:
        [item_id] = await filled(store, 1)
        await store.save_thread(a_thread(), BOB)
        for order in ("asc", "desc"):
            with pytest.raises(NotFoundError):
                await store.load_thread_items("thr_1", item_id, 5, order, BOB)

    run(use, postgres_url)


def test_nothing_of_a_session_outlives_a_statement(postgres_url: str) -> None:
    """The pool does not reset its connections: no statement may need it."""

    async def use(store: PostgresStore) -> None:
        await filled(store, 3)
        await store.load_thread_items("thr_1", None, 2, "asc", ADA)
        await store.delete_thread("thr_1", ADA)
        assert store._pool is not None
        async with store._pool.acquire() as connection:
            assert not connection.is_in_transaction()
            left = await connection.fetchrow(
                "SELECT (SELECT count(*) FROM pg_cursors WHERE statement NOT LIKE '%pg_cursors%'),"
                " (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'),"
                " (SELECT count(*) FROM pg_listening_channels()),"
                " (SELECT count(*) FROM pg_settings WHERE source = 'session')"
            )
            assert tuple(left or ()) == (0, 0, 0, 0)

    run(use, postgres_url, pool_size=1)


def test_the_password_is_in_no_repr() -> None:
    from app.wiring import Settings

    os.environ["DATABASE_URL"] = f"postgresql://ada:{PASSWORD}@host/chat"
    try:
        settings = Settings(_env_file=None)
    finally:
        del os.environ["DATABASE_URL"]
    assert PASSWORD not in repr(settings) + str(settings) + settings.model_dump_json()
    store = PostgresStore(settings.database_url.get_secret_value())
    assert PASSWORD not in repr(store)
    assert address_of(settings.database_url.get_secret_value()) == "host/chat"
