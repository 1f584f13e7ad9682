"""URLs among the settings."""

from urllib.parse import urlsplit


def checked_url(value: str) -> str:
    """The URL without a slash at its end. Raises ValueError if it is not one of http or https."""
    if " " in value or not value.isprintable():
        raise ValueError
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.port == 0:
        raise ValueError
    return value.rstrip("/")
