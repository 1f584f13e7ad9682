"""Several agents: hand-offs, agents as tools, models of their own, and runs beside the answer."""

from typing import Any

import pytest
from agents import (
    Agent,
    GuardrailFunctionOutput,
    ModelSettings,
    RunConfig,
    RunContextWrapper,
    RunHooks,
    Runner,
    function_tool,
    handoff,
    input_guardrail,
)
from chat_client import Chat, serving, thread_of
from chatkit.agents import AgentContext
from scripted_model import ScriptedModel, tool_call
from scripted_server import scripted_server

from core.context import RequestContext
from core.turns.agent_server import AgentServer
from core.turns.feature import Feature
from core.turns.server import TurnServer

from app.wiring import Settings, build_app

TO_BILLING = tool_call("transfer_to_billing")
BACK = tool_call("transfer_to_first")


class NotingModel(ScriptedModel):
    """Notes what it is asked with, too."""

    def __init__(self) -> None:
        super().__init__()
        self.tools: list[list[str]] = []

    def stream_response(
        self, system_instructions: str | None, input: Any, *args: Any, **kwargs: Any
    ) -> Any:
        if len(args) > 1:
            _, tools, _, handoffs, *_ = args
            self.tools.append([each.name for each in tools] + [each.tool_name for each in handoffs])
        return super().stream_response(system_instructions, input, *args, **kwargs)


@function_tool
async def weigh() -> str:
    """Weigh a parcel."""
    return "Two kilograms."


@input_guardrail
async def not_blue(
    context: RunContextWrapper[Any], agent: Agent[Any], given: Any
) -> GuardrailFunctionOutput:
    last = str(given[-1])
    return GuardrailFunctionOutput(output_info=None, tripwire_triggered="blue" in last)


@pytest.fixture
def model() -> NotingModel:
    return NotingModel()


@pytest.fixture
def billing() -> Agent[Any]:
    return Agent(name="billing", instructions="You bill.")


@pytest.fixture
def first(billing: Agent[Any]) -> Agent[Any]:
    return Agent(
        name="first", instructions="You ask.", handoffs=[billing], input_guardrails=[not_blue]
    )


@pytest.fixture
def server(settings: Settings, model: NotingModel, first: Agent[Any]) -> TurnServer:
    return scripted_server(settings, model, agent=first, features=[Feature([weigh])])


def test_a_thread_goes_on_with_the_agent_that_it_was_handed_to_and_comes_back(
    chat: Chat, model: NotingModel
) -> None:
    model.answers[:] = [TO_BILLING, "Your bill?", "It is paid.", BACK, "Hello again.", "Yes."]
    thread_id = thread_of(chat.say("My bill, please."))
    chat.say("Number seven.", thread_id)
    assert model.instructions == ["You ask.", "You bill.", "You bill."]
    told = [item for item in model.inputs[-1] if "call_id" in item]
    assert [item["type"] for item in told] == ["function_call", "function_call_output"]
    assert told[0]["name"] == "transfer_to_billing"
    assert "billing" in told[1]["output"]
    chat.say("And now something else.", thread_id)
    chat.say("Still there?", thread_id)
    assert model.instructions[3:] == ["You bill.", "You ask.", "You ask."]
    assert chat.messages(thread_id)[-1] == "Yes."


def test_the_first_agent_s_guardrails_are_for_every_message(chat: Chat, model: NotingModel) -> None:
    model.answers[:] = [TO_BILLING, "Your bill?"]
    thread_id = thread_of(chat.say("My bill, please."))
    events = chat.say("The blue one.", thread_id)
    assert [event["type"] for event in events if event["type"] == "error"]


def test_every_agent_that_answers_has_the_features_tools_in_one_order(
    chat: Chat, model: NotingModel
) -> None:
    weighs = tool_call("weigh", call_id="call_2")
    model.answers[:] = [TO_BILLING, weighs, "Two.", "Yes."]
    thread_id = thread_of(chat.say("How heavy is it?"))
    chat.say("Really?", thread_id)
    assert model.tools == [
        ["weigh", "transfer_to_billing"],
        *[["weigh", "transfer_to_first"]] * 3,
    ]
    assert "Two kilograms." in str(model.inputs[2])


def test_a_feature_may_be_for_one_agent(settings: Settings, first: Agent[Any]) -> None:
    feature = Feature([weigh], agents=["billing"])
    scripted_server(settings, NotingModel(), agent=first, features=[feature])
    assert not first.tools
    [billing] = [each for each in first.handoffs if isinstance(each, Agent)]
    assert billing.tools == [weigh]


def test_a_project_may_begin_each_turn_with_the_first_agent(
    settings: Settings, model: NotingModel, first: Agent[Any], billing: Agent[Any]
) -> None:
    class Server(AgentServer):
        stays_with_agent = False

    scripted_server(settings, model, Server, agent=first)
    assert not billing.handoffs


def test_a_way_back_of_one_s_own_is_enough(settings: Settings, first: Agent[Any]) -> None:
    [billing] = first.handoffs
    assert isinstance(billing, Agent)
    billing.handoffs = [handoff(first, tool_name_override="go_back")]
    scripted_server(settings, NotingModel(), agent=first)
    assert len(billing.handoffs) == 1


def test_an_agent_is_asked_as_it_says(
    settings: Settings, model: NotingModel, chat: Chat, first: Agent[Any]
) -> None:
    first.model_settings = ModelSettings(temperature=0.25)
    model.answers[:] = ["Hello."]
    chat.say("Hello")
    assert model.settings[0].temperature == 0.25


@pytest.mark.parametrize("place", ["a tool", "an agent as a tool"])
def test_what_runs_beside_the_answer_has_the_project_s_model(
    chat: Chat, model: NotingModel, first: Agent[Any], place: str
) -> None:
    other = Agent[Any](name="other", instructions="You help.")

    @function_tool
    async def ask() -> str:
        """Ask another agent."""
        run = await Runner.run(other, "Help!", run_config=RunConfig(workflow_name="Beside"))
        return f"It says: {run.final_output}"

    used = other.as_tool("ask", "Ask another agent.")
    first.tools = [ask if place == "a tool" else used]
    given = "{}" if place == "a tool" else '{"input": "Help!"}'
    model.answers[:] = [tool_call("ask", given), "I do.", "It helps."]
    events = chat.say("Ask the other one.")
    assert chat.messages(thread_of(events))[-1] == "It helps."
    assert model.instructions == ["You ask.", "You help.", "You ask."]
    assert "I do." in str(model.inputs[-1])


def plain() -> str:
    """A function that nobody has made a tool."""
    return ""


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"model": "nobody/knows"}, "nobody/knows is not known"),
        ({"handoffs": [Agent(name="same"), Agent(name="same")]}, "Two agents are named same"),
        ({"handoffs": [Agent(name="wrong")]}, "Two agents are named wrong"),
        ({"tools": [function_tool(plain, name_override="weigh")]}, "two tools named weigh"),
        ({"tools": [weigh, weigh]}, "two tools, or hand-offs, named weigh"),
        ({"handoffs": [Agent(name="b", model="nobody/knows")]}, "The agent b: The model nobody"),
        ({"tools": [plain]}, "the function plain cannot stand in its tools. It may want @function"),
        ({"handoffs": ["billing"]}, "'billing' cannot stand in its handoffs"),
        ({"input_guardrails": [plain]}, "the function plain cannot stand in its input_guardrails"),
        ({"output_type": dict[str, int]}, "its output_type cannot be asked for"),
        ({"instructions": plain}, "takes two arguments"),
    ],
    ids=[
        *("a model", "two of a name", "the first one's name", "two tools of a name"),
        *("one tool twice", "a model of another", "a function", "a name", "a guardrail"),
        *("an output_type", "instructions"),
    ],
)
def test_an_agent_that_cannot_answer_ends_the_start_with_a_sentence(
    settings: Settings, capsys: pytest.CaptureFixture[str], wrong: dict[str, Any], words: str
) -> None:
    agent = Agent[Any](name="wrong", **wrong)
    with pytest.raises(SystemExit):
        scripted_server(settings, ScriptedModel(), agent=agent, features=[Feature([weigh])])
    assert words in capsys.readouterr().err


def test_run_config_that_names_no_provider_has_the_project_s(
    settings: Settings, model: NotingModel, chat: Chat, server: AgentServer
) -> None:
    server.run_config = lambda model, source: RunConfig(  # type: ignore[method-assign]
        model_settings=ModelSettings(temperature=0.75)
    )
    model.answers[:] = ["Hello."]
    assert chat.messages(thread_of(chat.say("Hello")))[-1] == "Hello."
    assert model.settings[0].temperature == 0.75


def test_a_client_tool_of_an_agent_that_is_a_tool_ends_the_start(
    settings: Settings, first: Agent[Any], capsys: pytest.CaptureFixture[str]
) -> None:
    other = Agent[Any](name="other", tools=[weigh])
    first.tools = [other.as_tool("ask", "Ask another agent.")]
    with pytest.raises(SystemExit):
        scripted_server(settings, ScriptedModel(), agent=first, features=[Feature((), [weigh])])
    assert "cannot have the client tool weigh" in capsys.readouterr().err


def test_an_agent_of_one_turn_with_an_unknown_model_ends_that_turn_alone(
    settings: Settings, chat: Chat, server: AgentServer, model: NotingModel
) -> None:
    server.agent.model = "nobody/knows"
    [error] = [event for event in chat.say("Hello") if event["type"] == "error"]
    assert "nobody/knows is not known" in error["message"]
    server.agent.model = "another"
    model.answers[:] = ["Hello."]
    assert chat.messages(thread_of(chat.say("Hello")))[-1] == "Hello."


def test_retry_begins_with_the_agent_that_began(chat: Chat, model: NotingModel) -> None:
    model.answers[:] = ["Hello.", TO_BILLING, "Which bill?", TO_BILLING, "Which one?", "Hi."]
    thread_id = thread_of(chat.say("Hello"))
    chat.say("My bill, please.", thread_id)
    page = chat.post("items.list", thread_id=thread_id, order="asc").json()
    first, second = [item["id"] for item in page["data"] if item["type"] == "user_message"]
    chat.post("threads.retry_after_item", thread_id=thread_id, item_id=second)
    assert model.instructions[-2:] == ["You ask.", "You bill."]
    chat.post("threads.retry_after_item", thread_id=thread_id, item_id=first)
    assert model.instructions[-1] == "You ask."


def test_a_project_s_own_hooks_see_every_run(
    chat: Chat, model: NotingModel, server: AgentServer
) -> None:
    began: list[str] = []

    class Noting(RunHooks[AgentContext[RequestContext]]):
        async def on_agent_start(self, context: Any, agent: Any) -> None:
            began.append(agent.name)

    server.run_hooks = Noting()
    model.answers[:] = [TO_BILLING, "Your bill?"]
    chat.say("My bill, please.")
    assert began == ["first", "billing"]


def test_an_agent_with_a_model_of_its_own_needs_no_other(
    settings: Settings, model: NotingModel, first: Agent[Any]
) -> None:
    first.model = model
    server = scripted_server(settings, model, agent=first.clone(handoffs=[]))
    server.model_provider.default.missing = "SOME_API_KEY"
    model.answers[:] = ["Hello."]
    with serving(build_app(settings, server)) as http:
        assert http.get("/ready").status_code == 200
        assert Chat(http).messages(thread_of(Chat(http).say("Hello")))[-1] == "Hello."
