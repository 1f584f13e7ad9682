"""The HTTP routes: /chatkit for the protocol, /health and /ready for whoever watches the server."""

import logging
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from chatkit.server import StreamingResult
from chatkit.store import NotFoundError
from fastapi import FastAPI, Request, Response
from fastapi.middleware.cors import CORSMiddleware
from fastapi.responses import JSONResponse
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.context import new_request_id
from app.debug import stored_threads
from app.protocol import AWAY, FAILED, ProtocolServer, Refused
from app.settings import ServerSettings
from app.store import StoreError

log = logging.getLogger("app")

LOCALHOST = r"https?://(localhost|127\.0\.0\.1|\[::1\])(:\d+)?"
# Whoever owns a public name can point it at this machine, and their page then has "the same origin"
# (DNS rebinding). Addresses, names without a dot, and these endings belong to nobody.
LOCAL_HOST = (
    r"(?i)(\[[\da-f:.]+\]|[\d.]+|[\w-]+|[\w.-]+\.(localhost|local|internal|home\.arpa))(:\d+)?"
)
DRAIN_BYTES = 16 * 1024 * 1024
"""How much of a body that is too large is read away, so that its sender sees the refusal."""


def create_app(name: str, settings: ServerSettings, server: ProtocolServer) -> FastAPI:
    """The application that serves `server`, with every error as a sentence and a request id."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        await server.start()
        yield
        await server.close()

    app = FastAPI(title=name, lifespan=lifespan, openapi_url=None)

    @app.post("/chatkit")
    async def chatkit(request: Request) -> Response:
        check_origin(request, settings)
        context = await server.identify(request)
        body = await read_body(request, settings.max_body_bytes)
        result = await server.process(body, context)
        if isinstance(result, StreamingResult):
            return server.response(result, context)
        return Response(result.json, media_type="application/json")

    @app.api_route("/health", methods=["GET", "HEAD"])
    async def health() -> dict[str, str]:
        return {"status": "ok"}

    @app.api_route("/ready", methods=["GET", "HEAD"])
    async def ready() -> Response:
        try:
            cause = await server.not_ready()
        except StoreError as error:
            log.error("not ready: %s", error)
            cause = f"database: {error.cause}"
        if cause:
            return JSONResponse({"status": "not ready", "cause": cause}, 503)
        return JSONResponse({"status": "ready"})

    if settings.debug:

        @app.get("/debug/threads")
        async def debug_threads(request: Request) -> Response:
            check_origin(request, settings)
            context = await server.identify(request)
            return JSONResponse(await stored_threads(server, context))

    for kind in (Refused, NotFoundError, StoreError, HTTPException, ClientDisconnect, Exception):
        app.add_exception_handler(kind, failed)
    app.add_middleware(
        CORSMiddleware,
        allow_origins=settings.allowed_origins,
        allow_origin_regex=LOCALHOST if settings.debug else None,
        allow_methods=["GET", "POST"],
        allow_headers=["*"],
        allow_credentials=server.cookies,
        expose_headers=["Retry-After", "X-Request-ID"],
    )
    app.add_middleware(RequestId)
    return app


def check_origin(request: Request, settings: ServerSettings) -> None:
    """Refuse a page of another site: a browser sends its requests here without asking first."""
    if "*" in settings.allowed_origins:
        return
    origin, host = request.headers.get("origin"), request.headers.get("host", "")
    listed = {allowed.partition("://")[2] for allowed in settings.allowed_origins}
    if settings.debug and host and host not in listed and not re.fullmatch(LOCAL_HOST, host):
        raise Refused("This host name is not allowed. Add its origin to ALLOWED_ORIGINS.", 403)
    if origin is None or origin in settings.allowed_origins:
        return
    if host and host == origin.partition("://")[2]:
        return
    if settings.debug and re.fullmatch(LOCALHOST, origin):
        return
    raise Refused("This origin is not allowed. Add it to ALLOWED_ORIGINS.", 403)


async def read_body(request: Request, limit: int) -> bytes:
    """The request's body. Raises Refused with 413 when it is longer than `limit` bytes."""
    body = bytearray()
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size <= limit:
            body += chunk
        elif size > limit + DRAIN_BYTES:
            break
    if size > limit:
        raise Refused(f"The message is too large: the limit is {limit} bytes.", 413)
    return bytes(body)


class RequestId:
    """Gives every request an id, and every response the header that names it."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        # What stands around the app may have given it one.
        request_id: str = scope.setdefault("state", {}).setdefault("request_id", new_request_id())

        async def send_with_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)["X-Request-ID"] = request_id
            await send(message)

        await self.app(scope, receive, send_with_id)


def problem(request: Request, sentence: str, status: int, **headers: str) -> Response:
    request_id = request.state.request_id
    log.info("request %s: %s %s", request_id, status, sentence)
    # Also here: the answer to an unforeseen error does not pass through RequestId.
    headers["X-Request-ID"] = request_id
    return JSONResponse({"detail": sentence, "request_id": request_id}, status, headers)


async def failed(request: Request, error: Exception) -> Response:
    """What each of these errors is answered with."""
    match error:
        case Refused():
            return problem(request, error.sentence, error.status, **error.headers)
        case NotFoundError():
            return problem(request, "There is no such thread, item or attachment.", 404)
        case StoreError():
            log.error("request %s: %s", request.state.request_id, error)
            return problem(request, AWAY, 503, **{"Retry-After": "5"})
        case HTTPException():
            return problem(request, f"{error.detail}.", error.status_code, **(error.headers or {}))
        case ClientDisconnect():
            return Response(status_code=499)  # Nobody reads it.
        case _:
            # The server, which gets the error as well, logs its traceback below this line.
            log.error("request %s failed: %s", request.state.request_id, type(error).__name__)
            return problem(request, FAILED, 500)
