"""The HTTP routes: /chatkit for the protocol, /health and /ready for whoever watches the server."""

import asyncio
import logging
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from chatkit.store import NotFoundError
from fastapi import FastAPI, Request, Response
from fastapi.middleware.cors import CORSMiddleware
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from app.context import request_id_of
from app.protocol import ProtocolServer, Refused, as_refused
from app.settings import ServerSettings
from app.store import StoreError

log = logging.getLogger("app")

LOCALHOST = r"https?://(localhost|127\.0\.0\.1|\[::1\])(:\d+)?"
# Whoever owns a public name can point it at this machine, and their page then has "the same origin"
# (DNS rebinding). Addresses, names without a dot, and these endings belong to nobody.
LOCAL_HOST = (
    r"(?i)(\[[\da-f:.]+\]|[\d.]+|[\w-]+|[\w.-]+\.(localhost|local|internal|home\.arpa))(:\d+)?"
)
# How many bytes of a body that is too large are read away, so that its sender sees the refusal.
DRAIN_BYTES = 16 * 1024 * 1024
# How long /ready takes at most; a silent database costs one timeout after another.
READY_SECONDS = 5.0


def create_app(name: str, settings: ServerSettings, server: ProtocolServer) -> FastAPI:
    """The application that serves `server`, with every error as a sentence and a request id."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        await server.start()
        yield
        await server.close()

    errors = (Refused, NotFoundError, StoreError, HTTPException, ClientDisconnect, Exception)
    app = FastAPI(
        title=name,
        lifespan=lifespan,
        openapi_url=None,
        exception_handlers=dict.fromkeys(errors, failed),
    )
    app.add_middleware(
        CORSMiddleware,
        allow_origins=settings.allowed_origins,
        allow_origin_regex=LOCALHOST if settings.debug else None,
        allow_methods=["GET", "POST"],
        allow_headers=["*"],
        allow_credentials=server.cookies,
        expose_headers=["Retry-After", "X-Request-ID"],
    )

    @app.post("/chatkit")
    async def chatkit(request: Request) -> Response:
        check_origin(request, settings)
        context = await server.identify(request)
        body = await read_body(request, settings.max_body_bytes)
        response = server.response(await server.process(body, context), context)
        response.headers["X-Request-ID"] = context.request_id
        return response

    @app.api_route("/health", methods=["GET", "HEAD"])
    async def health() -> dict[str, str]:
        return {"status": "ok"}

    @app.api_route("/ready", methods=["GET", "HEAD"])
    async def ready() -> Response:
        try:
            checking = asyncio.create_task(server.not_ready())
            done, _ = await asyncio.wait([checking], timeout=READY_SECONDS)
            if not done:
                # Not waited for: what it holds may take as long to give back.
                checking.cancel()
                raise StoreError("The database has not answered in time.", "it does not answer")
            cause = checking.result()
        except StoreError as error:
            log.error("not ready: %s", error)
            cause = f"database: {error.cause}"
        if cause:
            return JSONResponse({"status": "not ready", "cause": cause}, 503)
        return JSONResponse({"status": "ready"})

    async def debug_threads(request: Request) -> Response:
        """The caller's 20 newest threads with their 50 newest items, hidden ones too."""
        check_origin(request, settings)
        context, store = await server.identify(request), server.store
        threads: list[dict[str, Any]] = []
        for thread in (await store.load_threads(20, None, "desc", context)).data:
            items = await store.load_thread_items(thread.id, None, 50, "desc", context)
            shown = {
                "items": [item.model_dump(mode="json") for item in reversed(items.data)],
                "feedback": await store.load_feedback(thread.id, context),
            }
            threads.append(thread.model_dump(mode="json") | shown)
        return JSONResponse({"threads": threads})

    if settings.debug:
        app.add_api_route("/debug/threads", debug_threads)
    return app


def check_origin(request: Request, settings: ServerSettings) -> None:
    """Refuse a page of another site: a browser sends its requests here without asking first."""
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


async def read_body(request: Request, limit: int) -> bytes:
    """The request's body. Raises Refused with 413 when it is longer than `limit` bytes."""
    body, size = bytearray(), 0
    async for chunk in request.stream():
        size += len(chunk)
        if size <= limit:
            body += chunk
        elif size > limit + DRAIN_BYTES:
            break
    if size > limit:
        raise Refused(f"The message is too large: the limit is {limit} bytes.", 413)
    return bytes(body)


async def failed(request: Request, error: Exception) -> Response:
    """What went wrong as a sentence, under the id that the log has too."""
    request_id = request_id_of(request)
    refused = as_refused(error, request_id)
    log.info("request %s: %s %s", request_id, refused.status, refused.sentence)
    return JSONResponse(
        {"detail": refused.sentence, "request_id": request_id},
        refused.status,
        refused.headers | {"X-Request-ID": request_id},
    )
