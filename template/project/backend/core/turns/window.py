"""How much of a thread the model is told: its window, which is cut in steps."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from core.turns.media import media_in, without_media

SHORT_CHARACTERS = 8000
"""How much is told of a long text, such as a tool's output, in short."""


@dataclass(frozen=True)
class Limits:
    """How much the model is told at most."""

    items: int
    characters: int
    images: int
    """How many images and files, besides those of the user's newest message."""


@dataclass
class Part:
    """One of the thread's items, as input for the model."""

    item_id: str
    is_message: bool
    """Whether it is a message of the user, at which a window may begin."""
    whole: list[Any]

    @cached_property
    def images(self) -> int:
        return media_in(self.whole)


@dataclass(frozen=True)
class Window:
    """Parts of a thread, at least one of which is a message of the user."""

    parts: Sequence[Part]
    short: int
    """How many of them, the oldest, are told in short: without images, and not at length."""
    limits: Limits

    @cached_property
    def newest(self) -> int:
        """The place of the user's newest message, at which the newest turn begins."""
        return max(place for place, part in enumerate(self.parts) if part.is_message)

    def told(self, place: int) -> list[Any]:
        """The part as it is told. What the newest turn says is not shortened."""
        whole = self.parts[place].whole
        if place >= self.short or place == self.newest:
            return whole
        if place > self.newest:
            return [without_media(item) for item in whole]
        most = min(SHORT_CHARACTERS, self.limits.characters // 8)
        return [shortened(without_media(item), most) for item in whole]

    def is_full(self) -> bool:
        """Whether it has more than it may, but for its number of items."""
        images = sum(
            part.images
            for place, part in enumerate(self.parts)
            if place >= self.short and place != self.newest
        )
        older = sum(size_of(self.told(place)) for place in range(self.newest))
        newest = self._size_of_newest_turn()
        return images > self.limits.images or older + newest > self.limits.characters

    def cut(self) -> "Window":
        """The window with room for more turns: its newest half, of which the older is in short."""
        half = self.limits.characters // 2
        room = max(half - self._size_of_newest_turn(), half // 2)
        return self._in_short(room)._without_oldest(room)

    def _in_short(self, room: int) -> "Window":
        """The window, in which all is in short but what is newest and has room."""
        short = len(self.parts)
        images = characters = 0
        for place in reversed(range(len(self.parts))):
            if place != self.newest:
                images += self.parts[place].images
            if place < self.newest:
                characters += size_of(self.parts[place].whole)
            if characters > room or images > (self.limits.images + 1) // 2:
                break
            short = place
        return Window(self.parts, short, self.limits)

    def _without_oldest(self, room: int) -> "Window":
        """The window with as many of its newest turns as have room."""
        begin, characters = self.newest, 0
        for place in reversed(range(self.newest)):
            characters += size_of(self.told(place))
            if characters > room or len(self.parts) - place > self.limits.items // 2:
                break
            if self.parts[place].is_message:
                begin = place
        return Window(self.parts[begin:], max(self.short - begin, 0), self.limits)

    def _size_of_newest_turn(self) -> int:
        """How long the newest turn is; at most half of what may be, lest it crowds out the rest."""
        told = (self.told(place) for place in range(self.newest, len(self.parts)))
        return min(sum(size_of(each) for each in told), self.limits.characters // 2)


def size_of(told: list[Any]) -> int:
    """How many characters this part of the model's input has, without its images."""
    words = without_media(told, keep_text=True)
    return len(json.dumps(words, ensure_ascii=False, default=str))


def shortened(value: Any, most: int) -> Any:
    """A part of the model's input, none of whose texts is longer than `most` characters."""
    match value:
        case {"type": "function_call", "arguments": str(arguments)} if len(arguments) > most:
            # They have to be JSON.
            return value | {"arguments": json.dumps({"shortened": shortened_text(arguments, most)})}
        case dict():
            return {
                name: shortened_text(each, most)
                if name in ("text", "content", "output") and isinstance(each, str)
                else shortened(each, most)
                for name, each in value.items()
            }
        case list():
            return [shortened(each, most) for each in value]
        case _:
            return value


def shortened_text(text: str, most: int) -> str:
    """The text; without what is beyond `most` characters."""
    return text if len(text) <= most else text[: max(most - 1, 0)] + "…"
