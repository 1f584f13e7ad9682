"""OpenAI's Responses with `stream`.

https://platform.openai.com/docs/api-reference/responses-streaming
"""

import base64
import secrets
import time
from collections.abc import Iterator
from typing import Any

from tests.standins.openai_errors import http_error
from tests.standins.request import Conversation, Request, text_of
from tests.standins.script import (
    Fault,
    Hosted,
    HttpError,
    Refusal,
    Source,
    Spoken,
    Thought,
    ToolCall,
)
from tests.standins.wire import Wire, marked, sse, token

INCOMPLETE = {"length": "max_output_tokens", "safety": "content_filter"}
ECHOED: dict[str, Any] = {
    "background": False,
    "incomplete_details": None,
    "instructions": None,
    "max_output_tokens": None,
    "max_tool_calls": None,
    "metadata": {},
    "parallel_tool_calls": True,
    "previous_response_id": None,
    "prompt_cache_key": None,
    "reasoning": {"effort": None, "summary": None},
    "safety_identifier": None,
    "service_tier": "default",
    "store": True,
    "temperature": 1.0,
    "text": {"format": {"type": "text"}, "verbosity": "medium"},
    "tool_choice": "auto",
    "tools": [],
    "top_logprobs": 0,
    "top_p": 1.0,
    "truncation": "disabled",
    "user": None,
}
"""The parts of a response that repeat the request, and what they are if it does not name them."""


class Responses(Wire):
    """A response is a row of items; each item, and each part of it, is begun and ended."""

    format = "responses"

    def __init__(self, request: Request) -> None:
        super().__init__(request)
        self.sequence = 0
        self.output: list[dict[str, Any]] = []
        self.item: dict[str, Any] | None = None
        """The item that is open; its text is the last part's."""
        self.response = {
            "id": token("resp_", 50),
            "object": "response",
            "created_at": int(time.time()),
            "error": None,
            "model": self.model,
            **{name: request.body.get(name, usual) for name, usual in ECHOED.items()},
        }

    def begin(self) -> Iterator[bytes]:
        yield self._event("response.created", response=self._state("in_progress"))
        yield self._event("response.in_progress", response=self._state("in_progress"))

    def say(self, piece: Spoken) -> Iterator[bytes]:
        match piece:
            case ToolCall():
                yield from self._call(piece)
            case Thought():
                yield from self._open_thought()
                for delta in piece.deltas:
                    yield self._part("reasoning_summary_text.delta", delta=delta)
                    self._append(delta)
            case Refusal():
                yield from self._open_message({"type": "refusal", "refusal": ""})
                for delta in piece.deltas:
                    yield self._part("refusal.delta", delta=delta)
                    self._append(delta)
            case _:
                part = {"type": "output_text", "annotations": [], "logprobs": [], "text": ""}
                yield from self._open_message(part)
                for delta in piece.deltas:
                    yield self._part("output_text.delta", delta=delta, logprobs=[])
                    self._append(delta)

    def cite(self, source: Source) -> Iterator[bytes]:
        """Where the text of the open message comes from."""
        assert self.item is not None
        sources = self.item["content"][-1]["annotations"]
        sources.append(dict(source.annotation))
        index = len(sources) - 1
        yield self._part(
            "output_text.annotation.added", annotation_index=index, annotation=sources[-1]
        )

    def host(self, call: Hosted) -> Iterator[bytes]:
        """A tool at work here: its item has what it found only at the end."""
        yield from self._close()
        if call.beside:
            yield from self._host_together([call, *call.beside])
            return
        item = begun(call)
        if call.type == "mcp_approval_request":
            # It has no state: whoever is asked sees at once what is to be done.
            del item["status"]
            yield from self._open(item | dict(call.found))
            yield from self._close()
            return
        yield from self._open(item)
        yield self._of_item(f"response.{call.type}.in_progress")
        for index, image in enumerate(call.images):
            partial = {"partial_image_index": index, "partial_image_b64": image}
            yield self._of_item(f"response.{call.type}.partial_image", **partial)
        if call.done:
            yield self._of_item(f"response.{call.type}.completed")
            item |= dict(call.found)
            yield from self._close()

    def _host_together(self, calls: list[Hosted]) -> Iterator[bytes]:
        items = {len(self.output) + n: begun(call) for n, call in enumerate(calls)}
        for place, item in items.items():
            yield self._event("response.output_item.added", output_index=place, item=item)
        for index in range(max(len(call.images) for call in calls)):
            for call, (place, item) in zip(calls, items.items(), strict=True):
                for image in call.images[index : index + 1]:
                    partial = {"partial_image_index": index, "partial_image_b64": image}
                    of = {"item_id": item["id"], "output_index": place}
                    yield self._event(f"response.{call.type}.partial_image", **of, **partial)
        for call, (place, item) in reversed(list(zip(calls, items.items(), strict=True))):
            item |= {**call.found, "status": "completed"}
            yield self._event("response.output_item.done", output_index=place, item=item)
        self.output += items.values()

    def finish(self, reason: str) -> Iterator[bytes]:
        yield from self.said(reason)

    def said(self, reason: str) -> Iterator[bytes]:
        yield from self._close("completed" if reason == "stop" else "incomplete")
        usage = {
            "input_tokens": self.input_tokens,
            "input_tokens_details": {"cached_tokens": 0},
            "output_tokens": self.output_tokens,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": self.input_tokens + self.output_tokens,
        }
        if reason == "stop":
            done = self._state("completed", output=self.output, usage=usage)
            yield self._event("response.completed", response=done)
        else:
            why = {"reason": INCOMPLETE[reason]}
            ended = self._state(
                "incomplete", output=self.output, usage=usage, incomplete_details=why
            )
            yield self._event("response.incomplete", response=ended)

    def usage(self) -> Iterator[bytes]:
        return iter(())  # It is told with the reason.

    def empty(self) -> Iterator[bytes]:
        yield self._event("response.in_progress", response=self._state("in_progress"))

    def fault(self, fault: Fault) -> Iterator[bytes]:
        message = "The server had an error while processing your request. Sorry about that!"
        error = {"code": "server_error", "message": marked(message, fault.marker)}
        match fault.form:
            case "flat":
                yield self._event("error", **error, param=None)
            case "error":
                yield self._event("error", error={"type": "server_error", **error, "param": None})
        if fault.form != "flat":
            failed = self._state("failed", error=error, output=self.output)
            yield self._event("response.failed", response=failed)

    # -- items ----------------------------------------------------------------------------------

    def _call(self, call: ToolCall) -> Iterator[bytes]:
        yield from self._close()
        item = {
            "id": token("fc_", 50),
            "type": "function_call",
            "status": "in_progress",
            "arguments": "",
            "call_id": token("call_"),
            "name": call.name,
            **({"namespace": call.namespace} if call.namespace else {}),
        }
        yield from self._open(item)
        for delta in call.deltas:
            yield self._of_item("response.function_call_arguments.delta", delta=delta)
        item["arguments"] = call.json
        done = {"name": call.name, "arguments": call.json}
        yield self._of_item("response.function_call_arguments.done", **done)
        yield from self._close()

    def _open_thought(self) -> Iterator[bytes]:
        if self.item and self.item["type"] == "reasoning":
            return
        yield from self._close()
        item: dict[str, Any] = {"id": token("rs_", 50), "type": "reasoning", "summary": []}
        if "reasoning.encrypted_content" in (self.request.body.get("include") or []):
            item["encrypted_content"] = base64.urlsafe_b64encode(secrets.token_bytes(96)).decode()
        yield from self._open(item)
        part = {"type": "summary_text", "text": ""}
        yield self._part("reasoning_summary_part.added", part=part)
        item["summary"].append(part)

    def _open_message(self, part: dict[str, Any]) -> Iterator[bytes]:
        if self.item and self.item["type"] == "message":
            if self.item["content"][-1]["type"] == part["type"]:
                return
            yield from self._close_part(self.item)
        else:
            yield from self._close()
            message = {
                "id": token("msg_", 50),
                "type": "message",
                "status": "in_progress",
                "content": [],
                "role": "assistant",
            }
            yield from self._open(message)
        assert self.item is not None
        self.item["content"].append(part)
        yield self._part("content_part.added", part=part)

    def _open(self, item: dict[str, Any]) -> Iterator[bytes]:
        self.item = item
        yield self._event(
            "response.output_item.added", output_index=len(self.output), item=self.item
        )

    def _close(self, status: str = "completed") -> Iterator[bytes]:
        if self.item is None:
            return
        yield from self._close_part(self.item)
        if "status" in self.item:
            self.item["status"] = status
        yield self._event(
            "response.output_item.done", output_index=len(self.output), item=self.item
        )
        self.output.append(self.item)
        self.item = None

    def _close_part(self, item: dict[str, Any]) -> Iterator[bytes]:
        match item["type"]:
            case "reasoning":
                part = item["summary"][-1]
                yield self._part("reasoning_summary_text.done", text=part["text"])
                yield self._part("reasoning_summary_part.done", part=part)
            case "message":
                part = item["content"][-1]
                if part["type"] == "refusal":
                    yield self._part("refusal.done", refusal=part["refusal"])
                else:
                    yield self._part("output_text.done", text=part["text"], logprobs=[])
                yield self._part("content_part.done", part=part)

    def _append(self, delta: str) -> None:
        assert self.item is not None
        part = self.item["summary" if self.item["type"] == "reasoning" else "content"][-1]
        part["refusal" if part["type"] == "refusal" else "text"] += delta

    # -- events ---------------------------------------------------------------------------------

    def _part(self, type: str, **fields: Any) -> bytes:
        """An event of the open item's last part."""
        assert self.item is not None
        if self.item["type"] == "reasoning":
            return self._of_item(f"response.{type}", summary_index=0, **fields)
        index = len(self.item["content"]) - 1
        return self._of_item(f"response.{type}", content_index=index, **fields)

    def _of_item(self, type: str, **fields: Any) -> bytes:
        assert self.item is not None
        self.output_tokens += type.endswith(".delta")
        fields = {"item_id": self.item["id"], "output_index": len(self.output), **fields}
        return self._event(type, **fields)

    def _event(self, type: str, **fields: Any) -> bytes:
        data = {"type": type, "sequence_number": self.sequence, **fields}
        self.sequence += 1
        return sse(data, event=type)

    def _state(self, status: str, **fields: Any) -> dict[str, Any]:
        return {**self.response, "status": status, "output": [], "usage": None, **fields}

    # -- requests -------------------------------------------------------------------------------

    @staticmethod
    def unacceptable(request: Request) -> HttpError | None:
        body = request.body
        asked = "reasoning.encrypted_content" in (body.get("include") or [])
        if asked and body["model"].startswith("gpt-4"):
            return HttpError(400, "Encrypted content is not supported with this model.")
        if body.get("store") is False and isinstance(body["input"], list):
            for item in body["input"]:
                if item.get("type") == "reasoning" and not item.get("encrypted_content"):
                    return HttpError(404, f"Item with id '{item['id']}' not found.")
        return None

    @staticmethod
    def http_error(error: HttpError, request: Request) -> dict[str, Any]:
        return http_error(error, request)

    @staticmethod
    def conversation(body: dict[str, Any]) -> Conversation:
        told = Conversation()
        told.tools = [tool.get("name", tool["type"]) for tool in body.get("tools") or []]
        system = text_of(body.get("instructions"))
        items = body["input"]
        if isinstance(items, str):
            items = [{"role": "user", "content": items}]
        for item in items:
            if item.get("role") in ("system", "developer"):
                system += text_of(item["content"])
            else:
                told.turns += turns(item)
        told.system = "\n".join(system)
        return told


def turns(item: dict[str, Any]) -> list[tuple[str, str]]:
    match item.get("type", "message"):
        case "message":
            return [(item["role"], text) for text in text_of(item["content"])]
        case "function_call":
            return [("tool_call", str(ToolCall(item["name"], item["arguments"])))]
        case "function_call_output":
            return [("tool_output", "\n".join(text_of(item["output"])))]
        case "reasoning":
            return [("thought", text) for text in text_of(item["summary"])]
        case other:
            return [("other", f"[{other}]")]


def begun(call: Hosted) -> dict[str, Any]:
    """The item of a hosted tool's call at its beginning."""
    return {"id": token(call.type[:2] + "_", 50), "type": call.type, "status": "in_progress"}
