"""PostgreSQL, tried from inside a project: its store, its locks, and the server for a try."""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.postgres import server
from tests.render import BACKEND, render_into

INSIDE = Path(__file__).with_name("inside")


@pytest.fixture(scope="module")
def backend() -> Iterator[Path]:
    # Not in pytest's folder, which is closed to the user that PostgreSQL runs as.
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o755)
        project = Path(folder) / "myapp"
        render_into(project, level=2, provider="local", store="postgres")
        shutil.copytree(INSIDE, project / "backend" / "tests", dirs_exist_ok=True)
        # What a project had before PostgreSQL, whose files are moved.
        for file in ("sqlite.py", "sqlite_file.py"):
            shutil.copy(BACKEND / "core/stores" / file, project / "backend/core/stores")
        yield project / "backend"


@pytest.mark.parametrize("file", sorted(path.name for path in INSIDE.glob("test_*.py")))
def test_what_only_postgresql_can_do_wrong_it_does_right(backend: Path, file: str) -> None:
    kept = {name: value for name, value in os.environ.items() if not re.match("PYTEST|CI$", name)}
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"tests/{file}"],
        cwd=backend,
        env=kept | {"DATABASE_URL": server()},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "skipped" not in ran.stdout
