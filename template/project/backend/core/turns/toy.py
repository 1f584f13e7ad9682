"""The server for the embedded model, which cannot call tools and says at once that it is a toy."""

from collections.abc import AsyncIterator
from typing import Any

from agents import Agent
from chatkit.types import (
    AssistantMessageContent,
    AssistantMessageItem,
    ThreadItemDoneEvent,
    ThreadMetadata,
    ThreadStreamEvent,
    UserMessageItem,
)

from core.context import RequestContext
from core.models.source import ModelSource
from core.sentences import Sentence
from core.turns.agent_server import AgentServer

NOTICE = Sentence(
    "A toy answers here: SmolLM2-135M, a tiny model inside this process. It makes things up and "
    "cannot use tools. For real answers: `copier update --data provider=gemini`."
)


STARTERS = [
    "Who are you?",
    "Tell me a short story about a lighthouse.",
    "What is the sea?",
]


class ToyServer(AgentServer):
    """Answers like AgentServer, without tools, and begins each new thread with NOTICE."""

    def __init__(self, *args: Any, **parts: Any) -> None:
        """Takes what AgentServer takes."""
        super().__init__(*args, **parts)
        self.starters = STARTERS

    async def chosen(
        self, thread: ThreadMetadata, message: UserMessageItem | None, context: RequestContext
    ) -> tuple[Agent[Any], ModelSource]:
        agent, source = await super().chosen(thread, message, context)
        return agent.clone(tools=[], handoffs=[], mcp_servers=[]), source

    async def _process_new_thread_item_respond(
        self, thread: ThreadMetadata, item: UserMessageItem, context: RequestContext
    ) -> AsyncIterator[ThreadStreamEvent]:
        # Stored before the user's first message: what stands there is no part of the model's input,
        # which begins with a message of the user, and Retry does not take it away.
        if not (await self.store.load_thread_items(thread.id, None, 1, "asc", context)).data:
            notice = AssistantMessageItem(
                id=self.store.generate_item_id("message", thread, context),
                thread_id=thread.id,
                created_at=item.created_at,
                content=[AssistantMessageContent(text=context.told(NOTICE))],
            )
            await self.store.add_thread_item(thread.id, notice, context)
            yield ThreadItemDoneEvent(item=notice)
        async for event in super()._process_new_thread_item_respond(thread, item, context):
            yield event
