"""The tests' sign-in: there is none."""

import pytest


@pytest.fixture
def auth() -> dict[str, str]:
    """The settings that name it."""
    return {}
