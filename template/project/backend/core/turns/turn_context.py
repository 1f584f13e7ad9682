"""The context of a turn's run: what tools show goes through it."""

from typing import Any

from chatkit.agents import AgentContext
from chatkit.types import ThreadItemUpdatedEvent, ThreadStreamEvent, WorkflowTaskAdded
from pydantic import PrivateAttr

from core.context import RequestContext


class TurnContext(AgentContext[RequestContext]):
    """ChatKit's, mended where it mixes up the workflows of a tool that is quicker than the stream.

    ChatKit queues the workflow itself, to which more may have come before anybody reads the event;
    finds a task's place by its words, which another task may have, too; and takes up again what a
    late event is about, though it is over:
    https://github.com/openai/chatkit-python/blob/main/chatkit/agents.py
    """

    _over: set[str] = PrivateAttr(default_factory=set)
    """The ids of the workflows that were under way, and are no longer."""

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "workflow_item":
            current = self.workflow_item
            if value is None:
                if current is not None:
                    self._over.add(current.id)
            elif value.id in self._over or (current is not None and value.id == current.id):
                return
        super().__setattr__(name, value)

    async def stream(self, event: ThreadStreamEvent) -> None:
        """Show the client what is so now."""
        event = event.model_copy(deep=True)
        match event:
            case ThreadItemUpdatedEvent(update=WorkflowTaskAdded() as added) if self.workflow_item:
                if event.item_id == self.workflow_item.id:
                    added.task_index = len(self.workflow_item.workflow.tasks) - 1
        await super().stream(event)
