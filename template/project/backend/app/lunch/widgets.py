"""The widgets of the lunch example: a function for each .widget file beside this one."""

from collections.abc import Iterable
from pathlib import Path

from chatkit.widgets import WidgetRoot

from core.turns.widget_template import widget_template

from app.lunch.kitchen import MOST_PORTIONS, Dish, Order

FOLDER = Path(__file__).parent
MENU = widget_template(FOLDER, "menu")
ORDER_FORM = widget_template(FOLDER, "order_form")
ORDER = widget_template(FOLDER, "order")


def menu(dishes: Iterable[Dish]) -> WidgetRoot:
    """A list of the dishes, each with its picture, its price and a button."""
    return MENU.build({"dishes": dishes})


def order_form(dish: Dish) -> WidgetRoot:
    """A form that asks how many portions, and for a note to the kitchen."""
    return ORDER_FORM.build({"dish": dish, "most": MOST_PORTIONS})


def order_card(
    order: Order, status: str, *, streaming: bool = False, can_cancel: bool = False
) -> WidgetRoot:
    """A card about an order; `status` may grow while the card is `streaming`."""
    return ORDER.build(
        {
            "dish": order.dish,
            "order": {"id": order.id, "title": str(order), "note": order.note},
            "status": status,
            "streaming": streaming,
            "can_cancel": can_cancel,
        }
    )
