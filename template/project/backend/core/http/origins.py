"""Whose pages may use this server: the origin's check, and CORS."""

import re
from collections.abc import Sequence

from fastapi import FastAPI, Request
from fastapi.middleware.cors import CORSMiddleware
from starlette.routing import BaseRoute
from starlette.types import ASGIApp

from core.errors import Refused
from core.settings import ServerSettings

LOCALHOST = r"https?://(localhost|127\.0\.0\.1|\[::1\])(:\d+)?"
# Whoever owns a public name can point it at this machine, and their page then has "the same origin"
# (DNS rebinding). Addresses, names without a dot, and these endings belong to nobody.
LOCAL_HOST = (
    r"(?i)(\[[\da-f:.]+\]|[\d.]+|[\w-]+|[\w.-]+\.(localhost|local|internal|home\.arpa))(:\d+)?"
)


def check_origin(request: Request, settings: ServerSettings) -> None:
    """Refuse a page of another site: a browser sends its requests here without asking first.

    Raises Refused with 403.
    """
    if "*" in settings.allowed_origins:
        return
    origin, host = request.headers.get("origin"), request.headers.get("host", "")
    listed = {allowed.partition("://")[2] for allowed in settings.allowed_origins}
    if settings.debug and host and host not in listed and not re.fullmatch(LOCAL_HOST, host):
        raise Refused("This host name is not allowed. Add its origin to ALLOWED_ORIGINS.", 403)
    # Behind a proxy that ends TLS and does not say so the scheme is http, and the page's https.
    schemes = (request.scope["scheme"], "https")
    same = origin is None or (host and origin in [f"{scheme}://{host}" for scheme in schemes])
    if same or origin in settings.allowed_origins:
        return
    if settings.debug and re.fullmatch(LOCALHOST, origin or ""):
        return
    raise Refused("This origin is not allowed. Add it to ALLOWED_ORIGINS.", 403)


class RoutesCORS(CORSMiddleware):
    """CORS for the methods that the application's routes have when it is started."""

    def __init__(
        self,
        app: ASGIApp,
        routes: Sequence[BaseRoute],
        origins: Sequence[str],
        origin_regex: str | None,
        cookies: bool,
    ) -> None:
        super().__init__(
            app,
            allow_methods=methods_of(routes),
            allow_origins=origins,
            allow_origin_regex=origin_regex,
            allow_headers=["*"],
            allow_credentials=cookies,
            expose_headers=["Retry-After", "X-Request-ID"],
        )


def methods_of(routes: Sequence[BaseRoute]) -> list[str]:
    """Every method that one of these routes takes, those of included routers too."""
    found: set[str] = set()
    for route in routes:
        found |= set(getattr(route, "methods", None) or ())
        # FastAPI keeps an included router as one route, and Starlette a mounted application.
        router = getattr(route, "original_router", route)
        found |= set(methods_of(getattr(router, "routes", None) or ()))
    return sorted(found)


def add_cors(app: FastAPI, settings: ServerSettings, *, cookies: bool) -> None:
    """Let the pages of ALLOWED_ORIGINS in, and in DEBUG those of localhost."""
    app.add_middleware(
        RoutesCORS,
        routes=app.routes,
        origins=settings.allowed_origins,
        origin_regex=LOCALHOST if settings.debug else None,
        cookies=cookies,
    )
