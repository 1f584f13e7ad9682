"""OpenAI's own component, by its stand-in: the project's page of it, and what the README shows."""

import re
import subprocess
import threading
import time
from collections.abc import Iterator
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import jwt
import pytest
from playwright.sync_api import Browser, Error, Page, Route, expect

from tests.backend import Backend, app_with_page_at, within
from tests.npm import install
from tests.render import render
from tests.show import show_server
from tests.sign_in import SETTINGS, Website, project, signed_in

FRONT_END = Path(__file__).with_name("front_end")
STAND_IN = (FRONT_END / "chatkit.js").read_text(encoding="utf-8")
SCRIPT = "https://cdn.platform.openai.com/deployments/chatkit/chatkit.js"


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page to which OpenAI's host gives the stand-in, and that has no error of its own."""
    context = browser.new_context()
    context.route("https://**", lambda route: route.abort())
    context.route(
        SCRIPT, lambda route: route.fulfill(body=STAND_IN, content_type="text/javascript")
    )
    opened = context.new_page()
    opened.set_default_timeout(15_000)
    wrong: list[str] = []
    opened.on("pageerror", lambda error: wrong.append(str(error)))
    yield opened
    context.close()
    assert wrong == []


@pytest.fixture
def show() -> Iterator[Backend]:
    """A backend that shows what it is asked for: see tests/show.py."""
    with Backend(
        render(level=2, provider="local", store="memory"),
        {},
        lambda main: show_server(main, lambda: "http://127.0.0.1:9"),
    ) as backend:
        yield backend


def component(page: Page) -> Any:
    """The element, as soon as it has its options."""
    chat = page.locator("openai-chatkit")
    expect(chat).to_have_attribute("data-ready", "")
    return chat


def said(page: Page, text: str) -> list[str]:
    """What is answered to this, in the component."""
    answers: list[str] = component(page).evaluate("(chat, text) => chat.say(text)", text)
    return answers


def token(user: str, seconds: float = 60) -> str:
    secret = SETTINGS["jwt"]["AUTH_JWT_SECRET"]
    return jwt.encode({"sub": user, "exp": time.time() + seconds}, secret, algorithm="HS256")


# --- The project's own page of it ---

HANDLERS = """
export const clientTools = { first: ({ number }) => ({ doubled: number * 2 }), none: () => {} };
export const effects = { paint: ({ colour }) => (document.body.title = colour) };
export const actions = {
  paint: ({ colour }, item) => (document.body.title = colour + item.id),
  pass: (payload, item, send) => send({ type: "passed", payload }),
};
export const searchTags = async (query) => [{ id: "ada", text: query, data: { n: "1" } }];
export const headers = () => ({ "X-Request-ID": "of-the-handlers" });
"""


def with_handlers(page: Page, source: str) -> None:
    page.route(
        "**/page/handlers.js",
        lambda route: route.fulfill(body=source, content_type="text/javascript"),
    )


def test_the_component_is_answered_by_the_page_s_handlers(page: Page, show: Backend) -> None:
    with_handlers(page, HANDLERS)
    page.goto(f"{show.url}/official")
    first, then = said(page, "Show a client tool")
    assert first == "First: {'doubled': 40}"
    assert "has no client tool second" in then
    tool = "(chat, name) => chat.options.onClientTool({ name, params: {} })"
    # The component takes objects alone.
    assert component(page).evaluate(tool, "none") == {}

    said(page, "Show an effect")
    expect(page.locator("body")).to_have_attribute("title", "green")
    act = """(chat, type) => chat.options.widgets.onAction(
        { type, payload: { colour: "red" } }, { id: "of-it" })"""
    component(page).evaluate(act, "paint")
    expect(page.locator("body")).to_have_attribute("title", "redof-it")
    component(page).evaluate(act, "pass")
    assert show.main.server.actions == [("passed", {"colour": "red"})]
    component(page).evaluate(act, "unknown")
    expect(page.get_by_role("status")).to_have_text("page/handlers.js has no action unknown.")


def test_the_component_offers_what_the_server_does(page: Page, show: Backend) -> None:
    page.goto(f"{show.url}/official")
    quick = {"id": "quick", "label": "quick"}
    clever = {"id": "clever", "label": "The clever one", "description": "Slow"}
    find = {"id": "find", "label": "Find it", "icon": "search"}
    paint = {"id": "paint", "label": "Paint it", "icon": "write", "persistent": True}
    # No other key: the component refuses options that it does not know.
    assert component(page).evaluate("(chat) => chat.options.composer") == {
        "attachments": {"enabled": True},
        "models": [quick, clever],
        "tools": [find | {"placeholderOverride": "What shall I find?"}, paint],
    }


def test_the_handlers_headers_go_to_the_backend_alone(page: Page, show: Backend) -> None:
    with_handlers(page, HANDLERS)
    page.goto(f"{show.url}/official")
    given = """async (chat, address) => {
        const response = await chat.options.api.fetch(new URL(address, location.href));
        return response.headers.get("X-Request-ID");
    }"""
    sent: dict[str, str] = {}

    def note(route: Route) -> None:
        sent[route.request.url] = route.request.headers.get("x-request-id", "")
        route.fulfill(body="{}")

    page.route("**/chatkit", note)
    page.route("**/upload", note)
    for address in ("chatkit", "upload"):
        component(page).evaluate(given, address)
    assert sent == {f"{show.url}/chatkit": "of-the-handlers", f"{show.url}/upload": ""}


def test_tags_are_the_component_s_entities_if_there_are_any(page: Page, show: Backend) -> None:
    page.goto(f"{show.url}/official")
    assert component(page).evaluate("(chat) => 'entities' in chat.options") is False

    search = "(chat) => chat.options.entities.onTagSearch('Ada')"
    with_handlers(page, HANDLERS)
    page.reload()
    [found] = component(page).evaluate(search)
    assert found == {"id": "ada", "title": "Ada", "data": {"n": "1"}, "interactive": False}
    keys = "(chat) => Object.keys(chat.options.entities)"
    assert component(page).evaluate(keys) == ["onTagSearch"]

    more = """
        export const openTag = ({ id, text }) => (document.body.title = id + text);
        export const previewTag = async ({ text }) =>
            text ? { type: "Card", children: [] } : undefined;
        export const componentOptions = (options) => ({ ...options, theme: "dark" });
    """
    page.unroute_all()
    with_handlers(page, HANDLERS + more)
    page.reload()
    [found] = component(page).evaluate(search)
    assert found["interactive"] is True
    component(page).evaluate("(chat, found) => chat.options.entities.onClick(found)", found)
    expect(page.locator("body")).to_have_attribute("title", "adaAda")
    preview = "(chat, found) => chat.options.entities.onRequestPreview(found)"
    assert component(page).evaluate(preview, found) == {"preview": {"type": "Card", "children": []}}
    assert component(page).evaluate(preview, {"id": "x", "title": ""}) == {"preview": None}
    assert component(page).evaluate("(chat) => chat.options.theme") == "dark"
    assert_options_are_known(component(page))


def assert_options_are_known(chat: Any) -> None:
    """Each option is one that OpenAI's own types have: the component refuses others."""
    program, place = install(FRONT_END)
    given = chat.evaluate(
        """(chat) => JSON.stringify(chat.options,
            (key, value) => (typeof value === "function" ? "a function" : value))"""
    )
    literal = given.replace('"a function"', "null as any")
    (place / "options.ts").write_text(
        'import type { ChatKitOptions } from "@openai/chatkit";\n'
        f"export const options: ChatKitOptions = {literal};\n"
    )
    type_check(program, place, "options.ts")


def test_the_token_of_the_tab_is_sent_and_asked_for(page: Page) -> None:
    with signed_in("jwt", **SETTINGS["jwt"], DEBUG="true") as backend:
        page.goto(f"{backend.url}/official")
        component(page).evaluate("(chat) => { chat.heard = chat.say('Who am I?'); }")
        form = page.locator("#sign-in")
        expect(form.get_by_role("alert")).to_have_text("Sign in to use this chat.")
        for given in (token("ada", -60), token("ada")):
            page.get_by_label("Sign in with a token").fill(given)
            page.get_by_role("button", name="Sign in").click()
        expect(form).to_be_hidden()
        [answer] = component(page).evaluate("(chat) => chat.heard")
        assert answer.startswith("ada ")
        # The chat page of the same tab has it too.
        page.get_by_role("link", name="Back to the chat page").click()
        expect(page.locator(".thread")).to_have_count(1)
        page.get_by_role("link", name="Official component").click()
        assert said(page, "And now?") == [answer]


def test_the_session_s_cookies_are_sent(page: Page) -> None:
    with (
        Website() as website,
        signed_in(
            "session", AUTH_SESSION_URL=website.url, AUTH_SESSION_CACHE="0", DEBUG="true"
        ) as backend,
    ):
        website.body = b'{"user": {"id": "ada"}}'
        page.goto(f"{backend.url}/official")
        with pytest.raises(Error, match="401"):
            said(page, "Who am I?")
        expect(page.get_by_role("status")).to_have_text("Sign in to use this chat.")
        page.context.add_cookies([{"name": "session", "value": "ada's", "url": backend.url}])
        [answer] = said(page, "Who am I?")
        assert answer.startswith("ada ")
        assert website.asked[-1]["cookie"] == "session=ada's"


def test_the_component_finds_a_backend_that_is_not_at_the_root(page: Page) -> None:
    with Backend(
        render(level=2, provider="local", store="memory"),
        {},
        lambda main: show_server(main, lambda: "http://127.0.0.1:9"),
        served=lambda main: within(app_with_page_at("/chat", main), "/assistant"),
    ) as backend:
        page.goto(f"{backend.url}/assistant/chat/")
        page.get_by_role("link", name="Official component").click()
        assert said(page, "Say: Here.") == ["Here."]
        page.get_by_role("link", name="Back to the chat page").click()
        expect(page).to_have_url(f"{backend.url}/assistant/chat/")
        expect(page.locator(".thread")).to_have_count(1)


# --- What the README shows ---


class Site:
    """A website of somebody's own, at another origin: its page, its bundle, its users' tokens."""

    def __init__(self) -> None:
        self.files: dict[str, str] = {}
        self.tokens: list[str] = []
        """What /chat-token answers, one after the other."""
        site = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                tokens = self.path == "/chat-token" and site.tokens
                body = (tokens.pop(0) if tokens else site.files.get(self.path, "")).encode()
                self.send_response(200 if body else 404)
                kind = "text/javascript" if self.path.endswith(".js") else "text/html"
                self.send_header("Content-Type", f"{kind}; charset=utf-8")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> "Site":
        serve = self._server.serve_forever
        threading.Thread(target=serve, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *error: object) -> None:
        self._server.shutdown()
        self._server.server_close()


AUTHS = ("none", "jwt", "session")


def readme_of(auth: str) -> str:
    made = render(level=2, provider="local", store="memory") if auth == "none" else project(auth)
    return (made / "README.md").read_text(encoding="utf-8")


def snippet(auth: str, language: str) -> str:
    """The one of this language, word for word."""
    found = re.findall(rf"^```{language}\n(.*?)^```", readme_of(auth), re.DOTALL | re.MULTILINE)
    [text] = [text for text in found if "openai" in text]
    return str(text)


@cache
def bundle(auth: str) -> str:
    """The React snippet with all that it imports, type-checked."""
    program, place = install(FRONT_END)
    folder = place / auth
    folder.mkdir(exist_ok=True)
    (folder / "Chat.tsx").write_text(snippet(auth, "jsx"), encoding="utf-8")
    (folder / "main.tsx").write_text(
        'import { StrictMode } from "react";\n'
        'import { createRoot } from "react-dom/client";\n'
        'import { Chat } from "./Chat";\n'
        'const root = createRoot(document.getElementById("root")!);\n'
        "root.render(<StrictMode><Chat /></StrictMode>);\n"
    )
    type_check(program, place, f"{auth}/main.tsx")
    esbuild = [program, "node_modules/esbuild/bin/esbuild", f"{auth}/main.tsx"]
    options = ["--bundle", "--format=esm", "--jsx=automatic", "--log-level=warning"]
    # React's checks of how it is used are in the development build alone.
    options.append('--define:process.env.NODE_ENV="development"')
    ran = subprocess.run(
        [*esbuild, *options], cwd=place, capture_output=True, check=False, encoding="utf-8"
    )
    assert (ran.returncode, ran.stderr) == (0, "")
    return ran.stdout


def type_check(program: str, place: Path, file: str) -> None:
    tsc = [program, "node_modules/typescript/bin/tsc", "--noEmit", "--strict", "--target", "esnext"]
    options = ["--module", "esnext", "--moduleResolution", "bundler", "--jsx", "react-jsx"]
    ran = subprocess.run(
        [*tsc, *options, file], cwd=place, capture_output=True, check=False, encoding="utf-8"
    )
    assert (ran.returncode, ran.stdout) == (0, "")


def page_of(auth: str, language: str, site: Site, backend: Backend) -> str:
    """A whole page that has the snippet."""
    here = "http://localhost:8000"
    if language == "html":
        text = snippet(auth, "html")
    else:
        script, *_ = snippet(auth, "html").splitlines()
        built = bundle(auth)
        assert here in built
        site.files["/bundle.js"] = built.replace(here, backend.url)
        main = '<script type="module" src="/bundle.js"></script>'
        text = f'{script}\n<div id="root"></div>\n{main}'
    return f"<!doctype html>\n<meta charset=utf-8>\n{text.replace(here, backend.url)}"


@pytest.mark.parametrize("auth", AUTHS)
@pytest.mark.parametrize("language", ["html", "jsx"])
def test_the_readme_s_component_works_in_a_page_of_another_origin(
    page: Page, auth: str, language: str
) -> None:
    complaints: list[str] = []
    page.on(
        "console",
        lambda told: (
            # The browser tells of every 401.
            complaints.append(told.text)
            if told.type in ("error", "warning")
            and not told.text.startswith("Failed to load resource")
            else None
        ),
    )
    sent: list[str | None] = []
    page.on(
        "request",
        lambda request: (
            sent.append(request.headers.get("content-type")) if request.method == "POST" else None
        ),
    )
    with Site() as site, Website() as website:
        website.body = b'{"user": {"id": "ada"}}'
        # The first has expired since it was given out.
        site.tokens = [token("ada", -60), token("ada")]
        # Without DEBUG, which lets every page of this machine in.
        env = {"ALLOWED_ORIGINS": site.url, "DEBUG": "false"}
        if auth == "none":
            backend = Backend(
                render(level=2, provider="local", store="memory"),
                env,
                lambda main: show_server(main, lambda: "http://127.0.0.1:9"),
            )
        else:
            session = {"AUTH_SESSION_URL": website.url}
            settings = SETTINGS["jwt"] if auth == "jwt" else session
            backend = signed_in(auth, **settings, **env)
        with backend:
            site.files["/"] = page_of(auth, language, site, backend)
            if auth == "session":
                # Cookies know no ports: the site's reach the backend on the same host.
                cookie = {"name": "session", "value": "ada's", "url": site.url}
                page.context.add_cookies([cookie])  # type: ignore[list-item]
            page.goto(site.url)
            [answer] = said(page, "Say: ada here")
            assert answer.startswith("ada ")
            assert component(page).evaluate("(chat) => chat.offsetHeight") == 600
            if auth != "none":
                zone = component(page).evaluate(
                    "(chat) => chat.options.onClientTool({ name: 'browser_time_zone', params: {} })"
                )
                assert zone["time_zone"]
                with pytest.raises(Error, match="There is no client tool x"):
                    component(page).evaluate(
                        "async (chat) => chat.options.onClientTool({ name: 'x', params: {} })"
                    )
            assert complaints == []
            # What the component sets is kept.
            assert set(sent) == {"application/json"}
            # ALLOWED_ORIGINS is what lets it in.
            backend.main.settings.allowed_origins.clear()
            with pytest.raises(Error, match="Failed to fetch"):
                said(page, "Say: ada here")
    if auth == "jwt":
        assert site.tokens == []
