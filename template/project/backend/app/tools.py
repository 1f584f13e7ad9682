"""The tools of this level, beside those of agent.py. This is a file to edit.

Server tools run here; client tools run in the browser, where app/page/handlers.js answers them.
"""

import logging
from collections.abc import AsyncGenerator
from typing import Any

from agents import ModelBehaviorError, RunContextWrapper, Tool, function_tool
from chatkit.agents import AgentContext, ClientToolCall
from chatkit.types import ProgressUpdateEvent
from chatkit.widgets import WidgetRoot

from app import lunch, widgets
from app.context import RequestContext

log = logging.getLogger("app")

STARTERS = ("What is for lunch today?", "What time is it here?")

Context = RunContextWrapper[AgentContext[RequestContext]]
"""Its `context` is the turn: thread, store, and `request_context`, which says who asks."""


def told(context: RunContextWrapper[Any], error: Exception) -> str:
    """What the model is told of a tool that failed, so that it can say so."""
    if isinstance(error, lunch.LunchError | ModelBehaviorError):
        return str(error)
    log.error("a tool failed", exc_info=error)
    return "The tool failed. Tell the user that this did not work."


@function_tool(failure_error_function=told)
async def show_menu(context: Context) -> str:
    """Show the user today's lunch menu, with pictures, prices and buttons to order."""
    turn = context.context
    await turn.stream(ProgressUpdateEvent(icon="book-open", text="Opening today's menu"))
    dishes = list(lunch.MENU.values())
    await turn.stream(ProgressUpdateEvent(icon="check", text=f"Found {len(dishes)} dishes"))
    await turn.stream_widget(widgets.menu(dishes))
    return "The user sees the menu and can order from it. Do not repeat it."


@function_tool(failure_error_function=told)
async def order_lunch(context: Context, dish: str, portions: int) -> str:
    """Order lunch for the user, who then sees what becomes of the order.

    Args:
        dish: The name of a dish of today's menu.
        portions: How many, from 1 to 9.
    """
    turn = context.context
    order = lunch.place(turn.request_context.user_id, lunch.dish_named(dish), portions)

    async def card() -> AsyncGenerator[WidgetRoot, None]:
        status = ""
        async for words in lunch.preparation(order):
            status += words
            yield widgets.order_card(order, status, streaming=True)
        yield widgets.order_card(order, status, can_cancel=True)

    await turn.stream_widget(card())
    return f"Ordered: {order}, {order.dish.price} each."


@function_tool(failure_error_function=told)
async def browser_time_zone(context: Context) -> None:
    """Find out the user's time zone, such as Europe/Berlin, by asking their browser."""
    context.context.client_tool_call = ClientToolCall(name="browser_time_zone", arguments={})


CLIENT_TOOLS: list[Tool] = [browser_time_zone]
"""A run stops at these, and goes on with what the browser answers."""
TOOLS: list[Tool] = [show_menu, order_lunch, *CLIENT_TOOLS]
