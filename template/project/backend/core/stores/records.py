"""What ChatKit's classes do not know is kept: newer properties, components, and kinds of items.

Whoever is newer than the installed ChatKit may send it: a client, a .widget file, another release
that shares the database.
"""

import json
import logging
from collections.abc import Iterator
from functools import cache
from typing import Any

import chatkit.widgets
from chatkit.types import Attachment, ThreadItem, ThreadItemBase, ThreadMetadata, WidgetItem
from chatkit.widgets import DynamicWidgetRoot
from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

log = logging.getLogger("app")

MODULES = ("chatkit.actions", "chatkit.types", "chatkit.widgets")
"""The modules of ChatKit whose classes are stored, sent, or asked with."""


class UnknownItem(ThreadItemBase):
    """An item of a kind that this release does not know. Clients get it as it is stored."""

    model_config = ConfigDict(extra="allow")

    type: str


def models_below(parent: type[BaseModel]) -> Iterator[type[BaseModel]]:
    for child in parent.__subclasses__():
        yield child
        yield from models_below(child)


@cache
def keep_unknown_properties() -> None:
    """Let ChatKit's classes hold the properties that they do not know, and drop without a word.

    To be called before something is built of these classes, such as a TypeAdapter.
    https://github.com/openai/chatkit-python/issues/53
    """
    models = [model for model in models_below(BaseModel) if model.__module__ in MODULES]
    for model in models:
        model.model_config["extra"] = "allow"
        # Without them nothing that holds the class is built of what it was.
        for built in ("core_schema", "validator", "serializer"):
            if (name := f"__pydantic_{built}__") in vars(model):
                delattr(model, name)
    for model in models:
        model.model_rebuild(force=True)
    chatkit.widgets._drop_none = without_nulls


def without_nulls(value: Any) -> Any:
    """A widget without its properties that are null, as ChatKit's own function gives it.

    But with those of a payload, which an action would not bring back otherwise.
    https://github.com/openai/chatkit-python/blob/main/chatkit/widgets.py
    """
    if isinstance(value, dict):
        return {
            name: each if name == "payload" else without_nulls(each)
            for name, each in value.items()
            if name == "children" or each is not None
        }
    if isinstance(value, list):
        return [without_nulls(each) for each in value if each is not None]
    return value


keep_unknown_properties()
# The kinds of records. Built once: building one takes longer than reading and writing a whole page.
THREAD: TypeAdapter[ThreadMetadata] = TypeAdapter(ThreadMetadata)
ATTACHMENT: TypeAdapter[Attachment] = TypeAdapter(Attachment)
ITEM: TypeAdapter[ThreadItem] = TypeAdapter(ThreadItem)
UNKNOWN_ITEM: TypeAdapter[UnknownItem] = TypeAdapter(UnknownItem)


def item_from_json(text: str) -> Any:
    """The stored item; of a kind, or in a shape, that is not known, as an UnknownItem.

    A widget has ChatKit's classes for its components where they take it as it is: a card that is
    made of them is one again, and what comes from a .widget file is a DynamicWidgetRoot.
    """
    try:
        item = ITEM.validate_json(text)
        if isinstance(item, WidgetItem):
            widget = json.loads(text)["widget"]
            if item.widget.model_dump(mode="json") != widget:
                item.widget = DynamicWidgetRoot.model_validate(widget)
    except ValidationError:
        unknown = UNKNOWN_ITEM.validate_json(text)
        log.info("%s is sent as it is stored: its %s is not known", unknown.id, unknown.type)
        return unknown
    return item
