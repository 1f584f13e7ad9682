"""What a model thought before it called its tools, for when the client has run one of them.

The turn goes on in another request then, and Claude and Gemini refuse one that has the calls
without the thoughts; OpenAI, which keeps nothing for us, thinks anew.
"""

from collections.abc import Iterable, Sequence
from typing import Any, Protocol, TypeGuard

from agents.items import ReasoningItem
from chatkit.types import HiddenContextItem, ThreadItem

KIND = "thoughts"


class Call(Protocol):
    """A call of the model."""

    name: str
    provider_data: dict[str, Any] | None


def thoughts_item_content(
    thoughts: Iterable[ReasoningItem], calls: Iterable[Call]
) -> dict[str, Any] | None:
    """What a hidden item keeps of a response's thoughts, or None if it had none.

    Gemini's stand with the calls, as their signatures.
    """
    kept = [thought.to_input_item() for thought in thoughts]
    called = [{"name": call.name, "provider_data": call.provider_data} for call in calls]
    signed = any("thought_signature" in (call["provider_data"] or {}) for call in called)
    return {"type": KIND, "items": kept, "calls": called} if kept or signed else None


def is_thoughts(item: ThreadItem) -> TypeGuard[HiddenContextItem]:
    """Whether the item keeps a response's thoughts."""
    match item:
        case HiddenContextItem(content={"type": str(kind)}):
            return kind == KIND
        case _:
            return False


def with_thoughts(items: Sequence[Any]) -> list[Any]:
    """A turn's input in which each kept response is as the model gave it.

    That is the thoughts, the words, the calls and then their outputs; what the tools have shown
    meanwhile follows.
    """
    result: list[Any] = []
    rest = list(items)
    while rest:
        item = rest.pop(0)
        if item.get("type") != KIND:
            result.append(item)
            continue
        end = next((n for n, each in enumerate(rest) if each.get("type") == KIND), len(rest))
        calls, outputs, others = taken(rest[:end], item["calls"])
        if calls:
            words = [result.pop()] if result and result[-1].get("role") == "assistant" else []
            result += [*item["items"], *words, *calls, *outputs]
        rest[:end] = others
    return result


def taken(items: list[Any], called: list[dict[str, Any]]) -> tuple[list[Any], list[Any], list[Any]]:
    """The calls of a response in their order, their outputs, and the other items."""
    found: dict[int, Any] = {}
    for item in items:
        if item.get("type") == "function_call":
            places = [n for n, call in enumerate(called) if call["name"] == item["name"]]
            place = next((n for n in places if n not in found), None)
            if place is not None:
                found[place] = item
    ids = [call["call_id"] for _, call in sorted(found.items())]
    outputs = {
        item["call_id"]: item for item in items if item.get("type") == "function_call_output"
    }
    calls = [
        call | {"provider_data": data} if (data := called[n]["provider_data"]) else call
        for n, call in sorted(found.items())
    ]
    others = [item for item in items if item.get("call_id") not in ids]
    return calls, [outputs[call_id] for call_id in ids], others
