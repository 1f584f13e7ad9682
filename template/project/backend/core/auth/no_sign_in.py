"""No sign-in: everyone who reaches the port is the same user."""

from starlette.requests import Request

from core.auth.sign_in import language_of
from core.context import RequestContext, request_id_of


class NoSignIn:
    """Lets everybody in as LOCAL_USER."""

    cookies = False

    async def start(self) -> None: ...

    async def close(self) -> None: ...

    async def not_ready(self) -> str | None:
        return None

    async def identify(self, request: Request) -> RequestContext:
        return RequestContext(locale=language_of(request), request_id=request_id_of(request))
