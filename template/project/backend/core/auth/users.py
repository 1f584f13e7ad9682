"""What the ways to sign in share: users' ids and roles, and the addresses they ask."""

import re
from typing import Annotated

import httpx
from pydantic import AfterValidator

from core.context import LOCAL_USER
from core.sentences import Sentence
from core.urls import checked_url

MAX_USER_ID = 255

SIGN_IN = Sentence("Sign in to use this chat.")
SIGN_INS_UNCHECKED = Sentence("Sign-ins cannot be checked right now. Try again in a moment.")


def _auth_url(value: str) -> str:
    checked_url(value)
    try:
        return str(httpx.URL(value))
    except httpx.InvalidURL:
        raise ValueError from None


AuthUrl = Annotated[str, AfterValidator(_auth_url)]


def is_user_id(value: str) -> bool:
    """Whether threads can be stored under it: visible characters, not too many of them.

    Nobody who signs in may be the user that everyone is without a sign-in.
    """
    if value == LOCAL_USER:
        return False
    return 0 < len(value) <= MAX_USER_ID and value.isprintable() and not value.isspace()


def roles_of(value: object) -> frozenset[str]:
    """The roles in a list, or in a text with spaces or commas between them."""
    if isinstance(value, str):
        value = re.split(r"[\s,]+", value)
    if not isinstance(value, list):
        return frozenset()
    return frozenset(role for role in value if isinstance(role, str) and role)


def text_or_none(value: object) -> str | None:
    """The value, if it is a text that says something."""
    return value if isinstance(value, str) and value else None
