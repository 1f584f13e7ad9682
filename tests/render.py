"""Renders projects from the template as it lies here, committed or not."""

import atexit
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from types import CodeType
from typing import Any
from unittest.mock import patch

import copier._main
import jinja2
from copier import Settings, run_copy

from scripts.dev import TEMPLATE, copy_template

BACKEND = TEMPLATE / "project" / "backend"
# The processes of one test run share what is rendered.
if "CHATKIT_TEMPLATE_RENDERED" not in os.environ:
    os.environ["CHATKIT_TEMPLATE_RENDERED"] = tempfile.mkdtemp(prefix="chatkit-template-")
    atexit.register(shutil.rmtree, os.environ["CHATKIT_TEMPLATE_RENDERED"], ignore_errors=True)
SCRATCH = Path(os.environ["CHATKIT_TEMPLATE_RENDERED"])


@cache
def render(**answers: str | int) -> Path:
    """The project that these answers give. All tests share it: look, don't touch."""
    words = [f"{question}={answer}" for question, answer in sorted(answers.items())]
    # A model's name has a slash.
    name = "-".join(["project", *words]).replace("/", "-")
    return once(SCRATCH / name, lambda project: render_into(project, **answers))


def render_into(project: Path, /, **answers: str | int) -> Path:
    """The project that these answers give, in a folder of the test's own."""
    with without_repetition():
        run_copy(
            str(plain_template()),
            project,
            data=answers,
            defaults=True,
            quiet=True,
            # A developer's own Copier settings have no say in it.
            settings=Settings(),
        )
    return project


@cache
def plain_template() -> Path:
    return once(SCRATCH / "template", copy_template)


def once(folder: Path, make: Callable[[Path], object]) -> Path:
    """`folder`, made unless another process has made it."""
    if not folder.exists():
        # The same name in another place, because a project is named after its folder.
        made = Path(tempfile.mkdtemp(dir=SCRATCH)) / folder.name
        make(made)
        try:
            made.rename(folder)
        except OSError:
            assert folder.exists(), folder
    return folder


COMPILED: dict[tuple[object, ...], CodeType] = {}


@contextmanager
def without_repetition() -> Iterator[None]:
    """Copier without what it does again for each project, and always with the same result.

    That takes two thirds of its time: it compiles the names and the texts of all files, and asks
    git for each file whether its mode counts, where there is no git.
    """
    compile_anew = jinja2.Environment.compile

    def compile_once(environment: jinja2.Environment, *arguments: Any) -> Any:
        if arguments not in COMPILED:
            COMPILED[arguments] = compile_anew(environment, *arguments)
        return COMPILED[arguments]

    with (
        patch.object(jinja2.Environment, "compile", compile_once),
        patch.object(copier._main, "is_git_available", lambda: False, create=True),
    ):
        yield


@contextmanager
def the_template() -> Iterator[None]:
    """Import `app` from the template as it lies there; other tests import that of a project."""

    def take_out() -> dict[str, Any]:
        own = ("app", "core", "store_contract", "store_safety", "store_samples")
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
