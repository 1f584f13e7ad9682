"""What stands around each answer in production: who asks, and within which limits."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from agents import set_tracing_disabled
from agents.tracing import get_trace_provider
from agents.tracing.processors import default_exporter
from chat_client import Chat, thread_of
from pydantic import SecretStr
from scripted_model import ScriptedModel
from scripted_server import scripted_server
from servers import Everybody
from starlette.requests import Request

from core.context import RequestContext
from core.errors import Refused
from core.turns.agent_server import AgentServer
from core.turns.tracing import trace

from app.wiring import Settings


class SignedIn(Everybody):
    """Whoever sends a name is signed in under it."""

    async def identify(self, request: Request) -> RequestContext:
        if not (name := request.headers.get("x-name")):
            raise Refused("Sign in first.", 401, **{"WWW-Authenticate": "Bearer"})
        return RequestContext(user_id=name, request_id=request.state.request_id)


class Unlimited:
    """Counts what it is asked for, and lets it pass."""

    def __init__(self) -> None:
        self.messages = 0
        self.streams = 0
        self.open_streams = 0

    async def start(self) -> None: ...
    async def close(self) -> None: ...

    async def message(self, user_id: str) -> None:
        self.messages += 1

    @asynccontextmanager
    async def turn(self, context: RequestContext) -> AsyncIterator[None]:
        self.streams += 1
        self.open_streams += 1
        try:
            await self.message(context.user_id)
            yield
        finally:
            self.open_streams -= 1


class Full(Unlimited):
    async def message(self, user_id: str) -> None:
        if self.messages == 2:
            raise Refused("Wait 7 seconds.", 429, **{"Retry-After": "7"})
        await super().message(user_id)


@pytest.fixture
def model() -> ScriptedModel:
    return ScriptedModel("The first answer.", "The second answer.", "The third answer.")


@pytest.fixture
def limits() -> Unlimited:
    return Full()


@pytest.fixture
def server(settings: Settings, model: ScriptedModel, limits: Unlimited) -> AgentServer:
    return scripted_server(settings, model, sign_in=SignedIn(), limits=[limits])


@pytest.fixture
def ada(chat: Chat) -> Chat:
    chat.http.headers["x-name"] = "ada"
    return chat


def test_nobody_is_answered_without_signing_in(chat: Chat) -> None:
    for refused in (chat.post("threads.list"), chat.http.get("/debug/threads")):
        assert refused.status_code == 401
        assert refused.headers["www-authenticate"] == "Bearer"
        assert refused.json()["detail"] == "Sign in first."


def test_one_user_s_threads_are_unknown_to_another(ada: Chat) -> None:
    thread_id = thread_of(ada.say("Hello"))
    ada.http.headers["x-name"] = "bob"
    assert ada.post("threads.get_by_id", thread_id=thread_id).status_code == 404
    assert ada.post("threads.list").json()["data"] == []


def test_a_message_too_many_is_refused_and_not_stored(ada: Chat) -> None:
    thread_id = thread_of(ada.say("Hello"))
    ada.say("Hello again", thread_id)
    stored = ada.messages(thread_id)
    content = [{"type": "input_text", "text": "?"}]
    message = {"content": content, "attachments": [], "inference_options": {}}
    refused = ada.post("threads.add_user_message", thread_id=thread_id, input=message)
    assert refused.status_code == 429
    assert refused.headers["retry-after"] == "7"
    assert ada.messages(thread_id) == stored


def test_a_stream_counts_until_it_ends_or_is_refused(ada: Chat, limits: Unlimited) -> None:
    thread_id = thread_of(ada.say("Hello"))
    assert (limits.streams, limits.open_streams) == (1, 0)
    output = {"thread_id": thread_id, "result": 1}
    assert ada.post("threads.add_client_tool_output", **output).status_code == 409
    assert (limits.streams, limits.open_streams) == (2, 0)


def test_a_stream_that_is_left_counts_no_longer(
    ada: Chat, model: ScriptedModel, limits: Unlimited, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def silence(*args: Any, **kwargs: Any) -> AsyncIterator[Any]:
        await asyncio.Event().wait()
        yield

    monkeypatch.setattr(model, "stream_response", silence)
    content = [{"type": "input_text", "text": "Go on"}]
    message = {"content": content, "attachments": [], "inference_options": {}}
    body = {"type": "threads.create", "params": {"input": message}}
    with ada.http.stream("POST", "/chatkit", json=body) as response:
        lines = response.iter_lines()
        next(lines)
        assert limits.open_streams == 1
    deadline = time.monotonic() + 5
    while limits.open_streams:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_conversations_are_traced_only_by_a_key_of_the_settings(settings: Settings) -> None:
    for key in (None, SecretStr("sk-traces")):
        trace(settings.model_copy(update={"tracing": bool(key), "openai_api_key": key}))
        traced = get_trace_provider().create_trace("test")
        assert (type(traced).__name__ == "NoOpTrace") is (key is None)
    set_tracing_disabled(True)
    assert default_exporter().api_key == "sk-traces"


def test_a_blank_key_is_none(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "  ")
    assert Settings(_env_file=None).openai_api_key is None
