"""No sign-in: everyone who reaches the port is the same user."""

from starlette.requests import Request

from core.context import RequestContext, request_id_of


class NoSignIn:
    """Lets everybody in as LOCAL_USER."""

    cookies = False

    async def start(self) -> None: ...

    async def close(self) -> None: ...

    async def not_ready(self) -> str | None:
        return None

    async def identify(self, request: Request) -> RequestContext:
        return RequestContext(request_id=request_id_of(request))
