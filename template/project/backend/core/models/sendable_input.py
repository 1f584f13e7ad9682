"""The model's input without what no provider takes."""

import json
from typing import Any

from core.text import repair_surrogates


def sendable(value: Any) -> Any:
    """A part of the model's input, without what a model wrote itself and its provider refuses.

    That is half a character, or a tool's arguments that are no JSON object.
    """
    match value:
        case str():
            return repair_surrogates(value)
        case {"type": "function_call", "arguments": str(arguments)}:
            return value | {"arguments": repair_surrogates(as_object(arguments))}
        case dict():
            return {name: sendable(each) for name, each in value.items()}
        case list():
            return [sendable(each) for each in value]
        case _:
            return value


def with_calls(items: list[Any]) -> list[Any]:
    """What the model is told, with a text and the call that follows it as one message.

    Its thoughts lead that message, too.
    """
    result: list[Any] = []
    for item in items:
        match result[-1:], item:
            case [{"role": "assistant", "content": str(text)}], {"type": "function_call"}:
                # The form in which the Agents SDK puts the two together.
                part = {"type": "output_text", "text": text, "annotations": []}
                result[-1] = {"type": "message", "role": "assistant", "id": "", "content": [part]}
        result.append(item)
    return result


def as_object(arguments: str) -> str:
    """The arguments if they are a JSON object, else an empty one."""
    try:
        return arguments if isinstance(json.loads(arguments), dict) else "{}"
    except (ValueError, RecursionError):
        return "{}"
