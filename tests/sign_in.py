"""Projects with a sign-in, and a server in them that says who asks."""

import importlib
import importlib.util
import json
import shutil
import threading
import time
from collections.abc import Callable
from email.message import Message
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import ModuleType
from typing import Any

from scripts.dev import TEMPLATE
from tests.backend import Backend
from tests.render import SCRATCH, render_into

CONTEXT = '''"""What travels with one request: who asks, and under which id it is logged."""

import uuid
from dataclasses import dataclass, field


def new_request_id() -> str:
    return uuid.uuid4().hex[:12]


@dataclass(eq=False)  # No request is the same as another.
class RequestContext:
    """Reaches the server, the store, the agent and its tools with every request."""

    user_id: str
    roles: frozenset[str] = frozenset()
    tenant: str | None = None
    locale: str | None = None
    request_id: str = field(default_factory=new_request_id)

    def signed(self, sentence: str) -> str:
        """The sentence as a person reads it, with the id under which the log has the cause."""
        return f"{sentence} (Request {self.request_id})"
'''


SETTINGS = {
    "jwt": {"AUTH_JWT_SECRET": "kH1zB7mWqX9tR4vN6pL2sD8fG3jC5yE0"},
    "session": {"AUTH_SESSION_URL": "http://127.0.0.1:9/"},
}


@cache
def project(auth: str) -> Path:
    """A project with this sign-in. All tests share it: look, don't touch."""
    made = render_into(SCRATCH / f"sign-in-{auth}", level=1, store="memory")
    lay_over(made / "backend", auth)
    return made


def lay_over(backend: Path, auth: str) -> None:
    """Give a project of level 1 what level 3 has for the sign-in."""
    for file in backend.glob("*/*auth*.py"):
        file.unlink()
    for name in ("app/auth.py", f"app/auth_{auth}.py", "tests/signed_in.py"):
        shutil.copy(TEMPLATE / "project" / "backend" / name, backend / name)
    test = f"tests/test_auth_{auth}.py"
    shutil.copy(TEMPLATE / "project" / "backend" / test, backend / test)
    (backend / "app" / "context.py").write_text(CONTEXT, encoding="utf-8")

    settings = f"{auth.capitalize()}Settings"
    change(
        backend / "app" / "wiring.py",
        ("from app.hello", f"from app.auth_{auth} import {settings}\nfrom app.hello"),
        ("Settings(ServerSettings)", f"Settings({settings})"),
        ("import PORT_RULE, ServerSettings", "import PORT_RULE"),
    )
    change(
        backend / "tests" / "conftest.py",
        ("in database.items()", f"in (database | {SETTINGS[auth]}).items()"),
    )


def change(file: Path, *changes: tuple[str, str]) -> None:
    text = file.read_text(encoding="utf-8")
    for old, new in changes:
        assert old in text, f"{file.name} has no {old!r}"
        text = text.replace(old, new)
    file.write_text(text, encoding="utf-8")


def who(auth: str) -> Callable[[ModuleType], Any]:
    """Makes a server that answers with what it knows of the one who asks."""

    def make(main: ModuleType) -> Any:
        helper = Path(str(main.__file__)).parent / "tests" / "signed_in.py"
        spec = importlib.util.spec_from_file_location("signed_in", helper)
        assert spec is not None and spec.loader is not None
        signed_in = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(signed_in)
        way = importlib.import_module(f"app.auth_{auth}")
        store = importlib.import_module("app.wiring").open_store(main.settings)
        return signed_in.WhoServer(store, getattr(way, f"{auth.capitalize()}Auth")(main.settings))

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
