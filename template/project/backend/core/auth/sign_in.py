"""What every way to sign in gives: the RequestContext of a user, or a refusal."""

import re
from typing import Protocol

from starlette.requests import Request

from core.context import RequestContext

LANGUAGE = re.compile(r"[a-zA-Z]{2,8}([-_][a-zA-Z0-9]{1,8})*")


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


def language_of(request: Request, preferred: object = None) -> str | None:
    """The user's language, such as de-CH: what the sign-in says, or the browser's first."""
    first = re.split("[,;]", request.headers.get("accept-language", ""))[0].strip()
    for language in (preferred, first):
        if isinstance(language, str) and LANGUAGE.fullmatch(language):
            return language
    return None
