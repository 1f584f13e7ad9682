"""This backend inside another application: `mount(parent, "/assistant", app)`."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from starlette.applications import Starlette


def mount(parent: Starlette, path: str, backend: Starlette) -> None:
    """Serve `backend` below `path` of `parent`, which starts it first and ends it last.

    Starlette alone would never start a mounted application. Call it before the parent is started.
    """
    parent_lifespan = parent.router.lifespan_context

    @asynccontextmanager
    async def lifespan(app: Any) -> AsyncIterator[Any]:
        async with backend.router.lifespan_context(backend), parent_lifespan(app) as state:
            yield state

    parent.router.lifespan_context = lifespan
    parent.mount(path, backend)
