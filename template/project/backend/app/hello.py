"""The server's answers: a hello world. Change `respond`, and the chat changes."""

from collections.abc import AsyncIterator
from datetime import datetime

from chatkit.types import (
    AssistantMessageContent,
    AssistantMessageItem,
    ThreadItemDoneEvent,
    ThreadMetadata,
    ThreadStreamEvent,
    UserMessageItem,
)

from core.context import RequestContext
from core.protocol.messages import text_of, title_of
from core.turns.server import TurnServer


class HelloServer(TurnServer):
    """Answers every message without a model: it greets, and says what it heard."""

    answered_by = "hello.py, without a model"
    starters = ("Hello!", "Is anybody there?", "What did I just write?")

    async def respond(
        self,
        thread: ThreadMetadata,
        input_user_message: UserMessageItem | None,
        context: RequestContext,
    ) -> AsyncIterator[ThreadStreamEvent]:
        if input_user_message is None:
            return
        thread.title = thread.title or title_of(input_user_message)
        answer = f"Hello! You wrote: {text_of(input_user_message)}"
        yield ThreadItemDoneEvent(
            item=AssistantMessageItem(
                id=self.store.generate_item_id("message", thread, context),
                thread_id=thread.id,
                created_at=datetime.now(),
                content=[AssistantMessageContent(text=answer)],
            )
        )
