"""Conversations that go well, on every provider's wire format."""

import json
from pathlib import Path
from typing import Any

import pytest
from agents import function_tool

from tests.backend import text_of
from tests.matrix import STORES
from tests.providers import REMOTE, production, talking_to
from tests.standins import Answer, HttpError, Refusal, Source, StandIn, Text, Thought, ToolCall

BERLIN = ToolCall("current_time", {"time_zone": "Europe/Berlin"})
TOKYO = ToolCall("current_time", {"time_zone": "Asia/Tokyo"})


@pytest.mark.parametrize("provider", REMOTE)
def test_second_message_is_answered_and_the_first_is_remembered(
    provider: str, standin: StandIn, tmp_path: Path
) -> None:
    standin.answers(Answer(Text("Hello Ada.", pieces=3)), Answer(Text("Your name is Ada.")))
    with talking_to(standin, tmp_path, provider) as backend:
        first = backend.say("I am Ada.")
        assert first.text == first.deltas == "Hello Ada."
        second = backend.say("Who am I?", first.thread)
        assert second.text == "Your name is Ada."
        assert not second.errors
        assert not second.ghosts
        assert backend.texts(first.thread) == [
            ("user", "I am Ada."),
            ("assistant", "Hello Ada."),
            ("user", "Who am I?"),
            ("assistant", "Your name is Ada."),
        ]
    request = standin.requests[1]
    assert "helpful assistant" in request.system
    assert request.turns == [
        ("user", "I am Ada."),
        ("assistant", "Hello Ada."),
        ("user", "Who am I?"),
    ]


@pytest.mark.parametrize("provider", REMOTE)
def test_what_only_python_takes_for_the_end_of_a_line_is_a_character_of_the_answer(
    provider: str, standin: StandIn, tmp_path: Path
) -> None:
    text = "one\u2028two\u2029three\x85four\x0bfive"
    standin.answers(Answer(Text([text, " six"]), delay=0.01))
    with talking_to(standin, tmp_path, provider) as backend:
        turn = backend.say("Quote it.")
        assert (turn.errors, turn.text) == ([], f"{text} six")
        assert backend.texts(turn.thread)[1] == ("assistant", f"{text} six")


def test_an_answer_keeps_its_sources(standin: StandIn, tmp_path: Path) -> None:
    page = {"type": "url_citation", "url": "https://example.com/a", "title": "A page"}
    source = Source(page | {"start_index": 0, "end_index": 5})
    standin.answers(Answer(Text("Paris"), source, Text(" it is.")), Answer(Text("Yes.")))
    with talking_to(standin, tmp_path, "openai") as backend:
        turn = backend.say("What is the capital of France?")
        assert (turn.errors, turn.ghosts, turn.text) == ([], [], "Paris it is.")
        [annotation] = backend.items(turn.thread)[1]["content"][0]["annotations"]
        assert annotation["source"]["url"] == "https://example.com/a"
        assert backend.say("Sure?", turn.thread).text == "Yes."


def test_messages_that_had_no_answer_are_told_as_one(standin: StandIn, tmp_path: Path) -> None:
    standin.answers(HttpError(503), HttpError(503), Answer(Text("Hello.")))
    with talking_to(standin, tmp_path) as backend:
        thread = backend.say("Hello?").thread
        backend.say("Hello??", thread)
        assert backend.say("Hello???", thread).text == "Hello."
    # The chat templates of many local models refuse two messages of the user in a row.
    told = standin.requests[2]
    assert [message["role"] for message in told.body["messages"]] == ["system", "user"]
    assert told.turns == [("user", "Hello?"), ("user", "Hello??"), ("user", "Hello???")]


@pytest.mark.parametrize("provider", REMOTE)
def test_text_tool_text_in_one_turn_are_two_messages_and_both_are_kept(
    provider: str, standin: StandIn, tmp_path: Path
) -> None:
    standin.answers(Answer(Text("Let me look."), BERLIN), Answer(Text("It is late.")))
    with talking_to(standin, tmp_path, provider) as backend:
        turn = backend.say("What time is it in Berlin?")
        assert turn.answers == ["Let me look.", "It is late."]
        assert not turn.errors
        assert not turn.ghosts
        done = [e["item"]["id"] for e in turn.events if e["type"] == "thread.item.done"]
        assert len(done) == len(set(done)) == 3
        assert [text for _, text in backend.texts(turn.thread)] == [
            "What time is it in Berlin?",
            "Let me look.",
            "It is late.",
        ]
        ids = [item["id"] for item in backend.items(turn.thread)]
        assert len(set(ids)) == 3
        assert all(len(id.partition("_")[2]) == 32 for id in ids)


@pytest.mark.parametrize("provider", REMOTE)
def test_two_tools_at_once_are_answered_and_remembered_on_the_next_turn(
    provider: str, standin: StandIn, tmp_path: Path
) -> None:
    standin.answers(Answer(BERLIN, TOKYO), Answer(Text("Both are late.")), Answer(Text("Yes.")))
    with talking_to(standin, tmp_path, provider) as backend:
        turn = backend.say("What time is it in Berlin and Tokyo?")
        assert turn.text == "Both are late."
        assert backend.say("Are you sure?", turn.thread).text == "Yes."
        hidden = {item["type"] for item in backend.items(turn.thread)}
        assert hidden == {"user_message", "assistant_message"}
    told = standin.requests[2].turns
    calls = [what for role, what in told if role == "tool_call"]
    outputs = [what for role, what in told if role == "tool_output"]
    assert len(calls) == len(outputs) == 2
    assert "Europe/Berlin" in str(calls)
    assert "JST" in str(outputs)


@pytest.mark.parametrize("provider", REMOTE)
def test_a_tool_that_the_model_invents_does_not_end_the_turn(
    provider: str, standin: StandIn, tmp_path: Path
) -> None:
    weather = ToolCall("weather", {"city": "Berlin"})
    standin.answers(
        Answer(Text("Let me look."), weather), Answer(Text("I cannot tell.")), Answer(Text("No."))
    )
    with talking_to(standin, tmp_path, provider) as backend:
        turn = backend.say("What is the weather in Berlin?")
        assert turn.answers == ["Let me look.", "I cannot tell."]
        assert not turn.errors
        assert not turn.ghosts
        assert backend.say("Really?", turn.thread).text == "No."
    for request in standin.requests[1:]:
        [called] = [what for role, what in request.turns if role == "tool_call"]
        [output] = [what for role, what in request.turns if role == "tool_output"]
        assert str(weather) in str(called)
        assert "not found" in str(output)


@pytest.mark.parametrize("provider", REMOTE)
def test_two_thoughts_of_one_turn_are_not_glued_together(
    provider: str, standin: StandIn, tmp_path: Path
) -> None:
    standin.answers(
        Answer(Thought("First I look."), BERLIN), Answer(Thought("Then I tell."), Text("Late."))
    )
    with talking_to(standin, tmp_path, provider) as backend:
        turn = backend.say("What time is it in Berlin?")
        assert turn.text == "Late."
        thoughts = [
            task["content"]
            for item in backend.items(turn.thread)
            if item["type"] == "workflow"
            for task in item["workflow"]["tasks"]
        ]
        assert thoughts == ["First I look.", "Then I tell."]
        assert not turn.ghosts


@pytest.mark.parametrize("provider", ["openai", "anthropic", "local"])
def test_a_long_thought_costs_the_client_little_more_than_its_words(
    provider: str, standin: StandIn, tmp_path: Path
) -> None:
    """ChatKit sends the whole thought each time that it grows."""
    thought = "And then I thought of it once more. " * 300
    standin.answers(Answer(Thought(thought, pieces=2000), Text("Yes.")))
    with talking_to(standin, tmp_path, provider) as backend:
        turn = backend.say("Is it so?")
        grown = [event for event in turn.events if "workflow.task" in str(event)]
        assert len(grown) < 200
        assert turn.text == "Yes."
        [workflow] = [i for i in backend.items(turn.thread) if i["type"] == "workflow"]
        assert [task["content"] for task in workflow["workflow"]["tasks"]] == [thought]


@pytest.mark.parametrize(
    "steps",
    [
        [Answer(Text("Let me look."), BERLIN), Answer(Text("Late."))],
        [Answer(Text("Let me look."), BERLIN, TOKYO), Answer(TOKYO), Answer(Text("Late."))],
        [Answer(BERLIN), HttpError(500)],
        [Answer(Text("Let me look."), BERLIN), HttpError(500)],
        [HttpError(500)],
    ],
    ids=["text and call", "several calls", "failed after a tool", "both", "failed"],
)
def test_a_local_model_whose_template_wants_user_and_assistant_in_turn_can_go_on(
    steps: list[Answer | HttpError], standin: StandIn, tmp_path: Path
) -> None:
    """As Mistral's template does, which does not count tools and the messages that call them."""
    standin.answers(*steps, Answer(Text("You are welcome.")))
    with talking_to(standin, tmp_path, "local") as backend:
        thread = backend.say("What time is it in Berlin?").thread
        assert backend.say("Thanks.", thread).text == "You are welcome."
    for request in standin.requests:
        _, *messages = request.body["messages"]
        counted = [m for m in messages if m["role"] != "tool" and not m.get("tool_calls")]
        speakers = [message["role"] for message in counted]
        assert speakers == (["user", "assistant"] * len(speakers))[: len(speakers)]


def test_a_local_model_is_told_of_a_widget_with_the_output_of_the_tool_that_showed_it(
    standin: StandIn, tmp_path: Path
) -> None:
    menu = ToolCall("show_menu", {})
    answers = Answer(menu), Answer(Text("Choose.")), Answer(menu), HttpError(500)
    standin.answers(*answers, Answer(Text("Soup is good.")))
    with production(standin, tmp_path, "local") as (backend, _):
        thread = backend.say("What is there?").thread
        backend.say("Once more.", thread)
        assert backend.say("What is good?", thread).text == "Soup is good."
    _, *messages = standin.requests[-1].body["messages"]
    told = [m["role"] for m in messages]
    turn = ["user", "assistant", "tool", "assistant"]
    assert told == [*turn, *turn, "user"]
    said = [m["content"] for m in messages]
    assert said[3] == "Choose."
    for output in (said[2], said[6]):
        assert output.count("[The user is shown a widget: ") == 1
    assert "[The user is shown" not in str([said[0], said[4], said[8]])


@pytest.mark.parametrize("store", STORES)
def test_sixty_turns_are_kept_and_the_newest_are_told_to_the_model(
    store: str, standin: StandIn, tmp_path: Path
) -> None:
    with talking_to(standin, tmp_path, store=store, HISTORY_ITEMS="20") as backend:
        turn = backend.say("Message 0.")
        for number in range(1, 60):
            backend.say(f"Message {number}.", turn.thread)
        texts = [text for role, text in backend.texts(turn.thread) if role == "user"]
        assert texts == [f"Message {number}." for number in range(60)]
        # By pages of seven, in both directions, nothing is lost and nothing comes twice.
        for order in ("asc", "desc"):
            ids: list[str] = []
            after = None
            while True:
                page = backend.ask(
                    "items.list", thread_id=turn.thread, order=order, limit=7, after=after
                )
                ids += [item["id"] for item in page["data"]]
                after = page.get("after")
                if not page["has_more"]:
                    break
            assert len(ids) == len(set(ids)) == 120
    told = [text for role, text in standin.requests[-1].turns if role == "user"]
    assert 5 <= len(told) <= 10
    assert told == [f"Message {number}." for number in range(60 - len(told), 60)]
    assert standin.requests[-1].turns[0][0] == "user"


def test_a_restart_loses_nothing(standin: StandIn, tmp_path: Path) -> None:
    standin.answers(Answer(Text("Hello Ada.")), Answer(Text("Ada.")))
    with talking_to(standin, tmp_path) as backend:
        thread = backend.say("I am Ada.").thread
    with talking_to(standin, tmp_path) as backend:
        assert [listed["id"] for listed in backend.ask("threads.list")["data"]] == [thread]
        assert backend.say("Who am I?", thread).text == "Ada."
    assert ("user", "I am Ada.") in standin.requests[-1].turns


def test_a_long_history_is_cut_by_tokens_at_a_user_s_message(
    standin: StandIn, tmp_path: Path
) -> None:
    with talking_to(standin, tmp_path, HISTORY_TOKENS="200") as backend:
        turn = backend.say("a" * 3000)
        backend.say("b" * 300, turn.thread)
        backend.say("c" * 3000, turn.thread)
    assert [text[0] for role, text in standin.requests[1].turns if role == "user"] == ["b"]
    # The newest message is told however long it is.
    assert standin.requests[2].turns == [("user", "c" * 3000)]


def test_tags_and_attachments_never_break_a_thread(standin: StandIn, tmp_path: Path) -> None:
    tag = {"type": "input_tag", "id": "station_1", "text": "Central", "data": {"lines": [1, 2]}}
    with talking_to(standin, tmp_path) as backend:
        content = {"content": [tag], "attachments": [], "inference_options": {}}
        turn = backend.turn("threads.create", input=content)
        assert not turn.errors
        assert not backend.say("And now?", turn.thread).errors
    assert "station_1" in json.dumps(standin.requests[-1].body)


def test_the_thread_is_named_after_its_first_message(standin: StandIn, tmp_path: Path) -> None:
    with talking_to(standin, tmp_path) as backend:
        turn = backend.say("What   is\nthe capital of France? " + "And of Spain? " * 20)
        [thread] = backend.ask("threads.list")["data"]
        assert thread["title"].startswith("What is the capital of France? And")
        assert len(thread["title"]) <= 60
        backend.ask("threads.update", thread_id=turn.thread, title="Capitals")
        backend.say("And of Italy?", turn.thread)
        assert backend.ask("threads.get_by_id", thread_id=turn.thread)["title"] == "Capitals"


def test_retry_answers_the_same_message_again(standin: StandIn, tmp_path: Path) -> None:
    standin.answers(Answer(Text("Bad.")), Answer(Text("Good.")))
    with talking_to(standin, tmp_path) as backend:
        turn = backend.say("Tell me.")
        asked = next(item for item in turn.items.values() if item["type"] == "user_message")
        again = backend.turn("threads.retry_after_item", thread_id=turn.thread, item_id=asked["id"])
        assert again.text == "Good."
        assert backend.texts(turn.thread) == [("user", "Tell me."), ("assistant", "Good.")]
    assert standin.requests[1].turns == [("user", "Tell me.")]


def test_the_browser_s_language_is_known_without_a_sign_in(
    standin: StandIn, tmp_path: Path
) -> None:
    seen: list[str | None] = []

    async def admit(request: Any, context: Any) -> None:
        seen.append(context.locale)

    with talking_to(standin, tmp_path) as backend:
        backend.main.server.admit = admit
        backend.http.headers["Accept-Language"] = "de-CH,de;q=0.9"
        backend.say("Grüezi")
    assert seen == ["de-CH"]


@pytest.mark.parametrize("provider", REMOTE)
def test_retry_while_the_provider_is_away_keeps_the_answer_that_stands_there(
    provider: str, standin: StandIn, tmp_path: Path
) -> None:
    standin.answers(Answer(Text("Good.")), HttpError(503), Answer(Text("Better.")))
    with talking_to(standin, tmp_path, provider) as backend:
        turn = backend.say("Tell me.")
        asked, answer = turn.items
        retry = {"thread_id": turn.thread, "item_id": asked}
        away = backend.turn("threads.retry_after_item", **retry)
        assert away.errors[0]["allow_retry"] is True and away.removed == []
        assert list(away.items) == [answer]
        assert backend.texts(turn.thread) == [("user", "Tell me."), ("assistant", "Good.")]
        again = backend.turn("threads.retry_after_item", **retry)
        assert again.removed == [answer]
        assert backend.texts(turn.thread) == [("user", "Tell me."), ("assistant", "Better.")]
        backend.say("Thank you.", turn.thread)
    told = [request.turns for request in standin.requests]
    assert told[1] == told[2] == [("user", "Tell me.")]
    assert "Good." not in str(told[3])


def test_any_model_of_litellm_can_be_named(
    standin: StandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-other")
    standin.answers(Answer(Text("Here.")))
    with talking_to(
        standin,
        tmp_path,
        "openai",
        MODEL="litellm/anthropic/claude-haiku-4-5",
        MODEL_BASE_URL=standin.url,
    ) as backend:
        assert backend.say("Who is there?").text == "Here."
    assert standin.requests[0].path == "/v1/messages"


@pytest.mark.parametrize(
    ("provider", "model"),
    [
        ("gemini", "gemini/gemini-3.5-flash"),
        ("openai", "openai/gpt-5.6"),
        ("local", "local/qwen3"),
    ],
)
def test_model_in_the_environment_is_enough_to_change_it(
    provider: str, model: str, standin: StandIn, tmp_path: Path
) -> None:
    with talking_to(standin, tmp_path, provider, MODEL=model) as backend:
        assert not backend.say("Hello").errors
    [request] = standin.requests
    assert model.partition("/")[2] in request.path + json.dumps(request.body)


def test_a_setting_that_the_model_does_not_take_is_left_out(
    standin: StandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-other")
    model = "litellm/openai/gpt-5-mini"
    env = {"MODEL": model, "MODEL_BASE_URL": f"{standin.url}/v1"}
    with talking_to(standin, tmp_path, "gemini", **env) as backend:
        backend.main.server.agent.model_settings.temperature = 0.2
        assert not backend.say("Hello").errors
    assert "temperature" not in standin.requests[0].body


def test_an_azure_model_that_wants_the_responses_api_is_asked_there(
    standin: StandIn, tmp_path: Path
) -> None:
    standin.answers(Answer(Text("Let me look."), BERLIN), Answer(Text("It is late.")))
    with talking_to(standin, tmp_path, "azure", MODEL="azure/gpt-6.1-sol") as backend:
        turn = backend.say("What time is it in Berlin?")
        assert turn.answers == ["Let me look.", "It is late."]
        assert backend.say("Sure?", turn.thread).answers == ["ok 3"]
    assert [request.format for request in standin.requests] == ["responses"] * 3


def test_times_on_the_wire_have_an_offset(standin: StandIn, tmp_path: Path) -> None:
    with talking_to(standin, tmp_path) as backend:
        turn = backend.say("Hello")
        items = [*turn.items.values(), *backend.items(turn.thread)]
        thread = backend.ask("threads.get_by_id", thread_id=turn.thread)
        times = [entry["created_at"] for entry in [*items, thread, *thread["items"]["data"]]]
        assert all(time.endswith("Z") or time[-6] in "+-" for time in times)
        assert text_of(thread["items"]["data"][0]) == "Hello"


def test_a_gemini_model_that_litellm_has_not_heard_of_gets_its_instructions(
    standin: StandIn, tmp_path: Path
) -> None:
    with talking_to(standin, tmp_path, "gemini", MODEL="gemini/gemini-99-flash") as backend:
        assert not backend.say("Hello").errors
    [request] = standin.requests
    assert "helpful assistant" in request.system
    assert request.turns == [("user", "Hello")]
    assert request.tools == ["current_time"]


@pytest.mark.parametrize("model", ["openai/gpt-6.1-sol", "openai/gpt-4.1", "openai/gpt-5-chat"])
def test_a_thought_before_a_tool_call_goes_back_to_openai_or_stays_away(
    model: str, standin: StandIn, tmp_path: Path
) -> None:
    call = ToolCall("current_time", {"time_zone": "Europe/Berlin"})
    standin.answers(Answer(Thought("A city."), call), Answer(Text("It is late.")))
    with talking_to(standin, tmp_path, "openai", MODEL=model) as backend:
        turn = backend.say("What time is it in Berlin?")
        assert (turn.errors, turn.text) == ([], "It is late.")
    thoughts = [said for who, said in standin.requests[-1].turns if who == "thought"]
    assert thoughts == (["A city."] if "6.1" in model else [])


@pytest.mark.parametrize("provider", ["openai", "local"])
def test_a_refusal_is_an_answer(provider: str, standin: StandIn, tmp_path: Path) -> None:
    standin.answers(Answer(Refusal("I cannot help with that.", pieces=3)), Answer(Text("Gladly.")))
    with talking_to(standin, tmp_path, provider) as backend:
        turn = backend.say("Do something bad.")
        assert (turn.errors, turn.ghosts, turn.text) == ([], [], "I cannot help with that.")
        assert backend.texts(turn.thread)[1] == ("assistant", "I cannot help with that.")
        assert backend.say("Something good, then.", turn.thread).text == "Gladly."


def test_a_long_output_of_a_tool_does_not_crowd_out_the_conversation(
    standin: StandIn, tmp_path: Path
) -> None:
    standin.answers(Answer(ToolCall("read", {})), Answer(Text("It is long.")))
    with talking_to(standin, tmp_path) as backend:

        @function_tool
        async def read() -> str:
            """Read the book."""
            return "Once upon a time " + "and then " * 50_000

        backend.main.server.agent = backend.main.server.agent.clone(tools=[read])
        thread = backend.say("Read the book, which is my mother's.").thread
        backend.say("Whose book is it?", thread)
    # The tool's own turn is told all of it, the next one how it begins.
    whole, begun = (
        next(said for who, said in request.turns if who == "tool_output")
        for request in standin.requests[1:]
    )
    assert len(whole) > 450_000
    assert begun == whole[:7999] + "…"
    assert ("user", "Read the book, which is my mother's.") in standin.requests[-1].turns
