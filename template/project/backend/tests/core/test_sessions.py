"""Sign-in with the website's session: who gets in, and what everyone else is told."""

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta, timezone, tzinfo
from http.server import BaseHTTPRequestHandler
from typing import Any

import pytest
from chat_client import Chat, thread_of
from servers import serve_with
from signed_in import Answer, WhoServer, answering

from core.auth.sessions import SessionAuth, SessionSettings
from core.settings import load
from core.turns.server import TurnServer

from app.wiring import Settings

ADA = {"session": "ada-s"}
CACHE_SECONDS = 1


class Website:
    """Knows whose cookies are whose, as an auth server does."""

    def __init__(self) -> None:
        self.sessions: dict[str, Any] = {}
        self.status = 200
        self.asked: list[str] = []
        self.pause = 0.0
        for name in ("ada", "bob"):
            self.sessions[f"session={name}-s"] = {"user": {"id": name}}

    def answer(self, request: BaseHTTPRequestHandler) -> Answer:
        time.sleep(self.pause)
        self.asked.append(request.headers["Cookie"])
        answer = self.sessions.get(request.headers["Cookie"])
        return self.status, json.dumps(answer).encode()


@pytest.fixture
def website() -> Website:
    return Website()


@pytest.fixture
def server(settings: Settings, website: Website) -> Iterator[TurnServer]:
    with answering(website.answer) as url:
        signed = SessionSettings(
            _env_file=None, auth_session_url=url, auth_session_cache=CACHE_SECONDS
        )
        yield serve_with(WhoServer, settings, sign_in=SessionAuth(signed))


def sign_in(chat: Chat, **cookies: str) -> None:
    """Be the browser of this page from now on."""
    chat.http.cookies.clear()
    chat.http.cookies.update(cookies)
    chat.http.headers["Origin"] = str(chat.http.base_url).rstrip("/")


def test_the_server_knows_who_asks(chat: Chat, website: Website) -> None:
    website.sessions["session=ada-s"] = {
        "user": {"id": "ada", "name": "Ada", "role": "admin,editor"},
        "session": {"activeOrganizationId": "acme", "token": "secret"},
    }
    sign_in(chat, **ADA)
    chat.http.headers["Accept-Language"] = "de-CH,de;q=0.9"
    thread_id = thread_of(chat.say("Who am I?"))
    assert chat.messages(thread_id)[-1] == "ada admin,editor acme de-CH"


def test_nobody_sees_another_user_s_threads(chat: Chat) -> None:
    sign_in(chat, **ADA)
    thread_id = thread_of(chat.say("Mine"))
    sign_in(chat, session="bob-s")
    assert chat.post("threads.list").json()["data"] == []
    assert chat.post("threads.get_by_id", thread_id=thread_id).status_code == 404


@pytest.mark.parametrize("status", [200, 401])
def test_without_a_session_one_is_asked_to_sign_in(
    chat: Chat, website: Website, status: int
) -> None:
    website.status = status
    sign_in(chat, session="nobody-s")
    assert (response := chat.post("threads.list")).status_code == 401
    assert response.headers["www-authenticate"] == "Cookie"
    assert response.json()["detail"] == "Sign in to use this chat."
    sign_in(chat)
    assert chat.post("threads.list").status_code == 401
    assert website.asked == ["session=nobody-s"]


def test_whoever_signs_in_is_in_at_once(chat: Chat, website: Website) -> None:
    sign_in(chat, session="carol-s")
    assert chat.post("threads.list").status_code == 401
    website.sessions["session=carol-s"] = {"user": {"id": "carol"}}
    assert chat.post("threads.list").status_code == 200


def test_the_website_is_not_asked_again_for_some_seconds(chat: Chat, website: Website) -> None:
    sign_in(chat, **ADA)
    for _ in range(5):
        assert chat.post("threads.list").status_code == 200
    assert len(website.asked) == 1


def test_whoever_signs_out_is_out_within_seconds(chat: Chat, website: Website) -> None:
    sign_in(chat, **ADA)
    assert chat.post("threads.list").status_code == 200
    website.sessions.clear()
    time.sleep(CACHE_SECONDS)
    assert chat.post("threads.list").status_code == 401


class Later(datetime):
    """The clock two minutes from now."""

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> "Later":
        return super().now(tz) + timedelta(minutes=2)


def ending_in(minutes: int) -> dict[str, str]:
    end = datetime.now(timezone.utc) + timedelta(minutes=minutes)
    return {"expiresAt": end.isoformat()}


@pytest.mark.parametrize(("end", "status"), [(1, 401), (3, 200)], ids=["ended", "prolonged"])
def test_nothing_outlives_the_session_unless_the_website_prolongs_it(
    chat: Chat, website: Website, end: int, status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    website.sessions["session=ada-s"]["session"] = ending_in(1)
    sign_in(chat, **ADA)
    assert chat.post("threads.list").status_code == 200
    website.sessions["session=ada-s"]["session"] = ending_in(end)
    monkeypatch.setattr("core.auth.sessions.datetime", Later)
    assert chat.post("threads.list").status_code == status


def test_requests_that_come_together_ask_once(chat: Chat, website: Website) -> None:
    website.pause = 0.1
    sign_in(chat, **ADA)
    with ThreadPoolExecutor(5) as pool:
        answers = list(pool.map(chat.post, ["threads.list"] * 5))
    assert {response.status_code for response in answers} == {200}
    assert len(website.asked) == 1


def test_a_website_in_trouble_signs_nobody_out(chat: Chat, website: Website) -> None:
    sign_in(chat, **ADA)
    website.status = 500
    assert (response := chat.post("threads.list")).status_code == 503
    assert int(response.headers["retry-after"]) > 0
    website.status = 200
    assert chat.post("threads.list").status_code == 200


def test_another_site_cannot_use_the_visitor_s_cookies(chat: Chat) -> None:
    sign_in(chat, **ADA)
    chat.http.headers["Origin"] = "https://evil.example"
    assert chat.post("threads.list").status_code == 403
    del chat.http.headers["Origin"]
    assert chat.post("threads.list").status_code == 403
    chat.http.headers["Sec-Fetch-Site"] = "cross-site"
    assert chat.post("threads.list").status_code == 403


def test_a_start_that_lets_every_site_in_is_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(SessionSettings.model_config, "env_file", None)
    monkeypatch.setenv("AUTH_SESSION_URL", "http://localhost:3000/api/auth/get-session")
    monkeypatch.setenv("ALLOWED_ORIGINS", "*")
    with pytest.raises(SystemExit) as ended:
        load(SessionSettings)
    assert ended.value.code == 2
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith("Cannot start: ALLOWED_ORIGINS must be")
