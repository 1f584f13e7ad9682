"""`python main.py`: the server's process, or several, by the settings."""

import argparse

import uvicorn
from fastapi import FastAPI

from core.settings import BACKEND, ServerSettings, check_address

GRACE_SECONDS = 5
"""After it the streams are ended; what was said by then is kept."""


def serve(app: FastAPI, settings: ServerSettings) -> None:
    """Serve main.py's app at HOST and PORT until the process is told to end."""
    parser = argparse.ArgumentParser(prog="python main.py", description="Serve the backend.")
    ways = parser.add_mutually_exclusive_group()
    ways.add_argument("--reload", action="store_true", help="start anew after each edit")
    ways.add_argument("--workers", type=int, default=1, help="how many processes serve (1)")
    asked = parser.parse_args()
    if asked.workers < 1:
        parser.error("--workers must be 1 or more")
    check_address(settings.host, settings.port)
    several = asked.reload or asked.workers > 1
    uvicorn.run(
        # Other processes import main.py for themselves.
        "main:app" if several else app,
        app_dir=str(BACKEND),
        host=settings.host,
        port=settings.port,
        # Whatever WEB_CONCURRENCY says.
        workers=asked.workers,
        reload=asked.reload,
        reload_dirs=[str(BACKEND)] if asked.reload else None,
        log_config=None,
        timeout_graceful_shutdown=GRACE_SECONDS,
    )
