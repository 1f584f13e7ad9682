"""The ChatKitServer: one turn of the conversation, from the user's message to the stored answer."""

import logging
from collections.abc import AsyncIterator, Sequence
from typing import Any

from agents import (
    Agent,
    ModelRefusalError,
    RunConfig,
    RunErrorHandlerInput,
    RunErrorHandlers,
    Runner,
    ToolErrorFormatterArgs,
    set_tracing_disabled,
)
from chatkit.agents import AgentContext
from chatkit.types import StreamOptionsEvent, ThreadMetadata, ThreadStreamEvent, UserMessageItem
from pydantic import Field

from app.agent import STARTERS, agent
from app.context import RequestContext
from app.history import model_input
from app.model import ModelSource
from app.protocol import title_of
from app.settings import ServerSettings
from app.store import BaseStore
from app.stream import failed_turn, stream_run
from app.turn_server import TurnServer
from app.turns import Locks

log = logging.getLogger("app")

# Otherwise every conversation goes to OpenAI's trace store as soon as OPENAI_API_KEY is set.
set_tracing_disabled(True)


class AgentSettings(ServerSettings):
    """How much the model is told, and how long and how often it is asked."""

    model_timeout: float = Field(
        default=60, ge=1, le=86_400, description="a number of seconds from 1 to 86400"
    )
    history_items: int = Field(
        default=50, ge=1, le=1000, description="a number of items from 1 to 1000"
    )
    history_tokens: int = Field(default=32_000, ge=1, description="a number of tokens, at least 1")
    max_turns: int = Field(default=10, ge=1, description="a number of model calls, at least 1")


class AgentServer(TurnServer):
    """Answers with the agent, which remembers the thread."""

    starters: Sequence[str] = STARTERS

    def __init__(
        self,
        store: BaseStore,
        model: ModelSource,
        *,
        locks: Locks,
        settings: AgentSettings,
        agent: Agent[Any] = agent,
    ) -> None:
        super().__init__(store, locks)
        self.model = model
        self.answered_by = model.name
        self.agent = agent
        self.settings = settings

    async def start(self) -> None:
        await super().start()
        self.model.start()

    async def close(self) -> None:
        await super().close()
        self.model.close()

    async def not_ready(self) -> str | None:
        return await super().not_ready() or self.model.not_ready()

    def hint(self) -> str | None:
        return self.model.hint()

    async def respond(
        self,
        thread: ThreadMetadata,
        input_user_message: UserMessageItem | None,
        context: RequestContext,
    ) -> AsyncIterator[ThreadStreamEvent]:
        turn = self.turns.of(context)
        turn.thread = thread
        if input_user_message and not thread.title:
            thread.title = title_of(input_user_message)
            # At an event the thread is stored: now, and not when the model has found its first
            # word, over a rename in another process.
            yield StreamOptionsEvent(stream_options=self.get_stream_options(thread, context))
        # The user's message is stored already, so the history holds it.
        history = await model_input(
            self.store,
            thread,
            context,
            items=self.settings.history_items,
            tokens=self.settings.history_tokens,
        )
        run_context = AgentContext[RequestContext](
            thread=thread, store=self.store, request_context=context
        )
        try:
            model = await self.model.get()
        except Exception as error:
            raise failed_turn(error, context, begun=False, api_key=self.model.key_name) from None
        if turn.stop.is_set():
            return
        run = Runner.run_streamed(
            self.agent,
            history,
            context=run_context,
            max_turns=self.settings.max_turns,
            error_handlers=RunErrorHandlers(model_refusal=refusal),
            run_config=RunConfig(
                model=model,
                model_settings=self.model.settings,
                # A model may invent a tool. Told so, it finds another way.
                tool_not_found_behavior="return_error_to_model",
                tool_error_formatter=log_tool_error,
            ),
        )
        async for event in stream_run(
            run,
            run_context,
            stop=turn.stop,
            silence=self.settings.model_timeout,
            api_key=self.model.key_name,
        ):
            yield event


def refusal(refused: RunErrorHandlerInput[Any]) -> str:
    """A refusal is an answer too: otherwise it would end the run as a failure."""
    assert isinstance(refused.error, ModelRefusalError)
    return refused.error.refusal


def log_tool_error(failed: ToolErrorFormatterArgs[Any]) -> None:
    """Log why a tool failed. The model is told in the SDK's own words, which name no cause."""
    request: RequestContext = failed.run_context.context.request_context
    if failed.error is not None:
        line = "request %s: the tool %s failed"
        log.error(line, request.request_id, failed.tool_name, exc_info=failed.error)
