"""Serve the backend: `python main.py`, or `uvicorn main:app` with its own --host and --port."""

from core.http.serve import serve
from core.settings import load, use_other_lines

from app.wiring import Settings, build_app, build_server, configure_logging

settings = load(Settings)
use_other_lines(settings)
configure_logging(settings.log_level)
server = build_server(settings)
app = build_app(settings, server)

if __name__ == "__main__":
    serve(app, settings)
