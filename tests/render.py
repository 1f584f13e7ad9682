"""Renders projects from the template as it lies here, committed or not."""

import atexit
import shutil
import tempfile
from functools import cache
from pathlib import Path

from copier import Settings, run_copy

from scripts.dev import copy_template

SCRATCH = Path(tempfile.mkdtemp(prefix="chatkit-template-"))
atexit.register(shutil.rmtree, SCRATCH, ignore_errors=True)


@cache
def render(**answers: str | int) -> Path:
    """The project that these answers give. All tests share it: look, don't touch."""
    words = [f"{question}={answer}" for question, answer in sorted(answers.items())]
    return render_into(SCRATCH / "-".join(["project", *words]), **answers)


def render_into(project: Path, /, **answers: str | int) -> Path:
    """The project that these answers give, in a folder of the test's own."""
    # A developer's own Copier settings have no say in it.
    run_copy(
        str(plain_template()),
        project,
        data=answers,
        defaults=True,
        quiet=True,
        settings=Settings(),
    )
    return project


@cache
def plain_template() -> Path:
    return copy_template(SCRATCH / "template")
