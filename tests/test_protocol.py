"""What a client may send, what it gets for what it may not, and threads with two writers."""

import importlib
import json
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.backend import USER_INPUT, Backend, Turn, message, sse
from tests.matrix import STORES
from tests.providers import talking_to
from tests.render import render
from tests.standins import Answer, Silence, StandIn, Text


@pytest.fixture(params=STORES)
def backend(request: pytest.FixtureRequest, standin: StandIn, tmp_path: Path) -> Iterator[Backend]:
    with talking_to(standin, tmp_path, store=request.param) as backend:
        yield backend


@pytest.fixture(params=STORES, scope="module")
def refusing(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Backend]:
    """One for all tests that only send what is refused."""
    folder = tmp_path_factory.mktemp(request.param)
    with StandIn() as standin, talking_to(standin, folder, store=request.param) as backend:
        yield backend


def text_input(text: str) -> dict[str, Any]:
    return {"content": [{"type": "input_text", "text": text}], **USER_INPUT}


BAD: dict[str, bytes] = {
    "nothing": b"",
    "not JSON": b"hello",
    "half a JSON": b'{"type": "threads.list"',
    "a list": b"[]",
    "a number": b"1",
    "null": b"null",
    "no type": b"{}",
    "unknown operation": b'{"type": "threads.explode", "params": {}}',
    "type of a wrong type": b'{"type": 7, "params": {}}',
    "no params": b'{"type": "threads.create"}',
    "params of a wrong type": b'{"type": "threads.create", "params": "x"}',
    "id of a wrong type": b'{"type": "threads.get_by_id", "params": {"thread_id": 7}}',
    "limit of a wrong type": b'{"type": "threads.list", "params": {"limit": "many"}}',
    "unknown order": b'{"type": "threads.list", "params": {"order": "sideways"}}',
    "bytes that are not UTF-8": b'{"type": "threads.list", "params": {"after": "\xff\xfe"}}',
    "a deep nesting": b"[" * 100_000,
    "an empty message": json.dumps(
        {"type": "threads.create", "params": {"input": text_input("  ")}}
    ).encode(),
    "an operation that is not offered": json.dumps(
        {"type": "attachments.create", "params": {"name": "a", "size": 1, "mime_type": "b/c"}}
    ).encode(),
    "dictation": json.dumps(
        {"type": "input.transcribe", "params": {"audio_base64": "!", "mime_type": "audio/webm"}}
    ).encode(),
}


@pytest.mark.parametrize("kind", BAD)
def test_a_malformed_request_is_400_with_a_sentence(refusing: Backend, kind: str) -> None:
    response = refusing.http.post("/chatkit", content=BAD[kind])
    assert response.status_code == 400, response.text
    problem = response.json()
    assert problem["detail"].endswith(".")
    assert "Traceback" not in response.text
    assert "pydantic" not in response.text
    assert problem["request_id"] == response.headers["x-request-id"]


def test_half_a_million_values_are_413(refusing: Backend) -> None:
    refused = refusing.post("threads.create", input={"content": [1] * 500_000, **USER_INPUT})
    assert refused.status_code == 413
    assert refused.json()["detail"] == "The request has too many values: the limit is 10000."


def test_what_is_said_a_hundred_thousand_times_is_looked_at_once(
    refusing: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    protocol = importlib.import_module("core.protocol.requests")
    adapter, sizes = protocol.REQUEST, list[int]()

    class Request:
        def validate_json(self, body: str) -> Any:
            sizes.append(len(body))
            return adapter.validate_json(body)

    monkeypatch.setattr(protocol, "REQUEST", Request())
    answers = {"thread_id": "thr_x", "item_id": "x", "input": {"answers": {"a": 1}}}
    body = json.dumps({"type": "threads.add_structured_input", "params": answers})
    body = body.replace('"a": 1', ",".join(['"a": 1'] * 140_000))
    assert refusing.http.post("/chatkit", content=body).status_code == 400
    assert [size < 1000 for size in sizes] == [True]


def test_a_message_has_a_hundred_parts_at_most(backend: Backend) -> None:
    parts = text_input("a")["content"] * 100
    for name, many in (("content", [*parts, *parts]), ("attachments", ["atc_x"] * 101)):
        refused = backend.post("threads.create", input=text_input("a") | {name: many})
        assert refused.status_code == 400
        assert refused.json()["detail"] == f"params.input.{name}: at most 100 parts."
    thread = backend.turn("threads.create", input=text_input("a") | {"content": parts}).thread
    assert backend.texts(thread)[0] == ("user", "a" * 100)


def test_what_the_client_calls_things_is_not_repeated_at_length(refusing: Backend) -> None:
    long = "ab\n" * 200_000
    content = {"content": [{"type": long}], **USER_INPUT}
    answers = {"answers": {long: 1}}
    for operation, given, said in (
        (long, {}, "The request's type is not an operation of the ChatKit protocol."),
        ("threads.create", content, "params.input.content.0: this type is not known."),
        ("threads.add_structured_input", answers, "params.input.answers.ab"),
    ):
        refused = refusing.post(operation, thread_id="thr_x", item_id="x", input=given)
        assert refused.status_code == 400
        detail = refused.json()["detail"]
        assert detail.startswith(said)
        assert len(detail) < 150
        assert "\n" not in detail, "one line of the log is one thing"


def test_a_title_has_500_characters_at_most(backend: Backend) -> None:
    thread = backend.say("Hello").thread
    for title, status in (("a" * 501, 400), (" ", 400), ("a" * 500, 200)):
        renamed = backend.post("threads.update", thread_id=thread, title=title)
        assert renamed.status_code == status
    assert backend.ask("threads.get_by_id", thread_id=thread)["title"] == "a" * 500


UNKNOWN: dict[str, dict[str, Any]] = {
    "threads.get_by_id": {},
    "threads.add_user_message": {"input": text_input("Hello")},
    "threads.add_client_tool_output": {"result": 1},
    "threads.add_structured_input": {"item_id": "x", "input": {"answers": {}}},
    "threads.retry_after_item": {"item_id": "x"},
    "threads.custom_action": {"action": {"type": "a", "payload": {}}},
    "threads.sync_custom_action": {"action": {"type": "a", "payload": {}}},
    "threads.update": {"title": "x"},
    "threads.delete": {},
    "items.list": {},
    "items.feedback": {"item_ids": ["x"], "kind": "positive"},
}


@pytest.mark.parametrize("operation", UNKNOWN)
def test_an_unknown_thread_is_404_before_any_stream(refusing: Backend, operation: str) -> None:
    response = refusing.post(operation, thread_id="thr_unknown", **UNKNOWN[operation])
    assert response.status_code == 404
    assert response.headers["content-type"] == "application/json"
    assert refusing.ask("threads.list")["data"] == []


def test_an_unknown_item_is_404_and_the_wrong_kind_400(backend: Backend) -> None:
    turn = backend.say("Hello")
    answer = next(i["id"] for i in turn.items.values() if i["type"] == "assistant_message")
    retry = "threads.retry_after_item"
    assert backend.post(retry, thread_id=turn.thread, item_id="msg_x").status_code == 404
    assert backend.post(retry, thread_id=turn.thread, item_id=answer).status_code == 400
    feedback: dict[str, Any] = {"item_ids": ["msg_x"], "kind": "positive"}
    assert backend.post("items.feedback", thread_id=turn.thread, **feedback).status_code == 404
    taken: list[Any] = []
    with pytest.MonkeyPatch.context() as patched:
        # A server that sends it elsewhere must not have to look whose the item is.
        patched.setattr(backend.main.server, "add_feedback", taken.append)
        assert backend.post("items.feedback", thread_id=turn.thread, **feedback).status_code == 404
    assert taken == []
    feedback["item_ids"] = ["msg_x"] * 101
    assert backend.post("items.feedback", thread_id=turn.thread, **feedback).status_code == 400
    listing = {"thread_id": turn.thread, "after": "msg_x"}
    assert backend.post("items.list", **listing).status_code == 404
    assert backend.post("threads.list", after="thr_x").status_code == 404
    # Nothing was lost over it.
    assert len(backend.items(turn.thread)) == 2


@pytest.mark.parametrize("options", [{"model": "gpt-9"}, {"tool_choice": {"id": "search"}}])
def test_what_nobody_offers_cannot_be_chosen(refusing: Backend, options: dict[str, Any]) -> None:
    type, params = message("Hello", **options)
    refused = refusing.post(type, **params)
    assert refused.status_code == 400
    [name] = options
    said = f"params.input.inference_options.{name}: "
    assert refused.json()["detail"].startswith(said)
    assert "There is none to choose from." in refused.json()["detail"]
    assert refusing.ask("threads.list")["data"] == []


def test_an_unknown_attachment_is_404_and_makes_no_thread(refusing: Backend) -> None:
    unknown = text_input("Hello") | {"attachments": ["atc_x"]}
    assert refusing.post("threads.create", input=unknown).status_code == 404
    assert refusing.ask("threads.list")["data"] == []


def test_a_tool_output_that_nobody_waits_for_is_409(backend: Backend) -> None:
    turn = backend.say("Hello")
    operation = "threads.add_client_tool_output"
    assert backend.post(operation, thread_id=turn.thread, result={}).status_code == 409


def test_a_locked_thread_is_not_answered(backend: Backend) -> None:
    from chatkit.types import LockedStatus

    turn = backend.say("Hello")
    context = __import__("core.context", fromlist=["RequestContext"]).RequestContext()

    async def lock() -> None:
        store = backend.main.server.store
        thread = await store.load_thread(turn.thread, context)
        thread.status = LockedStatus(reason="It was reported.")
        await store.save_thread(thread, context)

    import asyncio

    asyncio.run_coroutine_threadsafe(lock(), backend.loop).result(5)
    response = backend.post(
        "threads.add_user_message", thread_id=turn.thread, input=text_input("More")
    )
    assert response.status_code == 409
    assert "It was reported." in response.json()["detail"]
    assert len(backend.items(turn.thread)) == 2


def test_a_body_over_the_limit_is_413_and_the_server_lives(backend: Backend) -> None:
    big = backend.http.post("/chatkit", content=b"x" * 5_000_000)
    assert big.status_code == 413
    chunked = backend.http.post("/chatkit", content=(b"x" * 65536 for _ in range(64)))
    assert chunked.status_code == 413
    assert backend.http.get("/health").status_code == 200


@pytest.mark.parametrize(
    "text",
    [
        "before\x00after",
        "\u202eright to left\u202c \u200f",
        "𝔘𝔫𝔦𝔠𝔬𝔡𝔢 👩‍👩‍👧‍👦 e\u0301",
        "<script>alert(1)</script> ' OR 1=1; --",
        "👾" * 200_000,
    ],
)
def test_any_text_is_kept_and_the_thread_goes_on(backend: Backend, text: str) -> None:
    turn = backend.say(text)
    assert not turn.errors
    assert backend.texts(turn.thread)[0] == ("user", text)
    assert not backend.say("Still there?", turn.thread).errors


@pytest.mark.parametrize("limit", [-5, 0, 10**9])
def test_any_limit_gives_a_page(backend: Backend, limit: int) -> None:
    turn = backend.say("Hello")
    page = backend.ask("items.list", thread_id=turn.thread, limit=limit)
    assert 1 <= len(page["data"]) <= 2
    assert len(backend.ask("threads.list", limit=limit)["data"]) == 1


def test_threads_are_listed_by_pages_newest_first(backend: Backend) -> None:
    made = [backend.say(f"Thread {number}").thread for number in range(9)]
    listed: list[str] = []
    after = None
    while True:
        page = backend.ask("threads.list", limit=4, after=after)
        listed += [thread["id"] for thread in page["data"]]
        after = page.get("after")
        if not page["has_more"]:
            break
    assert listed == made[::-1]


def test_two_messages_at_once_do_not_interleave(backend: Backend, standin: StandIn) -> None:
    slow = Text([f"slow{number} " for number in range(20)])
    thread = backend.say("Hello").thread
    standin.answers(Answer(slow, delay=0.02), Answer(slow, delay=0.02))
    sent = [
        threading.Thread(target=backend.say, args=(f"Message {number}", thread))
        for number in range(2)
    ]
    for each in sent:
        each.start()
    for each in sent:
        each.join()
    assert [who for who, _ in backend.texts(thread)] == ["user", "assistant"] * 3


def test_a_message_to_a_thread_that_is_answered_for_long_is_told_so(
    backend: Backend, standin: StandIn
) -> None:
    thread = backend.say("Hello").thread
    standin.answers(Answer(Text([f"word{number} " for number in range(400)]), delay=0.02))
    with backend.stream(*message("Tell me a story.", thread)) as response:
        events = sse(response)
        while "delta" not in next(events).get("update", {}):
            pass
        second = backend.post("threads.add_user_message", thread_id=thread, input=text_input("?"))
        assert second.status_code == 409
        assert "still being answered" in second.json()["detail"]
        assert second.headers["retry-after"] == "5"


def test_a_rename_while_the_answer_streams_stands(backend: Backend, standin: StandIn) -> None:
    standin.answers(Answer(Text([f"word{number} " for number in range(60)]), delay=0.01))
    with backend.stream(*message("Hello")) as response:
        events = sse(response)
        thread = next(events)["thread"]["id"]
        while "delta" not in next(events).get("update", {}):
            pass
        backend.ask("threads.update", thread_id=thread, title="My title")
        titles = [e["thread"]["title"] for e in events if e["type"] == "thread.updated"]
    assert titles in ([], ["My title"])
    assert backend.ask("threads.get_by_id", thread_id=thread)["title"] == "My title"


def test_a_rename_before_the_first_word_stands(backend: Backend, standin: StandIn) -> None:
    standin.answers(Answer(Silence(0.5), Text("Here.")))
    with backend.stream(*message("Hello")) as response:
        events = sse(response)
        thread = next(events)["thread"]["id"]
        standin.wait_request(0, timeout=5)
        backend.ask("threads.update", thread_id=thread, title="My title")
        assert list(events)
    assert backend.ask("threads.get_by_id", thread_id=thread)["title"] == "My title"


def test_a_thread_deleted_while_it_is_answered_stays_deleted(
    backend: Backend, standin: StandIn
) -> None:
    standin.answers(Answer(Text([f"word{number} " for number in range(400)]), delay=0.02))
    with backend.stream(*message("Hello")) as response:
        events = sse(response)
        thread = next(events)["thread"]["id"]
        while "delta" not in next(events).get("update", {}):
            pass
        backend.ask("threads.delete", thread_id=thread)
        list(events)
    assert standin.wait_closed(0, timeout=1)
    time.sleep(0.2)
    assert backend.post("threads.get_by_id", thread_id=thread).status_code == 404
    assert backend.ask("threads.list")["data"] == []


def test_a_rename_does_not_bring_back_a_deleted_thread(backend: Backend) -> None:
    for _ in range(10):
        thread = backend.say("Hello").thread
        renames = [
            threading.Thread(
                target=backend.post,
                args=("threads.update",),
                kwargs={"thread_id": thread, "title": f"Title {number}"},
            )
            for number in range(8)
        ]
        for each in renames[:4]:
            each.start()
        deleting = threading.Thread(
            target=backend.post, args=("threads.delete",), kwargs={"thread_id": thread}
        )
        deleting.start()
        for each in renames[4:]:
            each.start()
        for each in [*renames, deleting]:
            each.join()
        assert backend.post("threads.get_by_id", thread_id=thread).status_code == 404


@pytest.mark.parametrize("origin", ["http://[", "null", "://", "http://localhost.evil.example"])
def test_a_strange_origin_is_refused(refusing: Backend, origin: str) -> None:
    refused = refusing.http.post("/chatkit", json={}, headers={"Origin": origin})
    assert refused.status_code == 403
    assert refused.headers["x-request-id"] == refused.json()["request_id"]


@pytest.mark.parametrize(
    ("scheme", "origin", "status"),
    [
        # A proxy that ends TLS need not say so.
        ("http", "http://chat.internal", 400),
        ("http", "https://chat.internal", 400),
        ("https", "https://chat.internal", 400),
        # Whoever is between can put anything into a page without TLS.
        ("https", "http://chat.internal", 403),
        ("http", "ftp://chat.internal", 403),
        ("http", "chat.internal", 403),
        ("http", "http://chat.internal:81", 403),
    ],
)
def test_a_page_of_the_same_name_is_the_same_origin_by_http_and_https_only(
    refusing: Backend, scheme: str, origin: str, status: int
) -> None:
    headers = {"Host": "chat.internal", "Origin": origin, "X-Forwarded-Proto": scheme}
    assert refusing.http.post("/chatkit", json={}, headers=headers).status_code == status


def test_a_silent_stream_is_kept_open(
    backend: Backend, standin: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.modules["core.http.event_stream"], "KEEP_ALIVE_SECONDS", 0.1)
    standin.answers(Answer(Silence(1), Text("Here.")))
    with backend.stream(*message("Hello")) as response:
        assert response.headers["cache-control"] == "no-cache, no-transform"
        assert response.headers["x-accel-buffering"] == "no"
        body = response.read().decode()
    assert body.count(": keep-alive\n\n") >= 3
    assert "Here." in body


def test_another_site_gets_nothing(refusing: Backend) -> None:
    evil = {"Origin": "https://evil.example"}
    refused = refusing.http.post("/chatkit", json={}, headers=evil)
    assert refused.status_code == 403
    assert "access-control-allow-origin" not in refused.headers
    assert refusing.http.get("/debug/threads", headers=evil).status_code == 403
    local = refusing.http.options(
        "/chatkit",
        headers={
            "Origin": "http://localhost:5173",
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "content-type",
        },
    )
    assert local.headers["access-control-allow-origin"] == "http://localhost:5173"
    assert "access-control-allow-credentials" not in local.headers
    answered = refusing.http.post("/chatkit", json={}, headers={"Origin": "http://localhost:5173"})
    exposed = answered.headers["access-control-expose-headers"].split(", ")
    assert set(exposed) == {"Retry-After", "X-Request-ID"}


def test_an_allowed_origin_is_the_same_however_it_is_written(
    standin: StandIn, tmp_path: Path
) -> None:
    listed = "https://Shop.Example/, https://other.example"
    with talking_to(standin, tmp_path, ALLOWED_ORIGINS=listed) as backend:
        for origin in ("https://shop.example", "https://other.example"):
            answered = backend.http.post("/chatkit", json={}, headers={"Origin": origin})
            assert answered.status_code == 400
            assert answered.headers["access-control-allow-origin"] == origin


def test_debug_threads_shows_what_is_stored_and_only_with_debug(
    standin: StandIn, tmp_path: Path
) -> None:
    with talking_to(standin, tmp_path) as backend:
        turn = backend.say("Hello")
        [thread] = backend.http.get("/debug/threads").json()["threads"]
        assert thread["id"] == turn.thread
        assert len(thread["items"]) == 2
    with talking_to(standin, tmp_path, DEBUG="false") as backend:
        assert backend.http.get("/debug/threads").status_code == 404


def test_half_a_character_that_was_typed_is_stored_as_a_whole_one(backend: Backend) -> None:
    body = json.dumps({"type": "threads.create", "params": {"input": text_input("x \ud83d y")}})
    assert "\\ud83d" in body
    response = backend.http.post("/chatkit", content=body.encode())
    thread = Turn.of(list(sse(response))).thread
    assert backend.texts(thread)[0] == ("user", "x \ufffd y")


def test_a_thread_is_deleted_though_another_message_waits_in_it(
    backend: Backend, standin: StandIn
) -> None:
    standin.answers(Answer(Text("Slowly "), Silence(20)), Answer(Text("Slowly "), Silence(20)))
    with backend.stream(*message("One")) as one:
        events = sse(one)
        thread = next(events)["thread"]["id"]
        standin.wait_request(0, timeout=5)
        with ThreadPoolExecutor(1) as aside:
            waiting = aside.submit(backend.http.post, "/chatkit", json=body_of("Two", thread))
            time.sleep(0.5)
            assert backend.post("threads.delete", thread_id=thread).status_code == 200
            assert waiting.result(5).status_code == 404
        list(events)
    assert len(standin.requests) == 1
    assert backend.ask("threads.list")["data"] == []


def test_a_hello_world_knows_that_nobody_waits_for_a_tool() -> None:
    with Backend(render(level=1, store="memory"), {}) as backend:
        turn = backend.say("Hello")
        operation = "threads.add_client_tool_output"
        assert backend.post(operation, thread_id=turn.thread, result={}).status_code == 409


@pytest.mark.parametrize("level", [1, 2])
def test_a_database_that_is_damaged_is_told(level: int, tmp_path: Path) -> None:
    file = tmp_path / "chat.db"
    provider = {"provider": "local"} if level == 2 else {}
    project = render(level=level, store="sqlite", **provider)
    with Backend(project, {"DATABASE_URL": f"sqlite:///{file.as_posix()}"}) as backend:
        backend.say("Hello")
        for part in tmp_path.glob("chat.db*"):
            part.write_bytes(b"\0" * part.stat().st_size)
        ready = backend.http.get("/ready")
        assert ready.status_code == 503
        assert ready.json()["cause"].startswith("database: ")
        for asked in (backend.post("threads.list"), backend.post("items.list", thread_id="thr_x")):
            assert asked.status_code == 503
            assert "cannot be reached" in asked.json()["detail"]
        told = backend.http.post("/chatkit", json=body_of("Hello"))
        assert "cannot be reached" in told.text
        assert "Something went wrong" not in told.text


def body_of(text: str, thread: str | None = None) -> dict[str, Any]:
    kind, params = message(text, thread)
    return {"type": kind, "params": params}
