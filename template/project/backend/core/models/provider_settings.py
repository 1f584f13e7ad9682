"""What a provider's settings hold: its address, and a key that stays secret."""

from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, SecretStr

from core.urls import checked_url


def _key(value: Any) -> Any:
    """The key as a header can hold it, without the newline that files end with; None if blank."""
    if not isinstance(value, str):
        return value
    key = value.strip()
    if not (key.isascii() and key.isprintable()):
        raise ValueError
    return key or None


Url = Annotated[str, AfterValidator(checked_url)]
ApiKey = Annotated[SecretStr | None, BeforeValidator(_key)]


def reveal(secret: SecretStr | None) -> str | None:
    """The secret's value, where it is needed."""
    return secret.get_secret_value() if secret else None
