"""/docs: the routes of app/api.py, to look at and to try. Only with DEBUG=true."""

from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import JSONResponse

# Swagger UI itself comes from a CDN, as FastAPI's own page has it.
CDN = "https://cdn.jsdelivr.net"
POLICY = (
    f"default-src 'none'; script-src {CDN} 'unsafe-inline'; style-src {CDN} 'unsafe-inline'; "
    f"img-src data: {CDN} https://fastapi.tiangolo.com; connect-src 'self'; frame-ancestors 'none'"
)


def add_docs(app: FastAPI) -> None:
    """Serve /docs, and /openapi.json that it shows."""

    @app.get("/openapi.json", include_in_schema=False)
    async def openapi(request: Request) -> Response:
        schema: dict[str, Any] = app.openapi()
        if mounted_at := request.scope.get("root_path", "").rstrip("/"):
            schema = schema | {"servers": [{"url": mounted_at}]}
        return JSONResponse(schema)

    @app.get("/docs", include_in_schema=False)
    async def docs(request: Request) -> Response:
        mounted_at = request.scope.get("root_path", "").rstrip("/")
        page = get_swagger_ui_html(openapi_url=f"{mounted_at}/openapi.json", title=app.title)
        page.headers["Content-Security-Policy"] = POLICY
        return page
