"""Renders projects from the template as it lies here, committed or not."""

import atexit
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from copier import Settings, run_copy

from scripts.dev import TEMPLATE, copy_template

BACKEND = TEMPLATE / "project" / "backend"
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


@contextmanager
def the_template() -> Iterator[None]:
    """Import `app` from the template as it lies there; other tests import that of a project."""

    def take_out() -> dict[str, Any]:
        own = ("app", "store_contract", "store_samples")
        names = [name for name in sys.modules if name.split(".")[0] in own]
        return {name: sys.modules.pop(name) for name in names}

    others, path = take_out(), list(sys.path)
    sys.path[:0] = [str(BACKEND), str(BACKEND / "tests")]
    try:
        yield
    finally:
        sys.path[:] = path
        take_out()
        sys.modules.update(others)
