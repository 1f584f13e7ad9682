"""The server of level 3: an AgentServer with sign-in, limits, tools, actions and titles."""

import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from typing import Any

from agents import Agent, StopAtTools, set_tracing_disabled, set_tracing_export_api_key
from chatkit.actions import Action
from chatkit.errors import CustomStreamError
from chatkit.types import (
    ChatKitReq,
    SyncCustomActionResponse,
    ThreadMetadata,
    ThreadsCustomActionReq,
    ThreadsSyncCustomActionReq,
    ThreadStreamEvent,
    UserMessageItem,
    WidgetItem,
)
from pydantic import Field, SecretStr, ValidationInfo, field_validator
from starlette.requests import Request

from app import tools
from app.actions import ACTIONS
from app.auth import Auth
from app.context import RequestContext
from app.limits import Limits
from app.offers import StreamingAction, SyncAction, check_action
from app.protocol import Refused
from app.server import AgentServer
from app.settings import ServerSettings, give_up
from app.titles import Titles

log = logging.getLogger("app")


class TracingSettings(ServerSettings):
    """Whether conversations go to OpenAI's trace store, and by whose key."""

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


class ProductionServer(AgentServer):
    """Answers with the agent and its tools those who are signed in, within their limits."""

    starters: Sequence[str] = (*tools.STARTERS, *AgentServer.starters)

    def __init__(
        self,
        *args: Any,
        auth: Auth,
        limits: Limits,
        tracing: SecretStr | None,
        titles: bool,
        **kwargs: Any,
    ) -> None:
        """Takes what AgentServer takes, too.

        `tracing` is the key by which every conversation goes to OpenAI's trace store, if it shall;
        `titles` lets the model make them.
        """
        super().__init__(*args, **kwargs)
        self.agent = with_tools(self.agent)
        self.auth = auth
        self.cookies = auth.cookies
        self.limits = limits
        self.titles = Titles(self.store, self.turns, self.model) if titles else None
        set_tracing_disabled(not tracing)
        if tracing:
            set_tracing_export_api_key(tracing.get_secret_value())

    async def start(self) -> None:
        await super().start()
        await self.auth.start()
        await self.limits.start()

    async def close(self) -> None:
        if self.titles:
            await self.titles.close()
        await super().close()
        await self.limits.close()
        await self.auth.close()

    async def not_ready(self) -> str | None:
        return await super().not_ready() or await self.auth.not_ready()

    async def identify(self, request: Request) -> RequestContext:
        return await self.auth.identify(request)

    async def admit(self, context: RequestContext, held: AsyncExitStack) -> None:
        held.enter_context(self.limits.stream(context.user_id))
        await self.limits.message(context.user_id)

    async def respond(
        self,
        thread: ThreadMetadata,
        input_user_message: UserMessageItem | None,
        context: RequestContext,
    ) -> AsyncIterator[ThreadStreamEvent]:
        # A thread that is tried again has its title.
        if self.titles and input_user_message and not thread.title:
            self.titles.begin(thread, input_user_message, context)
        async for event in super().respond(thread, input_user_message, context):
            yield event

    async def check(self, request: ChatKitReq, context: RequestContext) -> None:
        await super().check(request, context)
        if isinstance(request, ThreadsCustomActionReq | ThreadsSyncCustomActionReq):
            params = request.params
            streams = isinstance(request, ThreadsCustomActionReq)
            if params.item_id is None:
                raise Refused("params.item_id: an action comes from a widget.")
            sender = await self.store.load_item(params.thread_id, params.item_id, context)
            assert isinstance(sender, WidgetItem)
            kind = StreamingAction if streams else SyncAction
            check_action(ACTIONS, kind, params.action, sender)

    async def action(
        self,
        thread: ThreadMetadata,
        action: Action[str, Any],
        sender: WidgetItem | None,
        context: RequestContext,
    ) -> AsyncIterator[ThreadStreamEvent]:
        self.turns.of(context).thread = thread
        known = ACTIONS[action.type]
        assert isinstance(known, StreamingAction) and sender is not None
        payload = known.payload.model_validate(action.payload or {})
        try:
            async for event in known.handler(payload, sender, context):
                yield event
        except Refused as error:
            raise CustomStreamError(context.signed(error.sentence)) from None
        except Exception:
            # Retry is for answers: it would take away what came after the user's last message.
            log.exception("request %s: the action failed", context.request_id)
            raise CustomStreamError(context.signed("This did not work.")) from None

    async def sync_action(
        self,
        thread: ThreadMetadata,
        action: Action[str, Any],
        sender: WidgetItem | None,
        context: RequestContext,
    ) -> SyncCustomActionResponse:
        known = ACTIONS[action.type]
        assert isinstance(known, SyncAction) and sender is not None
        payload = known.payload.model_validate(action.payload or {})
        item = await known.handler(payload, sender, context)
        await self.store.save_item(thread.id, item, context)
        return SyncCustomActionResponse(updated_item=item)


def with_tools(agent: Agent[Any]) -> Agent[Any]:
    """The agent with the tools of tools.py; client tools that it has already stay such.

    Ends the program with a sentence where the agent's runs end at tools in another way.
    """
    agent = agent.clone(tools=[*agent.tools, *tools.TOOLS])
    if not tools.CLIENT_TOOLS:
        return agent
    names = [tool.name for tool in tools.CLIENT_TOOLS]
    stops = agent.tool_use_behavior
    if isinstance(stops, dict):
        names += stops["stop_at_tool_names"]
    elif stops != "run_llm_again":
        give_up("agent.py: with client tools, tool_use_behavior has to be StopAtTools.")
    return agent.clone(tool_use_behavior=StopAtTools(stop_at_tool_names=names))
