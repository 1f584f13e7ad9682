"""Sign-in with a real Better Auth server, from npm, as a website would run it."""

import json
import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from scripts.dev import ROOT
from tests.backend import Backend, Turn, message
from tests.npm import install
from tests.sign_in import signed_in

SERVER = Path(__file__).with_name("better_auth")
INSTALLED = ROOT / "build" / "better_auth"
CACHE_SECONDS = 1


@pytest.fixture(scope="module")
def installed() -> list[str]:
    """The command that starts the website, with its packages in place."""
    program, _ = install(SERVER)
    return [program, "server.mjs"]


class Website:
    """Better Auth at an address of its own."""

    def __init__(self, command: list[str], session_seconds: float) -> None:
        # In production it limits how often each address may ask.
        env = {"NODE_ENV": "production", "SESSION_SECONDS": str(session_seconds)}
        self._process = subprocess.Popen(
            command,
            cwd=INSTALLED,
            env={**os.environ, **env},
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert self._process.stdout is not None
        self.url = self._process.stdout.readline().strip()
        assert self.url.startswith("http"), "Better Auth did not start"
        self._people = 0

    def sign_up(self, name: str) -> "Person":
        """A new user, signed in by the website's page."""
        self._people += 1
        browser = httpx.Client(
            base_url=self.url,
            headers={"Origin": self.url, "X-Forwarded-For": f"192.0.2.{self._people}"},
            trust_env=False,
        )
        user = {"name": name, "email": f"{name}@example.com", "password": "correct horse"}
        response = browser.post("/api/auth/sign-up/email", json=user)
        assert response.status_code == 200, response.text
        return Person(browser, response.json()["user"]["id"])

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()


class Person:
    """A user of the website, in a browser."""

    def __init__(self, browser: httpx.Client, user_id: str) -> None:
        self.browser = browser
        self.user_id = user_id
        self.cookie = "; ".join(f"{name}={value}" for name, value in browser.cookies.items())

    def sign_out(self) -> None:
        assert self.browser.post("/api/auth/sign-out", json={}).status_code == 200

    def ask(self, backend: Backend, type: str, **params: object) -> httpx.Response:
        """A request of the chat in this browser."""
        return backend.http.post(
            "/chatkit",
            json={"type": type, "params": params},
            headers={"Cookie": self.cookie, "Origin": backend.url},
        )

    def status(self, backend: Backend) -> int:
        return self.ask(backend, "threads.list").status_code


@contextmanager
def website(command: list[str], session_seconds: float = 3600) -> Iterator[Website]:
    running = Website(command, session_seconds)
    try:
        yield running
    finally:
        running.close()


@pytest.fixture(scope="module")
def shop(installed: list[str]) -> Iterator[Website]:
    with website(installed) as running:
        yield running


@pytest.fixture(scope="module")
def chat(shop: Website) -> Iterator[Backend]:
    with backend_of(shop, CACHE_SECONDS) as backend:
        yield backend


def backend_of(shop: Website, seconds: float) -> Backend:
    url = f"{shop.url}/api/auth/get-session?disableRefresh=true"
    return signed_in("session", AUTH_SESSION_URL=url, AUTH_SESSION_CACHE=str(seconds))


def test_two_users_chat_each_for_themselves(shop: Website, chat: Backend) -> None:
    ada, bob = shop.sign_up("ada"), shop.sign_up("bob")
    for person in (ada, bob):
        type, params = message("Who am I?")
        response = person.ask(chat, type, **params)
        lines = response.text.splitlines()
        events = [json.loads(line[6:]) for line in lines if line.startswith("data: ")]
        # The role is that of Better Auth's admin plugin.
        assert Turn.of(events).text == f"{person.user_id} user None None"
    [mine] = ada.ask(chat, "threads.list").json()["data"]
    assert bob.ask(chat, "threads.get_by_id", thread_id=mine["id"]).status_code == 404
    assert ada.ask(chat, "threads.get_by_id", thread_id=mine["id"]).status_code == 200


def test_who_signs_out_is_out_within_the_cache_time(shop: Website, chat: Backend) -> None:
    carol = shop.sign_up("carol")
    assert carol.status(chat) == 200
    carol.sign_out()
    time.sleep(CACHE_SECONDS)
    assert carol.status(chat) == 401


def test_a_cookie_that_better_auth_did_not_sign_is_nobody_s(shop: Website, chat: Backend) -> None:
    dave = shop.sign_up("dave")
    name, _, value = dave.cookie.partition("=")
    token, _, signature = value.partition(".")
    for cookie in (
        f"{name}={token}",
        f"{name}={token}.{signature[:-6]}AAAA%3D",
        f"{name}=x.{signature}",
        "a=b",
    ):
        dave.cookie = cookie
        assert dave.status(chat) == 401


def test_nobody_chats_beyond_the_session(installed: list[str]) -> None:
    with website(installed, session_seconds=2) as shop, backend_of(shop, 300) as chat:
        erin = shop.sign_up("erin")
        assert erin.status(chat) == 200
        time.sleep(2)
        assert erin.status(chat) == 401


def test_one_user_s_requests_do_not_use_up_another_s(shop: Website) -> None:
    """Better Auth takes 100 questions in 10 seconds from one address, in production."""
    frank, grace = shop.sign_up("frank"), shop.sign_up("grace")
    with backend_of(shop, 0) as chat:
        # uvicorn takes a proxy's word for the address, when the proxy is on this machine.
        chat.http.headers["X-Forwarded-For"] = "198.51.100.1"
        assert 503 in [frank.status(chat) for _ in range(105)]
        chat.http.headers["X-Forwarded-For"] = "198.51.100.2"
        assert grace.status(chat) == 200


def test_a_website_that_is_down_is_told(installed: list[str]) -> None:
    with website(installed) as shop, backend_of(shop, CACHE_SECONDS) as chat:
        heidi, ivan = shop.sign_up("heidi"), shop.sign_up("ivan")
        assert heidi.status(chat) == 200
        shop.close()
        assert heidi.status(chat) == 200, "what was answered counts for its seconds"
        response = ivan.ask(chat, "threads.list")
        assert response.status_code == 503
        assert int(response.headers["retry-after"]) >= 1
        time.sleep(CACHE_SECONDS)
        assert heidi.status(chat) == 503
