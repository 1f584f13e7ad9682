"""What a provider's settings hold: its address, and a key that stays secret."""

from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, SecretStr

from app.settings import checked_url


def _blank_is_none(value: Any) -> Any:
    return None if isinstance(value, str) and not value.strip() else value


Url = Annotated[str, AfterValidator(checked_url)]
ApiKey = Annotated[SecretStr | None, BeforeValidator(_blank_is_none)]


def reveal(secret: SecretStr | None) -> str | None:
    """The secret's value, where it is needed."""
    return secret.get_secret_value() if secret else None
