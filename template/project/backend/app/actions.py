"""What the widgets' buttons and forms do. This is a file to edit, with tools.py and widgets/."""

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

from app import lunch, widgets
from app.context import RequestContext
from app.offers import Actions, StreamingAction, SyncAction
from app.protocol import Refused
from app.store import new_id


class Choose(BaseModel):
    dish: str


class Order(BaseModel):
    dish: str
    portions: int = Field(ge=1, le=lunch.MOST_PORTIONS)
    note: str = Field(default="", max_length=200)


class Cancel(BaseModel):
    order: str


class Back(BaseModel):
    pass


async def choose(
    payload: Choose, sender: WidgetItem, context: RequestContext
) -> AsyncIterator[ThreadStreamEvent]:
    """Make the order form of the menu."""
    form = widgets.order_form(lunch.MENU[payload.dish])
    yield ThreadItemReplacedEvent(item=changed(sender, form))


async def order(
    payload: Order, sender: WidgetItem, context: RequestContext
) -> AsyncIterator[ThreadStreamEvent]:
    """Place the order of the form, which becomes a card about it."""
    yield ProgressUpdateEvent(icon="notebook-pencil", text="Sending your order to the kitchen")
    try:
        placed = lunch.place(
            context.user_id, lunch.MENU[payload.dish], payload.portions, payload.note
        )
    except lunch.LunchError as error:
        raise Refused(str(error), 409) from None
    status = "".join([words async for words in lunch.preparation(placed)])
    card = widgets.order_card(placed, status, can_cancel=True)
    yield ThreadItemReplacedEvent(item=changed(sender, card))
    yield told_to_the_model(sender, f"The user ordered: {placed}.")


async def cancel(payload: Cancel, sender: WidgetItem, context: RequestContext) -> WidgetItem:
    try:
        cancelled = lunch.cancel(context.user_id, payload.order)
    except lunch.LunchError as error:
        raise Refused(str(error), 409) from None
    return changed(sender, widgets.order_card(cancelled, "Cancelled by you."))


async def back(payload: Back, sender: WidgetItem, context: RequestContext) -> WidgetItem:
    return changed(sender, widgets.menu(lunch.MENU.values()))


def changed(sender: WidgetItem, widget: WidgetRoot) -> WidgetItem:
    return sender.model_copy(update={"widget": widget})


def told_to_the_model(sender: WidgetItem, text: str) -> ThreadStreamEvent:
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
