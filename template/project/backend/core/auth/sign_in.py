"""What every way to sign in gives: the RequestContext of a user, or a refusal."""

from typing import Protocol

from starlette.requests import Request

from core.context import RequestContext


class SignIn(Protocol):
    """A way to sign in. Wiring hands it to the server."""

    cookies: bool
    """Whether cookies say who asks, so that pages of allowed origins may send them."""

    async def start(self) -> None:
        """Called once, before the first request."""

    async def close(self) -> None:
        """Called once, after the last request."""

    async def not_ready(self) -> str | None:
        """What keeps everyone from signing in, or None."""

    async def identify(self, request: Request) -> RequestContext:
        """Who asks. Raises Refused: 401 for nobody, 503 where it cannot be found out now."""
