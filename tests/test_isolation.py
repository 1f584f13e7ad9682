"""Two users who are signed in: to each of them, what is the other's does not exist."""

import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.backend import Backend, message
from tests.matrix import SIGN_INS, STORES
from tests.providers import production
from tests.show import Files
from tests.standins import Answer, StandIn, Text, ToolCall

Request = tuple[str, dict[str, Any]]


class Two:
    """Ada, who has a conversation with a widget in it, and Bob, who has one too."""

    def __init__(self, backend: Backend, ada: httpx.Client, bob: httpx.Client) -> None:
        self.backend = backend
        self.ada, self.bob = ada, bob
        self.adas, self.bobs = self.conversation(ada), self.conversation(bob)

    def conversation(self, user: httpx.Client) -> dict[str, str]:
        """The ids of a new thread, of its items, by their types, and of an attachment."""
        file = {"name": "a.txt", "size": 1, "mime_type": "text/plain"}
        attachment = self.post(user, ("attachments.create", file)).json()["id"]
        kind, params = message("What is for lunch?")
        assert self.post(user, (kind, params)).status_code == 200
        thread = self.post(user, ("threads.list", {})).json()["data"][0]["id"]
        listed = self.post(user, ("items.list", {"thread_id": thread})).json()["data"]
        items = {item["type"]: item["id"] for item in listed}
        return {"thread": thread, "attachment": attachment, **items}

    def post(self, user: httpx.Client, request: Request) -> httpx.Response:
        kind, params = request
        return user.post("/chatkit", json={"type": kind, "params": params})


@pytest.fixture(params=[(auth, store) for auth in SIGN_INS for store in STORES], ids="-".join)
def two(request: pytest.FixtureRequest, standin: StandIn, tmp_path: Path) -> Iterator[Two]:
    auth, store = request.param
    for _ in range(2):
        standin.answers(
            Answer(ToolCall("show_menu", {})),
            Answer(Text("Enjoy.")),
        )
    with (
        production(standin, tmp_path, store=store, auth=auth) as (backend, users),
        backend.client(users.headers("ada")) as ada,
        backend.client(users.headers("bob")) as bob,
    ):
        store = backend.main.server.store
        backend.main.server.attachment_store = Files(store, lambda: backend.url)
        yield Two(backend, ada, bob)


def unknown(like: str) -> str:
    """An id that looks like this one, and is nobody's."""
    return f"{like.partition('_')[0]}_{uuid.uuid4().hex}"


def every_operation(thread: str, user_message: str, widget: str, attachment: str) -> list[Request]:
    """Each operation that takes an id, with these."""
    _, say = message("Hello", thread)
    _, create = message("Hello")
    create["input"]["attachments"] = [attachment]
    action = {"type": "lunch.choose", "payload": {"dish": "ramen"}}
    return [
        ("threads.get_by_id", {"thread_id": thread}),
        ("threads.list", {"after": thread}),
        ("threads.create", create),
        ("threads.add_user_message", say),
        ("threads.add_client_tool_output", {"thread_id": thread, "result": {"a": 1}}),
        (
            "threads.add_structured_input",
            {"thread_id": thread, "item_id": widget, "input": {"status": "skipped"}},
        ),
        ("threads.retry_after_item", {"thread_id": thread, "item_id": user_message}),
        ("threads.custom_action", {"thread_id": thread, "item_id": widget, "action": action}),
        ("threads.sync_custom_action", {"thread_id": thread, "item_id": widget, "action": action}),
        ("threads.update", {"thread_id": thread, "title": "Mine"}),
        ("threads.delete", {"thread_id": thread}),
        ("items.list", {"thread_id": thread}),
        ("items.list", {"thread_id": thread, "after": user_message}),
        ("items.feedback", {"thread_id": thread, "item_ids": [widget], "kind": "negative"}),
        ("attachments.delete", {"attachment_id": attachment}),
    ]


def said(response: httpx.Response) -> tuple[int, Any]:
    """What a client is told, without the request's own id."""
    if not response.headers["content-type"].startswith("application/json"):
        return response.status_code, response.text
    body = response.json()
    body.pop("request_id", None)
    return response.status_code, body


def test_what_is_another_user_s_is_what_does_not_exist(two: Two) -> None:
    ada = two.adas
    before = two.post(two.ada, ("threads.get_by_id", {"thread_id": ada["thread"]})).json()
    ids = [ada[name] for name in ("thread", "user_message", "widget", "attachment")]
    theirs, nobodys = every_operation(*ids), every_operation(*map(unknown, ids))
    for one, other in zip(theirs, nobodys, strict=True):
        response = two.post(two.bob, one)
        assert said(response) == said(two.post(two.bob, other)), one
        assert response.status_code == 404, (one, response.text)
        for secret in (ada["thread"], ada["widget"], "lunch"):
            assert secret not in response.text
    after = two.post(two.ada, ("threads.get_by_id", {"thread_id": ada["thread"]})).json()
    assert after == before
    assert two.backend.main.server.attachment_store.deleted == []
    own = ("attachments.delete", {"attachment_id": ada["attachment"]})
    assert two.post(two.ada, own).status_code == 200
    shown = two.bob.get("/debug/threads").text
    assert ada["thread"] not in shown and two.bobs["thread"] in shown


def test_another_user_s_item_is_in_no_thread_of_one_s_own(two: Two) -> None:
    own = two.bobs["thread"]
    theirs = every_operation(own, two.adas["user_message"], two.adas["widget"], "atc_1")
    nobodys = every_operation(own, unknown("msg_1"), unknown("msg_1"), "atc_1")
    for one, other in zip(theirs, nobodys, strict=True):
        if one[0] != "threads.list" and {"item_id", "item_ids", "after"} & set(one[1]):
            response = two.post(two.bob, one)
            assert said(response) == said(two.post(two.bob, other)), one
            assert response.status_code == 404, one


def test_nobody_gets_nothing(two: Two) -> None:
    ada = two.adas
    with two.backend.client() as nobody:
        for request in every_operation(ada["thread"], ada["user_message"], ada["widget"], "atc_1"):
            response = two.post(nobody, request)
            assert response.status_code in (401, 403), request
            assert ada["thread"] not in response.text
        assert nobody.get("/debug/threads").status_code == 401
        assert nobody.get("/health").status_code == 200
