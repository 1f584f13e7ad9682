"""The settings, and how a bad one is told."""

import re
from pathlib import Path

import pytest

from app.settings import load
from app.wiring import Settings

BACKEND = Path(__file__).resolve().parents[1]


def test_every_setting_stands_in_the_example() -> None:
    example = (BACKEND.parent / ".env.example").read_text(encoding="utf-8")
    listed = set(re.findall(r"^#? ?([A-Z][A-Z0-9_]*)=", example, re.MULTILINE))
    assert listed == {name.upper() for name in Settings.model_fields}


def test_a_bad_port_ends_the_start_with_one_line(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # `settings` has put everything else into the environment.
    monkeypatch.setenv("PORT", "70000")
    with pytest.raises(SystemExit) as ended:
        load(Settings)
    assert ended.value.code == 2
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith("Cannot start: PORT must be a whole number from 1 to 65535.")
