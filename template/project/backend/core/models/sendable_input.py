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


def as_object(arguments: str) -> str:
    """The arguments if they are a JSON object, else an empty one."""
    try:
        return arguments if isinstance(json.loads(arguments), dict) else "{}"
    except (ValueError, RecursionError):
        return "{}"
