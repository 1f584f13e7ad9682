"""The context of a turn's run: what tools may show goes through it."""

from chatkit.agents import AgentContext
from chatkit.types import ThreadItemUpdatedEvent, ThreadStreamEvent, WorkflowTaskAdded

from core.context import RequestContext


class TurnContext(AgentContext[RequestContext]):
    """ChatKit's, whose events say what was so when they were made.

    ChatKit hands on the workflow itself, to which more may have come before anybody reads the
    event, and finds a task's place by its words, which another task may have, too:
    https://github.com/openai/chatkit-python/blob/main/chatkit/agents.py
    """

    async def stream(self, event: ThreadStreamEvent) -> None:
        event = event.model_copy(deep=True)
        match event:
            case ThreadItemUpdatedEvent(update=WorkflowTaskAdded() as added):
                if self.workflow_item is not None and event.item_id == self.workflow_item.id:
                    added.task_index = len(self.workflow_item.workflow.tasks) - 1
        await super().stream(event)
