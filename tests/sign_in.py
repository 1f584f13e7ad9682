"""Projects with a sign-in, and a server in them that says who asks."""

import importlib
import importlib.util
import json
import threading
import time
from collections.abc import Callable
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import ModuleType
from typing import Any

from tests.backend import Backend
from tests.render import render

SETTINGS = {
    "jwt": {"AUTH_JWT_SECRET": "kH1zB7mWqX9tR4vN6pL2sD8fG3jC5yE0"},
    "session": {"AUTH_SESSION_URL": "http://127.0.0.1:9/"},
}


def project(auth: str) -> Path:
    """A project with this sign-in. All tests share it: look, don't touch."""
    return render(level=3, provider="local", store="memory", auth=auth)


def who(auth: str) -> Callable[[ModuleType], Any]:
    """Makes a server that answers with what it knows of the one who asks."""

    def make(main: ModuleType) -> Any:
        helper = Path(str(main.__file__)).parent / "tests" / "signed_in.py"
        spec = importlib.util.spec_from_file_location("signed_in", helper)
        assert spec is not None and spec.loader is not None
        signed_in = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(signed_in)
        way = importlib.import_module(f"core.auth.{'tokens' if auth == 'jwt' else 'sessions'}")
        sign_in = getattr(way, f"{auth.capitalize()}Auth")(main.settings)
        return signed_in.WhoServer(main.server.store, main.server.turns, sign_in=sign_in)

    return make


def signed_in(auth: str, **env: str) -> Backend:
    """The backend of such a project, under these settings."""
    return Backend(project(auth), env, who(auth))


class Website:
    """What AUTH_JWKS_URL or AUTH_SESSION_URL names, as the test wants it. A context manager."""

    def __init__(self) -> None:
        self.status = 200
        self.body = b"null"
        self.headers: dict[str, str] = {}
        self.delay = 0.0
        self.asked: list[Message] = []
        """The headers of every question."""
        website = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                website.asked.append(self.headers)
                status, body, headers = website.status, website.body, website.headers
                time.sleep(website.delay)
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}/"

    def publish(self, *keys: dict[str, Any]) -> None:
        """Answer with these keys, as an identity provider does."""
        self.body = json.dumps({"keys": keys}).encode()

    def __enter__(self) -> "Website":
        serve = self._server.serve_forever
        threading.Thread(target=serve, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Be away from now on."""
        self._server.shutdown()
        self._server.server_close()
