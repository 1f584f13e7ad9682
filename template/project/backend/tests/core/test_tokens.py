"""Sign-in with tokens: who gets in, and what everyone else is told."""

import json
import time
from collections.abc import Iterator
from typing import Any

import httpx
import jwt
import pytest
from chat_client import Chat, thread_of
from cryptography.hazmat.primitives.asymmetric import ec
from jwt.algorithms import ECAlgorithm
from pydantic import SecretStr
from servers import serve_with
from signed_in import WhoServer, answering

from core.auth.tokens import JwtAuth, JwtSettings, main
from core.settings import load
from core.turns.server import TurnServer

from app.wiring import Settings

SECRET = "kH1zB7mWqX9tR4vN6pL2sD8fG3jC5yE0"
CHECKED = {"iss": "https://login.example.com/", "aud": "chat"}


def token(
    key: Any = SECRET, algorithm: str = "HS256", kid: str | None = None, **claims: Any
) -> str:
    """A token of ada's that is good for a minute, unless `claims` say otherwise."""
    claims = {"sub": "ada", "exp": time.time() + 60, **CHECKED, **claims}
    return jwt.encode(claims, key, algorithm, headers={"kid": kid} if kid else None)


def list_threads(chat: Chat, token: str) -> httpx.Response:
    chat.http.headers["Authorization"] = f"Bearer {token}"
    return chat.post("threads.list")


@pytest.fixture
def server(settings: Settings) -> TurnServer:
    signed = JwtSettings(
        _env_file=None,
        auth_jwt_secret=SecretStr(SECRET),
        auth_issuer=CHECKED["iss"],
        auth_audience=CHECKED["aud"],
    )
    return serve_with(WhoServer, settings, sign_in=JwtAuth(signed))


def test_the_server_knows_who_asks(chat: Chat) -> None:
    ada = token(roles=["admin", "editor"], tenant="acme", locale="en-GB")
    chat.http.headers["Authorization"] = f"bearer {ada}"
    thread_id = thread_of(chat.say("Who am I?"))
    assert chat.messages(thread_id)[-1] == "ada admin,editor acme en-GB"


def test_nobody_sees_another_user_s_threads(chat: Chat) -> None:
    chat.http.headers["Authorization"] = f"Bearer {token()}"
    thread_id = thread_of(chat.say("Mine"))
    chat.http.headers["Authorization"] = f"Bearer {token(sub='bob')}"
    assert chat.post("threads.list").json()["data"] == []
    assert chat.post("threads.get_by_id", thread_id=thread_id).status_code == 404


def test_a_bad_token_is_refused_and_not_told_why(chat: Chat) -> None:
    bad = {
        "garbage": "no.token.at-all",
        "another secret": token("another secret of thirty-two bytes"),
        "expired": token(exp=time.time() - 60),
        "too early": token(nbf=time.time() + 60),
        "another issuer": token(iss="https://evil.example/"),
        "another audience": token(aud="shop"),
        "nobody": token(sub=""),
        "everyone without a sign-in": token(sub="local"),
        "without an end": jwt.encode({"sub": "ada", **CHECKED}, SECRET),
        "unsigned": token("", "none"),
    }
    for kind, sent in bad.items():
        response = list_threads(chat, sent)
        assert response.status_code == 401, kind
        assert response.headers["www-authenticate"] == 'Bearer error="invalid_token"'
        assert response.json()["detail"] == (
            "Your sign-in is not valid, or no longer. Sign in again."
        )


def test_without_a_token_one_is_asked_to_sign_in(chat: Chat) -> None:
    assert (response := chat.post("threads.list")).status_code == 401
    assert response.headers["www-authenticate"] == "Bearer"
    in_the_url = chat.http.post("/chatkit", params={"access_token": token()}, json={})
    assert in_the_url.status_code == 401


class TestProvider:
    """An identity provider, whose keys change and which may be away."""

    @pytest.fixture(autouse=True)
    def provider(self) -> Iterator[None]:
        self.keys: dict[str, ec.EllipticCurvePrivateKey] = {}
        self.away = False
        self.asked = 0
        self.rotate("first")
        with answering(lambda request: self.answer()) as self.url:
            yield

    def rotate(self, kid: str) -> None:
        self.keys = {kid: ec.generate_private_key(ec.SECP256R1())}

    def answer(self) -> tuple[int, bytes]:
        self.asked += 1
        keys = [
            {**ECAlgorithm.to_jwk(key.public_key(), as_dict=True), "kid": kid}
            for kid, key in self.keys.items()
        ]
        return (500, b"") if self.away else (200, json.dumps({"keys": keys}).encode())

    def token(self, kid: str) -> str:
        return token(self.keys[kid], "ES256", kid)

    @pytest.fixture
    def server(self, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> TurnServer:
        monkeypatch.setattr("core.auth.tokens.PAUSE_SECONDS", 0.2)
        signed = JwtSettings(
            _env_file=None,
            auth_jwks_url=self.url,
            auth_jwt_secret=None,
            auth_issuer=CHECKED["iss"],
            auth_audience=CHECKED["aud"],
        )
        return serve_with(WhoServer, settings, sign_in=JwtAuth(signed))

    def test_a_new_key_counts_as_soon_as_a_token_names_it(self, chat: Chat) -> None:
        assert list_threads(chat, self.token("first")).status_code == 200
        before = self.token("first")
        self.rotate("second")
        time.sleep(0.2)
        assert list_threads(chat, self.token("second")).status_code == 200
        assert list_threads(chat, before).status_code == 401

    def test_unknown_keys_do_not_become_questions_to_the_provider(
        self, chat: Chat, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("core.auth.tokens.PAUSE_SECONDS", 60)
        for number in range(20):
            unknown = token(self.keys["first"], "ES256", kid=f"key {number}")
            assert list_threads(chat, unknown).status_code == 401
        assert self.asked <= 2

    def test_users_stay_signed_in_while_the_provider_is_away(self, chat: Chat) -> None:
        assert list_threads(chat, self.token("first")).status_code == 200
        self.away = True
        time.sleep(0.2)
        unknown = list_threads(chat, token(self.keys["first"], "ES256", kid="unknown"))
        assert unknown.status_code == 503
        assert "retry-after" in unknown.headers
        assert list_threads(chat, self.token("first")).status_code == 200

    def test_the_public_key_is_no_secret_to_sign_with(self, chat: Chat) -> None:
        confused = token("a public key is known to everyone", "HS256", kid="first")
        assert list_threads(chat, confused).status_code == 401


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"AUTH_JWT_SECRET": "too short"},
        {"AUTH_JWT_SECRET": "change-me-change-me-change-me-change-me"},
        {"AUTH_JWT_SECRET": "x" * 40},
        {"AUTH_JWT_SECRET": SECRET, "AUTH_JWKS_URL": "https://login.example.com/jwks"},
    ],
    ids=["none", "short", "placeholder", "repeated", "both"],
)
def test_a_start_without_a_good_secret_is_refused(
    settings: dict[str, str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(JwtSettings.model_config, "env_file", None)
    for name in JwtSettings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit) as ended:
        load(JwtSettings)
    assert ended.value.code == 2
    assert "AUTH_JWT_SECRET must be" in capsys.readouterr().err


def test_a_developer_gets_a_token(
    chat: Chat, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["auth_jwt", "grace"])
    monkeypatch.setenv("AUTH_JWT_SECRET", SECRET)
    monkeypatch.setenv("AUTH_ISSUER", CHECKED["iss"])
    monkeypatch.setenv("AUTH_AUDIENCE", CHECKED["aud"])
    main()
    printed = capsys.readouterr()
    assert list_threads(chat, printed.out.strip()).status_code == 200
    assert "a day" in printed.err
