"""The kitchen of the lunch example: a menu, and the open orders.

They are kept in memory, for each process its own: a real application asks its database, or the
kitchen's service.
"""

import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from urllib.parse import quote

from core.errors import Refused

MOST_ORDERS = 5
MOST_PORTIONS = 9


class LunchError(Refused):
    """What cannot be done, in a sentence for the user."""

    def __init__(self, sentence: str) -> None:
        super().__init__(sentence, 409)


@dataclass(frozen=True)
class Dish:
    id: str
    name: str
    price: str
    colour: str
    sold_out: bool = False

    @property
    def picture(self) -> str:
        """A plate, in a URL that holds it all: the chat page loads nothing from other hosts."""
        svg = (
            '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 96 96">'
            '<circle cx="48" cy="48" r="46" fill="#ddd"/>'
            f'<circle cx="48" cy="48" r="32" fill="{self.colour}"/></svg>'
        )
        return f"data:image/svg+xml,{quote(svg)}"


@dataclass(frozen=True)
class Order:
    dish: Dish
    portions: int
    note: str = ""
    id: str = field(default_factory=lambda: uuid.uuid4().hex)

    def __str__(self) -> str:
        return f"{self.dish.name}, {self.portions} portion{'s' if self.portions > 1 else ''}"


MENU = {
    dish.id: dish
    for dish in (
        Dish("soup", "Pumpkin soup", "€ 4.50", "#f28c28"),
        Dish("salad", "Greek salad", "€ 6.20", "#7cb518"),
        Dish("curry", "Chickpea curry", "€ 7.80", "#e3b505"),
        Dish("ramen", "Miso ramen", "€ 8.90", "#b5793a", sold_out=True),
    )
}
_orders: dict[str, dict[str, Order]] = {}
"""The open orders of each user."""


def dish_named(name: str) -> Dish:
    """The dish of this name or id. Raises LunchError."""
    for dish in MENU.values():
        if name.strip().casefold() in (dish.id, dish.name.casefold()):
            return dish
    raise LunchError(f"There is no {name[:50]!r} on today's menu.")


def place(user_id: str, dish: Dish, portions: int, note: str = "") -> Order:
    """Order the dish. Raises LunchError."""
    if dish.sold_out:
        raise LunchError(f"{dish.name} is sold out today.")
    if not 1 <= portions <= MOST_PORTIONS:
        raise LunchError(f"Order from 1 to {MOST_PORTIONS} portions.")
    orders = _orders.setdefault(user_id, {})
    if len(orders) >= MOST_ORDERS:
        raise LunchError(f"You have {MOST_ORDERS} open orders. Cancel one of them first.")
    order = Order(dish, portions, note)
    orders[order.id] = order
    return order


def cancel(user_id: str, order_id: str) -> Order:
    """Take the user's order back. Raises LunchError."""
    order = _orders.get(user_id, {}).pop(order_id, None)
    if order is None:
        raise LunchError("There is no such order any more.")
    return order


async def preparation(order: Order) -> AsyncIterator[str]:
    """What the kitchen says about the order, bit by bit."""
    for words in ("The kitchen has your order.", " It is being prepared.", " It is ready at noon."):
        yield words
