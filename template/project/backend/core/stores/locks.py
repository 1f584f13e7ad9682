"""What every way to lock a thread gives: one writer for each thread."""

from contextlib import AbstractAsyncContextManager
from typing import Protocol


class Locks(Protocol):
    """One writer for each thread, among all that share the store."""

    def hold(
        self, owner: str, thread_id: str, wait_seconds: float
    ) -> AbstractAsyncContextManager[None]:
        """Be the thread's one writer. Raises ThreadBusy after `wait_seconds`."""

    async def close(self) -> None:
        """Give every lock back."""
