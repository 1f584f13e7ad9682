"""The server of an agent: a turn is a run of the agent, told the thread's newest items."""

import logging
from collections.abc import AsyncIterator, Sequence
from functools import partial
from typing import Any

from agents import (
    Agent,
    Model,
    RunConfig,
    RunHooks,
    TResponseInputItem,
)
from chatkit.agents import AgentContext, ResponseStreamConverter, ThreadItemConverter
from chatkit.errors import CustomStreamError
from chatkit.types import (
    StreamOptionsEvent,
    ThreadMetadata,
    ThreadStreamEvent,
    UserMessageItem,
)
from chatkit.widgets import WidgetRoot

from core.context import RequestContext
from core.errors import Refused
from core.models.provider import Models, WithDefault
from core.models.source import ModelSource, UnknownModel
from core.own_code import given_by
from core.protocol.messages import NEW_CHAT, title_of
from core.protocol.questions import with_answers
from core.sentences import Sentence
from core.settings import give_up
from core.stores.base import BaseStore
from core.turns.agent_settings import AgentSettings
from core.turns.agents import (
    WrongAgent,
    agents_of,
    give_way_back,
    goes_on_with,
    guarded,
    models_of,
    remember_agent,
    remember_beginning,
)
from core.turns.approvals import WAITING
from core.turns.begun_run import begin_run
from core.turns.checked_agents import check_agents, check_kinds
from core.turns.choices import Choices, agents_chosen, check_options, having
from core.turns.failed_tools import told_of_tool_error
from core.turns.failures import SET_UP_WRONGLY, Tripwire, failed_run
from core.turns.feature import Feature, actions_of, check_features, equip
from core.turns.final_output import readable
from core.turns.history import model_input
from core.turns.hosted_tools import check_hosted_tools
from core.turns.item_converter import ItemConverter
from core.turns.mcp import McpServers, check_servers
from core.turns.paused_run import PausedState
from core.turns.resuming_server import ResumingServer
from core.turns.run_stream import stream_run
from core.turns.running import STOP_SECONDS, Turns
from core.turns.runs_beside import (
    RunsBeside,
    add_runs_beside,
    having_models,
    remove_runs_beside,
)
from core.turns.title_maker import TitleMaker
from core.turns.turn_context import TurnContext
from core.turns.watched_run import Unanswered

log = logging.getLogger("app")


class AgentServer(ResumingServer):
    """Answers with an agent, which remembers the thread.

    A project decides the rest in app/server.py, by overriding `agent_for`, `model_for`, `admit`,
    `run_config`, `show_output`, the two converters, or what ChatKitServer itself leaves open, such
    as `transcribe`. Its own `starters`, `models`, `tools` and `answered_by` stand, too.
    """

    patience = STOP_SECONDS
    item_converter: ThreadItemConverter = ItemConverter()
    """Asked at the beginning of each turn: it turns the thread's newest items into the model's
    input, such as attachments, tags, widgets and hidden items."""
    run_hooks: RunHooks[AgentContext[RequestContext]] | None = None
    """The Agents SDK's hooks for every run that answers; an agent may have hooks of its own."""
    stays_with_agent = True
    """Whether a thread goes on with the agent that it was handed over to. Then each agent can
    hand back."""
    response_converter: ResponseStreamConverter = ResponseStreamConverter()
    """Asked while an answer streams: it turns annotations and generated images into ChatKit's."""

    def __init__(
        self,
        store: BaseStore,
        turns: Turns,
        *,
        agent: Agent[Any],
        model_provider: Models,
        settings: AgentSettings,
        starters: Sequence[str] = (),
        features: Sequence[Feature] = (),
        titles: TitleMaker | None = None,
        **parts: Any,
    ) -> None:
        """`starters` are first messages to choose from, beside those of the features.

        ApprovalServer, ActionServer and TurnServer take the other parts.
        """
        super().__init__(store, turns, actions=actions_of(features), **parts)
        self.features = features
        self.agent = agent
        self.model_provider = model_provider
        self.model = model_provider.default
        self.mcp_servers = McpServers()
        # The resources may give an agent MCP servers, so these are opened after them.
        self.resources.inside = lambda: self.mcp_servers.open(
            [each for one in (self.agent, *agents_chosen(self.tools)) for each in agents_of(one)]
        )
        self.beside = RunsBeside(model_provider, self.mcp_servers)
        self.check_agents(agent)
        if type(self).answered_by == ResumingServer.answered_by:
            self.answered_by = self.model.name
        self.settings = settings
        given = [*(each for feature in features for each in feature.starters), *starters]
        self.starters = type(self).starters or given
        self.titles = titles
        check_options(self, agent, model_provider, AgentServer)
        self.choices = Choices(self)

    def check_agents(self, first: Agent[Any]) -> None:
        """End the program with a sentence for an agent that could not answer."""
        chosen = agents_chosen(self.tools)
        for agent in (first, *chosen):
            try:
                check_kinds(agent)
                self.prepare(agent)
                check_agents(agent, self.model_provider)
                check_servers(agents_of(agent))
                if type(self).model_for is AgentServer.model_for:
                    check_hosted_tools(agent, self.model_provider)
            except WrongAgent as error:
                place = "app/agent.py" if agent is first else "app/server.py: tools"
                give_up(f"{place}: {error}")
        if type(self).agent_for is AgentServer.agent_for:  # Another one may bring any agent.
            check_features([first, *chosen], self.features)

    async def start(self) -> None:
        await super().start()
        self.model_provider.start(models_of([self.agent, *agents_chosen(self.tools)]))
        add_runs_beside(self.beside)

    async def close(self) -> None:
        if self.titles:
            await self.titles.close()
        await super().close()
        remove_runs_beside(self.beside)
        self.model_provider.close()

    async def not_ready(self) -> str | None:
        return (
            await super().not_ready()
            or self.mcp_servers.not_ready()
            or self.model_provider.not_ready()
        )

    def hint(self) -> str | None:
        return self.model_provider.hint()

    # --- What a project may decide for itself, in app/server.py ---

    async def agent_for(
        self,
        thread: ThreadMetadata,
        message: UserMessageItem | None,
        context: RequestContext,
    ) -> Agent[Any]:
        """Called at the beginning of each turn: the agent that answers.

        Here it is the agent of the tool that the user has chosen, app/agent.py's, or the one that
        this has handed the thread over to. `message` is what the user wrote, with its
        `inference_options`; None after an action, and when a client's tool or a question has been
        answered. May raise Refused. Whoever overrides this may take what `models` and `tools` do
        not list.
        """
        tool = (await self.choices.of(thread, message, context)).tool
        last = goes_on_with(thread, message, self.agent)
        return last if tool is None else tool.agent or having(tool, last, self.agent)

    async def model_for(
        self,
        thread: ThreadMetadata,
        message: UserMessageItem | None,
        context: RequestContext,
    ) -> ModelSource | str:
        """Called at the beginning of each turn: the model for agents that name none.

        Here it is the one that the user has chosen, or MODEL. A name is as an agent may have it.
        `message` is as for `agent_for`. May raise Refused.
        """
        option = (await self.choices.of(thread, message, context)).model
        return option.name if option else self.model

    async def show_output(
        self, output: Any, agent: Agent[Any], context: RequestContext
    ) -> str | WidgetRoot:
        """Called when a run has ended with something else than a message: how the chat shows it.

        `output` is what `agent`'s output_type makes of the model's answer, or what the tool has
        returned at which the run ended. Comes back as a text, in Markdown, or as a widget; here
        as a list of its fields. The model is told the output itself in later turns.
        """
        return readable(output, context.told)

    def run_config(self, model: Model, source: ModelSource) -> RunConfig:
        """Called for each run: how the Agents SDK runs the agent.

        `model` is the one of `source`, of `model_for`. With `model=` or `model_settings=` the
        configuration overrules every agent of the run.
        """
        return RunConfig(
            model_provider=WithDefault(self.model_provider, model),
            # A model may invent a tool. Told so, it finds another way.
            tool_not_found_behavior="return_error_to_model",
            tool_error_formatter=told_of_tool_error,
        )

    def blocked(self, error: Tripwire, context: RequestContext) -> str:
        """Called when a guardrail has said no: the sentence that the chat shows, without a Retry.

        `error` is the Agents SDK's, with what the guardrail has put into `output_info`.
        """
        return Sentence("This cannot be answered here.")

    # --- The run ---

    def prepare(self, agent: Agent[Any]) -> None:
        """Give the agent, and those it hands over to, what they need. Raises WrongAgent."""
        equip(agent, self.features)
        if self.stays_with_agent:
            give_way_back(agent)

    def noted(self, events: AsyncIterator[ThreadStreamEvent]) -> AsyncIterator[ThreadStreamEvent]:
        return with_answers(events)

    async def respond(
        self,
        thread: ThreadMetadata,
        input_user_message: UserMessageItem | None,
        context: RequestContext,
    ) -> AsyncIterator[ThreadStreamEvent]:
        if input_user_message and not thread.title:
            if self.titles:
                self.titles.begin(thread, input_user_message, context)
            thread.title = title_of(input_user_message, context.told(NEW_CHAT))
            # At an event the thread is stored: now, and not when the model has found its first
            # word, over a rename in another process.
            yield StreamOptionsEvent(stream_options=self.get_stream_options(thread, context))
        # Whatever waited in the thread does so no more.
        thread.metadata.pop(WAITING, None)
        agent, source = await self.chosen(thread, input_user_message, context)
        if input_user_message:
            remember_beginning(thread, input_user_message, agent, self.agent)
        # The user's message is stored already, so the history holds it.
        history = await model_input(
            self.store,
            thread,
            context,
            converter=self.item_converter,
            items=self.settings.history_items,
            tokens=self.settings.history_tokens,
            images=self.settings.history_images,
        )
        run_context = TurnContext(thread=thread, store=self.store, request_context=context)
        message_id = input_user_message.id if input_user_message else None
        async for event in self.stream(agent, history, source, run_context, message_id=message_id):
            yield event

    async def chosen(
        self, thread: ThreadMetadata, message: UserMessageItem | None, context: RequestContext
    ) -> tuple[Agent[Any], ModelSource]:
        """The agent and the model that answer. Raises CustomStreamError if there are none."""
        try:
            agent = given_by("agent_for", await self.agent_for(thread, message, context), Agent)
            self.prepare(agent)
            self.mcp_servers.keep(agents_of(agent))
            given = await self.model_for(thread, message, context)
            source = self.model_provider.source(given) if isinstance(given, str) else given
            agent = await self.choices.done_by(
                agent, source, thread, message, context, first=self.agent
            )
            return agent, source
        except UnknownModel as error:
            raise failed_run(error, context, begun=False, api_key=None) from None
        except Refused as error:
            raise CustomStreamError(context.signed(error.sentence), allow_retry=False) from None
        except WrongAgent as error:
            log.error("request %s: %s", context.request_id, error)
            sentence = context.signed(SET_UP_WRONGLY.sentence)
            raise CustomStreamError(sentence, allow_retry=False) from None

    async def stream(
        self,
        agent: Agent[Any],
        given: list[TResponseInputItem] | PausedState,
        source: ModelSource,
        run_context: AgentContext[RequestContext],
        *,
        message_id: str | None = None,
        before: Unanswered | None = None,
    ) -> AsyncIterator[ThreadStreamEvent]:
        """Run the agent, or go on with a run of it, and give what the chat is shown of that.

        `message_id` is the answered message's; `before` is what the run has left unanswered.
        """
        context = run_context.request_context
        turn = self.turns.of(context)
        turn.patience = self.patience
        try:
            await self.model_provider.loaded(agent.model, source)
        except Exception as error:
            raise failed_run(error, context, begun=False, api_key=source.key_name) from None
        if turn.stop.is_set():
            return
        usual = WithDefault(self.model_provider, source.model)
        config = given_by("run_config", self.run_config(source.model, source), RunConfig)
        config = guarded(agent, self.agent, having_models(config, usual))
        self.beside.having(config.model_provider).for_this_turn()
        run = begin_run(agent, given, run_context, config, self.run_hooks, self.settings.max_turns)
        async with self.mcp_servers.using(agents_of(agent)):
            async for event in stream_run(
                run,
                run_context,
                converter=self.response_converter,
                stop=turn.stop,
                blocked=lambda error: context.told(self.blocked(error, context)),
                show_output=self.show_output,
                silence=self.settings.model_timeout,
                api_key=source.key_name,
                ask=partial(self.ask_for, run_context, message_id),
                before=before,
            ):
                yield event
        if self.stays_with_agent:
            remember_agent(run_context.thread, run.result.current_agent, self.agent)
