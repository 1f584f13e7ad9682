"""The model's input without what no provider takes."""

import json
from collections.abc import Callable
from typing import Any

from core.text import repair_surrogates

SHOWN = "[The user is "
"""So begins what a model is told of what the user is shown or asked, in the user's name."""


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


def with_tools_words(items: list[Any], takes: Callable[[dict[str, Any]], bool]) -> list[Any]:
    """The model's input, with words for what tools have returned that the model cannot be shown.

    `takes` tells of an image or a file in a tool's output whether it can. What is words only is a
    text, as some servers take nothing else.
    """
    return [with_words(item, takes) for item in items]


def with_words(item: Any, takes: Callable[[dict[str, Any]], bool]) -> Any:
    match item:
        case {"type": "function_call_output", "output": list(parts)}:
            told = [
                part if part["type"] == "input_text" or takes(part) else words_for(part)
                for part in parts
            ]
            if all(part["type"] == "input_text" for part in told):
                return item | {"output": "\n".join(part["text"] for part in told)}
            return item | {"output": told}
        case _:
            return item


def words_for(part: dict[str, Any]) -> dict[str, Any]:
    """What a model is told of an image or a file that it cannot be shown."""
    kind = "image" if part["type"] == "input_image" else "file"
    named = [part.get(name) for name in ("filename", "image_url", "file_url", "file_id")]
    name = next((f" {each}" for each in named if each and not each.startswith("data:")), "")
    return {"type": "input_text", "text": f"[The {kind}{name}, which you cannot be shown.]"}
