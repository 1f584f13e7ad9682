"""A ChatKit server that shows what the chat page must draw: each message asks for one thing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import datetime
from types import ModuleType
from typing import Any

from chatkit.actions import Action, ActionConfig
from chatkit.store import AttachmentStore
from chatkit.types import (
    Annotation,
    AssistantMessageContent,
    AssistantMessageContentPartTextDelta,
    AssistantMessageItem,
    Attachment,
    AttachmentCreateParams,
    AttachmentUploadDescriptor,
    ClientEffectEvent,
    ClientToolCallItem,
    CustomSummary,
    CustomTask,
    FileAttachment,
    LockedStatus,
    NoticeEvent,
    ProgressUpdateEvent,
    StructuredInputFreeform,
    StructuredInputItem,
    StructuredInputMultipleChoice,
    StructuredInputMultipleChoiceOption,
    SyncCustomActionResponse,
    ThoughtTask,
    ThreadItemAddedEvent,
    ThreadItemDoneEvent,
    ThreadItemReplacedEvent,
    ThreadItemUpdatedEvent,
    ThreadMetadata,
    ThreadStreamEvent,
    URLSource,
    UserMessageItem,
    WidgetItem,
    Workflow,
    WorkflowItem,
    WorkflowTaskAdded,
)
from chatkit.widgets import Button, Card, Form, Input, Text, WidgetRoot
from pydantic import AnyUrl

DELTAS = 5000


def counter(count: int, label: str = "Add one") -> WidgetRoot:
    """A card with a number, a button, and a form that sends a name."""
    rename = ActionConfig(type="rename", payload={"from": "form"})
    paint = ActionConfig(type="paint", payload={"colour": "red"}, handler="client")
    return Card(
        children=[
            Text(id="count", value=f"Count: {count}"),
            Button(label=label, onClickAction=ActionConfig(type="add", payload={"count": count})),
            Button(label="Paint", onClickAction=paint),
            Button(label="Check", onClickAction=ActionConfig(type="check", streaming=False)),
            Form(
                onSubmitAction=rename,
                children=[
                    Input(name="user.name", placeholder="Your name", required=True),
                    Button(label="Save", submit=True),
                ],
            ),
        ]
    )


class Files(AttachmentStore[Any]):
    """Attachments that are uploaded to the backend itself."""

    def __init__(self, store: Any, url: Callable[[], str]) -> None:
        self.store = store
        self.url = url
        self.deleted: list[str] = []

    async def create_attachment(self, input: AttachmentCreateParams, context: Any) -> Attachment:
        attachment = FileAttachment(
            id=self.generate_attachment_id(input.mime_type, context),
            name=input.name,
            mime_type=input.mime_type,
            upload_descriptor=AttachmentUploadDescriptor(
                url=AnyUrl(f"{self.url()}/upload/{input.name}"), method="PUT"
            ),
        )
        await self.store.save_attachment(attachment, context)
        return attachment

    async def delete_attachment(self, attachment_id: str, context: Any) -> None:
        self.deleted.append(attachment_id)


def show_server(main: ModuleType, url: Callable[[], str]) -> Any:
    """A server of this kind for the project that `main` is the main module of."""
    from core.auth.no_sign_in import NoSignIn
    from core.context import RequestContext
    from core.protocol.inference_options import ModelOption, ToolOption
    from core.turns.server import TurnServer

    class ShowServer(TurnServer):
        answered_by = "a show"
        starters = ("Show a widget", "Show a thought")
        models = ("quick", ModelOption(id="clever", label="The clever one", description="Slow"))
        tools = (
            ToolOption(
                id="find", label="Find it", icon="search", placeholderOverride="What shall I find?"
            ),
            ToolOption(id="paint", label="Paint it", icon="write", persistent=True),
        )

        def __init__(self) -> None:
            own = main.build_server(main.settings)
            super().__init__(own.store, own.turns, sign_in=NoSignIn())
            self.attachment_store = Files(self.store, url)
            self.said: list[UserMessageItem] = []
            self.actions: list[tuple[str, Any]] = []

        async def respond(
            self,
            thread: ThreadMetadata,
            input_user_message: UserMessageItem | None,
            context: RequestContext,
        ) -> AsyncIterator[ThreadStreamEvent]:
            def made(kind: Any, prefix: Any = "message", **fields: Any) -> Any:
                return kind(
                    id=self.store.generate_item_id(prefix, thread, context),
                    thread_id=thread.id,
                    created_at=datetime.now(),
                    **fields,
                )

            def told(text: str, **fields: Any) -> ThreadItemDoneEvent:
                content = AssistantMessageContent(text=text, **fields)
                return ThreadItemDoneEvent(item=made(AssistantMessageItem, content=[content]))

            if input_user_message is None:
                newest = await self.store.load_thread_items(thread.id, None, 1, "desc", context)
                match newest.data[0]:
                    case ClientToolCallItem(name="first") as call:
                        yield told(f"First: {call.output}")
                        yield ThreadItemDoneEvent(
                            item=made(
                                ClientToolCallItem,
                                "tool_call",
                                call_id="2",
                                name="second",
                                arguments={},
                            )
                        )
                    case ClientToolCallItem() as call:
                        yield told(f"Then: {call.output}")
                    case StructuredInputItem() as question:
                        answers = [
                            ",".join(entry.answer.values) if entry.answer else "-"
                            for entry in question.inputs
                        ]
                        yield told(f"You chose: {answers}")
                    case other:
                        yield told(f"Nothing to do after {other.type}.")
                return

            self.said.append(input_user_message)
            text = "".join(part.text for part in input_user_message.content)
            thread.title = thread.title or text[:40] or "Files"
            asked, _, rest = text.partition(": ")
            match asked:
                case "Say":
                    yield told(rest)
                case "Count":
                    item = made(AssistantMessageItem, content=[AssistantMessageContent(text="")])
                    yield ThreadItemAddedEvent(item=item)
                    words: list[str] = []
                    for number in range(int(rest)):
                        words.append(f"**{number}** " if number % 20 else f"\n\n{number} ")
                        yield ThreadItemUpdatedEvent(
                            item_id=item.id,
                            update=AssistantMessageContentPartTextDelta(
                                content_index=0, delta=words[-1]
                            ),
                        )
                        if number % 50 == 0:
                            await asyncio.sleep(0)
                    item.content[0].text = "".join(words)
                    yield ThreadItemDoneEvent(item=item)
                case "Show a widget":
                    yield ThreadItemDoneEvent(item=made(WidgetItem, widget=counter(0)))
                case "Show a thought":
                    flow = made(
                        WorkflowItem, "workflow", workflow=Workflow(type="reasoning", tasks=[])
                    )
                    yield ThreadItemAddedEvent(item=flow)
                    task = ThoughtTask(title="Weighing it", content="Both sides **count**.")
                    yield ThreadItemUpdatedEvent(
                        item_id=flow.id, update=WorkflowTaskAdded(task_index=0, task=task)
                    )
                    flow.workflow.tasks = [task, CustomTask(title="Decide", content="Done.")]
                    flow.workflow.summary = CustomSummary(title="Thought about it")
                    yield ThreadItemDoneEvent(item=flow)
                    yield told("It depends.")
                case "Show a client tool":
                    yield ThreadItemDoneEvent(
                        item=made(
                            ClientToolCallItem,
                            "tool_call",
                            call_id="1",
                            name="first",
                            arguments={"number": 20},
                        )
                    )
                case "Show a question":
                    yield ThreadItemDoneEvent(
                        item=made(
                            StructuredInputItem,
                            inputs=[
                                StructuredInputMultipleChoice(
                                    id="colour",
                                    question="Which colour?",
                                    options=[
                                        StructuredInputMultipleChoiceOption(value="red"),
                                        StructuredInputMultipleChoiceOption(value="blue"),
                                    ],
                                ),
                                StructuredInputFreeform(id="why", question="And why?"),
                            ],
                        )
                    )
                case "Show progress":
                    yield ProgressUpdateEvent(text="Looking it up…")
                    await asyncio.sleep(1)
                    yield told("Found.")
                case "Show a notice":
                    yield NoticeEvent(level="warning", title="Careful", message="Nearly *full*.")
                case "Show an effect":
                    yield ClientEffectEvent(name="paint", data={"colour": "green"})
                case "Show a source":
                    source = URLSource(title="The docs", url="https://example.com/docs")
                    yield told("As they say.", annotations=[Annotation(source=source, index=3)])
                case "Lock it":
                    thread.status = LockedStatus(reason="It is under review.")
                case "Fail":
                    raise RuntimeError("a secret")
                case "Wait":
                    item = made(AssistantMessageItem, content=[AssistantMessageContent(text="")])
                    yield ThreadItemAddedEvent(item=item)
                    for number in range(int(rest)):
                        update = AssistantMessageContentPartTextDelta(
                            content_index=0, delta=f"{number} "
                        )
                        item.content[0].text += update.delta
                        yield ThreadItemUpdatedEvent(item_id=item.id, update=update)
                        await asyncio.sleep(0.05)
                        if self.turns.of(context).stop.is_set():
                            break
                    yield ThreadItemDoneEvent(item=item)
                case _:
                    yield told(f"You wrote: {text}")

        async def action(
            self,
            thread: ThreadMetadata,
            action: Action[str, Any],
            sender: WidgetItem | None,
            context: RequestContext,
        ) -> AsyncIterator[ThreadStreamEvent]:
            self.actions.append((action.type, action.payload))
            if action.type == "add":
                assert sender is not None
                sender.widget = counter(action.payload["count"] + 1)
                yield ThreadItemReplacedEvent(item=sender)

        async def sync_action(
            self,
            thread: ThreadMetadata,
            action: Action[str, Any],
            sender: WidgetItem | None,
            context: RequestContext,
        ) -> SyncCustomActionResponse:
            self.actions.append((action.type, action.payload))
            assert sender is not None
            sender.widget = counter(99)
            await self.store.save_item(thread.id, sender, context)
            return SyncCustomActionResponse(updated_item=sender)

    return ShowServer()
