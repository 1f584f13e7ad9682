"""The tests' sign-in: at an address where nobody listens."""

import pytest


@pytest.fixture
def auth() -> dict[str, str]:
    """The settings that name it."""
    return {"AUTH_SESSION_URL": "http://127.0.0.1:9/api/auth/get-session"}
