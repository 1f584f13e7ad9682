"""A chat-completions model, whose answer is complete only if its server says so."""

from typing import Any

from agents import OpenAIChatCompletionsModel

from app.finish import FinishedStream, KeepsWhatCame


class ChatCompletionsModel(KeepsWhatCame, OpenAIChatCompletionsModel):
    """Takes an answer for complete only if the server says so."""

    async def _fetch_response(self, *args: Any, **kwargs: Any) -> Any:
        fetched = await super()._fetch_response(*args, **kwargs)
        if not isinstance(fetched, tuple):
            return fetched
        response, stream = fetched
        return response, FinishedStream(stream)
