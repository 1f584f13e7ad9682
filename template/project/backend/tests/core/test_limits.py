"""How much one user may ask for, and what whoever asks for more is told."""

import asyncio

import httpx
import pytest
from chat_client import Chat
from limits import parse
from servers import Everybody, serve_with
from starlette.requests import Request
from test_http import EchoServer

from core.auth.limits import Limits, LimitSettings, MemoryWindow
from core.context import RequestContext
from core.errors import Refused
from core.settings import load
from core.turns.server import TurnServer

from app.wiring import Settings

AWAY = "redis://:secret@127.0.0.1:1/0"
"""Nothing listens there."""


class WhoeverAHeaderNames(Everybody):
    async def identify(self, request: Request) -> RequestContext:
        return RequestContext(user_id=request.headers.get("x-user", "alice"))


@pytest.fixture
def server(settings: Settings) -> TurnServer:
    """It takes two messages in two seconds."""
    limits = Limits(rate="2/2second", storage="memory://", streams=5)
    return serve_with(EchoServer, settings, sign_in=WhoeverAHeaderNames(), limits=[limits])


class Clock:
    """Instead of the module time, in core/auth/limits.py."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("core.auth.limits.time", clock)
    return clock


def test_a_message_too_many_is_refused_until_the_time_that_was_told(
    chat: Chat, clock: Clock
) -> None:
    chat.say("One")
    chat.say("Two")
    refused = send(chat)
    assert refused.status_code == 429
    assert refused.json()["detail"] == (
        "You have sent 2 messages within 2 seconds. Wait 2 seconds."
    )
    assert refused.headers["retry-after"] == "2"

    assert send(chat, user="bob").status_code == 200
    clock.now += 1.1
    assert send(chat).headers["retry-after"] == "1"
    clock.now += 1
    chat.say("Three")
    titles = {thread["title"] for thread in chat.post("threads.list").json()["data"]}
    assert titles == {"One", "Two", "Three"}


def send(chat: Chat, user: str = "alice") -> httpx.Response:
    message: dict[str, object] = {"content": [{"type": "input_text", "text": "Refused?"}]}
    params = {"input": message | {"attachments": [], "inference_options": {}}}
    body = {"type": "threads.create", "params": params}
    return chat.http.post("/chatkit", json=body, headers={"X-User": user})


def test_whoever_has_sent_nothing_for_the_window_is_forgotten(clock: Clock) -> None:
    window, rate = MemoryWindow(), parse("1/minute")
    for number in range(100):
        assert window.count(rate, f"user {number}") == 0
    clock.now += 10
    assert window.count(rate, "user 7") == 50
    clock.now += 50
    assert window.count(rate, "user 7") == 0
    assert len(window._sent) == 1


def test_a_user_has_so_many_streams_and_gets_back_each_that_ends() -> None:
    limits = Limits(rate="off", storage="memory://", streams=2)
    with limits.stream("alice"):
        with limits.stream("alice"):
            with pytest.raises(Refused) as refused, limits.stream("alice"):
                pass
            assert refused.value.status == 429
            assert int(refused.value.headers["Retry-After"]) >= 1
            with limits.stream("bob"):
                pass
        with limits.stream("alice"):
            pass


def test_without_redis_the_chat_goes_on_and_the_log_says_it_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def chat_away() -> None:
        limits = Limits(rate="2/minute", storage=AWAY, streams=1)
        await limits.start()
        assert caplog.messages
        await limits.message("alice")
        await limits.message("alice")
        with pytest.raises(Refused):
            await limits.message("alice")
        await limits.close()

    asyncio.run(chat_away())
    [line] = caplog.messages
    assert "Redis is away" in line
    assert "secret" not in line


@pytest.mark.parametrize(
    "url", ["redis://redis", "redis://user:secret@localhost/1", "rediss://cache.example.com/0"]
)
def test_the_url_of_redis_needs_no_port(
    url: str, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RATE_LIMIT_STORAGE", url)
    storage = load(LimitSettings).rate_limit_storage.get_secret_value()
    Limits(rate="20/minute", storage=storage, streams=1)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("RATE_LIMIT", "twenty"),
        ("RATE_LIMIT", "0/minute"),
        ("RATE_LIMIT", "20/minute;500/day"),
        ("RATE_LIMIT_STORAGE", "memcached://localhost:secret"),
        ("RATE_LIMIT_STORAGE", "redis://:secret@localhost:99999"),
        ("RATE_LIMIT_STORAGE", "unix://:secret@/run/redis.sock"),
        ("MAX_STREAMS", "0"),
    ],
)
def test_a_bad_limit_ends_the_start_with_one_line(
    name: str,
    value: str,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    # `settings` has put everything else into the environment.
    monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit) as ended:
        load(LimitSettings)
    assert ended.value.code == 2
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith(f"Cannot start: {name} must be ")
    assert "secret" not in line
