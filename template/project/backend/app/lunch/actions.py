"""What the buttons and forms of the lunch example do."""

from collections.abc import AsyncIterator
from datetime import datetime

from chatkit.types import (
    HiddenContextItem,
    ProgressUpdateEvent,
    ThreadItemDoneEvent,
    ThreadItemReplacedEvent,
    ThreadStreamEvent,
    WidgetItem,
)
from chatkit.widgets import WidgetRoot
from pydantic import BaseModel, Field

from core.context import RequestContext
from core.stores.base import new_id
from core.turns.widget_actions import Actions, StreamingAction, SyncAction

from app.lunch import kitchen, widgets


class Choose(BaseModel):
    dish: str


class Order(BaseModel):
    dish: str
    portions: int = Field(ge=1, le=kitchen.MOST_PORTIONS)
    note: str = Field(default="", max_length=200)


class Cancel(BaseModel):
    order: str


class Back(BaseModel):
    pass


async def choose(
    payload: Choose, sender: WidgetItem, context: RequestContext
) -> AsyncIterator[ThreadStreamEvent]:
    """Make the order form of the menu."""
    form = widgets.order_form(kitchen.MENU[payload.dish])
    yield ThreadItemReplacedEvent(item=changed(sender, form))


async def order(
    payload: Order, sender: WidgetItem, context: RequestContext
) -> AsyncIterator[ThreadStreamEvent]:
    """Place the order of the form, which becomes a card about it."""
    yield ProgressUpdateEvent(icon="notebook-pencil", text="Sending your order to the kitchen")
    dish = kitchen.MENU[payload.dish]
    placed = kitchen.place(context.user_id, dish, payload.portions, payload.note)
    status = "".join([words async for words in kitchen.preparation(placed)])
    card = widgets.order_card(placed, status, can_cancel=True)
    yield ThreadItemReplacedEvent(item=changed(sender, card))
    yield note_for_the_model(sender, f"The user ordered: {placed}.")


async def cancel(payload: Cancel, sender: WidgetItem, context: RequestContext) -> WidgetItem:
    cancelled = kitchen.cancel(context.user_id, payload.order)
    return changed(sender, widgets.order_card(cancelled, "Cancelled by you."))


async def back(payload: Back, sender: WidgetItem, context: RequestContext) -> WidgetItem:
    return changed(sender, widgets.menu(kitchen.MENU.values()))


def changed(sender: WidgetItem, widget: WidgetRoot) -> WidgetItem:
    return sender.model_copy(update={"widget": widget})


def note_for_the_model(sender: WidgetItem, text: str) -> ThreadStreamEvent:
    """An item that is stored, and that only the model sees."""
    return ThreadItemDoneEvent(
        item=HiddenContextItem(
            id=new_id("message"),
            thread_id=sender.thread_id,
            created_at=datetime.now(),
            content=text,
        )
    )


ACTIONS: Actions = {
    "lunch.choose": StreamingAction(Choose, choose),
    "lunch.order": StreamingAction(Order, order),
    "lunch.cancel": SyncAction(Cancel, cancel),
    "lunch.back": SyncAction(Back, back),
}
"""Their types in the widgets. A widget's action is taken only as long as the widget offers it."""
