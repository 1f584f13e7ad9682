"""How much one user may ask for: messages in a time, and streams open at once."""

import asyncio
import logging
import math
import time
from collections import Counter, deque
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from hashlib import blake2b
from typing import Annotated

from limits import RateLimitItem, parse
from limits.aio.storage import RedisStorage
from limits.aio.strategies import MovingWindowRateLimiter
from pydantic import AfterValidator, Field, SecretStr
from redis.asyncio import BlockingConnectionPool
from redis.asyncio.connection import parse_url
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from core.context import RequestContext
from core.errors import Refused
from core.sentences import Sentence, counted
from core.settings import ServerSettings

log = logging.getLogger("app")

MEMORY = "memory://"
ANSWER_SECONDS = 0.5
"""How long Redis may take before a message is counted without it."""
RETRY_SECONDS = 5.0
"""How long Redis is left alone when it has not answered."""
CONNECTIONS = 20
"""How many connections to Redis a worker opens at most."""
STREAM_SECONDS = 5
"""When to try again if every stream is taken; nobody knows when one ends."""


def _storage(secret: SecretStr) -> SecretStr:
    url = secret.get_secret_value()
    if url != MEMORY:
        parse_url(url)
        # parse_url takes a socket's path, too, but a Redis is for the workers of every machine.
        if not url.startswith(("redis://", "rediss://")):
            raise ValueError
    return secret


class LimitSettings(ServerSettings):
    """The settings of this file."""

    rate_limit: str = Field(
        default="20/minute",
        pattern=r"(?i)^(off|[1-9]\d{0,3}/(second|minute|hour|day))$",
        description="a number of messages and a time such as 20/minute, or off",
    )
    rate_limit_storage: Annotated[SecretStr, AfterValidator(_storage)] = Field(
        default=SecretStr(MEMORY), description="memory:// or a URL such as redis://localhost:6379/0"
    )
    max_streams: int = Field(default=5, ge=1, le=1000, description="a number from 1 to 1000")


class Limits:
    """What every user may do. Streams, and messages in memory, are counted by each worker alone.

    The window of messages moves: it holds each one's time, so that no burst slips through where
    two windows meet, and the time to wait is the true one.
    """

    def __init__(self, *, rate: str, storage: str, streams: int) -> None:
        """`rate` is such as 20/minute, or off; `storage` is memory:// or the URL of a Redis."""
        self._rate = None if rate.lower() == "off" else parse(rate)
        self._here = MemoryWindow()
        self._redis = None if storage == MEMORY else RedisWindow(storage)
        self._streams = streams
        self._open: Counter[str] = Counter()

    async def start(self) -> None:
        """Called once, before the first request."""
        if self._redis and self._rate:
            await self._redis.count(self._rate, "start")  # The log tells at once if it is away.

    async def close(self) -> None:
        """Called once, after the last request."""
        if self._redis:
            await self._redis.close()

    async def message(self, user_id: str) -> None:
        """Count one message of this user. Raises Refused with 429 if it is one too many."""
        if self._rate is None:
            return
        key = _key(user_id)
        wait = await self._redis.count(self._rate, key) if self._redis else None
        if wait is None:
            wait = self._here.count(self._rate, key)
        if wait:
            sentence = Sentence(
                "You have sent {messages} within {time}. Wait {wait}.",
                messages=counted(self._rate.amount, "1 message", "{number} messages"),
                time=_units(self._rate.multiples, self._rate.GRANULARITY.name),
                wait=_time(wait),
            )
            raise Refused(sentence, 429, **{"Retry-After": str(wait)})

    @asynccontextmanager
    async def turn(self, context: RequestContext) -> AsyncIterator[None]:
        """Count a message of this user, and hold one of their streams. Raises Refused with 429."""
        with self.stream(context.user_id):
            await self.message(context.user_id)
            yield

    @contextmanager
    def stream(self, user_id: str) -> Iterator[None]:
        """Hold one of this user's streams. Raises Refused with 429 if all of them are open."""
        if self._open[user_id] >= self._streams:
            sentence = Sentence(
                "You have {answers} under way. Wait for the end of one, or stop it.",
                answers=counted(self._streams, "1 answer", "{number} answers"),
            )
            raise Refused(sentence, 429, **{"Retry-After": str(STREAM_SECONDS)})
        self._open[user_id] += 1
        try:
            yield
        finally:
            self._open[user_id] -= 1
            if not self._open[user_id]:
                del self._open[user_id]


class MemoryWindow:
    """Messages counted by this worker alone.

    Those of the `limits` package look through every user they have ever seen after each message.
    """

    def __init__(self) -> None:
        # When each user's messages came; whoever has sent nothing for longest stands first.
        self._sent: dict[str, deque[float]] = {}

    def count(self, rate: RateLimitItem, key: str) -> int:
        """Count a message. Zero, or if it is one too many, the seconds to wait."""
        now, seconds = time.monotonic(), rate.get_expiry()
        while self._sent and self._sent[first := next(iter(self._sent))][-1] <= now - seconds:
            del self._sent[first]
        sent = self._sent.get(key, deque())
        while sent and sent[0] <= now - seconds:
            sent.popleft()
        if len(sent) >= rate.amount:
            return max(1, math.ceil(sent[0] + seconds - now))
        sent.append(now)
        self._sent.pop(key, None)
        self._sent[key] = sent
        return 0


class RedisWindow:
    """Messages counted in Redis, for all workers together.

    While Redis is away `count` gives None at once; every RETRY_SECONDS one call tries again.
    """

    def __init__(self, url: str) -> None:
        self._pool = BlockingConnectionPool.from_url(
            url,
            max_connections=CONNECTIONS,
            socket_timeout=ANSWER_SECONDS,
            socket_connect_timeout=ANSWER_SECONDS,
            # Once, at once: for a connection that Redis has closed meanwhile.
            retry=Retry(NoBackoff(), 1),
        )
        storage = RedisStorage(
            # The pool knows the rest. `limits` would want a port, which has a default.
            "redis://",
            implementation="redispy",
            connection_pool=self._pool,  # type: ignore[arg-type] # handed on as it is
        )
        self._window = MovingWindowRateLimiter(storage)
        self._retry_at: float | None = None

    async def close(self) -> None:
        await self._pool.disconnect()

    async def count(self, rate: RateLimitItem, key: str) -> int | None:
        """Count a message. Zero, or if it is one too many, the seconds to wait."""
        now = asyncio.get_running_loop().time
        away = self._retry_at is not None
        if self._retry_at is not None:
            if now() < self._retry_at:
                return None
            # Nobody else tries while this one does.
            self._retry_at = now() + RETRY_SECONDS
        try:
            taken = await asyncio.wait_for(self._window.hit(rate, key), ANSWER_SECONDS)
        except Exception as error:
            if self._retry_at is None:
                log.warning("Redis is away, so each worker counts for itself: %r", error)
            self._retry_at = now() + RETRY_SECONDS
            return None
        if away:
            self._retry_at = None
            log.warning("Redis is back: it counts for all workers again")
        return 0 if taken else await self._wait(rate, key)

    async def _wait(self, rate: RateLimitItem, key: str) -> int:
        asking = self._window.get_window_stats(rate, key)
        try:
            stats = await asyncio.wait_for(asking, ANSWER_SECONDS)
        except Exception:
            return 1  # Whoever comes too early is told anew.
        # A place may have become free since the message was refused.
        return 1 if stats.remaining > 0 else max(1, math.ceil(stats.reset_time - time.time()))


def _key(user_id: str) -> str:
    # Redis need not know who the users are, nor take whatever an id may hold.
    return blake2b(user_id.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def _time(seconds: int) -> Sentence:
    """The time in the largest unit that does not make a mere 1 of it, rounded up."""
    for unit, size in (("hour", 3600), ("minute", 60)):
        if seconds > 2 * size:
            return _units(math.ceil(seconds / size), unit)
    return _units(seconds, "second")


def _units(number: int, unit: str) -> Sentence:
    match unit:
        case "day":
            return counted(number, "1 day", "{number} days")
        case "hour":
            return counted(number, "1 hour", "{number} hours")
        case "minute":
            return counted(number, "1 minute", "{number} minutes")
        case _:
            return counted(number, "1 second", "{number} seconds")
