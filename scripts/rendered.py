"""Projects rendered from the template as it lies here, committed or not."""

import tempfile
from collections.abc import Mapping
from pathlib import Path

from copier import Settings, run_copy

from scripts.dev import copy_template

Answers = Mapping[str, str | int]


def render(projects: Mapping[Path, Answers]) -> None:
    """Render each project into its folder. What is there already is overwritten."""
    with tempfile.TemporaryDirectory() as folder:
        template = copy_template(Path(folder) / "template")
        for project, answers in projects.items():
            # A developer's own Copier settings have no say in it.
            run_copy(
                str(template),
                project,
                data=dict(answers),
                defaults=True,
                overwrite=True,
                quiet=True,
                settings=Settings(),
            )
