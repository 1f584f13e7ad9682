"""Serve the backend: `python main.py`, or `uvicorn main:app` with its own --host and --port."""

import uvicorn

from app.routes import create_app
from app.settings import check_address, configure_logging, load
from app.wiring import PROJECT, Settings, build_server

settings = load(Settings)

configure_logging(settings.log_level)
server = build_server(settings)
app = create_app(PROJECT, settings, server)

if __name__ == "__main__":
    check_address(settings.host, settings.port)
    uvicorn.run(
        app,
        host=settings.host,
        port=settings.port,
        log_config=None,
        # After this many seconds the streams are ended; what was said by then is kept.
        timeout_graceful_shutdown=5,
    )
