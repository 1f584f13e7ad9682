"""OpenAI's chat completions with `stream`, as OpenAI, Azure and local servers speak them.

https://platform.openai.com/docs/api-reference/chat-streaming
"""

import time
from collections.abc import Iterator
from typing import Any

from tests.standins.openai_errors import http_error
from tests.standins.request import Conversation, Request, text_of
from tests.standins.script import Fault, HttpError, Refusal, Spoken, Thought, ToolCall
from tests.standins.wire import Wire, marked, sse, token

FINISH = {"stop": "stop", "length": "length", "safety": "content_filter", "failed": "error"}

DONE = b"data: [DONE]\n\n"


class ChatCompletions(Wire):
    """Every event is a chunk with a delta of the one message."""

    format = "chat_completions"

    def __init__(self, request: Request) -> None:
        super().__init__(request)
        self.id = token("chatcmpl-", 29)
        self.created = int(time.time())
        self.calls = 0

    def begin(self) -> Iterator[bytes]:
        if "/openai/deployments/" in self.request.path:
            # Azure's first chunk has no choice in it.
            filtered = {"hate": {"filtered": False, "severity": "safe"}}
            results = [{"prompt_index": 0, "content_filter_results": filtered}]
            yield self._chunk([], prompt_filter_results=results)
        yield self._delta({"role": "assistant", "content": "", "refusal": None})

    def say(self, piece: Spoken) -> Iterator[bytes]:
        match piece:
            case ToolCall():
                function = {"name": piece.name, "arguments": ""}
                yield self._call({"id": token("call_"), "type": "function", "function": function})
                for delta in piece.deltas:
                    yield self._call({"function": {"arguments": delta}})
                self.calls += 1
            case Thought():
                for delta in piece.deltas:
                    yield self._delta(dict.fromkeys(piece.fields, delta))
            case Refusal():
                for delta in piece.deltas:
                    yield self._delta({"refusal": delta})
            case _:
                for delta in piece.deltas:
                    yield self._delta({"content": delta})

    def finish(self, reason: str) -> Iterator[bytes]:
        yield from self.said(reason)
        if (self.request.body.get("stream_options") or {}).get("include_usage"):
            yield from self.usage()
        yield DONE

    def said(self, reason: str) -> Iterator[bytes]:
        why = "tool_calls" if reason == "stop" and self.calls else FINISH[reason]
        yield self._delta({}, finish=why)

    def usage(self) -> Iterator[bytes]:
        yield self._chunk([], usage=self._usage())

    def empty(self) -> Iterator[bytes]:
        yield self._delta({})

    def fault(self, fault: Fault) -> Iterator[bytes]:
        message = "The server had an error while processing your request. Sorry about that!"
        error = {
            "message": marked(message, fault.marker),
            "type": "server_error",
            "param": None,
            "code": None,
        }
        yield sse({"error": error})

    def _call(self, call: dict[str, Any]) -> bytes:
        return self._delta({"tool_calls": [{"index": self.calls, **call}]})

    def _delta(self, delta: dict[str, Any], finish: str | None = None) -> bytes:
        self.output_tokens += 1
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        return self._chunk([choice])

    def _chunk(self, choices: list[dict[str, Any]], **fields: Any) -> bytes:
        chunk = {
            "id": self.id,
            "object": "chat.completion.chunk",
            "created": self.created,
            "model": self.model,
            "service_tier": "default",
            "system_fingerprint": "fp_44709d6fcb",
            "choices": choices,
            **fields,
        }
        return sse(chunk)

    def _usage(self) -> dict[str, Any]:
        return {
            "prompt_tokens": self.input_tokens,
            "completion_tokens": self.output_tokens,
            "total_tokens": self.input_tokens + self.output_tokens,
            "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
            "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 0},
        }

    @staticmethod
    def http_error(error: HttpError, request: Request) -> dict[str, Any]:
        return http_error(error, request)

    @staticmethod
    def conversation(body: dict[str, Any]) -> Conversation:
        told = Conversation()
        told.tools = [tool["function"]["name"] for tool in body.get("tools") or []]
        system: list[str] = []
        for message in body["messages"]:
            texts = text_of(message.get("content"))
            match message["role"]:
                case "system" | "developer":
                    system += texts
                case "tool":
                    told.turns.append(("tool_output", "\n".join(texts)))
                case role:
                    if thought := message.get("reasoning_content"):
                        told.turns.append(("thought", thought))
                    told.turns += [(role, text) for text in texts if text]
                    told.turns += calls(message.get("tool_calls") or [])
        told.system = "\n".join(system)
        return told


def calls(tool_calls: list[dict[str, Any]]) -> list[tuple[str, str]]:
    functions = [call["function"] for call in tool_calls]
    return [
        ("tool_call", str(ToolCall(function["name"], function["arguments"] or "{}")))
        for function in functions
    ]
