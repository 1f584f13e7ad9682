"""The tools of the lunch example: they show a menu, and an order that is being prepared."""

from collections.abc import AsyncGenerator

from agents import Tool, function_tool
from chatkit.types import ProgressUpdateEvent
from chatkit.widgets import WidgetRoot

from core.turns.tools import ToolContext, explain_failure

from app.lunch import kitchen, widgets


@function_tool(failure_error_function=explain_failure)
async def show_menu(context: ToolContext) -> str:
    """Show the user today's lunch menu, with pictures, prices and buttons to order."""
    turn = context.context
    await turn.stream(ProgressUpdateEvent(icon="book-open", text="Opening today's menu"))
    dishes = list(kitchen.MENU.values())
    await turn.stream(ProgressUpdateEvent(icon="check", text=f"Found {len(dishes)} dishes"))
    await turn.stream_widget(widgets.menu(dishes))
    return "The user sees the menu and can order from it. Do not repeat it."


@function_tool(failure_error_function=explain_failure)
async def order_lunch(context: ToolContext, dish: str, portions: int) -> str:
    """Order lunch for the user, who then sees what becomes of the order.

    Args:
        dish: The name of a dish of today's menu.
        portions: How many, from 1 to 9.
    """
    turn = context.context
    order = kitchen.place(turn.request_context.user_id, kitchen.dish_named(dish), portions)

    async def card() -> AsyncGenerator[WidgetRoot, None]:
        status = ""
        async for words in kitchen.preparation(order):
            status += words
            yield widgets.order_card(order, status, streaming=True)
        yield widgets.order_card(order, status, can_cancel=True)

    await turn.stream_widget(card())
    return f"Ordered: {order}, {order.dish.price} each."


TOOLS: list[Tool] = [show_menu, order_lunch]
