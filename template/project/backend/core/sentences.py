"""Sentences for the person at the chat, in their language.

languages/ has those of the template; a project's server has its own in `sentences`.
"""

import json
import logging
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path
from string import Formatter

from typing_extensions import Self

from core.settings import give_up

log = logging.getLogger("app")

Catalogue = Mapping[str, str]
"""The sentences of a language by the English ones, both before their values are put in."""
ENGLISH = "en"


class Sentence(str):
    """A sentence in English, as it is logged and compared, that can be told in other languages.

    `Sentence("Set {key} in .env.", key="OPENAI_API_KEY")`: a value may be a Sentence itself.
    """

    template: str
    values: Mapping[str, object]

    def __new__(cls, template: str, **values: object) -> Self:
        sentence = super().__new__(cls, template.format(**values))
        sentence.template, sentence.values = template, values
        return sentence


def counted(number: int, one: str, many: str) -> Sentence:
    """How many there are: `one` for a single one, else `many`, in which {number} is put."""
    return Sentence(one if number == 1 else many, number=number)


def both(first: str, second: str) -> Sentence:
    """Two sentences, one behind the other."""
    return Sentence("{first} {second}", first=first, second=second)


class Languages:
    """What the template says in each language, with what a project adds or says otherwise."""

    def __init__(self, own: Mapping[str, Catalogue] | None = None) -> None:
        """`own` has a catalogue for each language. Ends the program for one that cannot be told."""
        self._catalogues: dict[str, Catalogue] = dict(OF_TEMPLATE)
        for language, catalogue in (own or {}).items():
            check(language, catalogue)
            tag = next(tags_of(language))
            self._catalogues[tag] = {**self._catalogues.get(tag, {}), **catalogue}

    def told(self, sentence: str, locale: str | None) -> str:
        """The sentence in the language of this locale; as it is where no catalogue has it."""
        template = sentence.template if isinstance(sentence, Sentence) else sentence
        known = (self._catalogues.get(tag, {}).get(template) for tag in tags_of(locale))
        text = next((text for text in known if text is not None), template)
        if not isinstance(sentence, Sentence):
            return text
        values = {
            name: self.told(value, locale) if isinstance(value, Sentence) else value
            for name, value in sentence.values.items()
        }
        return text.format(**values)


def tags_of(locale: str | None) -> Iterator[str]:
    """The names of a catalogue for this locale, the nearest first: zh-hant-tw, zh-hant, zh, en."""
    parts = (locale or ENGLISH).lower().replace("_", "-").split("-")
    for end in range(len(parts), 0, -1):
        yield "-".join(parts[:end])
    yield ENGLISH


def check(language: str, catalogue: Catalogue) -> None:
    """End the program for a sentence with values that the English one does not have."""
    known = {sentence for each in OF_TEMPLATE.values() for sentence in each}
    for sentence, text in catalogue.items():
        if not placeholders(text) <= placeholders(sentence):
            give_up(
                f"sentences: {language}: {text!r} may have no other names in braces than "
                f"{sentence!r} has."
            )
        # An update may have reworded it.
        if sentence not in known and (near := get_close_matches(sentence, known, 1, 0.9)):
            line = "sentences: %s: nothing says %r. Is %r meant?"
            log.warning(line, language, sentence, near[0])


def placeholders(text: str) -> set[str]:
    """The names in braces; the text itself where the braces are wrong."""
    try:
        return {name for _, name, _, _ in Formatter().parse(text) if name is not None}
    except ValueError:
        return {text}


def of_template() -> dict[str, dict[str, str]]:
    """The template's catalogues, of which each level adds its own: de.json, de.agent.json."""
    found: dict[str, dict[str, str]] = {}
    for file in sorted(Path(__file__).with_name("languages").glob("*.json")):
        language = file.name.partition(".")[0]
        found.setdefault(language, {}).update(json.loads(file.read_text(encoding="utf-8")))
    return found


OF_TEMPLATE = of_template()
