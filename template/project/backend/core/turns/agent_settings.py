"""The settings of an answer."""

from pydantic import Field

from core.settings import ServerSettings


class AgentSettings(ServerSettings):
    """How much the model is told, and how long and how often it is asked."""

    model_timeout: float = Field(
        default=60, ge=1, le=86_400, description="a number of seconds from 1 to 86400"
    )
    history_items: int = Field(
        default=100, ge=1, le=1000, description="a number of items from 1 to 1000"
    )
    history_tokens: int = Field(default=32_000, ge=1, description="a number of tokens, at least 1")
    history_images: int = Field(
        default=10, ge=0, le=1000, description="a number of images from 0 to 1000"
    )
    max_turns: int = Field(default=10, ge=1, description="a number of model calls, at least 1")
