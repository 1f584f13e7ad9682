"""What may give a thread a title."""

from typing import Protocol

from chatkit.types import ThreadMetadata, UserMessageItem

from core.context import RequestContext


class TitleMaker(Protocol):
    """What gives a new thread a better title than its first words."""

    def begin(
        self, thread: ThreadMetadata, message: UserMessageItem, context: RequestContext
    ) -> None:
        """Make a title out of a thread's first message, beside the answer."""

    async def close(self) -> None:
        """Called once, after the last request."""
