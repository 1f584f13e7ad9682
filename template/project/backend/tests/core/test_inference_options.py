"""What the user chooses in the composer: a model, and a tool or an agent."""

from typing import Any

import pytest
from agents import Agent
from chat_client import Chat, thread_of
from chatkit.types import ThreadMetadata, UserMessageItem
from scripted_model import ScriptedModel
from scripted_server import AGENT, scripted_server
from test_client_tools import ASK_TIME_ZONE, BERLIN, BROWSER, THROW_DIE

from core.context import RequestContext
from core.protocol.inference_options import ModelOption, ToolOption
from core.turns.agent_server import AgentServer
from core.turns.feature import Feature
from core.turns.server import TurnServer

from app.wiring import Settings

POET = Agent[Any](name="Poet", instructions="You write poems.")


class Offers(AgentServer):
    tools = (
        ToolOption(id="throw_die", label="Throw a die", icon="cube"),
        ToolOption(id="browser_time_zone", label="Time zone", icon="clock"),
        ToolOption(id="poem", label="A poem", icon="write", agent=POET),
    )


class OwnChoice(AgentServer):
    """Reads what is chosen by itself."""

    async def agent_for(
        self, thread: ThreadMetadata, message: UserMessageItem | None, context: RequestContext
    ) -> Agent[Any]:
        assert message is not None
        return self.agent.clone(instructions=f"Be {message.inference_options.model}.")


@pytest.fixture
def model() -> ScriptedModel:
    return ScriptedModel()


@pytest.fixture(params=[Offers])
def server(request: pytest.FixtureRequest, settings: Settings, model: ScriptedModel) -> TurnServer:
    return scripted_server(settings, model, request.param, features=[BROWSER])


def message(tool: str | None = None, model: str | None = None) -> dict[str, Any]:
    options = {"tool_choice": {"id": tool} if tool else None, "model": model}
    text = {"type": "input_text", "text": "Now?"}
    return {"content": [text], "attachments": [], "inference_options": options}


def tool_choices(model: ScriptedModel) -> list[Any]:
    return [settings.tool_choice for settings in model.settings]


def test_a_tool_that_is_chosen_is_called_first_and_once(chat: Chat, model: ScriptedModel) -> None:
    model.answers[:] = [THROW_DIE, "A six.", "Hello."]
    thread_id = thread_of(chat.stream("threads.create", input=message("throw_die")))
    assert tool_choices(model) == ["throw_die", None]
    # Nothing of the SDK's own default model has come along with it.
    assert model.settings[0].verbosity is model.settings[1].verbosity is None
    [asked, *_] = chat.post("items.list", thread_id=thread_id, order="asc").json()["data"]
    assert asked["inference_options"]["tool_choice"] == {"id": "throw_die"}
    chat.say("And now?", thread_id)
    assert tool_choices(model) == ["throw_die", None, None]
    model.answers[:] = [THROW_DIE, "A six."]
    chat.stream("threads.retry_after_item", thread_id=thread_id, item_id=asked["id"])
    assert tool_choices(model)[3:] == ["throw_die", None]


def test_the_browser_s_tool_is_not_called_again_when_it_has_answered(
    chat: Chat, model: ScriptedModel
) -> None:
    model.answers[:] = [ASK_TIME_ZONE, "It is noon."]
    thread_id = thread_of(chat.stream("threads.create", input=message("browser_time_zone")))
    chat.stream("threads.add_client_tool_output", thread_id=thread_id, result=BERLIN)
    assert tool_choices(model) == ["browser_time_zone", None]
    assert chat.messages(thread_id)[-1] == "It is noon."


def test_an_agent_that_is_chosen_answers_until_the_next_message(
    chat: Chat, model: ScriptedModel
) -> None:
    model.answers[:] = [ASK_TIME_ZONE, "Roses are red.", "A chat."]
    thread_id = thread_of(chat.stream("threads.create", input=message("poem")))
    chat.stream("threads.add_client_tool_output", thread_id=thread_id, result=BERLIN)
    chat.stream("threads.add_user_message", thread_id=thread_id, input=message())
    assert model.instructions == [POET.instructions, POET.instructions, AGENT.instructions]


def test_what_is_not_offered_is_refused_before_anything_is_stored(
    chat: Chat, model: ScriptedModel
) -> None:
    for given in (message("other"), message(model="gpt-9"), message("throw_die", "x" * 9999)):
        refused = chat.post("threads.create", input=given)
        assert refused.status_code == 400
        assert "inference_options" in refused.json()["detail"]
        assert len(refused.json()["detail"]) < 300
    assert chat.post("threads.list").json()["data"] == []
    assert model.inputs == []
    model.answers[:] = ["Hello."]
    thread_id = thread_of(chat.say("Hello"))
    refused = chat.post("threads.add_user_message", thread_id=thread_id, input=message("other"))
    assert "'other' is not offered here. Choose one of throw_die" in refused.json()["detail"]
    assert len(chat.messages(thread_id)) == 2


def test_what_is_no_longer_offered_is_told(
    chat: Chat, model: ScriptedModel, server: AgentServer
) -> None:
    model.answers[:] = [ASK_TIME_ZONE]
    thread_id = thread_of(chat.stream("threads.create", input=message("browser_time_zone")))
    server.tool_options = {}
    server.model_options = {"other": ModelOption(id="other", label="Other")}
    given = {"thread_id": thread_id, "result": BERLIN}
    [error] = [e for e in chat.stream("threads.add_client_tool_output", **given) if "code" in e]
    assert "'browser_time_zone' is not offered here" in error["message"]
    [asked, *_] = chat.post("items.list", thread_id=thread_id, order="asc").json()["data"]
    given = {"thread_id": thread_id, "item_id": asked["id"]}
    assert chat.post("threads.retry_after_item", **given).status_code == 400


@pytest.mark.parametrize("server", [OwnChoice], indirect=True)
def test_a_project_s_own_agent_for_takes_what_it_likes(chat: Chat, model: ScriptedModel) -> None:
    model.answers[:] = ["Hello."]
    chat.stream("threads.create", input=message("anything", "brief"))
    assert model.instructions == ["Be brief."]


def test_a_tool_that_the_agent_does_not_have_ends_the_start(
    settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        scripted_server(settings, ScriptedModel(), Offers, features=[Feature()])
    assert "has no tool browser_time_zone" in capsys.readouterr().err
