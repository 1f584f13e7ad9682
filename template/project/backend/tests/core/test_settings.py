"""The settings, and how a bad one is told."""

import re
from pathlib import Path

import pytest

from core.settings import load

from app.wiring import Settings, build_app, build_server

BACKEND = Path(__file__).resolve().parents[2]


def test_the_wiring_makes_a_server_and_its_app(settings: Settings) -> None:
    assert build_app(settings, build_server(settings))


def test_every_setting_stands_in_the_example() -> None:
    example = (BACKEND.parent / ".env.example").read_text(encoding="utf-8")
    listed = set(re.findall(r"^#? ?([A-Z][A-Z0-9_]*)=", example, re.MULTILINE))
    assert listed == {name.upper() for name in Settings.model_fields}


@pytest.mark.parametrize(
    ("name", "value", "rule"),
    [
        ("PORT", "70000", "a whole number from 1 to 65535."),
        ("ALLOWED_ORIGINS", "https://*.example.com", "a comma-separated list such as"),
    ],
)
def test_a_bad_setting_ends_the_start_with_one_line(
    name: str,
    value: str,
    rule: str,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    # `settings` has put everything else into the environment.
    monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit) as ended:
        load(Settings)
    assert ended.value.code == 2
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith(f"Cannot start: {name} must be {rule}")
