"""The thread locks, across tasks, processes and lost connections."""

import asyncio
import gc
import os
import random
import subprocess
import sys
import time
from collections.abc import AsyncGenerator, Callable, Coroutine
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from test_postgres import Wire, server, server_url, through_a_wire  # noqa: F401

from core.context import RequestContext
from core.errors import StoreError, ThreadBusy
from core.stores.local_postgres import LocalPostgres
from core.stores.locks_postgres import ThreadLocks, lock_key
from core.turns.running import Turns

BACKEND = Path(__file__).resolve().parents[1]
# Holds the thread until standard input ends, and says so.
HOLDER = """
import asyncio, sys
from core.stores.locks_postgres import ThreadLocks

async def main():
    locks = ThreadLocks(sys.argv[1])
    async with locks.hold("ada", "thr_1", 10):
        print("held", flush=True)
        await asyncio.to_thread(sys.stdin.read)
    await locks.close()

asyncio.run(main())
"""
# Reads a number, waits, and writes the next one: loses count unless it is the only one.
COUNTER = """
import asyncio, random, sys
from pathlib import Path
from core.stores.locks_postgres import ThreadLocks

async def main():
    locks, file = ThreadLocks(sys.argv[1]), Path(sys.argv[2])

    async def add():
        for _ in range(5):
            async with locks.hold("ada", "thr_1", 60):
                number = int(file.read_text())
                await asyncio.sleep(random.random() * 0.01)
                file.write_text(str(number + 1))

    await asyncio.gather(*(add() for _ in range(5)))
    await locks.close()

asyncio.run(main())
"""


def run(use: Callable[[ThreadLocks], Coroutine[Any, Any, None]], url: str, **options: Any) -> None:
    async def session() -> None:
        locks = ThreadLocks(url, **options)
        try:
            await use(locks)
        finally:
            await locks.close()

    asyncio.run(session())


def start(program: str, *arguments: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", program, *arguments],
        env={**os.environ, "PYTHONPATH": str(BACKEND)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def holding(url: str) -> "subprocess.Popen[str]":
    process = start(HOLDER, url)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


async def locks_held(url: str) -> int:
    connection = await asyncpg.connect(url)
    try:
        count: int = await connection.fetchval(
            "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'"
        )
        return count
    finally:
        await connection.close()


def test_a_thread_has_one_writer_and_others_are_free(postgres_url: str) -> None:
    async def use(locks: ThreadLocks) -> None:
        async with locks.hold("ada", "thr_1", 0):
            for owner, thread_id in (("ada", "thr_2"), ("bob", "thr_1")):
                async with locks.hold(owner, thread_id, 0):
                    pass
            began = time.monotonic()
            with pytest.raises(ThreadBusy):
                async with locks.hold("ada", "thr_1", 0.3):
                    raise AssertionError
            assert 0.3 <= time.monotonic() - began < 5
        async with locks.hold("ada", "thr_1", 0):
            assert await locks_held(postgres_url) == 1
        assert await locks_held(postgres_url) == 0

    run(use, postgres_url)


def test_two_processes_take_turns(postgres_url: str, tmp_path: Path) -> None:
    file = tmp_path / "number"
    file.write_text("0")
    both = [start(COUNTER, postgres_url, str(file)) for _ in range(2)]
    assert [process.wait(300) for process in both] == [0, 0]
    assert file.read_text() == "50"


def test_another_process_keeps_a_thread_until_it_gives_it_back(postgres_url: str) -> None:
    other = holding(postgres_url)

    async def use(locks: ThreadLocks) -> None:
        with pytest.raises(ThreadBusy):
            async with locks.hold("ada", "thr_1", 0.3):
                raise AssertionError
        waiting = asyncio.create_task(locks.hold("ada", "thr_1", 10).__aenter__())
        await asyncio.sleep(0.3)
        assert not waiting.done()
        other.communicate()
        await waiting

    run(use, postgres_url)


def test_a_killed_process_keeps_nothing(postgres_url: str) -> None:
    other = holding(postgres_url)

    async def use(locks: ThreadLocks) -> None:
        with pytest.raises(ThreadBusy):
            async with locks.hold("ada", "thr_1", 0):
                raise AssertionError
        other.kill()
        began = time.monotonic()
        async with locks.hold("ada", "thr_1", 5):
            took = time.monotonic() - began
        print(f"after kill -9: {took * 1000:.0f} ms")
        assert took < 5

    run(use, postgres_url)
    other.communicate()


def test_many_threads_share_one_connection(postgres_url: str) -> None:
    async def use(locks: ThreadLocks) -> None:
        inside = 0
        all_inside, over = asyncio.Event(), asyncio.Event()

        async def turn(number: int) -> None:
            nonlocal inside
            async with locks.hold("ada", f"thr_{number}", 10):
                inside += 1
                if inside == 500:
                    all_inside.set()
                await over.wait()

        turns = asyncio.gather(*(turn(number) for number in range(500)))
        await asyncio.wait_for(all_inside.wait(), 30)
        assert await locks_held(postgres_url) == 500
        connection = await asyncpg.connect(postgres_url)
        sessions = await connection.fetchval(
            "SELECT count(DISTINCT pid) FROM pg_locks WHERE locktype = 'advisory'"
        )
        await connection.close()
        assert sessions == 1
        over.set()
        await turns
        assert await locks_held(postgres_url) == 0

    run(use, postgres_url)


def test_cancelled_waits_and_holds_leave_nothing_locked(postgres_url: str) -> None:
    dice = random.Random(3)

    async def use(locks: ThreadLocks) -> None:
        async def turn(thread_id: str) -> None:
            async with locks.hold("ada", thread_id, 10):
                await asyncio.sleep(dice.random() * 0.01)

        for _ in range(40):
            turns = [asyncio.create_task(turn(f"thr_{n % 3}")) for n in range(6)]
            await asyncio.sleep(dice.random() * 0.01)
            for task in turns:
                if dice.random() < 0.7:
                    task.cancel()
                    if dice.random() < 0.5:
                        await asyncio.sleep(0)
                        task.cancel()
            await asyncio.gather(*turns, return_exceptions=True)
        await asyncio.sleep(0.2)
        assert locks._keys == {}
        assert await locks_held(postgres_url) == 0

    run(use, postgres_url)


def test_a_lost_session_is_opened_anew_with_its_locks(
    postgres_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def use(locks: ThreadLocks) -> None:
        other = ThreadLocks(postgres_url)
        async with locks.hold("ada", "thr_1", 0), locks.hold("ada", "thr_2", 0):
            admin = await asyncpg.connect(postgres_url)
            await admin.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory'"
            )
            await admin.close()
            await asyncio.sleep(0.5)
            for thread_id in ("thr_1", "thr_2"):
                with pytest.raises(ThreadBusy):
                    async with other.hold("ada", thread_id, 0):
                        raise AssertionError
        async with other.hold("ada", "thr_1", 0), other.hold("ada", "thr_2", 0):
            pass
        await other.close()
        assert await locks_held(postgres_url) == 0

    run(use, postgres_url)
    assert "is opened anew" in caplog.text


def test_a_lost_session_is_told_when_somebody_else_was_quicker(
    postgres_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def use(locks: ThreadLocks) -> None:
        async with locks.hold("ada", "thr_1", 0):
            admin = await asyncpg.connect(postgres_url)
            pid = await admin.fetchval("SELECT pid FROM pg_locks WHERE locktype = 'advisory'")
            key = lock_key("ada", "thr_1")
            # In the queue already when the session ends.
            quick = asyncio.create_task(admin.execute(f"SELECT pg_advisory_lock({key})"))
            await asyncio.sleep(0.2)
            killer = await asyncpg.connect(postgres_url)
            await killer.execute(f"SELECT pg_terminate_backend({pid})")
            await quick
            await asyncio.sleep(0.5)
            await killer.close()
        # The other one's lock is left alone.
        assert await locks_held(postgres_url) == 1
        await admin.close()

    run(use, postgres_url)
    assert "another worker has taken a thread" in caplog.text


def test_a_database_that_comes_back_gives_the_locks_again(
    server: LocalPostgres,  # noqa: F811
    server_url: str,  # noqa: F811
) -> None:
    async def use(locks: ThreadLocks) -> None:
        async with locks.hold("ada", "thr_1", 0):
            await asyncio.to_thread(server.stop)
            with pytest.raises(Exception, match="Connection refused"):
                async with locks.hold("ada", "thr_2", 0):
                    raise AssertionError
            server.start()
            await asyncio.sleep(0.5)
            assert await locks_held(server_url) == 1
        assert await locks_held(server_url) == 0
        async with locks.hold("ada", "thr_2", 0):
            pass

    run(use, server_url)


def test_a_restart_of_the_database_gives_no_thread_to_another_worker(
    server: LocalPostgres,  # noqa: F811
    server_url: str,  # noqa: F811
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def use(locks: ThreadLocks) -> None:
        other = ThreadLocks(server_url)
        async with other.hold("ada", "thr_2", 0):
            pass
        async with locks.hold("ada", "thr_1", 0):
            await asyncio.to_thread(server.stop)
            # A restart that takes some time.
            await asyncio.sleep(1.5)
            await asyncio.to_thread(server.start)
            with pytest.raises(ThreadBusy):
                async with other.hold("ada", "thr_1", 0):
                    raise AssertionError
        await other.close()

    run(use, server_url)
    assert caplog.text.count("cannot be taken again yet") == 1


def test_a_database_that_stays_away_does_not_hold_up_the_end(
    server: LocalPostgres,  # noqa: F811
    server_url: str,  # noqa: F811
) -> None:
    async def use(locks: ThreadLocks) -> None:
        async with locks.hold("ada", "thr_1", 0):
            await asyncio.to_thread(server.stop)
            await asyncio.sleep(0.1)
        assert locks._keys == {}

    began = time.monotonic()
    run(use, server_url)
    assert time.monotonic() - began < 10
    server.start()


def test_all_who_wait_for_a_silent_database_are_told_at_once(server_url: str) -> None:  # noqa: F811
    async def use(wire: Wire, url: str) -> None:
        locks = ThreadLocks(url, timeout=1)
        async with locks.hold("ada", "thr_0", 1):
            pass
        wire.open.clear()

        async def refused(number: int) -> None:
            with pytest.raises(StoreError, match="does not answer"):
                async with locks.hold("ada", f"thr_{number}", 5):
                    raise AssertionError

        began = time.monotonic()
        await asyncio.gather(*(refused(number) for number in range(10)))
        assert time.monotonic() - began < 5
        wire.open.set()
        async with locks.hold("ada", "thr_1", 5):
            pass
        await locks.close()

    through_a_wire(use, server_url)


def test_many_turns_do_not_keep_a_server_with_a_slow_database_from_its_end(
    server_url: str,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr("core.turns.running.STOP_SECONDS", 0.5)

    async def use(wire: Wire, url: str) -> None:
        turns = Turns(ThreadLocks(url, timeout=2))
        held: asyncio.Queue[None] = asyncio.Queue()

        async def answer(thread_id: str, context: RequestContext) -> AsyncGenerator[bytes, None]:
            async with turns.writing(thread_id, context):
                held.put_nowait(None)
                yield b""
                await asyncio.sleep(60)

        for number in range(50):
            context = RequestContext()
            turns.run(answer(f"thr_{number}", context), context)
        for _ in range(50):
            await held.get()
        wire.seconds = 0.2
        began = time.monotonic()
        await turns.close()
        assert time.monotonic() - began < 5
        while await locks_held(server_url):
            assert time.monotonic() - began < 10
            await asyncio.sleep(0.05)
        assert not turns._tasks

    through_a_wire(use, server_url)
    gc.collect()
    assert "never retrieved" not in caplog.text


def test_a_lock_costs_two_round_trips(server: LocalPostgres, server_url: str) -> None:  # noqa: F811
    from urllib.parse import urlsplit

    port = urlsplit(server_url).port or 0

    async def use() -> None:
        wire = Wire(port)
        proxy = await asyncio.start_server(wire.serve, "127.0.0.1", 0)
        url = server_url.replace(f":{port}", f":{proxy.sockets[0].getsockname()[1]}")
        locks = ThreadLocks(url)
        async with locks.hold("ada", "thr_1", 0):
            pass
        before = wire.turns
        async with locks.hold("ada", "thr_2", 0):
            assert wire.turns - before == 1
        assert wire.turns - before == 2
        await locks.close()
        proxy.close()

    asyncio.run(use())


def test_no_two_threads_share_a_key() -> None:
    pairs = [("ab", "c"), ("a", "bc"), ("1:a", "b"), ("1", ":ab"), ("a\ud800", "b"), ("", "")]
    keys = {lock_key(*pair) for pair in pairs}
    assert len(keys) == len(pairs)
    assert all(-(2**63) <= key < 2**63 for key in keys)
