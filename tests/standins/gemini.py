"""Gemini's `streamGenerateContent?alt=sse`.

https://ai.google.dev/api/generate-content#method:-models.streamgeneratecontent
"""

import base64
import json
import secrets
from collections.abc import Iterator
from typing import Any

from tests.standins.request import Conversation, Request
from tests.standins.script import Fault, HttpError, Refusal, Spoken, Thought, ToolCall
from tests.standins.wire import Wire, marked, sse

FINISH = {
    "stop": "STOP",
    "length": "MAX_TOKENS",
    "safety": "SAFETY",
    "failed": "MALFORMED_FUNCTION_CALL",
}
STATUS = {
    400: ("INVALID_ARGUMENT", "Request contains an invalid argument."),
    401: ("UNAUTHENTICATED", "Request had invalid authentication credentials."),
    403: ("PERMISSION_DENIED", "Your project has been denied access. Please contact support."),
    404: ("NOT_FOUND", "models/{model} is not found for API version v1beta."),
    429: ("RESOURCE_EXHAUSTED", "You exceeded your current quota, please check your plan."),
    500: ("INTERNAL", "An internal error has occurred. Please retry or report."),
}
OVERLOADED = ("UNAVAILABLE", "The model is overloaded. Please try again later.")
TOO_LONG = "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576)."


class Gemini(Wire):
    """Every event is a whole response of which the client takes the parts."""

    format = "gemini"

    def __init__(self, request: Request) -> None:
        super().__init__(request)
        self.id = secrets.token_urlsafe(16)
        self.signed = False
        self.refused = False

    def begin(self) -> Iterator[bytes]:
        return iter(())

    def say(self, piece: Spoken) -> Iterator[bytes]:
        match piece:
            case ToolCall():
                yield self._chunk([self._call(piece)])
            case Thought():
                for delta in piece.deltas:
                    yield self._chunk([{"text": delta, "thought": True}])
            case _:
                self.refused = self.refused or isinstance(piece, Refusal)
                for delta in piece.deltas:
                    yield self._chunk([{"text": delta}])

    def finish(self, reason: str) -> Iterator[bytes]:
        yield from self.said(reason)

    def said(self, reason: str) -> Iterator[bytes]:
        # An answer of nothing has a content without parts.
        parts = [{"text": ""}] if self.output_tokens else None
        yield self._chunk(parts, "SAFETY" if self.refused else FINISH[reason])

    def usage(self) -> Iterator[bytes]:
        yield sse({"usageMetadata": self._usage(), "modelVersion": self.model}, newline="\r\n")

    def empty(self) -> Iterator[bytes]:
        yield self._chunk([{"text": ""}])

    def fault(self, fault: Fault) -> Iterator[bytes]:
        status, message = OVERLOADED
        error = {"code": 503, "message": marked(message, fault.marker), "status": status}
        yield sse({"error": error}, newline="\r\n")

    def _call(self, call: ToolCall) -> dict[str, Any]:
        part: dict[str, Any] = {"functionCall": {"name": call.name, "args": json.loads(call.json)}}
        # Of parallel calls only the first is signed.
        if not self.signed:
            part["thoughtSignature"] = base64.b64encode(secrets.token_bytes(96)).decode()
            self.signed = True
        return part

    def _chunk(self, parts: list[dict[str, Any]] | None, finish: str | None = None) -> bytes:
        content: dict[str, Any] = {"role": "model"}
        if parts is not None:
            content = {"parts": parts, "role": "model"}
        candidate: dict[str, Any] = {"content": content, "index": 0}
        if finish:
            candidate["finishReason"] = finish
        else:
            self.output_tokens += 1
        chunk = {
            "candidates": [candidate],
            "usageMetadata": self._usage(),
            "modelVersion": self.model,
            "responseId": self.id,
        }
        return sse(chunk, newline="\r\n")

    def _usage(self) -> dict[str, Any]:
        return {
            "promptTokenCount": self.input_tokens,
            "candidatesTokenCount": self.output_tokens,
            "totalTokenCount": self.input_tokens + self.output_tokens,
            "promptTokensDetails": [{"modality": "TEXT", "tokenCount": self.input_tokens}],
        }

    @staticmethod
    def http_error(error: HttpError, request: Request) -> dict[str, Any]:
        status, message = STATUS.get(error.status, OVERLOADED)
        details: list[dict[str, Any]] = []
        if error.kind == "context_length":
            message = TOO_LONG
        if error.kind == "bad_key":
            message = "API key not valid. Please pass a valid API key."
            kind = "type.googleapis.com/google.rpc.ErrorInfo"
            details = [{"@type": kind, "reason": "API_KEY_INVALID", "domain": "googleapis.com"}]
        body = {
            "code": error.status,
            "message": marked(message.format(model=request.model), error.marker),
            "status": status,
        }
        return {"error": body | ({"details": details} if details else {})}

    @staticmethod
    def unacceptable(request: Request) -> HttpError | None:
        contents = request.body["contents"]
        asked = max((n for n, each in enumerate(contents) if is_question(each)), default=0)
        for content in contents[asked:]:
            calls = [part for part in map(camel, content["parts"]) if "functionCall" in part]
            if calls and "thoughtSignature" not in calls[0]:
                name = calls[0]["functionCall"]["name"]
                return HttpError(400, f"Function call is missing a thought_signature: `{name}`.")
        return None

    @staticmethod
    def conversation(body: dict[str, Any]) -> Conversation:
        # Google's JSON takes both spellings of a name, and LiteLLM sends both.
        system = body.get("systemInstruction") or body.get("system_instruction") or {"parts": []}
        told = Conversation(system="\n".join(part["text"] for part in system["parts"]))
        for tool in body.get("tools") or []:
            functions = tool.get("functionDeclarations") or tool.get("function_declarations") or []
            told.tools += [function["name"] for function in functions]
        for content in body["contents"]:
            who = "assistant" if content.get("role") == "model" else "user"
            told.turns += [turn(who, part) for part in content["parts"]]
        return told


def is_question(content: dict[str, Any]) -> bool:
    """Whether the user says something in it, and no tool alone."""
    return content.get("role") != "model" and any("text" in part for part in content["parts"])


def camel(part: dict[str, Any]) -> dict[str, Any]:
    """The part under the names of Google's JSON, which takes both spellings."""
    names = {"function_call": "functionCall", "thought_signature": "thoughtSignature"}
    return {names.get(name, name): value for name, value in part.items()}


def turn(who: str, part: dict[str, Any]) -> tuple[str, str]:
    if call := part.get("functionCall") or part.get("function_call"):
        return "tool_call", str(ToolCall(call["name"], call.get("args") or {}))
    if answer := part.get("functionResponse") or part.get("function_response"):
        response = answer["response"]
        # A tool that gives a text is told as an object with that text in one field.
        only = next(iter(response.values())) if len(response) == 1 else None
        return "tool_output", only if isinstance(only, str) else json.dumps(response)
    if part.get("thought"):
        return "thought", part["text"]
    return who, part["text"] if "text" in part else f"[{next(iter(part))}]"
