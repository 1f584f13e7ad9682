"""What a run ends with and what its tools find, on every provider's wire: shown, and told again."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from agents import (
    Agent,
    CodeInterpreterTool,
    FileSearchTool,
    FunctionToolResult,
    HostedMCPTool,
    ImageGenerationTool,
    RunContextWrapper,
    StopAtTools,
    Tool,
    ToolOutputFileContent,
    ToolOutputImage,
    ToolOutputText,
    ToolsToFinalOutputResult,
    WebSearchTool,
    function_tool,
    tool_namespace,
)
from chatkit.agents import ClientToolCall
from chatkit.widgets import Card
from chatkit.widgets import Text as WidgetText
from pydantic import BaseModel

from tests.backend import Backend, Turn
from tests.providers import REMOTE, talking_to
from tests.standins import Answer, Cut, Hosted, Refusal, StandIn, Text, Thought, ToolCall

PNG = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJg"
    "gg=="
)
"""An image of one point, in base64."""


class Dish(BaseModel):
    name: str
    price: float


class Menu(BaseModel):
    day_of_week: str
    dishes: list[Dish]


@dataclass
class Weather:
    city: str
    degrees: int


MENU = {"day_of_week": "Monday", "dishes": [{"name": "Soup", "price": 4.5}]}
MENU_JSON = json.dumps(MENU)
MENU_SHOWN = "- **Day of week:** Monday\n- **Dishes:**\n  - - **Name:** Soup\n    - **Price:** 4.5"


@contextmanager
def answering(
    agent: Agent[Any], standin: StandIn, folder: Path, provider: str
) -> Iterator[Backend]:
    """A backend whose agent is this one."""
    with talking_to(standin, folder, provider) as backend:
        backend.main.server.agent = agent
        yield backend


def told(standin: StandIn, role: str) -> list[str]:
    return [what for who, what in standin.requests[-1].turns if who == role]


def stored(backend: Backend, turn: Turn) -> list[dict[str, Any]]:
    """The items that a reload brings, but for the user's."""
    return [item for item in backend.items(turn.thread) if item["type"] != "user_message"]


def same_after_reload(backend: Backend, turn: Turn) -> None:
    live = [{k: v for k, v in item.items() if k != "done"} for item in turn.items.values()]
    assert [i for i in live if i["type"] != "user_message"] == stored(backend, turn)


# --- output_type ---


@pytest.mark.parametrize("provider", REMOTE)
def test_an_output_is_shown_in_words_and_told_as_json(
    provider: str, standin: StandIn, tmp_path: Path
) -> None:
    standin.answers(Answer(Text(MENU_JSON, 5)), Answer(Text(MENU_JSON)))
    agent = Agent[Any](name="Cook", output_type=Menu)
    with answering(agent, standin, tmp_path, provider) as backend:
        turn = backend.say("What is for lunch?")
        assert not turn.errors
        assert turn.text == MENU_SHOWN
        assert "{" not in turn.deltas
        same_after_reload(backend, turn)
        assert not backend.say("And on Monday?", turn.thread).errors
    assert told(standin, "assistant") == [MENU_JSON]


def test_every_kind_of_output_type_is_readable(standin: StandIn, tmp_path: Path) -> None:
    kinds: list[tuple[Any, str, str]] = [
        (Weather, '{"response": {"city": "Rome", "degrees": 20}}', "Rome"),
        (list[str], '{"response": ["a", "b"]}', "- a\n- b"),
        (int, '{"response": 42}', "42"),
        (bool, '{"response": true}', "yes"),
        (str, "Plain *text*.", "Plain *text*."),
    ]
    with talking_to(standin, tmp_path) as backend:
        for kind, said, shown in kinds:
            backend.main.server.agent = Agent[Any](name="Of a kind", output_type=kind)
            standin.answers(Answer(Text(said)))
            turn = backend.say("Well?")
            assert shown in turn.text
            assert "response" not in turn.text
            assert not turn.errors


def test_a_project_shows_its_output_as_a_widget(standin: StandIn, tmp_path: Path) -> None:
    standin.answers(Answer(Text(MENU_JSON)), Answer(Text(MENU_JSON)))
    agent = Agent[Any](name="Cook", output_type=Menu)
    with answering(agent, standin, tmp_path, "openai") as backend:

        async def show_output(output: Any, agent: Any, context: Any) -> Card:
            assert isinstance(output, Menu) and agent.name == "Cook" and context.user_id
            return Card(children=[WidgetText(value=output.dishes[0].name)])

        backend.main.server.show_output = show_output
        turn = backend.say("What is for lunch?")
        [widget] = stored(backend, turn)
        assert widget["type"] == "widget"
        same_after_reload(backend, turn)
        backend.say("Thanks.", turn.thread)
    assert told(standin, "assistant") == [MENU_JSON]
    assert len([words for words in standin.requests[-1].turns if "Soup" in words[1]]) == 1


@pytest.mark.parametrize("provider", REMOTE)
def test_an_output_that_does_not_validate_is_told_as_such_and_kept_to_its_last_word(
    provider: str, standin: StandIn, tmp_path: Path
) -> None:
    thought = Thought("What shall I say?", 17)
    standin.answers(Answer(thought, Text("I would rather write you a poem.", 6)))
    agent = Agent[Any](name="Cook", output_type=Menu)
    with answering(agent, standin, tmp_path, provider) as backend:
        turn = backend.say("What is for lunch?")
        [error] = turn.errors
        assert "output_type" in error["message"]
        assert error["allow_retry"]
        assert turn.text == "I would rather write you a poem."
        same_after_reload(backend, turn)
        standin.answers(Answer(Text(MENU_JSON)))
        [user] = [i for i in backend.items(turn.thread) if i["type"] == "user_message"]
        again = backend.turn("threads.retry_after_item", thread_id=turn.thread, item_id=user["id"])
        assert again.text == MENU_SHOWN
        assert [text for _, text in backend.texts(turn.thread)][1:] == [MENU_SHOWN]


def test_a_refusal_of_an_agent_with_an_output_type_is_its_answer(
    standin: StandIn, tmp_path: Path
) -> None:
    thought = Thought("What shall I say?", 17)
    standin.answers(Answer(thought, Refusal("I cannot help with that.")))
    agent = Agent[Any](name="Cook", output_type=Menu)
    with answering(agent, standin, tmp_path, "openai") as backend:
        turn = backend.say("How do I poison a soup?")
        assert not turn.errors
        assert turn.text == "I cannot help with that."


def test_an_output_that_breaks_off_shows_no_half_of_it(standin: StandIn, tmp_path: Path) -> None:
    standin.answers(Answer(Text(MENU_JSON[:30], 3), Cut()))
    agent = Agent[Any](name="Cook", output_type=Menu)
    with answering(agent, standin, tmp_path, "openai") as backend:
        turn = backend.say("What is for lunch?")
        assert turn.errors
        assert not turn.items or all(i["type"] == "user_message" for i in turn.items.values())
        assert not turn.ghosts


@pytest.mark.parametrize("provider", ["openai", "anthropic"])
def test_only_the_agent_that_ends_the_run_needs_an_output_type(
    provider: str, standin: StandIn, tmp_path: Path
) -> None:
    cook = Agent[Any](name="Cook", output_type=Menu)
    first = Agent[Any](name="Waiter", handoffs=[cook])
    hand_off = ToolCall("transfer_to_cook", {})
    standin.answers(Answer(Text("One moment."), hand_off), Answer(Text(MENU_JSON)))
    with answering(first, standin, tmp_path, provider) as backend:
        turn = backend.say("What is for lunch?")
        assert not turn.errors
        assert turn.answers == ["One moment.", MENU_SHOWN]
        same_after_reload(backend, turn)


# --- Tools at which a run ends ---


@function_tool
def weather(city: str) -> Weather:
    """Tell the weather."""
    return Weather(city, 20)


@function_tool
def greeting() -> str:
    """Greet."""
    return "Good morning!"


@function_tool
def ask_browser(context: RunContextWrapper[Any]) -> None:
    """Ask the browser."""
    context.context.client_tool_call = ClientToolCall(name="ask_browser", arguments={})


def ends_with_words(
    context: RunContextWrapper[Any], results: list[FunctionToolResult]
) -> ToolsToFinalOutputResult:
    return ToolsToFinalOutputResult(is_final_output=True, final_output="All in all: a good day.")


ROME = ToolCall("weather", {"city": "Rome"})


@pytest.mark.parametrize("provider", REMOTE)
def test_what_a_tool_returns_at_which_the_run_ends_is_the_answer(
    provider: str, standin: StandIn, tmp_path: Path
) -> None:
    standin.answers(Answer(ToolCall("greeting", {})), Answer(ROME), Answer(Text("Yes.")))
    agent = Agent[Any](
        name="Short", tools=[greeting, weather], tool_use_behavior="stop_on_first_tool"
    )
    with answering(agent, standin, tmp_path, provider) as backend:
        turn = backend.say("Hello")
        assert not turn.errors
        assert turn.answers == ["Good morning!"]
        same_after_reload(backend, turn)
        turn = backend.say("What is the weather?", turn.thread)
        assert turn.answers == ["- **City:** Rome\n- **Degrees:** 20"]
        assert backend.say("Sure?", turn.thread).text == "Yes."
    [first, second] = told(standin, "tool_output")
    assert first == "Good morning!" and "Rome" in second
    assert str(standin.requests[-1].turns).count("Good morning!") == 1


@pytest.mark.parametrize("provider", ["openai", "local"])
def test_a_function_decides_what_the_answer_is(
    provider: str, standin: StandIn, tmp_path: Path
) -> None:
    standin.answers(Answer(ToolCall("greeting", {})), Answer(ToolCall("greeting", {})))
    agent = Agent[Any](name="Short", tools=[greeting], tool_use_behavior=ends_with_words)
    with answering(agent, standin, tmp_path, provider) as backend:
        turn = backend.say("Hello")
        assert turn.answers == ["All in all: a good day."]
        backend.say("Again.", turn.thread)
    assert "All in all: a good day." in told(standin, "assistant")
    assert told(standin, "tool_output") == ["Good morning!"]


def test_tools_of_the_server_and_of_the_client_end_a_run_each_in_its_way(
    standin: StandIn, tmp_path: Path
) -> None:
    ask, greet = ToolCall("ask_browser", {}), ToolCall("greeting", {})
    standin.answers(Answer(greet), Answer(ask, greet), Answer(Text("Done.")))
    both = StopAtTools(stop_at_tool_names=["ask_browser", "greeting"])
    agent = Agent[Any](name="Both", tools=[greeting, ask_browser], tool_use_behavior=both)
    with answering(agent, standin, tmp_path, "openai") as backend:
        turn = backend.say("Hello")
        assert turn.answers == ["Good morning!"]
        turn = backend.say("Ask.", turn.thread)
        assert not turn.answers and not turn.errors
        [call] = [i for i in turn.items.values() if i["type"] == "client_tool_call"]
        assert call["name"] == "ask_browser"
        turn = backend.turn("threads.add_client_tool_output", thread_id=turn.thread, result="Hi")
        assert turn.answers == ["Done."]
    assert told(standin, "tool_output") == ["Good morning!", "Good morning!", '"Hi"']


# --- What tools return ---


@function_tool
def picture() -> list[ToolOutputText | ToolOutputImage]:
    """Take a picture."""
    image = ToolOutputImage(image_url=f"data:image/png;base64,{PNG}", detail="low")
    return [ToolOutputText(text="The yard."), image]


@function_tool
def report() -> ToolOutputFileContent:
    """Make a report."""
    data = "data:application/pdf;base64,JVBERi0xLjQK"
    return ToolOutputFileContent(file_data=data, filename="report.pdf")


@pytest.mark.parametrize("provider", REMOTE)
def test_images_and_files_of_tools_are_told_in_later_turns_as_in_the_first(
    provider: str, standin: StandIn, tmp_path: Path
) -> None:
    calls = Answer(ToolCall("picture", {}), ToolCall("report", {}))
    standin.answers(calls, Answer(Text("A yard.")), Answer(Text("Yes.")))
    agent = Agent[Any](name="Eyes", tools=[picture, report])
    with answering(agent, standin, tmp_path, provider) as backend:
        turn = backend.say("Look.")
        assert turn.text == "A yard." and not turn.errors
        assert backend.say("Sure?", turn.thread).text == "Yes."
    first, later = (json.dumps(request.body) for request in standin.requests[-2:])
    shown = provider in ("gemini", "openai", "anthropic")
    for body in (first, later):
        assert body.count("The yard.") == 1
        assert body.count(PNG) == body.count("JVBERi0xLjQK") == shown
        assert body.count("cannot be shown") == (0 if shown else 2)
        assert "ToolOutput" not in body and "omitted" not in body


# --- Tools that run at OpenAI ---

SEARCH = Hosted(
    "web_search_call",
    {
        "action": {
            "type": "search",
            "query": "weather Rome",
            "sources": [{"type": "url", "url": "https://example.com/rome"}],
        }
    },
)
FILES = Hosted(
    "file_search_call",
    {
        "queries": ["holiday rules"],
        "results": [{"file_id": "file-1", "filename": "rules.md", "score": 1, "text": "30 days."}],
    },
)
CODE = Hosted(
    "code_interpreter_call",
    {
        "code": "print(6 * 7)",
        "container_id": "cntr_1",
        "outputs": [{"type": "logs", "logs": "42"}],
    },
)
REMOTE_CALL = Hosted(
    "mcp_call",
    {
        "name": "look_up",
        "server_label": "docs",
        "arguments": "{}",
        "output": "Page 7",
        "error": None,
    },
)
HOSTED_TOOLS: list[Tool] = [
    WebSearchTool(),
    FileSearchTool(vector_store_ids=["vs_1"]),
    CodeInterpreterTool({"type": "code_interpreter", "container": {"type": "auto"}}),
    ImageGenerationTool({"type": "image_generation"}),
    HostedMCPTool(
        {
            "type": "mcp",
            "server_label": "docs",
            "server_url": "https://example.com/mcp",
            "require_approval": "never",
        }
    ),
]


def test_what_hosted_tools_do_is_shown_as_tasks_and_known_in_the_next_turn(
    standin: StandIn, tmp_path: Path
) -> None:
    work = (Thought("Let me see."), SEARCH, FILES, CODE, REMOTE_CALL)
    standin.answers(Answer(*work, Text("Sunny.")), Answer(Text("Yes.")))
    agent = Agent[Any](name="Searcher", tools=HOSTED_TOOLS)
    with answering(agent, standin, tmp_path, "openai") as backend:
        turn = backend.say("What is the weather?")
        assert not turn.errors and not turn.ghosts
        workflow, message = [i for i in turn.items.values() if i["type"] != "user_message"]
        tasks = workflow["workflow"]["tasks"]
        kinds = [task["type"] for task in tasks]
        assert kinds == ["thought", "web_search", "file", "custom", "custom"]
        assert [task["status_indicator"] for task in tasks[1:]] == ["complete"] * 4
        assert tasks[1]["sources"][0]["url"] == "https://example.com/rome"
        assert tasks[2]["sources"][0]["filename"] == "rules.md"
        assert "print(6 * 7)" in tasks[3]["content"]
        assert message["content"][0]["text"] == "Sunny."
        same_after_reload(backend, turn)
        updates = [event["update"] for event in turn.events if "update" in event]
        loading = [u for u in updates if u["type"] == "workflow.task.added"]
        assert "loading" in [update["task"]["status_indicator"] for update in loading]
        assert backend.say("Sure?", turn.thread).text == "Yes."
    include = standin.requests[0].body["include"]
    assert "file_search_call.results" in include and "web_search_call.action.sources" in include
    words = str(standin.requests[-1].turns)
    for found in ("weather Rome", "https://example.com/rome", "30 days.", "42", "Page 7"):
        assert words.count(found) == 1


def test_a_hosted_tool_that_never_ends_leaves_no_task_under_way(
    standin: StandIn, tmp_path: Path
) -> None:
    open_call = Hosted("web_search_call", done=False)
    standin.answers(Answer(open_call, Cut()))
    agent = Agent[Any](name="Searcher", tools=HOSTED_TOOLS)
    with answering(agent, standin, tmp_path, "openai") as backend:
        turn = backend.say("What is the weather?")
        assert turn.errors and not turn.ghosts
        [workflow] = stored(backend, turn)
        assert workflow["workflow"]["tasks"][0]["status_indicator"] == "none"
        same_after_reload(backend, turn)


def test_a_generated_image_is_shown_while_it_grows_kept_and_told_again(
    standin: StandIn, tmp_path: Path
) -> None:
    image = Hosted("image_generation_call", {"result": PNG}, images=["AAAA", "BBBB"])
    standin.answers(Answer(SEARCH, image, Text("Here it is.")), Answer(Text("A dot.")))
    agent = Agent[Any](name="Painter", tools=HOSTED_TOOLS)
    with answering(agent, standin, tmp_path, "openai") as backend:
        turn = backend.say("Paint a dot.")
        assert not turn.errors and not turn.ghosts
        grown = [e["update"]["image"] for e in turn.events if "image" in e.get("update", {})]
        assert [each["url"][-4:] for each in grown] == ["AAAA", "BBBB"]
        same_after_reload(backend, turn)
        types = [item["type"] for item in stored(backend, turn)]
        assert types == ["workflow", "generated_image", "assistant_message"]
        image_item = stored(backend, turn)[1]
        assert image_item["image"]["url"].endswith(PNG)
        assert {each["id"] for each in grown} == {image_item["image"]["id"]}
        backend.say("What is in it?", turn.thread)
    assert json.dumps(standin.requests[-1].body["input"]).count(PNG) == 1


def test_images_that_are_generated_at_the_same_time_are_all_kept(
    standin: StandIn, tmp_path: Path
) -> None:
    one, two, three = (
        Hosted("image_generation_call", {"result": name * 4}, images=[name.lower() * 4] * 2)
        for name in "ABC"
    )
    standin.answers(Answer(replace(one, beside=[two, three]), Text("Three dots.")))
    agent = Agent[Any](name="Painter", tools=HOSTED_TOOLS)
    with answering(agent, standin, tmp_path, "openai") as backend:
        turn = backend.say("Paint three dots.")
        assert not turn.errors and not turn.ghosts
        same_after_reload(backend, turn)
        images = [item["image"] for item in stored(backend, turn) if "image" in item]
        assert sorted(image["url"][-4:] for image in images) == ["AAAA", "BBBB", "CCCC"]
        assert len({image["id"] for image in images}) == 3
        # Each has grown to what it is.
        updates = [event for event in turn.events if "image" in event.get("update", {})]
        for event in updates:
            grown, image = event["update"]["image"], turn.items[event["item_id"]]["image"]
            assert (grown["id"], grown["url"][-4:].upper()) == (image["id"], image["url"][-4:])


def test_a_tool_of_a_namespace_keeps_it_in_later_turns(standin: StandIn, tmp_path: Path) -> None:
    @function_tool
    def lookup() -> str:
        """Look a customer up."""
        return "Ada"

    tools = tool_namespace(name="crm", description="Customers.", tools=[lookup])
    standin.answers(
        Answer(ToolCall("lookup", {}, namespace="crm")), Answer(Text("Ada.")), Answer(Text("Yes."))
    )
    agent = Agent[Any](name="Clerk", tools=[*tools])
    with answering(agent, standin, tmp_path, "openai") as backend:
        turn = backend.say("Who is it?")
        assert (turn.errors, turn.text) == ([], "Ada.")
        assert backend.say("Sure?", turn.thread).text == "Yes."
    for request in standin.requests[1:]:
        [call] = [i for i in request.body["input"] if i.get("type") == "function_call"]
        assert (call["name"], call["namespace"]) == ("lookup", "crm")


@pytest.mark.parametrize("provider", [name for name in REMOTE if name != "openai"])
def test_a_hosted_tool_on_another_provider_is_told_as_such(
    provider: str, standin: StandIn, tmp_path: Path
) -> None:
    agent = Agent[Any](name="Searcher", tools=[WebSearchTool()])
    with answering(agent, standin, tmp_path, provider) as backend:
        [error] = backend.say("What is the weather?").errors
        assert "web_search" in error["message"] and "OpenAI" in error["message"]
    assert not standin.requests
