"""Whether conversations go to OpenAI's trace store, and by whose key."""

from agents import set_tracing_disabled, set_tracing_export_api_key
from pydantic import Field, SecretStr, ValidationInfo, field_validator

from core.settings import ServerSettings


class TracingSettings(ServerSettings):
    """The settings of this file."""

    tracing: bool = Field(default=False, description="true or false")
    openai_api_key: SecretStr | None = Field(
        default=None,
        validate_default=True,
        description="a key from platform.openai.com, where TRACING is true",
    )

    @field_validator("openai_api_key")
    @classmethod
    def _needs_key(cls, key: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        if key and not key.get_secret_value().strip():
            key = None
        if info.data.get("tracing") and not key:
            raise ValueError
        return key


def trace(settings: TracingSettings) -> None:
    """Send every conversation to OpenAI's trace store if TRACING is true."""
    if settings.tracing and settings.openai_api_key:
        set_tracing_disabled(False)
        set_tracing_export_api_key(settings.openai_api_key.get_secret_value())
