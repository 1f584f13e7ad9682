"""Tools that run at OpenAI: the chat is shown their work, and the thread keeps what they found."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from agents import Agent, FunctionTool, Model
from chatkit.agents import AgentContext
from chatkit.types import (
    CustomTask,
    DurationSummary,
    FileSource,
    FileTask,
    HiddenContextItem,
    SearchTask,
    Task,
    ThreadItemAddedEvent,
    ThreadItemDoneEvent,
    ThreadItemUpdatedEvent,
    ThreadStreamEvent,
    URLSource,
    Workflow,
    WorkflowItem,
    WorkflowTaskAdded,
    WorkflowTaskUpdated,
)

from core.context import RequestContext
from core.models.provider import Models
from core.turns.agents import WrongAgent, agents_of
from core.turns.kept_calls import hosted_call_item_content, queries_of

NOT_KEPT = (
    *("message", "reasoning", "compaction", "function_call", "function_call_output"),
    *("image_generation_call", "mcp_list_tools", "mcp_approval_request"),
)
"""The items of an answer that are no calls of such tools, are kept elsewhere, or found nothing."""


def check_hosted_tools(agent: Agent[Any], models: Models) -> None:
    """Raise WrongAgent for a tool that an agent's model cannot have.

    A `Model` object that an agent brings along may be any.
    """
    for each in agents_of(agent):
        if isinstance(each.model, Model):
            continue
        source = models.source(each.model) if each.model else models.default
        for tool in each.tools:
            if not source.hosted_tools and not isinstance(tool, FunctionTool):
                raise WrongAgent(
                    f"The agent {each.name}: its tool {tool.name} runs at OpenAI only, and not "
                    f"with {source.name}."
                )


class HostedCalls:
    """The calls of a run's hosted tools, as tasks of a workflow and as hidden items."""

    def __init__(self, context: AgentContext[RequestContext]) -> None:
        self._context = context
        self._tasks: dict[str, tuple[WorkflowItem, int]] = {}
        """Where the tasks are of the calls under way, by the calls' ids."""

    def follow(self, event: Any) -> Iterator[ThreadStreamEvent]:
        """What the chat gets before this event of the model."""
        match event.type:
            case "response.output_item.added" if event.item.type == "image_generation_call":
                # ChatKit ends a workflow before a message, but not before an image.
                yield from self._end_workflow()
            case "response.output_item.added":
                if task := task_of(event.item.model_dump(warnings=False), "loading"):
                    yield self._added(event.item.id, task)
            case "response.output_item.done" if event.item.type not in NOT_KEPT:
                call = event.item.model_dump(mode="json", warnings=False)
                if task := task_of(call, "complete"):
                    yield from self._updated(event.item.id, task)
                yield ThreadItemDoneEvent(item=self.kept(call))

    def kept(self, call: dict[str, Any]) -> HiddenContextItem:
        """The hidden item of a call, or of its output where that comes by itself."""
        return HiddenContextItem(
            id=self._context.generate_id("tool_call"),
            thread_id=self._context.thread.id,
            created_at=datetime.now(),
            content=hosted_call_item_content(call),
        )

    def close(self) -> None:
        """Let no task look as if it were still under way."""
        for item, index in self._tasks.values():
            item.workflow.tasks[index].status_indicator = "none"

    def _added(self, call_id: str, task: Task) -> ThreadStreamEvent:
        item = self._context.workflow_item
        if item is None:
            item = self._context.workflow_item = WorkflowItem(
                id=self._context.generate_id("workflow"),
                created_at=datetime.now(),
                workflow=Workflow(type="custom", tasks=[]),
                thread_id=self._context.thread.id,
            )
        tasks = item.workflow.tasks
        tasks.append(task)
        self._tasks[call_id] = item, len(tasks) - 1
        if item.workflow.type == "custom" and len(tasks) == 1:
            return ThreadItemAddedEvent(item=item)
        added = WorkflowTaskAdded(task=task, task_index=len(tasks) - 1)
        return ThreadItemUpdatedEvent(item_id=item.id, update=added)

    def _updated(self, call_id: str, task: Task) -> Iterator[ThreadStreamEvent]:
        item, index = self._tasks.pop(call_id, (None, 0))
        if item is not None and item is self._context.workflow_item:
            item.workflow.tasks[index] = task
            update = WorkflowTaskUpdated(task=task, task_index=index)
            yield ThreadItemUpdatedEvent(item_id=item.id, update=update)

    def _end_workflow(self) -> Iterator[ThreadStreamEvent]:
        if (item := self._context.workflow_item) is not None:
            seconds = (datetime.now() - item.created_at).total_seconds()
            item.workflow.summary = item.workflow.summary or DurationSummary(duration=int(seconds))
            self._context.workflow_item = None
            yield ThreadItemDoneEvent(item=item)


def task_of(call: dict[str, Any], status: Any) -> Task | None:
    """A hosted tool's call as the chat shows it. None for one that has no task."""
    # At its beginning a call has hardly more than a type.
    match call["type"]:
        case "web_search_call":
            queries = queries_of(call)
            action = call.get("action") or {}
            urls = [source["url"] for source in action.get("sources") or []]
            if not urls and action.get("url"):
                urls = [action["url"]]
            return SearchTask(
                title_query=queries[0] if queries else None,
                queries=queries,
                sources=[URLSource(title=url, url=url) for url in urls],
                status_indicator=status,
            )
        case "file_search_call":
            names = [result.get("filename") for result in call.get("results") or []]
            return FileTask(
                title=", ".join(queries_of(call)) or None,
                sources=[
                    FileSource(title=name, filename=name) for name in dict.fromkeys(names) if name
                ],
                status_indicator=status,
            )
        case "code_interpreter_call":
            code = call.get("code")
            return CustomTask(
                title="Code interpreter",
                icon="square-code",
                content=f"```python\n{code}\n```" if code else None,
                status_indicator=status,
            )
        case "mcp_call":
            title = f"{call.get('server_label')}: {call.get('name')}"
            return CustomTask(title=title, icon="bolt", status_indicator=status)
        case _:
            return None
