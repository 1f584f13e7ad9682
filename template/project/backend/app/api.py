"""Routes of your own, beside /chatkit; with DEBUG=true, /docs shows them. A file to edit."""

from fastapi import APIRouter, FastAPI

router = APIRouter()


def add_routes(app: FastAPI) -> None:
    """Called once, as the application is made."""
    app.include_router(router)
