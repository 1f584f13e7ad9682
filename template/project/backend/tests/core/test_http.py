"""What every client may send, and what it gets for it."""

import re
from collections.abc import AsyncIterator
from datetime import datetime

import httpx
import pytest
from chat_client import Chat, thread_of
from chatkit.errors import ErrorCode, StreamError
from chatkit.types import (
    AssistantMessageContent,
    AssistantMessageItem,
    AudioInput,
    HiddenContextItem,
    ThreadItemAddedEvent,
    ThreadItemDoneEvent,
    ThreadMetadata,
    ThreadStreamEvent,
    TranscriptionResult,
    UserMessageItem,
)
from servers import serve_with

from core.context import RequestContext
from core.protocol.messages import text_of, title_of
from core.turns.server import TurnServer

from app.wiring import PROJECT, Settings


class EchoServer(TurnServer):
    """Answers without a model, for the tests of what is around the answer."""

    async def respond(
        self,
        thread: ThreadMetadata,
        input_user_message: UserMessageItem | None,
        context: RequestContext,
    ) -> AsyncIterator[ThreadStreamEvent]:
        assert input_user_message is not None
        if text_of(input_user_message) == "fail":
            raise StreamError(ErrorCode.STREAM_ERROR)
        thread.title = title_of(input_user_message)
        secret = HiddenContextItem(
            id=self.store.generate_item_id("message", thread, context),
            thread_id=thread.id,
            created_at=datetime.now(),
            content="for the model's eyes",
        )
        yield ThreadItemAddedEvent(item=secret)
        yield ThreadItemDoneEvent(item=secret)
        yield ThreadItemDoneEvent(
            item=AssistantMessageItem(
                id=self.store.generate_item_id("message", thread, context),
                thread_id=thread.id,
                created_at=datetime.now(),
                content=[AssistantMessageContent(text=text_of(input_user_message))],
            )
        )

    async def transcribe(
        self, audio_input: AudioInput, context: RequestContext
    ) -> TranscriptionResult:
        return TranscriptionResult(text=audio_input.data.decode())


@pytest.fixture
def server(settings: Settings) -> TurnServer:
    return serve_with(EchoServer, settings)


def test_speech_that_is_none_is_refused_with_a_sentence(chat: Chat) -> None:
    heard = chat.post("input.transcribe", audio_base64="SGk=", mime_type="audio/webm;codecs=opus")
    assert heard.json() == {"text": "Hi"}
    webm = "audio/webm"
    for audio, kind in (("?", webm), ("SGk", webm), ("", webm), ("SGk=", "text/plain")):
        refused = chat.post("input.transcribe", audio_base64=audio, mime_type=kind)
        assert refused.status_code == 400
        assert refused.json()["detail"].startswith("params.")


def test_a_failure_has_a_sentence_beside_the_code_that_clients_translate(chat: Chat) -> None:
    [error] = [event for event in chat.say("fail") if event["type"] == "error"]
    assert error["code"] == "stream.error"
    assert error["allow_retry"] is True
    assert "went wrong" in error["message"]


def test_the_server_is_alive(chat: Chat) -> None:
    assert chat.http.get("/health").json() == {"status": "ok"}


@pytest.mark.parametrize(
    "body",
    [
        b"not JSON",
        b"[]",
        b"{}",
        b'{"type": "threads.explode", "params": {}}',
        b'{"type": "threads.get_by_id", "params": {"thread_id": 7}}',
        b'{"type": "threads.get_by_id", "params": {"thread_id": "\xff"}}',
    ],
)
def test_a_malformed_request_is_refused_with_a_sentence(chat: Chat, body: bytes) -> None:
    response = chat.http.post("/chatkit", content=body)
    assert response.status_code == 400
    assert response.json()["detail"].endswith(".")
    assert response.json()["request_id"] == response.headers["x-request-id"]


def test_an_unknown_thread_is_not_found(chat: Chat) -> None:
    for operation in ("threads.get_by_id", "items.list", "threads.delete"):
        assert chat.post(operation, thread_id="thr_unknown").status_code == 404


def test_a_refusal_is_in_the_language_of_the_browser(chat: Chat) -> None:
    chat.http.headers["Accept-Language"] = "de-CH,en;q=0.5"
    response = chat.post("threads.get_by_id", thread_id="thr_unknown")
    assert response.json()["detail"].endswith("ist nicht vorhanden.")


def test_a_body_over_the_limit_is_refused(chat: Chat) -> None:
    response: httpx.Response = chat.http.post("/chatkit", content=b"x" * 2_000_000)
    assert response.status_code == 413


def test_a_thread_is_listed_renamed_and_deleted(chat: Chat) -> None:
    thread_id = thread_of(chat.say("Hello"))
    listed = chat.post("threads.list").json()["data"]
    assert [thread["title"] for thread in listed] == ["Hello"]

    chat.post("threads.update", thread_id=thread_id, title="Greetings")
    assert chat.post("threads.get_by_id", thread_id=thread_id).json()["title"] == "Greetings"

    chat.post("threads.delete", thread_id=thread_id)
    assert chat.post("threads.list").json()["data"] == []


def test_hidden_items_stay_hidden(chat: Chat) -> None:
    events = chat.say("Hello")
    thread_id = thread_of(events)
    listed = chat.post("items.list", thread_id=thread_id).json()["data"]
    assert [item["type"] for item in listed] == ["assistant_message", "user_message"]
    shown = str(events) + chat.post("threads.get_by_id", thread_id=thread_id).text
    assert "eyes" not in shown
    [stored] = chat.http.get("/debug/threads").json()["threads"]
    assert "eyes" in str(stored)


def test_another_site_cannot_use_the_visitor_s_browser(chat: Chat) -> None:
    response = chat.http.post("/chatkit", json={}, headers={"Origin": "https://evil.example"})
    assert response.status_code == 403


def test_the_chat_page_lets_nothing_in_from_elsewhere(chat: Chat) -> None:
    page = chat.http.get("/")
    if "page/main.js" not in page.text:
        pytest.skip("This project has no chat page at /.")
    assert page.headers["content-type"].startswith("text/html")
    assert "default-src 'none'; script-src 'self'" in page.headers["content-security-policy"]
    assert page.headers["cache-control"] == "no-cache"
    for file in re.findall(r'"(page/[\w.]+)"', page.text):
        assert chat.http.get(f"/{file}").status_code == 200
    assert chat.http.get("/page/about.json").json()["name"] == PROJECT


def test_feedback_is_kept_and_can_be_changed(chat: Chat) -> None:
    thread_id = thread_of(chat.say("Hello"))
    answer = chat.post("items.list", thread_id=thread_id, order="asc").json()["data"][-1]["id"]
    vote = {"thread_id": thread_id, "item_ids": [answer], "kind": "positive"}
    for kind in ("positive", "negative"):
        assert chat.post("items.feedback", **vote | {"kind": kind}).status_code == 200
    [thread] = chat.http.get("/debug/threads").json()["threads"]
    assert thread["feedback"] == {answer: "negative"}
    vote["item_ids"] = [answer, "msg_unknown"]
    assert chat.post("items.feedback", **vote).status_code == 404
