"""One writer for each thread in this process."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from weakref import WeakValueDictionary

from core.errors import ThreadBusy
from core.settings import ServerSettings


def open_locks(settings: ServerSettings) -> "ThreadLocks":
    """What lets one message at a time be answered in each thread."""
    return ThreadLocks()


class ThreadLocks:
    """Holds the locks of this process. Two processes that share a store do not see each other."""

    def __init__(self) -> None:
        self._locks: WeakValueDictionary[tuple[str, str], asyncio.Lock] = WeakValueDictionary()

    @asynccontextmanager
    async def hold(self, owner: str, thread_id: str, wait_seconds: float) -> AsyncIterator[None]:
        """Be the thread's one writer. Raises ThreadBusy after `wait_seconds`."""
        lock = self._locks.setdefault((owner, thread_id), asyncio.Lock())
        try:
            await asyncio.wait_for(lock.acquire(), wait_seconds)
        except asyncio.TimeoutError:
            raise ThreadBusy from None
        try:
            yield
        finally:
            lock.release()

    async def close(self) -> None:
        """Nothing is held open."""
