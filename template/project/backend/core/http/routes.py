"""The HTTP routes: /chatkit for the protocol, /health and /ready for whoever watches the server."""

import asyncio
import inspect
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from chatkit.server import StreamingResult
from chatkit.store import NotFoundError
from fastapi import FastAPI, Request, Response
from fastapi.exception_handlers import http_exception_handler
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from core.auth.sign_in import language_of
from core.context import RequestContext, request_id_of
from core.errors import Refused, StoreError, as_refused
from core.http.event_stream import EventStream
from core.http.origins import add_cors, check_origin
from core.sentences import Sentence
from core.settings import ServerSettings
from core.turns.server import TurnServer

log = logging.getLogger("app")

# How many bytes of a body that is too large are read away, so that its sender sees the refusal.
DRAIN_BYTES = 16 * 1024 * 1024
# How long /ready takes at most; a silent database costs one timeout after another.
READY_SECONDS = 5.0
CHATKIT = "/chatkit"


def create_app(name: str, settings: ServerSettings, server: TurnServer) -> FastAPI:
    """The application that serves `server`, with every error as a sentence and a request id."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        await server.start()
        try:
            await call_all(app.router.on_startup)
            app.state.started = True
            yield
            await call_all(app.router.on_shutdown)
        finally:
            await server.close()

    errors = (Refused, NotFoundError, StoreError, ClientDisconnect, Exception)
    app = FastAPI(
        title=name,
        lifespan=lifespan,
        openapi_url=None,
        exception_handlers={HTTPException: http_failed, **dict.fromkeys(errors, failed)},
    )
    app.state.started = False
    app.state.settings = settings
    app.state.server = server
    app.add_middleware(UnforeseenErrors)
    add_cors(app, settings, cookies=server.sign_in.cookies)

    @app.post(CHATKIT, include_in_schema=False)
    async def chatkit(request: Request) -> Response:
        context = await identify(request)
        body = await read_body(request, settings.max_body_bytes)
        result = await server.process(body, context)
        response: Response
        if isinstance(result, StreamingResult):
            response = EventStream(server.turns.run(result.json_events, context))
        else:
            response = Response(result.json, media_type="application/json")
        response.headers["X-Request-ID"] = context.request_id
        return response

    @app.api_route("/health", methods=["GET", "HEAD"], include_in_schema=False)
    async def health() -> dict[str, str]:
        return {"status": "ok"}

    @app.api_route("/ready", methods=["GET", "HEAD"], include_in_schema=False)
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
        context, store = await identify(request), server.store
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
        app.add_api_route("/debug/threads", debug_threads, include_in_schema=False)
    return app


class UnforeseenErrors:
    """Answers an error that nobody foresaw inside of CORS, so that pages may read the answer.

    Starlette's own answer to it would stand outside.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = False

        async def watch(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            await self.app(scope, receive, watch)
        except Exception as error:
            if scope["type"] != "http" or started:
                raise
            request = Request(scope)
            log.error("request %s failed", request_id_of(request), exc_info=error)
            response = await failed(request, error)
            await response(scope, receive, watch)


async def call_all(handlers: list[Any]) -> None:
    """Call what `app.on_event` has gathered, which FastAPI leaves to a lifespan of one's own."""
    for handler in handlers:
        result = handler()
        if inspect.isawaitable(result):
            await result


async def identify(request: Request) -> RequestContext:
    """Who asks, from a page that may. Raises Refused: 401 for nobody, 403 for another site's page.

    The application has to be this file's.
    """
    if not request.app.state.started:
        raise Refused(
            "This backend has not been started. Mount it in another application with "
            "core.http.mount.mount, which starts it.",
            503,
        )
    check_origin(request, request.app.state.settings)
    server: TurnServer = request.app.state.server
    context = await server.sign_in.identify(request)
    context.store, context.languages = server.store, server.languages
    context.locale = request.state.locale = context.locale or language_of(request)
    return context


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
        sentence = Sentence("The message is too large: the limit is {limit} bytes.", limit=limit)
        raise Refused(sentence, 413)
    return bytes(body)


async def failed(request: Request, error: Exception) -> Response:
    """What went wrong as a sentence, under the id that the log has too."""
    request_id = request_id_of(request)
    refused = as_refused(error, request_id)
    log.info("request %s: %s %s", request_id, refused.status, refused.sentence)
    return JSONResponse(
        {"detail": told(request, refused.sentence), "request_id": request_id},
        refused.status,
        refused.headers | {"X-Request-ID": request_id},
    )


def told(request: Request, sentence: str) -> str:
    """The sentence in the language of whoever asks; before the sign-in, of the browser."""
    server: TurnServer = request.app.state.server
    locale = getattr(request.state, "locale", language_of(request))
    return server.languages.told(sentence, locale)


async def http_failed(request: Request, error: Exception) -> Response:
    """An HTTPException: of /chatkit as `failed` tells it, of all other routes as FastAPI does."""
    assert isinstance(error, HTTPException)
    if path_of(request) == CHATKIT:
        return await failed(request, error)
    request_id = request_id_of(request)
    log.info("request %s: %s", request_id, error.status_code)
    response = await http_exception_handler(request, error)
    response.headers["X-Request-ID"] = request_id
    return response


def path_of(request: Request) -> str:
    """The request's path below where the application is mounted."""
    path: str = request.scope["path"]
    return path.removeprefix(request.scope.get("root_path", ""))
