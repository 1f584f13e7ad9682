"""What a gateway between the project and its provider wants, and what the models behind it can."""

import json
import re
from typing import Annotated, Any
from urllib.parse import parse_qsl

from pydantic import BeforeValidator, Field, SecretStr
from pydantic_settings import NoDecode

from core.models.litellm_models import same_provider
from core.settings import ServerSettings

NAME = re.compile(r"[!#$%&'*+.^_`|~\w-]+", re.ASCII)
"""The name of a header."""
TAKEN = ("connection", "content-length", "content-type", "host", "transfer-encoding")
"""The headers that the client of the provider sets itself."""


def _headers(value: Any) -> Any:
    """`X-Team: chat; X-Place: 7`, or a JSON object, as a dict."""
    if not isinstance(value, str):
        return value
    if value.lstrip().startswith("{"):
        headers = json.loads(value)
    else:
        pairs = [pair.partition(":") for pair in value.split(";") if pair.strip()]
        headers = {name.strip(): text.strip() for name, _, text in pairs}
    for name, text in headers.items():
        right = NAME.fullmatch(name) and name.lower() not in TAKEN
        if not (right and isinstance(text, str) and text and text.isascii() and text.isprintable()):
            raise ValueError
    return headers


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


def gateway_for(name: str, model: str, settings: GatewaySettings) -> dict[str, Any]:
    """What a ModelSource is told of it: nothing, if the model is of another provider than MODEL.

    Another provider has no right to the headers, and may take tools.
    """
    if not same_provider(name, model):
        return {}
    return {
        "headers": {key: text.get_secret_value() for key, text in settings.model_headers.items()},
        "query": {key: text.get_secret_value() for key, text in settings.model_query.items()},
        "tools": settings.model_tools,
    }
