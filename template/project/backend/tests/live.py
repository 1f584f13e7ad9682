"""The items of a thread as a client has them, which applies the events of each turn."""

import copy
from collections.abc import Iterable, Iterator
from typing import Any

Item = dict[str, Any]


def applied(events: Iterable[dict[str, Any]], items: Iterable[Item] = ()) -> list[Item]:
    """These items after these events."""
    live = {item["id"]: copy.deepcopy(item) for item in items}
    for event in copy.deepcopy(list(events)):
        match event:
            case {"type": "thread.item.removed", "item_id": item_id}:
                live.pop(item_id, None)
            case {"type": "thread.item.updated", "item_id": item_id, "update": update}:
                update_item(live[item_id], update)
            case {"item": item}:
                live[item["id"]] = item
    return list(live.values())


def update_item(item: Item, update: dict[str, Any]) -> None:
    kind = update["type"]
    if kind.startswith("assistant_message."):
        parts, index = item["content"], update["content_index"]
        while len(parts) <= index:
            parts.append({"type": "output_text", "text": "", "annotations": []})
        if kind.endswith("text_delta"):
            parts[index]["text"] += update["delta"]
        elif kind.endswith("annotation_added"):
            parts[index]["annotations"].insert(update["annotation_index"], update["annotation"])
        else:
            parts[index] = update["content"]
    elif kind == "workflow.task.added":
        item["workflow"]["tasks"].insert(update["task_index"], update["task"])
    elif kind == "workflow.task.updated":
        item["workflow"]["tasks"][update["task_index"]] = update["task"]
    elif kind == "generated_image.updated":
        item["image"] = update["image"]
    elif kind == "widget.root.updated":
        item["widget"] = update["widget"]
    else:
        [component] = [
            each for each in components(item["widget"]) if each.get("id") == update["component_id"]
        ]
        if kind == "widget.component.updated":
            component.clear()
            component |= update["component"]
        else:
            component["value"] += update["delta"]
            if update["done"] and component.get("streaming"):
                component["streaming"] = False


def components(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, list):
        for each in value:
            yield from components(each)
    elif isinstance(value, dict):
        yield value
        yield from components(value.get("children"))
