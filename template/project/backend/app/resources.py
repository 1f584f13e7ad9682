"""What is opened once and closed at the end: clients, pools. A file to edit.

Actions, tools, routes and the hooks of server.py find it as `resources` in the request's context.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass


@dataclass
class Resources:
    """What `open_resources` has opened."""


@asynccontextmanager
async def open_resources() -> AsyncIterator[Resources]:
    """Called as the server starts. /ready waits for it, and names the kind of what it raises.

    To say more there, raise NotReady of core.turns.resources. What raises is tried again after a
    pause; the server answers meanwhile.
    """
    yield Resources()
