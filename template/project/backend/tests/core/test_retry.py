"""Retry keeps the answer that stands there until there is another one."""

from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any

import pytest
from chat_client import Chat, thread_of
from chatkit.errors import CustomStreamError
from chatkit.types import (
    AssistantMessageContent,
    AssistantMessageContentPartTextDelta,
    AssistantMessageItem,
    HiddenContextItem,
    ThoughtTask,
    ThreadItemAddedEvent,
    ThreadItemDoneEvent,
    ThreadItemRemovedEvent,
    ThreadItemUpdatedEvent,
    ThreadMetadata,
    ThreadStreamEvent,
    UserMessageItem,
    Workflow,
    WorkflowItem,
)
from live import applied
from servers import serve_with

from core.context import RequestContext
from core.turns.server import TurnServer

from app.wiring import Settings

REST: dict[str, Any] = {"thread_id": "thr", "created_at": datetime(2026, 3, 4)}


def message(text: str, item_id: str) -> AssistantMessageItem:
    content = [AssistantMessageContent(text=text)] if text else []
    return AssistantMessageItem(id=item_id, content=content, **REST)


def added(item: Any) -> ThreadStreamEvent:
    return ThreadItemAddedEvent(item=item)


def done(item: Any) -> ThreadStreamEvent:
    return ThreadItemDoneEvent(item=item)


def said(item_id: str, text: str) -> ThreadStreamEvent:
    update = AssistantMessageContentPartTextDelta(content_index=0, delta=text)
    return ThreadItemUpdatedEvent(item_id=item_id, update=update)


HIDDEN = HiddenContextItem(id="hid_1", content="What a tool gave.", **REST)
THOUGHTS = WorkflowItem(
    id="wf_1", workflow=Workflow(type="reasoning", tasks=[ThoughtTask(content="Hm.")]), **REST
)
FIRST = [done(HIDDEN), done(message("Good.", "msg_1")), done(message("And more.", "msg_2"))]
NEW = [added(message("", "msg_3")), said("msg_3", "Better."), done(message("Better.", "msg_3"))]
AWAY = CustomStreamError("The model provider is overloaded.", allow_retry=True)


class ToldServer(TurnServer):
    """Answers with the events that a test wrote, and remembers what it read in the store."""

    answers: list[list[ThreadStreamEvent | Exception]]

    async def respond(
        self,
        thread: ThreadMetadata,
        input_user_message: UserMessageItem | None,
        context: RequestContext,
    ) -> AsyncIterator[ThreadStreamEvent]:
        page = await self.store.load_thread_items(thread.id, None, 2, "desc", context)
        self.read = [item.id for item in page.data]
        for each in self.answers.pop(0):
            if isinstance(each, Exception):
                raise each
            yield each
        self.after = await self.store.load_thread_items(thread.id, None, 50, "asc", context)


@pytest.fixture
def server(settings: Settings) -> ToldServer:
    server = serve_with(ToldServer, settings)
    server.answers = [list(FIRST)]
    return server


def retried(chat: Chat, server: ToldServer, *answer: ThreadStreamEvent | Exception) -> list[str]:
    """What a client shows after Retry, which equals what a reload brings."""
    events = chat.say("Hello")
    asked, *_ = live = applied(events)
    server.answers = [list(answer)]
    again = chat.stream(
        "threads.retry_after_item", thread_id=asked["thread_id"], item_id=asked["id"]
    )
    assert server.read == [asked["id"]]
    live = applied(again, live)
    thread = chat.post("threads.get_by_id", thread_id=thread_of(events)).json()
    assert thread["items"]["data"] == live
    # A client that has taken the old answer away by itself is told that it stands.
    assert applied(again, [asked]) == live
    return [item["id"] for item in live[1:]]


@pytest.mark.parametrize(
    "answer",
    [
        [AWAY],
        [RuntimeError("a defect")],
        [],
        [done(HIDDEN.model_copy(update={"id": "hid_2"})), AWAY],
        [added(message("", "msg_3")), ThreadItemRemovedEvent(item_id="msg_3"), AWAY],
        [added(THOUGHTS), done(THOUGHTS), AWAY],
        # As of a guardrail.
        [*NEW, ThreadItemRemovedEvent(item_id="msg_3"), AWAY],
        [added(message("", "msg_3")), said("msg_3", "Bet"), AWAY],
        [added(message("", "msg_3")), said("msg_3", "Bet"), RuntimeError("a defect")],
    ],
)
def test_an_answer_that_comes_to_nothing_leaves_the_old_one(
    chat: Chat, server: ToldServer, answer: list[ThreadStreamEvent | Exception]
) -> None:
    assert retried(chat, server, *answer) == ["msg_1", "msg_2"]


@pytest.mark.parametrize("end", [[], [AWAY]])
def test_a_new_answer_takes_the_old_one_s_place(
    chat: Chat, server: ToldServer, end: list[Exception]
) -> None:
    assert retried(chat, server, added(THOUGHTS), done(THOUGHTS), *NEW, *end) == ["wf_1", "msg_3"]
    if not end:
        assert [item.id for item in server.after.data][1:] == ["wf_1", "msg_3"]
