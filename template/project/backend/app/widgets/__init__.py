"""The widgets: a function for each .widget file, as widgets.chatkit.studio makes them."""

from collections.abc import Iterable
from pathlib import Path

from chatkit.widgets import WidgetRoot, WidgetTemplate

from app.lunch import MOST_PORTIONS, Dish, Order


def template(name: str) -> WidgetTemplate:
    # The whole path: to find a relative one ChatKit goes through the call stack and every module.
    return WidgetTemplate.from_file(str(Path(__file__).with_name(f"{name}.widget")))


MENU = template("menu")
ORDER_FORM = template("order_form")
ORDER = template("order")


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
