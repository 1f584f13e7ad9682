"""The server of level 3 for the tests: everybody is Ada, and nobody sends too much."""

from typing import Any

from scripted_model import ScriptedModel, ScriptedSource
from starlette.requests import Request

from app.context import RequestContext
from app.production import ProductionServer
from app.wiring import Settings, open_locks, open_store

USER = "ada"


class Everybody:
    cookies = False

    async def start(self) -> None: ...
    async def close(self) -> None: ...
    async def not_ready(self) -> None: ...

    async def identify(self, request: Request) -> RequestContext:
        return RequestContext(user_id=USER, request_id=request.state.request_id)


class Unlimited:
    """Counts what it is asked for, and lets it pass."""

    def __init__(self) -> None:
        self.messages = 0
        self.streams = 0
        self.open_streams = 0

    async def start(self) -> None: ...
    async def close(self) -> None: ...

    async def message(self, user_id: str) -> None:
        self.messages += 1

    def stream(self, user_id: str) -> "Unlimited":
        return self

    def __enter__(self) -> None:
        self.streams += 1
        self.open_streams += 1

    def __exit__(self, *error: object) -> None:
        self.open_streams -= 1


def production_server(
    settings: Settings, model: ScriptedModel, *, titles: bool = False, **changes: Any
) -> ProductionServer:
    """The project's server with a scripted model, by default without titles."""
    given: dict[str, Any] = {"auth": Everybody(), "limits": Unlimited(), "tracing": None, **changes}
    return ProductionServer(
        open_store(settings),
        ScriptedSource(model),
        locks=open_locks(settings),
        settings=settings,
        titles=titles,
        **given,
    )
