"""Serve the backend: `python main.py`, or `uvicorn main:app` with its own --host and --port."""

import uvicorn

from app.settings import check_address, load
from app.wiring import Settings, build_app, build_server, configure_logging

settings = load(Settings)

configure_logging(settings.log_level)
server = build_server(settings)
app = build_app(settings, server)

if __name__ == "__main__":
    check_address(settings.host, settings.port)
    uvicorn.run(
        app,
        host=settings.host,
        port=settings.port,
        # Whatever WEB_CONCURRENCY says: an app that is made already cannot go to other processes.
        workers=1,
        log_config=None,
        # After this many seconds the streams are ended; what was said by then is kept.
        timeout_graceful_shutdown=5,
    )
