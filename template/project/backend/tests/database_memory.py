"""The tests' database: there is none."""

import pytest


@pytest.fixture
def database() -> dict[str, str]:
    """The settings that name it."""
    return {}
