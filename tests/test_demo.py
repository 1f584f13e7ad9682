"""The demo, from nothing to the first answer: a real project, its own packages, a real model."""

import subprocess
import sys

from scripts.dev import ROOT


def test_the_demo_gets_an_answer_from_the_model() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "scripts.demo", "--once"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    _, answer = done.stdout.split("> What is a rainbow?")
    assert answer.strip()
