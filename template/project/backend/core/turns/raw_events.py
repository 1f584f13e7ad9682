"""A model's raw events as ChatKit needs them: items under the store's ids, thoughts that end."""

import time
from collections.abc import Callable, Iterator
from typing import Any

from openai.types.responses import (
    ResponseReasoningSummaryTextDeltaEvent,
    ResponseReasoningSummaryTextDoneEvent,
)
from pydantic import BaseModel

from core.text import repair_surrogates

IMAGE = "image_generation_call"
THOUGHT_SECONDS = 0.25
"""How often a growing thought is sent: ChatKit sends all of it each time."""


class RawEvents:
    """Passes the events of a run's model on, on copies: the run keeps its own.

    Chat-completions models give every item the id "__fake_id__", so that each would overwrite the
    one before, and what another server calls an item is not unique here.
    https://github.com/openai/chatkit-python/issues/36
    """

    def __init__(self, new_id: Callable[[], str]) -> None:
        self.responding = True
        """Whether the model is at work: not while the tools run that it called."""
        self.item_ids: set[str] = set()
        """The ids of what the model has begun."""
        self._new_id = new_id
        self._images = OneImage()
        self._summarized = False
        self._ids: dict[tuple[str, int | None], str] = {}
        self._half = ""
        self._thought: ResponseReasoningSummaryTextDoneEvent | None = None
        self._sent = 0
        self._send_at = 0.0

    def translated(self, event: Any) -> Iterator[Any]:
        """The event under its item's own id, after the end of a thought that it interrupts."""
        for each in self._translated(event):
            yield from self._images.pass_on(each)

    def _translated(self, event: Any) -> Iterator[Any]:
        match event.type:
            case "response.reasoning_text.delta":
                # Some servers tell a thought in both forms.
                if not self._summarized:
                    yield from self._of_item(as_summary(event))
            case "response.reasoning_summary_text.delta":
                self._summarized = True
                yield from self._of_item(event)
            case "response.created":
                self._summarized = False
                self._ids.clear()
                self.responding = True
                yield event
            case "response.completed":
                yield from self._end_of_thought()
                self.responding = False
                yield event
            case "response.output_item.added":
                yield from self._end_of_thought()
                self._ids[event.item.type, event.output_index] = item_id = self._new_id()
                self.item_ids.add(item_id)
                yield self._with_item_id(event)
            case "response.output_item.done":
                yield self._with_item_id(event)
            case str() if hasattr(event, "item_id"):
                yield from self._of_item(event)
            case _:
                yield event

    def _of_item(self, event: Any) -> Iterator[Any]:
        # An event that is no part of the protocol may have no place in the output.
        key = item_type(event.type), getattr(event, "output_index", None)
        own = {"item_id": self._ids.get(key, event.item_id)}
        changed = self._repaired_texts(event) | annotation_of(event)
        named = event.model_copy(update=own | changed)
        if isinstance(named, ResponseReasoningSummaryTextDeltaEvent):
            yield from self._grown_thought(named)
            return
        if isinstance(named, ResponseReasoningSummaryTextDoneEvent):
            self._thought = None
        yield named

    def _with_item_id(self, event: Any) -> Any:
        changed: dict[str, Any] = {
            "id": self._ids.get((event.item.type, event.output_index), event.item.id)
        }
        if event.item.type == "message":
            changed["content"] = [repaired_part(part) for part in event.item.content]
        return event.model_copy(update={"item": event.item.model_copy(update=changed)})

    def _repaired_texts(self, event: Any) -> dict[str, Any]:
        """The event's texts without half a character, which waits for its other half."""
        fields, changed = vars(event), dict[str, Any]()
        if isinstance(delta := fields.get("delta"), str):
            delta, self._half = split_half(self._half + delta)
            changed["delta"] = repair_surrogates(delta)
        if isinstance(text := fields.get("text"), str):
            changed["text"] = repair_surrogates(text)
        return changed

    def _grown_thought(
        self, event: ResponseReasoningSummaryTextDeltaEvent
    ) -> Iterator[ResponseReasoningSummaryTextDeltaEvent]:
        """What the thought has grown by since it was last sent, unless that was just now."""
        said = self._thought.text if self._thought else ""
        self._sent = self._sent if said else 0
        text = said + event.delta
        self._thought = ResponseReasoningSummaryTextDoneEvent(
            type="response.reasoning_summary_text.done",
            item_id=event.item_id,
            output_index=event.output_index,
            summary_index=event.summary_index,
            sequence_number=event.sequence_number,
            text=text,
        )
        if (now := time.monotonic()) >= self._send_at:
            self._send_at = now + THOUGHT_SECONDS
            grown, self._sent = text[self._sent :], len(text)
            yield event.model_copy(update={"delta": grown})

    def _end_of_thought(self) -> Iterator[Any]:
        # Chat-completions models never say that a thought's text is done, and ChatKit takes up
        # each thought of a turn but the first only when it is.
        if self._thought is not None:
            yield self._thought
            self._thought = None


class OneImage:
    """Passes the events of one generated image on, and holds back those of the others meanwhile.

    ChatKit has room for one: the last one that is begun would take what the others become.
    https://github.com/openai/chatkit-python/pull/86
    """

    def __init__(self) -> None:
        self._open: str | None = None
        self._held: list[Any] = []

    def pass_on(self, event: Any) -> Iterator[Any]:
        """The events to send: this one, none, or also those that were held back."""
        item: Any = getattr(event, "item", None)
        item_id = item.id if item else getattr(event, "item_id", None)
        if event.type == "response.completed":
            self._open = None
        elif item_type(item.type if item else event.type) != IMAGE:
            yield event
            return
        elif self._open not in (None, item_id):
            self._held.append(event)
            return
        else:
            self._open = None if event.type == "response.output_item.done" else item_id
            yield event
        if self._open is None:
            held, self._held = self._held, []
            for each in held:
                yield from self.pass_on(each)
        if event.type == "response.completed":
            yield event


def as_summary(event: Any) -> ResponseReasoningSummaryTextDeltaEvent:
    """What a thought grows by, where vLLM and Ollama tell it whole, as if it were a summary.

    ChatKit shows only those: https://github.com/openai/chatkit-python/blob/main/chatkit/agents.py
    """
    return ResponseReasoningSummaryTextDeltaEvent(
        type="response.reasoning_summary_text.delta",
        delta=event.delta,
        item_id=event.item_id,
        output_index=event.output_index,
        summary_index=event.content_index,
        sequence_number=event.sequence_number,
    )


def repaired_part(part: Any) -> Any:
    """A copy of a message's part, a text or a refusal, without half a character."""
    name = "text" if part.type == "output_text" else "refusal"
    return part.model_copy(update={name: repair_surrogates(getattr(part, name))})


def annotation_of(event: Any) -> dict[str, Any]:
    """The event's annotation, such as the source of a web search, as ChatKit takes it.

    The OpenAI client has a class for it in an event and another one in a message, and ChatKit
    takes only the latter, or a dict: https://github.com/openai/chatkit-python/pull/99
    """
    annotation = vars(event).get("annotation")
    return {"annotation": annotation.model_dump()} if isinstance(annotation, BaseModel) else {}


def item_type(event_type: str) -> str:
    """The type of the item that a Responses event with an item_id belongs to."""
    if event_type.startswith("response.reasoning"):
        return "reasoning"
    if "_call" in event_type:
        # Such as response.image_generation_call.partial_image.
        return event_type.removeprefix("response.").partition("_call")[0] + "_call"
    return "message"


def split_half(text: str) -> tuple[str, str]:
    """The text, and the first half of a pair that it ends with, whose second half may follow."""
    if text and "\ud800" <= text[-1] <= "\udbff":
        return text[:-1], text[-1]
    return text, ""
