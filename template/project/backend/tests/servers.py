"""Servers for the tests: everybody who asks is Ada."""

from typing import Any, TypeVar

from starlette.requests import Request

from core.context import RequestContext, request_id_of
from core.turns.running import Turns
from core.turns.server import TurnServer

from app.wiring import Settings, open_locks, open_store

USER = "ada"
ServerT = TypeVar("ServerT", bound=TurnServer)


class Everybody:
    """Signs everybody in as Ada."""

    cookies = False

    async def start(self) -> None: ...
    async def close(self) -> None: ...
    async def not_ready(self) -> None: ...

    async def identify(self, request: Request) -> RequestContext:
        return RequestContext(user_id=USER, request_id=request_id_of(request))


def serve_with(kind: type[ServerT], project: Settings, **parts: Any) -> ServerT:
    """A server of this kind on the project's store; `parts` are handed to it."""
    parts = {"sign_in": Everybody(), **parts}
    return kind(open_store(project), Turns(open_locks(project)), **parts)
