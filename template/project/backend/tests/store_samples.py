"""Threads, items and attachments for the tests of a store."""

from datetime import datetime
from typing import Any

from chatkit.types import (
    AssistantMessageContent,
    AssistantMessageItem,
    ClientToolCallItem,
    CustomTask,
    FileAttachment,
    HiddenContextItem,
    ImageAttachment,
    InferenceOptions,
    Page,
    SDKHiddenContextItem,
    TaskItem,
    ThreadItem,
    ThreadMetadata,
    UserMessageItem,
    UserMessageTagContent,
    UserMessageTextContent,
    WidgetItem,
    Workflow,
    WorkflowItem,
)
from chatkit.widgets import Card, Col, DynamicWidgetRoot, Text

from core.context import RequestContext
from core.stores.base import BaseStore
from core.stores.records import UnknownItem

ADA = RequestContext(user_id="ada")
BOB = RequestContext(user_id="bob")
NOON = datetime(2026, 3, 4, 12, 0, 0, 123456)


def a_thread(thread_id: str = "thr_1", **changes: Any) -> ThreadMetadata:
    fields = {"title": "A title", "created_at": NOON, "metadata": {"topic": "tests"}, **changes}
    return ThreadMetadata(id=thread_id, **fields)


def an_item(item_id: str, text: str = "Hello", thread_id: str = "thr_1") -> AssistantMessageItem:
    # All of the same time: only the store's own order can tell them apart.
    content = [AssistantMessageContent(text=text)]
    return AssistantMessageItem(id=item_id, thread_id=thread_id, created_at=NOON, content=content)


def a_file(attachment_id: str = "atc_1", **changes: Any) -> FileAttachment:
    return FileAttachment(id=attachment_id, name="notes.txt", mime_type="text/plain", **changes)


def every_kind_of_item() -> list[ThreadItem]:
    """One of each, as a long conversation may hold them."""
    rest: dict[str, Any] = {"thread_id": "thr_1", "created_at": NOON}
    tag = UserMessageTagContent(id="tag_1", text="Ada", data={"age": 36, "tags": ["x", None]})
    return [
        UserMessageItem(
            id="msg_1",
            content=[UserMessageTextContent(text="Hello"), tag],
            attachments=[a_file(metadata={"size": 3})],
            quoted_text="as you said",
            inference_options=InferenceOptions(model="a-model"),
            **rest,
        ),
        an_item("msg_2", "Hi there!"),
        WidgetItem(
            id="wdg_1",
            widget=Card(children=[Col(padding={"x": 4}, children=[Text(value="In a card")])]),
            **rest,
        ),
        ClientToolCallItem(
            id="tc_1", call_id="call_1", name="tool", arguments={"a": [1, 2.5]}, output="ok", **rest
        ),
        TaskItem(id="tsk_1", task=CustomTask(title="A task"), **rest),
        WorkflowItem(
            id="wf_1", workflow=Workflow(type="reasoning", tasks=[CustomTask(title="T")]), **rest
        ),
        HiddenContextItem(id="hid_1", content={"type": "tool_call", "output": "42"}, **rest),
        SDKHiddenContextItem(id="shcx_1", content="hidden", **rest),
    ]


def what_a_newer_release_stores() -> list[Any]:
    """Items of kinds, in shapes and with properties that the installed ChatKit does not know."""
    rest: dict[str, Any] = {"thread_id": "thr_1", "created_at": NOON}
    source = {"type": "url", "url": "https://x.example", "title": "X", "favicon": None, "rank": 1}
    image = ImageAttachment.model_validate(
        {
            **{"id": "atc_2", "name": "x.png", "mime_type": "image/png", "blur": {"hash": None}},
            "preview_url": "https://x.example/x.png",
        }
    )
    action = {"type": "go", "payload": {"dish": None, "list": [1, None]}}
    button = {"type": "Button", "label": "Go", "onClickAction": action, "newer": [None]}
    cell = {"type": "Table.Cell", "children": [button], "colSpan": 2}
    row = {"type": "Table.Row", "children": [cell]}
    date = {"type": "DatePicker", "name": "day", "defaultValue": "2026-03-04"}
    children = [{"type": "Col", "padding": 4, "children": [{"type": "Table", "children": [row]}]}]
    return [
        UserMessageItem.model_validate(
            {
                **{"id": "msg_3", "content": [{"type": "input_text", "text": "Hi", "newer": None}]},
                **{"attachments": [image], "inference_options": {"effort": "high"}, "to": ["Bob"]},
                **rest,
            }
        ),
        AssistantMessageItem.model_validate(
            {
                "id": "msg_4",
                "content": [
                    {
                        **{"type": "output_text", "text": "Hi", "language": "en"},
                        "annotations": [{"type": "annotation", "source": source, "span": [1, 2]}],
                    }
                ],
                **rest,
            }
        ),
        WidgetItem(
            id="wdg_2",
            widget=DynamicWidgetRoot.model_validate(
                {"type": "Card", "border": {"size": 1}, "children": [*children, date]}
            ),
            **rest,
        ),
        UnknownItem(id="poll_1", type="poll", votes={"soup": [1, None, 2.5]}, open=True, **rest),
        UnknownItem(id="wf_2", type="workflow", workflow={"tasks": [{"type": "new"}]}, **rest),
    ]


def ids(page: Page[ThreadItem] | Page[ThreadMetadata]) -> list[str]:
    return [record.id for record in page.data]


async def all_items(
    store: BaseStore, thread_id: str = "thr_1", context: RequestContext = ADA
) -> list[ThreadItem]:
    """Every item, oldest first, in one page."""
    return (await store.load_thread_items(thread_id, None, 1000, "asc", context)).data


async def filled(store: BaseStore, items: int = 5, thread_id: str = "thr_1") -> list[str]:
    """Give Ada a thread with this many items. Their ids."""
    await store.save_thread(a_thread(thread_id), ADA)
    item_ids = [f"{thread_id}_msg_{number}" for number in range(items)]
    for item_id in item_ids:
        await store.add_thread_item(thread_id, an_item(item_id, thread_id=thread_id), ADA)
    return item_ids
