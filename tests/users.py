"""People who are signed in, each way that a project of level 3 takes."""

import json
import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.cookies import SimpleCookie
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import jwt

SECRET = secrets.token_urlsafe(48)


@dataclass
class Users:
    """The settings under which a project knows them, and what each of them shows."""

    auth: str | None
    env: dict[str, str]

    def headers(self, name: str) -> dict[str, str]:
        """What this user's requests bring along."""
        match self.auth:
            case "jwt":
                claims = {"sub": name, "exp": time.time() + 600}
                return {"Authorization": f"Bearer {jwt.encode(claims, SECRET)}"}
            case "session":
                return {"Cookie": f"user={name}", "Origin": "http://localhost:8000"}
            case _:
                return {}


@contextmanager
def signed_in(auth: str | None) -> Iterator[Users]:
    """Users who sign in this way; without one, there is nothing to show."""
    match auth:
        case "jwt":
            yield Users(auth, {"AUTH_JWT_SECRET": SECRET})
        case "session":
            with ThreadingHTTPServer(("127.0.0.1", 0), Website) as server:
                threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
                url = f"http://127.0.0.1:{server.server_port}/"
                yield Users(
                    auth, {"AUTH_SESSION_URL": url, "ALLOWED_ORIGINS": "http://localhost:8000"}
                )
                server.shutdown()
        case _:
            yield Users(auth, {})


class Website(BaseHTTPRequestHandler):
    """Knows whoever has a cookie named user."""

    def do_GET(self) -> None:
        user = SimpleCookie(self.headers.get("Cookie", "")).get("user")
        body = json.dumps({"user": {"id": user.value}} if user else None).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Be quiet."""
