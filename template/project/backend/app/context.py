"""What travels with one request: who asks, under which id it is logged, and whether to stop."""

import asyncio
import uuid
from dataclasses import dataclass, field

from chatkit.types import ThreadMetadata

LOCAL_USER = "local"


@dataclass
class RequestContext:
    """Reaches the server, the store, the agent and its tools with every request.

    `user_id` owns the threads. There is no sign-in at this level, so everyone who can reach the
    port is the same user.
    """

    user_id: str = LOCAL_USER
    request_id: str = field(default_factory=lambda: uuid.uuid4().hex[:12])
    stop: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when the client has left or pressed Stop: the run ends and keeps what was said."""
    thread: ThreadMetadata | None = None
    """The thread that the turn holds, so that a rename reaches it while it is answered."""
