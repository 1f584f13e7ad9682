"""What the user has chosen for a turn, and the agent that does it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any
from weakref import WeakKeyDictionary

from agents import Agent, ModelSettings, RunContextWrapper
from agents.models import get_default_model_settings
from chatkit.agents import AgentContext
from chatkit.store import Store
from chatkit.types import ThreadMetadata, UserMessageItem

from core.context import RequestContext
from core.errors import Refused
from core.models.provider import Models
from core.models.source import ModelSource, UnknownModel
from core.own_code import given_by
from core.protocol.inference_options import ModelOption, ToolOption, chosen, tool_id
from core.sentences import Sentence
from core.settings import give_up
from core.turns.agents import answering
from core.turns.server import TurnServer
from core.turns.turn_context import TurnContext

PAGE = 20


@dataclass(frozen=True)
class Choice:
    """What the user has chosen of what the server offers."""

    model: ModelOption | None = None
    tool: ToolOption | None = None
    calls_first: bool = False
    """Whether the model still has to call the tool: a turn that goes on has begun with it."""


class Choices:
    """What is chosen in each turn of a server."""

    def __init__(self, server: TurnServer) -> None:
        self._server = server
        self._known: WeakKeyDictionary[RequestContext, Choice] = WeakKeyDictionary()

    async def of(
        self, thread: ThreadMetadata, message: UserMessageItem | None, context: RequestContext
    ) -> Choice:
        """What is chosen with this message, or was with the newest one where a turn goes on.

        Raises Refused for what is no longer offered.
        """
        if context not in self._known:
            self._known[context] = await self._find(thread, message, context)
        return self._known[context]

    async def _find(
        self, thread: ThreadMetadata, message: UserMessageItem | None, context: RequestContext
    ) -> Choice:
        models, tools = self._server.model_options, self._server.tool_options
        asked = message
        if asked is None and (models or tools):
            asked = await newest_message(self._server.store, thread.id, context)
        if asked is None:
            return Choice()
        options = asked.inference_options
        tool = chosen(tools, tool_id(options), "inference_options.tool_choice")
        return Choice(
            model=chosen(models, options.model, "inference_options.model"),
            tool=tool,
            calls_first=tool is not None and not tool.agent and message is not None,
        )

    async def done_by(
        self,
        agent: Agent[Any],
        source: ModelSource,
        thread: ThreadMetadata,
        message: UserMessageItem | None,
        context: RequestContext,
        *,
        first: Agent[Any],
    ) -> Agent[Any]:
        """The agent as it does what is chosen. Raises Refused.

        A model is chosen for those agents that name none, and for the first one.
        """
        given_by("model_for", source, ModelSource)
        choice = await self.of(thread, message, context)
        if choice.model and agent.model and agent.name == first.name:
            agent = agent.clone(model=source.named_model)
        if choice.tool and choice.calls_first:
            run_context = TurnContext(
                thread=thread, store=self._server.store, request_context=context
            )
            await check_tool(agent, choice.tool, run_context)
            agent = calling_first(agent, choice.tool.id)
        return agent


async def newest_message(
    store: Store[RequestContext], thread_id: str, context: RequestContext
) -> UserMessageItem | None:
    """The user's newest message in the thread: what was chosen with it holds until the next."""
    after: str | None = None
    while True:
        page = await store.load_thread_items(thread_id, after, PAGE, "desc", context)
        for item in page.data:
            if isinstance(item, UserMessageItem):
                return item
        if not page.has_more:
            return None
        after = page.after


async def check_tool(
    agent: Agent[Any], option: ToolOption, context: AgentContext[RequestContext]
) -> None:
    """Raise Refused where the agent does not have the tool, or not for this user."""
    named = [tool for tool in agent.tools if tool.name == option.id]
    # The SDK asks each tool's `is_enabled`; MCP servers would be asked for their lists, too.
    alone = agent.clone(tools=named, mcp_servers=[])
    if not option.mcp and not await alone.get_all_tools(RunContextWrapper(context)):
        raise Refused(Sentence("{tool} cannot be used here.", tool=option.label))


def calling_first(agent: Agent[Any], tool: str) -> Agent[Any]:
    """The agent, whose model has to call this tool before anything else, if it can be made to."""
    settings = agent.model_settings
    if agent.model is None and settings == get_default_model_settings():
        settings = ModelSettings()  # Those are for the SDK's own default model, and not written.
    # Reset after the first tool: the model would call it for ever.
    settings = replace(settings, tool_choice=tool)
    return agent.clone(model_settings=settings, reset_tool_choice=True)


def having(tool: ToolOption, agent: Agent[Any], first: Agent[Any]) -> Agent[Any]:
    """The agent that has the tool: this one, or else one of those that the first leads to."""
    for each in (agent, *answering(first)):
        if tool.mcp or any(known.name == tool.id for known in each.tools):
            return each
    return first


# --- At the start ---


def agents_chosen(tools: Sequence[ToolOption]) -> list[Agent[Any]]:
    """The agents that the options name. Ends the program with a sentence for one that is none."""
    for option in tools:
        if not isinstance(option.agent, Agent | None):
            give_up(f"app/server.py: tools: the agent of {option.id} is no Agent.")
    return [option.agent for option in tools if option.agent]


def check_options(
    server: TurnServer, agent: Agent[Any], models: Models, usual: type[TurnServer]
) -> None:
    """End the program with a sentence for an option that could not be done.

    Whoever overrides `agent_for` or `model_for` of the usual server takes there what is not listed.
    """
    own_tools, own_models = (
        getattr(type(server), name) is not getattr(usual, name)
        for name in ("agent_for", "model_for")
    )
    if own_tools and not server.tools:
        server.tool_options = None
    if (own_tools or own_models) and not server.models:
        server.model_options = None
    known = {tool.name for each in answering(agent) for tool in each.tools}
    for tool in server.tools:
        if not (own_tools or tool.agent or tool.mcp or tool.id in known):
            give_up(
                f"app/server.py: tools: the agent {agent.name} has no tool {tool.id}. "
                "For an MCP server's tool say mcp=True, for an agent agent=…"
            )
    if own_models or server.model_options is None:
        return
    for model in server.model_options.values():
        try:
            models.source(model.name)
        except UnknownModel as error:
            give_up(f"app/server.py: models: {error}")
