"""What a gateway between the project and its provider wants, and what the models behind it can."""

import json
import re
from collections.abc import Mapping
from typing import Annotated, Any, Protocol
from urllib.parse import parse_qsl

from pydantic import BeforeValidator, Field, SecretStr
from pydantic_settings import NoDecode

from core.models.litellm_models import same_provider
from core.settings import ServerSettings, WrongPart

NAME = re.compile(r"[!#$%&'*+.^_`|~\w-]+", re.ASCII)
"""The name of a header."""
TAKEN = ("connection", "content-length", "content-type", "host", "transfer-encoding")
"""The headers that the client of the provider sets itself."""


def _headers(value: Any) -> Any:
    """`X-Team: chat; X-Place: 7`, or a JSON object, as a dict. Raises ValueError."""
    if not isinstance(value, str):
        return value
    pairs: list[tuple[str, Any]]
    if value.lstrip().startswith("{"):
        pairs = list(json.loads(value).items())
    else:
        parts = [part.partition(":") for part in value.split(";") if part.strip()]
        pairs = [(name.strip(), text.strip() if colon else None) for name, colon, text in parts]
    for number, (name, text) in enumerate(pairs, 1):
        # What is no header's name may be of a value, which is a secret.
        if text is None or not NAME.fullmatch(name):
            raise WrongPart(f"The one with the number {number} is not a name and a value.")
        if name.lower() in TAKEN:
            raise WrongPart(f"{name} is not for you to set.")
        if not (isinstance(text, str) and text and text.isascii() and text.isprintable()):
            raise WrongPart(f"The value of {name} is not a line of ASCII characters.")
    return dict(pairs)


def _query(value: Any) -> Any:
    """`team=chat&place=7` as a dict."""
    if not isinstance(value, str):
        return value
    return dict(parse_qsl(value.strip().removeprefix("?"), strict_parsing=True))


class GatewaySettings(ServerSettings):
    """What goes with every request to the provider of MODEL."""

    model_headers: Annotated[dict[str, SecretStr], NoDecode, BeforeValidator(_headers)] = Field(
        default={}, description="headers such as X-Team: chat; X-Place: 7, or a JSON object of them"
    )
    model_query: Annotated[dict[str, SecretStr], NoDecode, BeforeValidator(_query)] = Field(
        default={}, description="parameters such as api-version=2025-04-01-preview&team=chat"
    )
    model_tools: bool = Field(default=True, description="true or false")


class Asked(Protocol):
    """The settings of a project's model."""

    @property
    def model(self) -> str: ...
    @property
    def model_base_url(self) -> str | None: ...
    @property
    def model_timeout(self) -> float: ...
    @property
    def model_headers(self) -> Mapping[str, SecretStr]: ...
    @property
    def model_query(self) -> Mapping[str, SecretStr]: ...
    @property
    def model_tools(self) -> bool: ...
    @property
    def model_fields_set(self) -> set[str]: ...


def asked_with(name: str, settings: Asked) -> dict[str, Any]:
    """What a ModelSource is told of how its model is asked.

    A model of another provider than MODEL's is at another address, has no right to the headers, and
    may take tools.
    """
    if not same_provider(name, settings.model):
        return {"timeout": settings.model_timeout}
    # A local server's address is none for LiteLLM, unless it was set.
    address_set = "model_base_url" in settings.model_fields_set
    return {
        "timeout": settings.model_timeout,
        "base_url": settings.model_base_url if address_set else None,
        "headers": {key: text.get_secret_value() for key, text in settings.model_headers.items()},
        "query": {key: text.get_secret_value() for key, text in settings.model_query.items()},
        "tools": settings.model_tools,
    }
