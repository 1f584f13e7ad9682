"""A run's events as ChatKit makes them, in one order."""

from collections.abc import AsyncIterator, Collection

from chatkit.agents import AgentContext, ResponseStreamConverter, stream_agent_response
from chatkit.types import (
    AssistantMessageItem,
    ThreadItem,
    ThreadItemAddedEvent,
    ThreadItemDoneEvent,
    ThreadItemRemovedEvent,
    ThreadStreamEvent,
)

from core.context import RequestContext
from core.turns.watched_run import WatchedRun


async def chatkit_events(
    run: WatchedRun,
    context: AgentContext[RequestContext],
    converter: ResponseStreamConverter,
) -> AsyncIterator[ThreadStreamEvent]:
    """The run's events as ChatKit makes them. What ChatKit cannot take is the run's own error."""
    try:
        # It looks like a run to ChatKit, and it never raises: an exception would leave a
        # task behind in _merge_generators
        # (https://github.com/openai/chatkit-python/blob/main/chatkit/agents.py).
        async for event in stream_agent_response(context, run, converter=converter):  # type: ignore[arg-type]
            yield event
    except Exception as error:
        run.error = error


async def in_order(
    events: AsyncIterator[ThreadStreamEvent], by_model: Collection[str]
) -> AsyncIterator[ThreadStreamEvent]:
    """The events, with what a tool does behind the message of the model that stands before it.

    ChatKit takes them from two queues, and the store has the order in which the items are done.
    What is about no item, such as progress, waits for nothing. `by_model` has the ids of what the
    model has begun.
    """
    message: str | None = None
    behind: list[ThreadStreamEvent] = []
    async for event in events:
        item: ThreadItem | None = getattr(event, "item", None)
        about: str | None = item.id if item else getattr(event, "item_id", None)
        if isinstance(event, ThreadItemAddedEvent) and isinstance(item, AssistantMessageItem):
            message = about if about in by_model else message
        if message and about and about != message:
            behind.append(event)
            continue
        yield event
        if isinstance(event, ThreadItemDoneEvent | ThreadItemRemovedEvent):
            message = None
            while behind:
                yield behind.pop(0)
    for event in behind:
        yield event
