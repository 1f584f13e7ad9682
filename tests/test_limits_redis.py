"""Messages counted in Redis: by several workers, and while Redis is away or does not answer."""

import asyncio
import logging
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import closing, contextmanager
from typing import Any

import pytest

from tests.render import the_template

with the_template():
    from core.auth import limits as module
    from core.auth.limits import Limits
    from core.errors import Refused

PROGRAM = shutil.which("redis-server")


class Redis:
    """A redis-server that keeps nothing, on a port of its own."""

    def __init__(self) -> None:
        with closing(socket.create_server(("127.0.0.1", 0))) as probe:
            self.port: int = probe.getsockname()[1]
        self.url = f"redis://:sesame@127.0.0.1:{self.port}/0"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        assert PROGRAM
        options = ["--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
        self._process = subprocess.Popen(
            [PROGRAM, "--port", str(self.port), "--requirepass", "sesame", *options],
            stdout=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + 10
        while self.told("PING") != b"+PONG\r\n":
            assert time.monotonic() < deadline, "redis-server did not start"
            time.sleep(0.02)

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def pause(self) -> None:
        """Its connections stay open, and nothing is answered."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def told(self, command: str) -> bytes:
        """What it answers to a command, without the help of what is tested."""
        try:
            with socket.create_connection(("127.0.0.1", self.port), 5) as asking:
                asking.sendall(f"AUTH sesame\r\n{command}\r\nQUIT\r\n".encode())
                said = b"".join(iter(lambda: asking.recv(65536), b""))
        except OSError:
            return b""
        return said.removeprefix(b"+OK\r\n").removesuffix(b"+OK\r\n")


@pytest.fixture
def redis() -> Iterator[Redis]:
    if PROGRAM is None:
        pytest.skip("There is no redis-server here: apt-get install redis-server")
    server = Redis()
    server.start()
    yield server
    server.kill()


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RETRY_SECONDS", 0.3)


async def refused(limits: Limits, user: str = "alice") -> int:
    """The seconds to wait that a message is refused with, or 0 if it is taken."""
    try:
        await limits.message(user)
    except Refused as error:
        assert error.status == 429
        return int(error.headers["Retry-After"])
    return 0


async def seconds_for(limits: Limits) -> float:
    """How long the answer takes, whatever it is."""
    began = time.monotonic()
    await refused(limits)
    return time.monotonic() - began


def test_two_workers_count_together(redis: Redis) -> None:
    async def run() -> None:
        one, two = (Limits(rate="2/2second", storage=redis.url, streams=1) for _ in range(2))
        await one.start()
        await two.start()
        assert await refused(one) == 0
        assert await refused(two) == 0
        assert await refused(one) == 2
        assert await refused(two, "bob") == 0
        await asyncio.sleep(1.1)
        assert await refused(two) == 1
        await asyncio.sleep(1)
        assert await refused(one) == 0
        await one.close()
        await two.close()

    asyncio.run(run())
    keys = redis.told("KEYS *")
    assert b"LIMIT" in keys
    assert b"alice" not in keys


def test_a_crowd_is_counted_to_the_last_one_over_a_few_connections(
    redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    # However slow this machine is.
    monkeypatch.setattr(module, "ANSWER_SECONDS", 30)

    async def run() -> tuple[int, int]:
        limits = Limits(rate="150/minute", storage=redis.url, streams=1)
        waits = await asyncio.gather(*(refused(limits) for _ in range(300)))
        clients = await asyncio.to_thread(redis.told, "CLIENT LIST TYPE NORMAL")
        await limits.close()
        return waits.count(0), clients.count(b"addr=127.0.0.1") // 2

    taken, connections = asyncio.run(run())
    assert taken == 150
    assert 1 <= connections <= module.CONNECTIONS + 1


@pytest.mark.parametrize("how", ["killed", "silent"])
def test_without_redis_the_chat_goes_on_and_comes_back_by_itself(
    how: str, redis: Redis, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)

    async def run() -> None:
        limits = Limits(rate="3/minute", storage=redis.url, streams=1)
        await limits.start()
        assert await refused(limits) == 0

        redis.kill() if how == "killed" else redis.pause()
        began = time.monotonic()
        crowd = await asyncio.gather(*(refused(limits, f"user{n}") for n in range(50)))
        assert not any(crowd)
        assert time.monotonic() - began < 3
        began = time.monotonic()
        # They are counted here meanwhile.
        assert [await refused(limits) for _ in range(3)] == [0, 0, 0]
        assert await refused(limits) > 50
        assert time.monotonic() - began < 0.4
        for _ in range(3):
            await asyncio.sleep(0.31)
            waited = await asyncio.gather(*(seconds_for(limits) for _ in range(10)))
            assert sorted(waited)[-2] < 0.4, "more than one tried again"
        assert len(caplog.messages) == 1

        redis.kill()
        redis.start()
        await asyncio.sleep(0.31)
        assert await refused(limits) == 0
        assert len(caplog.messages) == 2
        other = Limits(rate="3/minute", storage=redis.url, streams=1)
        assert [await refused(other, "carol") for _ in range(3)] == [0, 0, 0]
        assert await refused(limits, "carol") > 0
        await limits.close()
        await other.close()

    asyncio.run(run())
    away, back = caplog.messages
    assert "Redis is away" in away
    assert "Redis is back" in back
    assert "sesame" not in caplog.text


def test_a_message_too_many_is_refused_though_redis_is_slow_to_say_until_when(
    redis: Redis, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "ANSWER_SECONDS", 1.5)

    async def run() -> None:
        limits = Limits(rate="1/minute", storage=redis.url, streams=1)
        assert await refused(limits) == 0
        assert limits._redis
        window = limits._redis._window
        with pytest.MonkeyPatch.context() as patched:
            # Each of the two answers comes in time, but not both.
            for name in ("hit", "get_window_stats"):
                patched.setattr(window, name, slowly(getattr(window, name), 1))
            assert await refused(limits) > 50
            patched.setattr(window, "get_window_stats", slowly(window.get_window_stats, 1))
            assert await refused(limits) == 1
        await limits.close()

    asyncio.run(run())
    assert caplog.messages == []


def slowly(ask: Callable[..., Awaitable[Any]], seconds: float) -> Callable[..., Awaitable[Any]]:
    async def asked(*args: Any) -> Any:
        await asyncio.sleep(seconds)
        return await ask(*args)

    return asked


def test_a_redis_that_never_says_a_word_delays_the_first_messages_only_a_little() -> None:
    async def run(url: str) -> None:
        limits = Limits(rate="3/minute", storage=url, streams=1)
        for longest in (3, 0.4):
            began = time.monotonic()
            assert not any(await asyncio.gather(*(refused(limits, str(n)) for n in range(30))))
            assert time.monotonic() - began < longest
        await limits.close()

    with silent() as port:
        asyncio.run(run(f"redis://127.0.0.1:{port}"))


@contextmanager
def silent() -> Iterator[int]:
    """A port that takes every connection, and says nothing."""
    taken: list[socket.socket] = []

    def take(listening: socket.socket) -> None:
        while True:
            try:
                taken.append(listening.accept()[0])
            except OSError:
                return

    with closing(socket.create_server(("127.0.0.1", 0))) as listening:
        thread = threading.Thread(target=take, args=[listening], daemon=True)
        thread.start()
        yield listening.getsockname()[1]
        listening.shutdown(socket.SHUT_RDWR)
    thread.join(5)
    for connection in taken:
        connection.close()


def test_a_wrong_password_stops_no_chat_and_is_not_logged(
    redis: Redis, caplog: pytest.LogCaptureFixture
) -> None:
    async def run() -> None:
        url = redis.url.replace("sesame", "open-up")
        limits = Limits(rate="3/minute", storage=url, streams=1)
        await limits.start()
        assert await refused(limits) == 0
        await limits.close()

    asyncio.run(run())
    assert len(caplog.messages) == 1
    assert "open-up" not in caplog.text
