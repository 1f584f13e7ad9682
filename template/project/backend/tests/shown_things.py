"""An agent whose tools, and actions, show a client all that there is to show."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from datetime import datetime
from typing import Any

from agents import Agent, RunContextWrapper, function_tool
from chatkit.agents import AgentContext, ClientToolCall
from chatkit.types import (
    Annotation,
    AssistantMessageContent,
    AssistantMessageContentPartAdded,
    AssistantMessageContentPartAnnotationAdded,
    AssistantMessageContentPartTextDelta,
    AssistantMessageItem,
    CustomSummary,
    CustomTask,
    ProgressUpdateEvent,
    ThreadItemAddedEvent,
    ThreadItemDoneEvent,
    ThreadItemReplacedEvent,
    ThreadItemUpdate,
    ThreadItemUpdatedEvent,
    ThreadStreamEvent,
    URLSource,
    WidgetComponentUpdated,
    WidgetItem,
    WidgetRootUpdated,
    WidgetStreamingTextValueDelta,
    Workflow,
)
from chatkit.widgets import DynamicWidgetRoot
from pydantic import BaseModel
from store_samples import what_a_newer_release_stores

from core.context import RequestContext
from core.stores.base import new_id
from core.turns.widget_actions import Actions, StreamingAction, SyncAction

Context = RunContextWrapper[AgentContext[RequestContext]]


def card(text: str = "", **props: Any) -> DynamicWidgetRoot:
    """A card with what the newest ChatKit.js knows, and this server's ChatKit does not."""
    words = {"type": "Text", "id": "words", "value": text, "streaming": True, "glow": 0.5}
    action = {"type": "go", "payload": {"dish": None, "list": [1, None, {"a": None}]}}
    cell = {"type": "Table.Cell", "colSpan": 2, "children": [words]}
    table = {"type": "Table", "children": [{"type": "Table.Row", "children": [cell]}]}
    button = {"type": "Button", "label": "Go", "onClickAction": action}
    date = {"type": "DatePicker", "name": "day", "defaultValue": "2026-03-04", "locale": "de"}
    children = [{"type": "Box", "padding": 4, "children": [table, button, date]}]
    return DynamicWidgetRoot.model_validate({"type": "Card", "children": children, **props})


EVERY_COMPONENT: list[dict[str, Any]] = [
    {"type": "Title", "value": "T", "size": "5xl", "truncate": True, "maxLines": 2},
    {"type": "Caption", "value": "C", "color": {"light": "red-100", "dark": "#fff"}},
    {"type": "Text", "value": "T", "editable": {"name": "t", "autoComplete": "off", "new": None}},
    {"type": "Markdown", "value": "*M*", "streaming": False},
    {"type": "Badge", "label": "B", "color": "discovery", "variant": "soft", "pill": True},
    {"type": "Icon", "name": "wreath", "size": "3xl"},
    {"type": "Icon", "name": "newest-of-all"},
    {
        "type": "Image",
        "src": "/x.png",
        "alt": "X",
        "fit": "cover",
        "margin": {"x": 1.5},
        "radius": 2,
    },
    {"type": "Button", "submit": True, "onClickAction": {"type": "a", "loadingBehavior": "self"}},
    {"type": "Divider", "spacing": 2, "flush": True, "color": "subtle"},
    {"type": "Spacer", "minSize": "2rem"},
    {
        "type": "Box",
        "direction": "row",
        "border": {"top": {"size": 1, "style": "dashed", "new": 1}},
    },
    {"type": "Row", "gap": 1.5, "align": "baseline", "wrap": "wrap", "scrollable": True},
    {
        "type": "Col",
        "children": [{"type": "Text", "value": "in", "minLines": 1}],
        "aspectRatio": 1.6,
    },
    {"type": "Form", "onSubmitAction": {"type": "s", "payload": {"id": None}}, "children": []},
    {"type": "Input", "name": "i", "inputType": "tel", "gutterSize": "xs", "defaultValue": "1"},
    {"type": "Textarea", "name": "t", "rows": 3, "autoResize": True, "maxRows": 9},
    {"type": "Select", "name": "s", "options": [{"value": "a", "label": "A", "hint": "new"}]},
    {"type": "DatePicker", "name": "d", "min": "2026-01-01", "max": "2026-02-01T00:00:00Z"},
    {"type": "Checkbox", "name": "c", "defaultChecked": True, "onChangeAction": {"type": "c"}},
    {
        "type": "RadioGroup",
        "name": "r",
        "options": [{"value": "a", "label": "A"}],
        "ariaLabel": "R",
    },
    {"type": "Label", "value": "L", "fieldName": "i"},
    {"type": "Transition", "children": {"type": "Text", "value": "in"}},
    {"type": "Table", "children": [{"type": "Table.Row", "header": True, "children": []}]},
    {"type": "Chart", "data": [{"m": "a", "v": 1}], "series": [{"type": "pie"}], "xAxis": "m"},
    {"type": "Of tomorrow", "children": [{"type": "Text", "value": "in"}], "deep": [{"er": None}]},
]
ROOTS: list[dict[str, Any]] = [
    {"type": "Card", "status": {"text": "s", "icon": "check", "frame": True}, "asForm": True},
    {"type": "ListView", "limit": "auto"},
    {"type": "Basic", "direction": "row", "gap": 2, "theme": "dark"},
]


async def growing() -> AsyncGenerator[DynamicWidgetRoot, None]:
    for length in range(4):
        yield card("abc"[:length], border=1)
        await asyncio.sleep(0)


@function_tool
async def show_card(context: Context) -> str:
    """Show a card."""
    await context.context.stream_widget(card("At once.", border={"size": 1}))
    return "Shown."


@function_tool
async def show_every_component(context: Context) -> str:
    """Show every component of ChatKit.js 1.9.0, and more."""
    for root in ROOTS:
        children = EVERY_COMPONENT
        if root["type"] == "ListView":
            item = {"type": "ListViewItem", "onClickAction": {"type": "l"}, "gap": 0.5}
            children = [item | {"children": EVERY_COMPONENT}]
        widget = DynamicWidgetRoot.model_validate(root | {"children": children})
        await context.context.stream_widget(widget)
    return "Shown."


@function_tool
async def show_growing_card(context: Context) -> str:
    """Show a card that grows."""
    await context.context.stream_widget(growing())
    return "Shown."


@function_tool
async def update_card(context: Context) -> str:
    """Change what was shown."""
    turn = context.context
    page = await turn.store.load_thread_items(
        turn.thread.id, None, 50, "desc", turn.request_context
    )
    item_id = next(item.id for item in page.data if isinstance(item, WidgetItem))
    text = {"type": "Text", "id": "words", "value": "New", "streaming": True, "newer": [None]}
    for update in (
        WidgetStreamingTextValueDelta(component_id="words", delta=" More.", done=True),
        WidgetComponentUpdated.model_validate({"component_id": "words", "component": text}),
        WidgetStreamingTextValueDelta(component_id="words", delta="er.", done=False),
        WidgetRootUpdated(widget=card("Whole.", newest={"x": 1})),
        WidgetStreamingTextValueDelta(component_id="words", delta=" End.", done=False),
    ):
        await turn.stream(ThreadItemUpdatedEvent(item_id=item_id, update=update))
    return "Changed."


@function_tool
async def work(context: Context) -> str:
    """Show steps."""
    turn = context.context
    await turn.start_workflow(Workflow(type="custom", tasks=[]))
    await turn.add_workflow_task(CustomTask(title="One"))
    await turn.add_workflow_task(CustomTask(title="Two"))
    await turn.update_workflow_task(CustomTask(title="One, done"), 0)
    await turn.end_workflow(CustomSummary(title="Worked"), expanded=True)
    return "Done."


@function_tool
async def work_twice(context: Context) -> str:
    """Show steps, and then others, two of which are alike, all at once."""
    turn = context.context
    await turn.start_workflow(Workflow(type="custom", tasks=[CustomTask(title="First")]))
    await turn.end_workflow(expanded=True)
    await turn.start_workflow(Workflow(type="custom", tasks=[]))
    for title in ("Same", "Same", "Last"):
        await turn.add_workflow_task(CustomTask(title=title))
    await turn.end_workflow(CustomSummary(title="Worked"), expanded=True)
    return "Done."


@function_tool
async def show_nothing() -> str:
    """Show nothing."""
    return "Done."


@function_tool
async def begin_nothing(context: Context) -> str:
    """Begin steps of which there are none."""
    await context.context.start_workflow(Workflow(type="custom", tasks=[]))
    return "Done."


@function_tool
async def ask_browser(context: Context) -> None:
    """Ask the browser in the middle of the work."""
    await context.context.add_workflow_task(CustomTask(title="One"))
    await context.context.add_workflow_task(CustomTask(title="Two"))
    context.context.client_tool_call = ClientToolCall(name="ask_browser", arguments={"a": None})


@function_tool
async def leave_open(context: Context) -> str:
    """Show a card, and never say that it is done."""
    turn = context.context
    item = WidgetItem(
        id=turn.generate_id("message"),
        thread_id=turn.thread.id,
        created_at=datetime.now(),
        widget=card("Open."),
    )
    await turn.stream(ThreadItemAddedEvent(item=item))
    other = item.model_copy(update={"id": turn.generate_id("message")})
    await turn.stream(ThreadItemDoneEvent(item=other))
    await turn.stream(
        ThreadItemUpdatedEvent(item_id=item.id, update=WidgetRootUpdated(widget=card("Changed.")))
    )
    await turn.stream(ThreadItemDoneEvent(item=item.model_copy(update={"widget": card("Done.")})))
    return "Shown."


def open_message(thread_id: str) -> Iterator[ThreadStreamEvent]:
    """A message of two parts, with a source and half a character, which is never done."""
    item = AssistantMessageItem(
        id=new_id("message"), thread_id=thread_id, created_at=datetime.now(), content=[]
    )
    yield ThreadItemAddedEvent(item=item)
    source = Annotation(source=URLSource(title="S", url="https://example.com"), index=3)
    updates: list[ThreadItemUpdate] = [
        AssistantMessageContentPartAdded(content_index=0, content=AssistantMessageContent(text="")),
        AssistantMessageContentPartTextDelta(content_index=0, delta="Hello "),
        AssistantMessageContentPartTextDelta(content_index=0, delta="you \ud83d"),
        AssistantMessageContentPartTextDelta(content_index=0, delta="\ude00"),
        AssistantMessageContentPartAnnotationAdded(
            content_index=0, annotation_index=0, annotation=source
        ),
        AssistantMessageContentPartAdded(
            content_index=1, content=AssistantMessageContent(text="and ")
        ),
        AssistantMessageContentPartTextDelta(content_index=1, delta="more.\ud800"),
    ]
    for update in updates:
        yield ThreadItemUpdatedEvent(item_id=item.id, update=update)


@function_tool
async def leave_message_open(context: Context) -> str:
    """Say something, and never say that it is done."""
    for event in open_message(context.context.thread.id):
        await context.context.stream(event)
    return "Said."


@function_tool
async def show_half_a_character(context: Context) -> str:
    """Show a file's name that is no text."""
    await context.context.stream(ProgressUpdateEvent(text="a\ud800b"))
    await context.context.stream_widget(card("a\ud800b"))
    return "Shown."


@function_tool
async def store_newer(context: Context) -> str:
    """Store what a newer release would."""
    turn = context.context
    for item in what_a_newer_release_stores():
        stored = item.model_copy(update={"thread_id": turn.thread.id})
        await turn.store.add_thread_item(turn.thread.id, stored, turn.request_context)
    return "Stored."


AGENT = Agent[AgentContext[RequestContext]](
    name="Of the tests",
    tools=[
        show_every_component,
        show_card,
        show_growing_card,
        update_card,
        work,
        work_twice,
        show_nothing,
        begin_nothing,
        leave_open,
        leave_message_open,
        show_half_a_character,
        store_newer,
    ],
)


class Nothing(BaseModel):
    pass


class Payload(BaseModel):
    dish: str | None
    list: Any


async def go(
    payload: Payload, sender: WidgetItem, context: RequestContext
) -> AsyncIterator[ThreadStreamEvent]:
    widget = next_card("again", 1)
    yield ThreadItemUpdatedEvent(item_id=sender.id, update=WidgetRootUpdated(widget=widget))


async def again(
    payload: Payload, sender: WidgetItem, context: RequestContext
) -> AsyncIterator[ThreadStreamEvent]:
    widget = next_card("at_once", 2)
    yield ThreadItemReplacedEvent(item=sender.model_copy(update={"widget": widget}))


async def say(
    payload: Nothing, sender: WidgetItem | None, context: RequestContext
) -> AsyncIterator[ThreadStreamEvent]:
    for event in open_message(context.thread.id):
        yield event


async def at_once(payload: Payload, sender: WidgetItem, context: RequestContext) -> WidgetItem:
    return sender.model_copy(update={"widget": next_card("none", 3)})


def next_card(action: str, step: int) -> DynamicWidgetRoot:
    """A card with the null payload of the first one, which offers this action."""
    shown = card(step=step).model_dump(mode="json")
    shown["children"][0]["children"][1]["onClickAction"]["type"] = action
    return DynamicWidgetRoot.model_validate(shown)


ACTIONS: Actions = {
    "go": StreamingAction(Payload, go),
    "again": StreamingAction(Payload, again),
    "say": StreamingAction(Nothing, say, sender="any"),
    "at_once": SyncAction(Payload, at_once),
}
