"""The chat page: plain files in page/, served under a policy that lets nothing else in."""

from os import PathLike
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse, RedirectResponse
from fastapi.staticfiles import StaticFiles

from core.http.routes import told
from core.protocol.inference_options import shown
from core.turns.server import TurnServer

# Whatever a model writes, it cannot become script, nor reach another host: not even by an image,
# whose address could carry a conversation away.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'"
)
# OpenAI's own component needs its host, and a page to itself.
OPENAI = "https://*.openai.com"
OFFICIAL_POLICY = (
    f"default-src 'none'; script-src 'self' {OPENAI}; style-src 'self' 'unsafe-inline'; "
    f"img-src 'self' data: blob: {OPENAI}; connect-src 'self' {OPENAI}; frame-src {OPENAI}; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    # Asked for anew each time, and sent only if it has changed: an update must be seen.
    "Cache-Control": "no-cache",
}


class PageFiles(StaticFiles):
    """The page's files, each under its policy."""

    def file_response(self, full_path: str | PathLike[str], *args: Any, **kwargs: Any) -> Response:
        response = super().file_response(full_path, *args, **kwargs)
        official = Path(full_path).name == "official.html"
        policy = {"Content-Security-Policy": OFFICIAL_POLICY if official else POLICY}
        response.headers.update(HEADERS | policy)
        return response


def add_chat_page(
    app: FastAPI, name: str, server: TurnServer, own: Path, *, path: str = "/"
) -> None:
    """Serve the page at `path`, and what it needs below that.

    The files of the folder `own` stand in for the page's of the same name, as handlers.js does.
    Each address is relative to where the page is: it works wherever `app` itself is mounted.
    """
    base = path.rstrip("/")
    files = PageFiles(directory=Path(__file__).with_name("page"))
    files.all_directories.insert(0, own)
    # From the folder of about.json up to the app's own root.
    chatkit = "../" * (base.count("/") + 1) + "chatkit"

    if base:
        # Without the slash at its end, all that the page asks for would be looked for beside it.
        @app.api_route(base, methods=["GET", "HEAD"], include_in_schema=False)
        async def folder() -> Response:
            return RedirectResponse(f"{base.rpartition('/')[2]}/", headers=HEADERS)

    @app.api_route(f"{base}/", methods=["GET", "HEAD"], include_in_schema=False)
    async def page(request: Request) -> Response:
        return await files.get_response("index.html", request.scope)

    @app.api_route(f"{base}/official", methods=["GET", "HEAD"], include_in_schema=False)
    async def official(request: Request) -> Response:
        return await files.get_response("official.html", request.scope)

    @app.get(f"{base}/page/about.json", include_in_schema=False)
    async def about(request: Request) -> Response:
        """What the page cannot know: where the server is, who answers, and what it offers."""
        hint = server.hint()
        offers = {
            "attachments": server.offers("attachments.create"),
            "models": shown(server.model_options),
            "tools": shown(server.tool_options),
        }
        return JSONResponse(
            {
                "name": name,
                "chatkit": chatkit,
                "model": server.answered_by,
                "hint": hint and told(request, hint),
                "starters": server.starters,
                "offers": offers,
            },
            headers=HEADERS,
        )

    app.mount(f"{base}/page", files)
