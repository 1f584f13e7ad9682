"""What stands around the routes: the hosts that are answered, and what browsers are told."""

from collections.abc import Iterator

import httpx
import pytest
from chat_client import serving
from fastapi import Request, Response
from servers import serve_with
from starlette.middleware.base import RequestResponseEndpoint
from structlog.contextvars import get_contextvars
from test_http import EchoServer

from core.http.hosts_and_headers import EdgeSettings, guard
from core.http.routes import create_app
from core.settings import load

from app.wiring import PROJECT, Settings

POLICY = "default-src 'none'; script-src 'self'"


@pytest.fixture
def http(settings: Settings) -> Iterator[httpx.Client]:
    """An app that answers to two names only, and has three routes more."""
    edge = EdgeSettings(
        _env_file=None,
        debug=False,
        allowed_hosts=["chat.example.com", "*.example.org"],
        hsts_seconds=60,
    )
    server = serve_with(EchoServer, settings)
    app = create_app(PROJECT, edge, server)

    @app.get("/broken")
    async def broken() -> None:
        raise RuntimeError

    @app.get("/page")
    async def page() -> Response:
        return Response(headers={"Content-Security-Policy": POLICY, "Cache-Control": "no-cache"})

    @app.get("/logged")
    async def logged() -> str:
        request_id: str = get_contextvars()["request_id"]
        return request_id

    guard(app, edge)
    with serving(app) as http:
        http.headers["Host"] = "chat.example.com"
        yield http


def test_what_is_added_to_the_app_later_is_inside_the_edge(settings: Settings) -> None:
    app = create_app(PROJECT, settings, serve_with(EchoServer, settings))
    guard(app, settings)

    @app.middleware("http")
    async def mine(request: Request, call_next: RequestResponseEndpoint) -> Response:
        response = await call_next(request)
        response.headers["X-Mine"] = "yes"
        return response

    @app.exception_handler(KeyError)
    async def teapot(request: Request, error: Exception) -> Response:
        return Response(status_code=418)

    @app.get("/late")
    async def late() -> None:
        raise KeyError

    with serving(app) as http:
        answer = http.get("/late")
    assert (answer.status_code, answer.headers["X-Mine"]) == (418, "yes")
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("chat.example.com", 200),
        ("CHAT.example.com.:8000", 200),
        ("a.example.org", 200),
        ("example.org", 400),
        ("evil.example", 400),
        ("chat.example.com.evil.example", 400),
        ("evilexample.org", 400),
        ("127.0.0.1", 400),
        ("[::1", 400),
        ("", 400),
    ],
)
def test_only_the_allowed_hosts_are_answered(http: httpx.Client, host: str, status: int) -> None:
    answer = http.get("/page", headers={"Host": host})
    assert answer.status_code == status
    if status == 400:
        assert "ALLOWED_HOSTS" in answer.json()["detail"]
        assert answer.json()["request_id"] == answer.headers["x-request-id"]


def test_whoever_watches_the_server_may_call_it_by_its_address(http: httpx.Client) -> None:
    for path in ("/health", "/ready"):
        assert http.get(path, headers={"Host": "10.0.0.7:8000"}).status_code == 200


def test_every_answer_tells_browsers_to_be_careful(http: httpx.Client) -> None:
    answers = [
        http.get("/health"),
        http.get("/page"),
        http.get("/nowhere"),
        http.post("/chatkit", json={"type": "threads.list", "params": {}}),
        http.get("/page", headers={"Host": "evil.example"}),
        http.get("/broken"),
    ]
    assert [answer.status_code for answer in answers] == [200, 200, 404, 200, 400, 500]
    for answer in answers:
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert "x-request-id" in answer.headers
        assert "strict-transport-security" not in answer.headers
    assert answers[3].headers["cache-control"] == "no-store"
    # What has rules of its own keeps them, as the chat page does.
    assert answers[1].headers["content-security-policy"] == POLICY
    assert answers[1].headers["cache-control"] == "no-cache"


def test_what_is_logged_carries_the_request_s_id(http: httpx.Client) -> None:
    answers = [http.get("/logged") for _ in range(3)]
    assert [answer.json() for answer in answers] == [
        answer.headers["x-request-id"] for answer in answers
    ]


def test_hsts_is_sent_over_https_only(http: httpx.Client) -> None:
    behind_a_proxy = http.get("/health", headers={"X-Forwarded-Proto": "https"})
    assert behind_a_proxy.headers["strict-transport-security"] == "max-age=60"


@pytest.mark.parametrize("value", ["https://chat.example.com", "chat.example.com:80", "a b", "*"])
def test_a_bad_host_ends_the_start_with_one_line(
    value: str,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("ALLOWED_HOSTS", f"chat.example.com,{value}")
    with pytest.raises(SystemExit) as ended:
        load(EdgeSettings)
    assert ended.value.code == 2
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith("Cannot start: ALLOWED_HOSTS must be ")
