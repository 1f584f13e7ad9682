"""Every combination of answers: rendered, started, and a conversation of two turns held with it."""

from pathlib import Path

import pytest

from tests.backend import Backend
from tests.matrix import COMBINATIONS, Combination
from tests.providers import environment
from tests.render import render
from tests.standins import Answer, StandIn, Text
from tests.users import signed_in


@pytest.mark.parametrize("combination", COMBINATIONS, ids=str)
def test_a_project_of_every_combination_talks_and_remembers(
    combination: Combination, standin: StandIn, tmp_path: Path
) -> None:
    standin.answers(Answer(Text("Hello Ada.")), Answer(Text("You are Ada.")))
    provider = combination.provider or "none"
    env = environment(provider, standin, tmp_path, combination.store)
    if provider == "embedded":
        del env["MODEL_BASE_URL"]
    with (
        signed_in(combination.auth) as users,
        Backend(
            render(**combination.answers),
            # Whoever asks for a title would take an answer away.
            env | users.env | {"TITLES": "false"},
            headers=users.headers("ada"),
        ) as backend,
    ):
        backend.ready(60)
        first = backend.say("I am Ada.")
        second = backend.say("Who am I?", first.thread)
        for turn in (first, second):
            assert turn.answers
            assert turn.text.strip()
            assert not turn.errors
            assert not turn.ghosts
        kept = backend.texts(first.thread)
        assert [text for who, text in kept if who == "user"] == ["I am Ada.", "Who am I?"]
        assert [text for who, text in kept if who == "assistant"] == first.answers + second.answers
        [listed] = backend.ask("threads.list")["data"]
        assert listed["title"] == "I am Ada."
    if provider not in ("none", "embedded"):
        assert first.text == "Hello Ada."
        assert ("assistant", "Hello Ada.") in standin.requests[1].turns
    assert (tmp_path / "chat.db").exists() == (combination.store == "sqlite")
