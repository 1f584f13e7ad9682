"""The settings, and how a bad one is told."""

import os
import re
import subprocess
import sys
from pathlib import Path

from app.wiring import Settings

BACKEND = Path(__file__).resolve().parents[1]


def test_every_setting_stands_in_the_example() -> None:
    example = (BACKEND.parent / ".env.example").read_text(encoding="utf-8")
    listed = set(re.findall(r"^#? ?([A-Z][A-Z0-9_]*)=", example, re.MULTILINE))
    assert listed == {name.upper() for name in Settings.model_fields}


def test_a_bad_port_ends_the_start_with_one_line() -> None:
    started = subprocess.run(
        [sys.executable, "main.py"],
        cwd=BACKEND,
        env={**os.environ, "PORT": "70000"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert started.returncode == 2
    [line] = started.stderr.splitlines()
    assert line.startswith("Cannot start: PORT must be a whole number from 1 to 65535.")
