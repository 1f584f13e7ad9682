"""What the updates of a stream make of an item, as its client sees it."""

import json
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any

from chatkit.store import NotFoundError
from chatkit.types import (
    ThreadItem,
    ThreadItemAddedEvent,
    ThreadItemDoneEvent,
    ThreadItemRemovedEvent,
    ThreadItemReplacedEvent,
    ThreadItemUpdate,
    ThreadItemUpdatedEvent,
    ThreadStreamEvent,
)

from core.context import RequestContext
from core.protocol.events import HIDDEN
from core.stores.base import BaseStore
from core.stores.records import item_from_json
from core.text import repair_surrogates


async def with_updates_stored(
    events: AsyncIterator[ThreadStreamEvent],
    thread_id: str,
    store: BaseStore,
    context: RequestContext,
) -> AsyncGenerator[ThreadStreamEvent, None]:
    """The events, after which the store has what the client has.

    ChatKit stores an item when it is done, and nothing of an update: here an update of a stored
    item is stored, what stands above an item is stored before it, and an item that is still open at
    the end is done. Where the events end with an error, what is open is removed.
    """
    opened: dict[str, GrowingItem] = {}
    placed: set[str] = set()
    try:
        async for event in events:
            match event:
                case ThreadItemAddedEvent(item=item):
                    opened[item.id] = GrowingItem(item)
                case ThreadItemUpdatedEvent(item_id=item_id) if item_id in opened:
                    opened[item_id].grow(event.update)
                case ThreadItemUpdatedEvent(item_id=item_id, update=update):
                    try:
                        item = await store.load_item(thread_id, item_id, context)
                    except NotFoundError:
                        pass
                    else:
                        await store.save_item(thread_id, updated(item, update), context)
                case ThreadItemDoneEvent(item=item) | ThreadItemReplacedEvent(item=item):
                    for above in () if isinstance(item, HIDDEN) else list(opened):
                        if above == item.id:
                            break
                        if above not in placed:
                            placed.add(above)
                            await store.save_item(thread_id, opened[above].begun, context)
                    opened.pop(item.id, None)
                case ThreadItemRemovedEvent(item_id=item_id):
                    opened.pop(item_id, None)
            yield event
    except Exception:
        for item_id in opened:
            yield ThreadItemRemovedEvent(item_id=item_id)
        raise
    for growing in opened.values():
        yield ThreadItemDoneEvent(item=growing.item())


class GrowingItem:
    """An item that is begun, as its client has it after each update."""

    def __init__(self, item: ThreadItem) -> None:
        # Copies: ChatKit changes the item, and what came with an update, when it follows them.
        self.begun = item.model_copy(deep=True)
        self._updates: list[dict[str, Any]] = []

    def grow(self, update: ThreadItemUpdate) -> None:
        """Note an update, which makes no difference if the item is done later."""
        self._updates.append(update.model_dump(mode="json"))

    def item(self) -> ThreadItem:
        """The item with its updates."""
        shown = self.begun.model_dump(mode="json")
        for update in self._updates:
            apply(update, shown)
        # Halves of a character that came apart are one again; a lone one is stored as U+FFFD.
        text = repair_surrogates(json.dumps(shown, ensure_ascii=False))
        result: ThreadItem = item_from_json(text)
        return result


def updated(item: ThreadItem, update: ThreadItemUpdate) -> ThreadItem:
    """The item as a client has it after the update."""
    growing = GrowingItem(item)
    growing.grow(update)
    return growing.item()


def apply(update: dict[str, Any], item: dict[str, Any]) -> None:
    """Change the item's JSON by an update of its kind. What it is about must be there."""
    match update, item:
        case {"content_index": int(index)}, {"content": list(parts)}:
            parts += [{"text": ""} for _ in range(index + 1 - len(parts))]
            match update:
                case {"delta": str(delta)}:
                    parts[index]["text"] += delta
                case {"annotation_index": int(place), "annotation": annotation}:
                    parts[index].setdefault("annotations", []).insert(place, annotation)
                case {"content": content}:
                    parts[index] = content
        case {"task_index": int(index), "task": task}, {"workflow": {"tasks": list(tasks)}}:
            end = index + (update["type"] == "workflow.task.updated")
            tasks[index:end] = [task]
        case {"image": image}, {"type": "generated_image"}:
            item["image"] = image
        case {"widget": widget}, {"type": "widget"}:
            item["widget"] = widget
        case {"component_id": str(component_id)}, {"widget": widget}:
            for component in components(widget):
                if component.get("id") == component_id:
                    apply_to_component(update, component)


def apply_to_component(update: dict[str, Any], component: dict[str, Any]) -> None:
    if (new := update.get("component")) is not None:
        component.clear()
        component |= new
    else:
        component["value"] = (component.get("value") or "") + update["delta"]
        if update["done"] and component.get("streaming"):
            component["streaming"] = False


def components(component: Any) -> list[dict[str, Any]]:
    """The component and what is in it."""
    if isinstance(component, list):
        return [each for child in component for each in components(child)]
    if isinstance(component, dict):
        return [component, *components(component.get("children"))]
    return []
