"""The ChatKitServer: one turn of the conversation, from the user's message to the stored answer."""

from collections.abc import AsyncIterator, Sequence
from typing import Any

from agents import Agent, RunConfig, Runner, set_tracing_disabled
from chatkit.agents import AgentContext
from chatkit.types import ThreadMetadata, ThreadStreamEvent, UserMessageItem

from app.agent import STARTERS, agent
from app.context import RequestContext
from app.history import model_input
from app.model import ModelSource
from app.protocol import title_of
from app.store import BaseStore
from app.stream import failed_turn, stream_run
from app.turn_server import TurnServer
from app.turns import Locks

# Otherwise every conversation goes to OpenAI's trace store as soon as OPENAI_API_KEY is set.
set_tracing_disabled(True)


class AgentServer(TurnServer):
    """Answers with the agent, which remembers the thread."""

    starters: Sequence[str] = STARTERS

    def __init__(
        self,
        store: BaseStore,
        model: ModelSource,
        *,
        locks: Locks,
        model_timeout: float,
        history_items: int,
        history_tokens: int,
        max_turns: int,
        agent: Agent[Any] = agent,
    ) -> None:
        super().__init__(store, locks)
        self.model = model
        self.answered_by = model.name
        self.agent = agent
        self.model_timeout = model_timeout
        self.history_items = history_items
        self.history_tokens = history_tokens
        self.max_turns = max_turns

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
        # The user's message is stored already, so the history holds it.
        history = await model_input(
            self.store, thread, context, items=self.history_items, tokens=self.history_tokens
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
            max_turns=self.max_turns,
            run_config=RunConfig(model=model, model_settings=self.model.settings),
        )
        async for event in stream_run(
            run,
            run_context,
            stop=turn.stop,
            silence=self.model_timeout,
            api_key=self.model.key_name,
        ):
            yield event
