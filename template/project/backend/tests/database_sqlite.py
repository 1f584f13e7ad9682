"""The tests' database: a file that is thrown away."""

from pathlib import Path

import pytest


@pytest.fixture
def database(tmp_path: Path) -> dict[str, str]:
    """The settings that name it."""
    return {"DATABASE_URL": f"sqlite:///{tmp_path.as_posix()}/test.db"}
