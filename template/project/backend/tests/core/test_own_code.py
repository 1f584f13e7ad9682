"""What the project's own code raises: the chat says whose fault it is, the log all the rest."""

from collections.abc import Callable
from typing import Any, NoReturn

import httpx
import openai
import pytest
from agents import (
    Agent,
    AgentHooks,
    FunctionTool,
    GuardrailFunctionOutput,
    Handoff,
    InputGuardrail,
    OutputGuardrail,
    function_tool,
    handoff,
)
from chat_client import Chat, thread_of
from chatkit.types import ThreadMetadata, UserMessageItem
from pydantic import BaseModel
from scripted_model import ScriptedModel, tool_call
from scripted_server import AGENT, scripted_server

from core.context import RequestContext
from core.errors import Refused
from core.own_code import told
from core.turns.agent_server import AgentServer
from core.turns.item_converter import ItemConverter
from core.turns.server import TurnServer

from app.wiring import Settings

WORDS = "the shelf is empty"
OWN = "The project's own code failed. The server's log has the cause."


def fail(*_: Any, **__: Any) -> NoReturn:
    raise LookupError(WORDS)


def fail_of_one(_: Any) -> NoReturn:
    fail()


async def fail_later(*_: Any, **__: Any) -> NoReturn:
    fail()


class Hooks(AgentHooks[Any]):
    on_start = on_tool_start = on_llm_end = fail_later


class OneArgument(AgentHooks[Any]):
    async def on_start(self, context: Any) -> None:  # type: ignore[override]
        """As somebody has it who forgets the agent."""


class Converter(ItemConverter):
    async def user_message_to_input(self, *args: Any, **kwargs: Any) -> NoReturn:
        fail()


class Choosing(AgentServer):
    async def agent_for(
        self, thread: ThreadMetadata, message: UserMessageItem | None, context: RequestContext
    ) -> NoReturn:
        fail()


@pytest.fixture
def model() -> ScriptedModel:
    return ScriptedModel("Hello.")


@pytest.fixture
def server(settings: Settings, model: ScriptedModel) -> TurnServer:
    return scripted_server(settings, model)


def tool(failing: Callable[[], Any], **options: Any) -> FunctionTool:
    async def throw() -> str:
        """Throw it."""
        return str(failing())

    return function_tool(throw, **options)


def to_another(**options: Any) -> Handoff[Any, Any]:
    OTHERS.append(AGENT.clone(name="Another"))
    return handoff(OTHERS[-1], tool_name_override="throw", **options)


# A hand-off itself does not hold its agent.
OTHERS: list[Agent[Any]] = []
AGENTS: dict[str, dict[str, Any]] = {
    "instructions": {"instructions": fail},
    "hooks": {"hooks": Hooks()},
    "hooks of another signature": {"hooks": OneArgument()},
    "input guardrail": {"input_guardrails": [InputGuardrail(fail, run_in_parallel=False)]},
    "output guardrail": {"output_guardrails": [OutputGuardrail(fail)]},
    "tool": {"tools": [tool(fail, failure_error_function=None)]},
    "failure function": {"tools": [tool(fail, failure_error_function=fail)]},
    "end of the run": {"tools": [tool(str)], "tool_use_behavior": fail},
    "hand-off": {"handoffs": [to_another(on_handoff=fail_of_one)]},
    "its filter": {"handoffs": [to_another(input_filter=fail)]},
}
CALLING = ("tool", "failure function", "end of the run", "hand-off", "its filter")


@pytest.mark.filterwarnings("ignore:coroutine:RuntimeWarning")
@pytest.mark.parametrize("place", AGENTS)
def test_the_chat_says_whose_fault_it_is_and_the_log_what_it_was(
    place: str, chat: Chat, model: ScriptedModel, server: AgentServer, caplog: Any
) -> None:
    server.agent = AGENT.clone(name="Failing", **AGENTS[place])
    if place in CALLING:
        model.answers[:] = [tool_call("throw"), "Hello."]
    check(chat.say("Hello"), caplog, "OneArgument" if "signature" in place else WORDS)
    # The next turn is as good as any.
    server.agent = AGENT
    model.answers[:] = ["And now?"]
    assert not [event for event in chat.say("Hello") if event["type"] == "error"]


def check(events: list[dict[str, Any]], caplog: Any, words: str = WORDS) -> None:
    [error] = [event for event in events if event["type"] == "error"]
    assert error["message"].startswith(OWN)
    assert not error["allow_retry"]
    request_id = error["message"].partition("(Request ")[2].rstrip(")")
    [record] = [each for each in caplog.records if each.exc_info and request_id in each.message]
    # With the words also where the log holds back those of others.
    logged = told(record.exc_info[1])
    assert words in logged
    assert "test_own_code.py" in logged or words == "OneArgument"


@pytest.mark.parametrize("place", ["converter", "agent_for"])
def test_so_it_is_where_no_run_has_begun(
    place: str, settings: Settings, model: ScriptedModel, chat: Chat, server: Any, caplog: Any
) -> None:
    if place == "converter":
        server.item_converter = Converter()
    else:
        server.agent_for = fail_later
    check(chat.say("Hello"), caplog)


async def give_none(*_: Any, **__: Any) -> None:
    """As a hook does that forgets its `return`."""


def none(*_: Any, **__: Any) -> None:
    """As a hook does that forgets its `async`, too."""


class Answer(BaseModel):
    words: str


@pytest.mark.filterwarnings("ignore:coroutine:RuntimeWarning")
@pytest.mark.parametrize("hook", [give_none, none])
@pytest.mark.parametrize(
    "name",
    ["agent_for", "model_for", "run_config", "respond", "show_output", "blocked", "approval_card"],
)
def test_a_hook_that_gives_back_the_wrong_thing_is_named_in_the_log(
    name: str, hook: Any, chat: Chat, model: ScriptedModel, server: Any, caplog: Any
) -> None:
    if name == "show_output":
        server.agent = AGENT.clone(output_type=Answer)
        model.answers[:] = ['{"words": "Hello."}']
    if name == "blocked":
        said_no = GuardrailFunctionOutput(output_info=None, tripwire_triggered=True)
        server.agent = AGENT.clone(input_guardrails=[InputGuardrail(lambda *_: said_no)])
    if name == "approval_card":
        server.agent = AGENT.clone(tools=[tool(str, needs_approval=True)])
        model.answers[:] = [tool_call("throw")]
    setattr(server, name, hook)
    [error] = [event for event in chat.say("Hello") if event["type"] == "error"]
    assert error["message"].startswith(OWN)
    assert not error["allow_retry"]
    request_id = error["message"].partition("(Request ")[2].rstrip(")")
    [record] = [each for each in caplog.records if each.exc_info and request_id in each.message]
    logged = told(record.exc_info[1])
    assert name in logged or name == "respond"


def test_a_tool_that_fails_is_logged_in_full_and_the_model_goes_on(
    chat: Chat, model: ScriptedModel, server: AgentServer, caplog: Any
) -> None:
    server.agent = AGENT.clone(tools=[tool(fail)])
    model.answers[:] = [tool_call("throw"), "Another time."]
    assert chat.messages(thread_of(chat.say("Hello")))[-1] == "Another time."
    [record] = [each for each in caplog.records if "the tool throw failed" in each.message]
    assert WORDS in told(record.exc_info[1])


def test_what_a_hook_or_a_tool_refuses_is_said_as_it_stands(
    chat: Chat, model: ScriptedModel, server: AgentServer
) -> None:
    def refuse(*_: Any, **__: Any) -> NoReturn:
        raise Refused("Not on Sundays.")

    server.agent = AGENT.clone(instructions=refuse)
    [error] = [event for event in chat.say("Hello") if event["type"] == "error"]
    assert error["message"].startswith("Not on Sundays. (Request ")
    server.agent = AGENT.clone(tools=[tool(refuse)])
    model.answers[:] = [tool_call("throw"), "Not today."]
    chat.say("Hello")
    assert "Not on Sundays." in str(model.inputs[-1])


async def streamed(event: Any) -> None:
    """Makes the SDK stream an agent that is a tool, as the scripted model wants it."""


@pytest.mark.parametrize("told_by", ["nobody", "the SDK"])
def test_what_fails_in_an_agent_that_is_a_tool_is_logged_or_told(
    told_by: str, chat: Chat, model: ScriptedModel, server: AgentServer, caplog: Any
) -> None:
    within: dict[str, Any] = {} if told_by == "the SDK" else {"failure_error_function": None}
    nested = Agent[Any](
        name="Nested", instructions="Throw.", tools=[tool(fail, failure_error_function=None)]
    )
    asking = nested.as_tool("ask", "Ask another one.", on_stream=streamed, **within)
    server.agent = AGENT.clone(tools=[asking])
    asked = tool_call("ask", '{"input": "Throw."}', call_id="call_2")
    model.answers[:] = [asked, tool_call("throw"), "Another time."]
    events = chat.say("Hello")
    if told_by == "nobody":
        check(events, caplog)
        return
    [record] = [each for each in caplog.records if "the tool ask failed" in each.message]
    assert record.message.startswith("request ")
    assert WORDS in told(record.exc_info[1])


@pytest.mark.parametrize("nested", [False, True])
def test_a_provider_s_words_to_an_agent_that_is_a_tool_stay_out_of_the_log(
    nested: bool, chat: Chat, model: ScriptedModel, server: AgentServer, caplog: Any
) -> None:
    agent = Agent[Any](name="Nested", instructions="Talk.")
    for name in ["inner", "ask"] if nested else ["ask"]:
        asking = agent.as_tool(
            name, "Ask another one.", on_stream=streamed, failure_error_function=None
        )
        agent = AGENT.clone(tools=[asking])
    server.agent = agent
    response: Any = httpx.Response(401, request=httpx.Request("POST", "http://provider"))
    refused = openai.AuthenticationError(
        "The key sk-secret is wrong.", response=response, body=None
    )
    calls = [
        tool_call(name, '{"input": "Hello."}', call_id=name)
        for name in (["ask", "inner"] if nested else ["ask"])
    ]
    model.answers[:] = [*calls, refused]
    [error] = [event for event in chat.say("Hello") if event["type"] == "error"]
    assert "refused the API key" in error["message"]
    assert "AuthenticationError (401)" in caplog.text
    assert "sk-secret" not in caplog.text


def test_what_a_model_has_done_wrong_is_in_the_log(
    chat: Chat, model: ScriptedModel, caplog: Any
) -> None:
    twice = tool_call("throw_die"), tool_call("throw_die", '{"other": 1}')
    model.answers[:] = [*twice, "Hello."]
    assert [event for event in chat.say("Hello") if event["type"] == "error"]
    assert "Model reused a completed tool call ID" in caplog.text
