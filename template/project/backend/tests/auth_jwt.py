"""The tests' sign-in: tokens with a secret of their own."""

import secrets

import pytest


@pytest.fixture
def auth() -> dict[str, str]:
    """The settings that name it."""
    return {"AUTH_JWT_SECRET": secrets.token_urlsafe(48)}
