"""What stands around the routes: the names this server answers to, and headers for browsers."""

import re
from ipaddress import ip_address
from typing import Annotated
from urllib.parse import urlsplit

from fastapi import FastAPI, Request
from pydantic import AfterValidator, BeforeValidator, Field
from pydantic_settings import NoDecode
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from structlog.contextvars import bind_contextvars

from core.context import request_id_of
from core.errors import Refused
from core.http.routes import failed
from core.settings import ServerSettings, comma_separated

# For answers that have none of their own, as the chat page and the streams do.
HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
PROBES = ("/health", "/ready")
"""Who asks for these knows the server by its address."""


def _name(value: str) -> str:
    if re.fullmatch(r"(?a)(\*\.)?[\w-]+(\.[\w-]+)*", value):
        return value
    return str(ip_address(value.strip("[]")))


class EdgeSettings(ServerSettings):
    """The settings of this file."""

    allowed_hosts: Annotated[
        list[Annotated[str, AfterValidator(_name)]], NoDecode, BeforeValidator(comma_separated)
    ] = Field(
        default=[],
        description="a comma-separated list of names such as chat.example.com,*.example.com",
    )
    hsts_seconds: int = Field(
        default=0, ge=0, description="a number of seconds such as 31536000, or 0"
    )


def guard(app: FastAPI, settings: EdgeSettings) -> None:
    """Put the edge around the whole of `app`, whatever is added to it later."""
    # Not by add_middleware: the answer to an unforeseen error would not pass through it.
    build = app.build_middleware_stack
    app.build_middleware_stack = lambda: Edge(build(), settings)  # type: ignore[method-assign]


class Edge:
    """Refuses requests for other hosts, and gives each answer its headers, streams at once too."""

    def __init__(self, app: ASGIApp, settings: EdgeSettings) -> None:
        self.app = app
        self.hosts = settings.allowed_hosts
        self.hsts = f"max-age={settings.hsts_seconds}" if settings.hsts_seconds else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request_id = request_id_of(Request(scope))
        bind_contextvars(request_id=request_id)

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers["X-Request-ID"] = request_id
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
                # A browser must not believe it over http.
                if self.hsts and scope["scheme"] == "https":
                    headers.setdefault("Strict-Transport-Security", self.hsts)
            await send(message)

        app = self.app
        if not self.answers_to(scope):
            sentence = "This server does not answer to this host name. Add it to ALLOWED_HOSTS."
            app = await failed(Request(scope), Refused(sentence))
        await app(scope, receive, send_with_headers)

    def answers_to(self, scope: Scope) -> bool:
        """Whether the request's host is one of ALLOWED_HOSTS. Without any, each is."""
        if not self.hosts or scope["path"].removeprefix(scope.get("root_path", "")) in PROBES:
            return True
        try:
            host = urlsplit(f"//{Headers(scope=scope).get('host', '')}").hostname or ""
        except ValueError:
            return False
        host = host.rstrip(".")
        return any(
            host == name or (name.startswith("*.") and host.endswith(name[1:]))
            for name in self.hosts
        )
