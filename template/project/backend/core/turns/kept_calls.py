"""A tool's call as the thread keeps it, and as the model is told of it in later turns."""

import json
from typing import Any

from agents import TResponseInputItem
from openai.types.responses import ResponseFunctionToolCallParam

Told = str | list[dict[str, Any]]
"""A tool's output as the Agents SDK tells the model of it: a text, or texts, images and files."""
CALL_CHARACTERS = 8000
"""How much the model is told again of what a hosted tool has found."""


def tool_call_item_content(
    name: str, arguments: str, output: Told, namespace: str | None = None
) -> dict[str, Any]:
    """What is kept of a tool's call; a server tool's in a hidden item, as ChatKit makes none.

    https://github.com/openai/chatkit-python/issues/23
    """
    content = {"type": "tool_call", "name": name, "arguments": arguments}
    if namespace:
        content["namespace"] = namespace
    if isinstance(output, str):
        return {**content, "output": output}
    # Releases before 0.7 read the output only.
    words = (part.get("text") or f"[{part['type']}]" for part in output)
    return {**content, "output": "\n".join(words), "parts": output}


def tool_call_input(call_id: str, content: dict[str, Any]) -> list[TResponseInputItem]:
    """A kept call and its output, always together: a provider refuses one without the other.

    Under an id of our own, since some providers begin anew with each answer. A namespace is told by
    OpenAI's Responses only: the Agents SDK has no place for it in chat completions.
    """
    call: ResponseFunctionToolCallParam = {
        "type": "function_call",
        "call_id": call_id,
        "name": content["name"],
        "arguments": content["arguments"],
    }
    if namespace := content.get("namespace"):
        call["namespace"] = namespace
    return [
        call,
        {
            "type": "function_call_output",
            "call_id": call_id,
            "output": content.get("parts") or content["output"],
        },
    ]


def hosted_call_item_content(call: dict[str, Any]) -> dict[str, Any]:
    """What is kept of a tool's call that ran at OpenAI, or that only OpenAI's models can make."""
    unneeded = ("id", "call_id", "status", "container_id")
    kept = {name: value for name, value in call.items() if name not in unneeded}
    return {"type": "hosted_call", "call": without_data(kept)}


def without_data(value: Any) -> Any:
    """The value, with a word in the place of each data URL, such as a screenshot."""
    match value:
        case str() if value.startswith("data:"):
            return "[data]"
        case dict():
            return {name: without_data(each) for name, each in value.items() if each is not None}
        case list():
            return [without_data(each) for each in value]
        case _:
            return value


def hosted_call_words(content: dict[str, Any]) -> str:
    """A kept call in words, which every provider takes.

    OpenAI's own items would do for OpenAI alone, and its reasoning models want each of them after
    the thought that led to it, which is not kept.
    """
    words = f"[{in_words(content['call'])}]"
    return words if len(words) <= CALL_CHARACTERS else words[: CALL_CHARACTERS - 1] + "…"


def in_words(call: dict[str, Any]) -> str:
    match call:
        case {"type": "web_search_call", "action": {"type": "search"} as action}:
            found = [source["url"] for source in action.get("sources") or []]
            sought = f"You searched the web for {quoted(queries_of(call))}"
            return f"{sought} and found: {' '.join(found)}" if found else sought
        case {"type": "web_search_call", "action": {"type": "open_page"} as action}:
            return f"You opened the page {action.get('url') or 'that you had found'}"
        case {"type": "web_search_call", "action": {"pattern": pattern, "url": url}}:
            return f"You looked for “{pattern}” in the page {url}"
        case {"type": "file_search_call"}:
            found = [
                f"{result.get('filename') or 'a file'}: {result.get('text') or ''}"
                for result in call.get("results") or []
            ]
            return "\n".join([f"You searched the files for {quoted(queries_of(call))}", *found])
        case {"type": "code_interpreter_call"}:
            outputs = [out.get("logs") or out.get("url", "") for out in call.get("outputs") or []]
            return "\n".join(["You ran this program:", call.get("code") or "", *outputs])
        case {"type": "mcp_call"}:
            called = f"You called {call['server_label']}'s tool {call['name']}{call['arguments']}"
            failed = f"It failed: {call.get('error')}"
            return f"{called}. {call.get('output') or failed}"
        case _:
            rest = {name: value for name, value in call.items() if name != "type"}
            return f"{call['type']}: {json.dumps(rest, ensure_ascii=False, default=str)}"


def queries_of(call: dict[str, Any]) -> list[str]:
    """What a hosted search has searched for."""
    sought = call.get("action") or call
    return list(sought.get("queries") or filter(None, [sought.get("query")]))


def quoted(queries: list[str]) -> str:
    return ", ".join(f"“{query}”" for query in queries)
