"""The actions that a server takes: each with a handler, and with a model of its payload."""

from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterator, Mapping
from typing import Any, Generic, Literal, TypeVar, overload

from chatkit.actions import Action
from chatkit.types import ThreadStreamEvent, WidgetItem
from pydantic import BaseModel, ValidationError

from core.context import RequestContext
from core.errors import Refused
from core.sentences import Sentence

PayloadT = TypeVar("PayloadT", bound=BaseModel)
Sender = Literal["widget", "any"]
"""Who may send an action: a widget that offers it, or the page's own code as well.

Such code calls ChatKit's `sendCustomAction`, which names the widget that the action is about, or
none. No server can tell it from a click, so that there is nothing that only code may send.
"""

GONE = Sentence(
    "This is no longer offered here; it may have been done already. Reload the conversation."
)


class StreamingAction(Generic[PayloadT]):
    """An action that is answered by a stream of events.

    The handler gets the payload, the widget that the action came from, and the request's context:
    who asks, the thread, the store, and what app/resources.py has opened. It may raise Refused.
    With sender="any" the widget need not offer the action, and is None where none was named.
    """

    @overload
    def __init__(
        self,
        payload: type[PayloadT],
        handler: Callable[[PayloadT, WidgetItem, RequestContext], AsyncIterator[ThreadStreamEvent]],
        sender: Literal["widget"] = "widget",
    ) -> None: ...

    @overload
    def __init__(
        self,
        payload: type[PayloadT],
        handler: Callable[
            [PayloadT, WidgetItem | None, RequestContext], AsyncIterator[ThreadStreamEvent]
        ],
        sender: Literal["any"],
    ) -> None: ...

    def __init__(
        self,
        payload: type[PayloadT],
        handler: Callable[[PayloadT, Any, RequestContext], AsyncIterator[ThreadStreamEvent]],
        sender: Sender = "widget",
    ) -> None:
        self.payload, self.handler, self.sender = payload, handler, sender


class SyncAction(Generic[PayloadT]):
    """An action that is answered at once, by its widget as it then stands, which is stored.

    In the widget it has "streaming": false. The handler is like that of a StreamingAction; with
    sender="any" it may give None, where no widget has changed.
    """

    @overload
    def __init__(
        self,
        payload: type[PayloadT],
        handler: Callable[[PayloadT, WidgetItem, RequestContext], Awaitable[WidgetItem]],
        sender: Literal["widget"] = "widget",
    ) -> None: ...

    @overload
    def __init__(
        self,
        payload: type[PayloadT],
        handler: Callable[
            [PayloadT, WidgetItem | None, RequestContext], Awaitable[WidgetItem | None]
        ],
        sender: Literal["any"],
    ) -> None: ...

    def __init__(
        self,
        payload: type[PayloadT],
        handler: Callable[[PayloadT, Any, RequestContext], Awaitable[WidgetItem | None]],
        sender: Sender = "widget",
    ) -> None:
        self.payload, self.handler, self.sender = payload, handler, sender


Actions = Mapping[str, StreamingAction[Any] | SyncAction[Any]]
"""The actions that this server takes, by their types."""


def check_action(
    actions: Actions, kind: type[Any], action: Action[str, Any], sender: WidgetItem | None
) -> None:
    """Raise Refused unless `actions` has one of this kind for it, and its sender may send it."""
    known = actions.get(action.type)
    if known is None:
        raise Refused(f"Unknown action {action.type[:100]!r}.")
    if not isinstance(known, kind):
        raise Refused(f"params.action.type: {action.type} is not a {kind.__name__}.")
    if known.sender == "widget":
        if sender is None:
            raise Refused(f"params.item_id: the action {action.type} comes from a widget.")
        # The stored widget is what counts: once it has changed, a second click finds nothing to do.
        if not is_offered(action, sender):
            raise Refused(GONE, 409)
    try:
        payload_of(known, action)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise Refused(f"{where or 'payload'}: {first['msg']}.") from None


def payload_of(
    known: StreamingAction[PayloadT] | SyncAction[PayloadT], action: Action[str, Any]
) -> PayloadT:
    """What the handler is given. Raises ValidationError; an action may come without a payload."""
    return known.payload.model_validate({} if action.payload is None else action.payload)


def actions_in(component: Any) -> Iterator[dict[str, Any]]:
    """The actions in a widget's component, as ActionConfigs."""
    if isinstance(component, list):
        for child in component:
            yield from actions_in(child)
    elif isinstance(component, dict):
        for name, value in component.items():
            if isinstance(value, dict) and name.lower().endswith("action"):
                yield value
            else:
                yield from actions_in(value)


def is_offered(action: Action[str, Any], sender: WidgetItem, *added: str) -> bool:
    """Whether the widget offers the action, to whose payload its fields may have come.

    What has the names that are `added` may have come from elsewhere, such as the page's own code.
    """
    widget = sender.widget.model_dump(mode="json")
    fields = {*fields_in(widget), *added}
    payload = {} if action.payload is None else action.payload
    for offer in actions_in(widget):
        offered = offer.get("payload")
        if offer.get("type") == action.type and is_filled(
            payload, {} if offered is None else offered, fields
        ):
            return True
    return False


def fields_in(component: Any) -> Iterator[str]:
    """The names of the fields in a widget's component, such as an Input, or an editable Text."""
    if isinstance(component, list):
        for child in component:
            yield from fields_in(child)
    elif isinstance(component, dict):
        if component.get("type") != "Icon" and isinstance(name := component.get("name"), str):
            yield name
        for name, value in component.items():
            if not name.lower().endswith("action"):
                yield from fields_in(value)


def is_filled(payload: Any, offered: Any, fields: Collection[str], place: str = "") -> bool:
    """Whether the payload is the offered one, but for what the user has given in these fields.

    A field of the name todo.title goes to the payload's todo, as its title:
    https://developers.openai.com/api/docs/guides/chatkit-actions
    """
    if not isinstance(payload, dict) or not isinstance(offered, dict):
        return is_same(payload, offered)
    for name in {*payload, *offered}:
        inner = f"{place}.{name}" if place else name
        if inner in fields and offered.get(name) is None:
            continue
        holds_fields = any(field.startswith(f"{inner}.") for field in fields)
        if name not in payload or not (name in offered or holds_fields):
            return False
        if not is_filled(payload[name], offered.get(name, {}), fields, inner):
            return False
    return True


def is_same(one: Any, other: Any) -> bool:
    """Whether both are the same JSON; for Python, true is 1, too."""
    match one, other:
        case dict(), dict():
            return one.keys() == other.keys() and all(is_same(one[n], other[n]) for n in one)
        case list(), list():
            return len(one) == len(other) and all(map(is_same, one, other))
        case _:
            return isinstance(one, bool) == isinstance(other, bool) and bool(one == other)
