"""One writer for each thread among all workers, by PostgreSQL's advisory locks."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from hashlib import blake2b

from core.errors import ThreadBusy
from core.stores.postgres_connection import AWAY, Connection, DatabaseSettings, away, connect

log = logging.getLogger("app")

TRY = "SELECT pg_try_advisory_lock($1)"
GIVE_BACK = "SELECT pg_advisory_unlock($1)"
FIRST_PAUSE, LONGEST_PAUSE = 0.02, 0.25
"""Seconds between two tries for a lock that somebody else holds."""
FIRST_RETRY, LONGEST_RETRY, SLOWER = 0.02, 0.25, 1.01
"""Seconds between two tries to open a lost session anew, and by how much each pause is longer."""
OTHERS_FIRST = 0.5
"""Seconds that a session opened anew takes no other locks than those that were held here.

Other workers lost theirs with the same restart of PostgreSQL, and have them again by then.
"""
# A worker whose machine is gone, so that it closes nothing, gives its locks back in a minute.
KEEP_ALIVE = {
    "tcp_keepalives_idle": "30",
    "tcp_keepalives_interval": "10",
    "tcp_keepalives_count": "3",
}


def open_locks(settings: DatabaseSettings) -> "ThreadLocks":
    """What lets one message at a time be answered in each thread, among all workers."""
    return ThreadLocks(settings.database_url.get_secret_value(), timeout=settings.database_timeout)


class ThreadLocks:
    """Holds the locks of this process, all in one session, which ends when the process does.

    A lock costs a round trip to take, another one to give back, and nothing in between. The
    session needs a connection straight to PostgreSQL, or a PgBouncer in session mode.
    """

    def __init__(self, url: str, *, timeout: float = 10) -> None:
        """`timeout`, in seconds, is for the connection and for an answer, each."""
        self._url = url
        self._timeout = timeout
        self._session: Connection | None = None
        self._asking = asyncio.Lock()
        # What this process holds: True, or False while it takes a lock or gives it back.
        self._keys: dict[int, bool] = {}
        # The latest try that failed, and when it did.
        self._failure: tuple[Exception, float] | None = None
        self._restoring: asyncio.Task[None] | None = None
        self._closed = False

    @asynccontextmanager
    async def hold(self, owner: str, thread_id: str, wait_seconds: float) -> AsyncIterator[None]:
        """Be the thread's one writer.

        Raises ThreadBusy after `wait_seconds`, and StoreError when the database is away.
        """
        key = lock_key(owner, thread_id)
        loop = asyncio.get_running_loop()
        deadline, pause = loop.time() + wait_seconds, FIRST_PAUSE
        while not await self._take(key):
            left = deadline - loop.time()
            if left <= 0:
                raise ThreadBusy
            await asyncio.sleep(min(pause, left))
            pause = min(2 * pause, LONGEST_PAUSE)
        try:
            yield
        finally:
            await asyncio.shield(self._give_back(key))

    async def close(self) -> None:
        """Give every lock back."""
        self._closed = True
        if self._restoring is not None:
            self._restoring.cancel()
        if self._session is not None:
            # If the server is silent, the connection is cut.
            with suppress(*AWAY):
                await self._session.close(timeout=self._timeout)

    async def _take(self, key: int) -> bool:
        if key in self._keys:
            return False
        self._keys[key] = False
        try:
            trying = asyncio.create_task(self._try(key))
            # Whoever is cancelled does not ask what became of it.
            trying.add_done_callback(lambda task: task.cancelled() or task.exception())
            taken = await asyncio.shield(trying)
        except BaseException as error:
            # Nobody waits for the answer any more, but it may be yes.
            await asyncio.shield(self._give_back(key))
            if isinstance(error, AWAY):
                raise away(self._url, error) from error
            raise
        if not taken:
            del self._keys[key]
        return taken

    async def _try(self, key: int) -> bool:
        now = asyncio.get_running_loop().time
        waiting_since = now()
        async with self._asking:
            if self._failure is not None and self._failure[1] > waiting_since:
                # A database that is silent costs all who wait for it the timeout once, and not
                # each of them anew behind the others.
                raise self._failure[0]
            try:
                session = await self._opened()
                self._keys[key] = taken = await _ask(session, TRY, key)
            except Exception as error:
                self._failure = error, now()
                raise
            return taken

    async def _give_back(self, key: int) -> None:
        self._keys[key] = False
        async with self._asking:
            try:
                # With its session a lock is gone as well.
                if self._session is not None and not self._session.is_closed():
                    await _ask(self._session, GIVE_BACK, key)
            except Exception as error:
                log.warning("a thread lock went with its session: %r", error)
            finally:
                del self._keys[key]

    async def _opened(self) -> Connection:
        if self._session is None or self._session.is_closed():
            session = await connect(
                self._url,
                timeout=self._timeout,
                command_timeout=self._timeout,
                server_settings=KEEP_ALIVE,
            )
            held = [key for key, sure in self._keys.items() if sure]
            for key in held:
                if not await _ask(session, TRY, key):
                    log.error("another worker has taken a thread that is answered here")
            session.add_termination_listener(self._lost)
            lost, self._session = self._session, session
            if lost is not None:
                await asyncio.sleep(OTHERS_FIRST)
        return self._session

    def _lost(self, session: object) -> None:
        if self._closed or not any(self._keys.values()):
            return
        log.warning("the session of the thread locks was lost: it is opened anew")
        self._restoring = asyncio.create_task(self._restore())

    async def _restore(self) -> None:
        pause = FIRST_RETRY
        while any(self._keys.values()):
            try:
                async with self._asking:
                    await self._opened()
                return
            except Exception as error:
                if pause == FIRST_RETRY:
                    log.warning("the thread locks cannot be taken again yet: %s", error)
                await asyncio.sleep(pause)
                pause = min(SLOWER * pause, LONGEST_RETRY)


async def _ask(session: Connection, statement: str, key: int) -> bool:
    try:
        return bool(await session.fetchval(statement, key))
    except BaseException:
        # Whatever it holds now, PostgreSQL takes back.
        session.terminate()
        raise


def lock_key(owner: str, thread_id: str) -> int:
    """PostgreSQL's number for the lock, 64 bits. Threads that shared one would take turns."""
    text = f"{len(owner)}:{owner}{thread_id}".encode("utf-8", "surrogatepass")
    return int.from_bytes(blake2b(text, digest_size=8).digest(), "big", signed=True)
