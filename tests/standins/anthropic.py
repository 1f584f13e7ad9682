"""Anthropic's `POST /v1/messages` with `stream`.

https://docs.anthropic.com/en/docs/build-with-claude/streaming
"""

import base64
import secrets
from collections.abc import Iterator
from typing import Any

from tests.standins.request import Conversation, Request, text_of
from tests.standins.script import Fault, HttpError, Refusal, Spoken, Thought, ToolCall
from tests.standins.wire import Wire, marked, sse, token

STOP = {"stop": "end_turn", "length": "max_tokens", "safety": "refusal", "failed": "pause_turn"}
ERRORS = {
    400: ("invalid_request_error", "messages: at least one message is required"),
    401: ("authentication_error", "invalid x-api-key"),
    403: ("permission_error", "Your API key does not have permission to use this resource."),
    404: ("not_found_error", "model: {model}"),
    429: ("rate_limit_error", "This request would exceed your organization's rate limit."),
    500: ("api_error", "Internal server error"),
    529: ("overloaded_error", "Overloaded"),
}
THOUGHTLESS = (
    "messages.{index}.content.0.type: Expected `thinking` or `redacted_thinking`, but found "
    "`{found}`. When `thinking` is enabled, a final `assistant` message must start with a thinking "
    "block (preceeding the lastmost set of `tool_use` and `tool_result` blocks)."
)


class Anthropic(Wire):
    """A message is a row of blocks, each of which is begun and ended."""

    format = "anthropic"

    def __init__(self, request: Request) -> None:
        super().__init__(request)
        self.blocks = 0
        self.open: str | None = None
        self.called = False
        self.refused = False

    def begin(self) -> Iterator[bytes]:
        message: dict[str, Any] = {
            "id": token("msg_01", 22),
            "type": "message",
            "role": "assistant",
            "model": self.model,
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": self._usage() | {"output_tokens": 1},
        }
        yield event("message_start", message=message)
        yield event("ping")

    def say(self, piece: Spoken) -> Iterator[bytes]:
        match piece:
            case ToolCall():
                self.called = True
                yield from self._close()
                use = {"type": "tool_use", "id": token("toolu_01", 22), "name": piece.name}
                yield from self._open("tool_use", use | {"input": {}})
                for delta in ["", *piece.deltas]:
                    yield self._delta({"type": "input_json_delta", "partial_json": delta})
            case Thought():
                block = {"type": "thinking", "thinking": "", "signature": ""}
                yield from self._open("thinking", block)
                for delta in piece.deltas:
                    yield self._delta({"type": "thinking_delta", "thinking": delta})
            case _:
                self.refused = self.refused or isinstance(piece, Refusal)
                yield from self._open("text", {"type": "text", "text": ""})
                for delta in piece.deltas:
                    yield self._delta({"type": "text_delta", "text": delta})

    def finish(self, reason: str) -> Iterator[bytes]:
        yield from self.said(reason)
        yield event("message_stop")

    def said(self, reason: str) -> Iterator[bytes]:
        yield from self._close()
        stop = STOP[reason]
        if reason == "stop" and self.refused:
            stop = "refusal"
        elif reason == "stop" and self.called:
            stop = "tool_use"
        delta = {"stop_reason": stop, "stop_sequence": None}
        yield event("message_delta", delta=delta, usage=self._usage())

    def usage(self) -> Iterator[bytes]:
        yield event("message_delta", delta={}, usage=self._usage())

    def empty(self) -> Iterator[bytes]:
        yield event("ping")

    def fault(self, fault: Fault) -> Iterator[bytes]:
        error = {"type": "overloaded_error", "message": marked("Overloaded", fault.marker)}
        yield event("error", error=error, request_id=token("req_011", 21))

    def _open(self, kind: str, block: dict[str, Any]) -> Iterator[bytes]:
        """Begin a block, unless one of this kind is open to take more."""
        if self.open == kind:
            return
        yield from self._close()
        self.open = kind
        yield event("content_block_start", index=self.blocks, content_block=block)

    def _close(self) -> Iterator[bytes]:
        if self.open is None:
            return
        if self.open == "thinking":
            signature = base64.b64encode(secrets.token_bytes(96)).decode()
            yield self._delta({"type": "signature_delta", "signature": signature})
        yield event("content_block_stop", index=self.blocks)
        self.open = None
        self.blocks += 1

    def _delta(self, delta: dict[str, Any]) -> bytes:
        self.output_tokens += 1
        return event("content_block_delta", index=self.blocks, delta=delta)

    def _usage(self) -> dict[str, Any]:
        return {
            "input_tokens": self.input_tokens,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": 0,
            "output_tokens": self.output_tokens,
        }

    @staticmethod
    def http_error(error: HttpError, request: Request) -> dict[str, Any]:
        kind, message = ERRORS.get(error.status, ERRORS[500])
        if error.kind == "context_length":
            message = "prompt is too long: 212345 tokens > 200000 maximum"
        if error.kind == "unpaid":
            message = "Your credit balance is too low to access the Anthropic API."
        message = marked(message.format(model=request.model), error.marker)
        body = {"type": kind, "message": message}
        return {"type": "error", "error": body, "request_id": token("req_011", 21)}

    @staticmethod
    def unacceptable(request: Request) -> HttpError | None:
        thinking = request.body.get("thinking") or {"type": "disabled"}
        messages = request.body["messages"]
        asked = max((n for n, each in enumerate(messages) if is_question(each)), default=0)
        for index, message in enumerate(messages):
            if message["role"] != "assistant" or isinstance(message["content"], str):
                continue
            kinds = [block["type"] for block in message["content"]]
            calls = {block["id"] for block in message["content"] if block["type"] == "tool_use"}
            if calls != results_in(messages[index + 1 :][:1]):
                return HttpError(400, f"messages.{index}: `tool_use` without its `tool_result`.")
            if thinking["type"] != "disabled" and index > asked and "tool_use" in kinds:
                if kinds[0] not in ("thinking", "redacted_thinking"):
                    return HttpError(400, THOUGHTLESS.format(index=index, found=kinds[0]))
                if not message["content"][0].get("signature"):
                    return HttpError(400, f"messages.{index}.content.0.signature: Field required")
        return None

    @staticmethod
    def conversation(body: dict[str, Any]) -> Conversation:
        told = Conversation(system="\n".join(text_of(body.get("system"))))
        told.tools = [tool["name"] for tool in body.get("tools") or []]
        for message in body["messages"]:
            content = message["content"]
            if isinstance(content, str):
                content = [{"type": "text", "text": content}]
            for block in content:
                told.turns += turns(message["role"], block)
        return told


def is_question(message: dict[str, Any]) -> bool:
    """Whether the user says something in it, and no tool alone."""
    content = message["content"]
    kinds = ["text"] if isinstance(content, str) else [block["type"] for block in content]
    return message["role"] == "user" and "tool_result" not in kinds


def results_in(messages: list[dict[str, Any]]) -> set[str]:
    """The calls of which the results are in these messages."""
    blocks = [block for message in messages for block in message["content"]]
    return {each["tool_use_id"] for each in blocks if each["type"] == "tool_result"}


def event(type: str, **fields: Any) -> bytes:
    return sse({"type": type, **fields}, event=type)


def turns(role: str, block: dict[str, Any]) -> list[tuple[str, str]]:
    match block["type"]:
        case "tool_use":
            return [("tool_call", str(ToolCall(block["name"], block["input"])))]
        case "tool_result":
            return [("tool_output", "\n".join(text_of(block.get("content"))))]
        case "thinking":
            return [("thought", block["thinking"])]
        case _:
            return [(role, text) for text in text_of([block])]
