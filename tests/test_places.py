"""The places for what users add: each example of a project's README, put there word for word."""

import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.backend import Backend, message
from tests.git import reword
from tests.postgres import create, execute
from tests.project import run
from tests.providers import environment
from tests.render import render_into
from tests.standins import Answer, Source, StandIn, Text, ToolCall
from tests.test_generated import own_tests
from tests.test_start import bare, failed_start, free_port
from tests.users import signed_in

MCP_SERVER = """\
import sys
from mcp.server.mcpserver import MCPServer

server = MCPServer("weather")


@server.tool()
def forecast(city: str) -> str:
    '''Tell the weather in a city.'''
    return f"It rains in {city}."


server.run("streamable-http", port=int(sys.argv[1]))
"""


def examples(project: Path) -> list[str]:
    """The README's code, a block each."""
    readme = (project / "README.md").read_text(encoding="utf-8")
    return re.findall(r"^```\w+\n(.*?)^```$", readme, re.DOTALL | re.MULTILINE)


def put(project: Path, file: str) -> Path:
    """Put the README's example of a file in its place."""
    [example] = (each for each in examples(project) if each.startswith(f"# {file}\n"))
    (project / file).write_text(example, encoding="utf-8")
    return project / file


@contextmanager
def mcp_server(folder: Path, port: int) -> Iterator[None]:
    script = folder / "mcp_server.py"
    script.write_text(MCP_SERVER, encoding="utf-8")
    process = subprocess.Popen([sys.executable, script, str(port)], stderr=subprocess.DEVNULL)
    try:
        yield
    finally:
        process.kill()
        process.wait()


def send(backend: Backend, text: str) -> httpx.Response:
    type, params = message(text)
    return backend.post(type, **params)


@pytest.fixture
def agent_project(tmp_path: Path) -> Path:
    return render_into(tmp_path / "myapp", level=2, provider="local", store="sqlite")


# --- Resources ---


def test_an_mcp_server_of_the_agent_is_named_while_it_is_away_and_used(
    agent_project: Path, standin: StandIn, tmp_path: Path
) -> None:
    port = free_port()
    reword(put(agent_project, "backend/app/agent.py"), "localhost:9000", f"localhost:{port}")
    standin.answers(
        Answer(ToolCall("forecast", {"city": "Kyoto"})), Answer(Text("Take an umbrella."))
    )
    with Backend(agent_project, environment("local", standin, tmp_path)) as backend:
        assert backend.http.get("/health").status_code == 200
        cause = backend.http.get("/ready").json()["cause"]
        assert cause.startswith("MCP server weather: ")
        [error] = backend.say("Will it rain?").errors
        assert "It is called weather." in error["message"]
        # What needs none of them goes on.
        assert backend.ask("threads.list")["data"][0]["title"] == "Will it rain?"
        with mcp_server(tmp_path, port):
            backend.ready(40)
            assert backend.say("Will it rain in Kyoto?").text == "Take an umbrella."
    assert "It rains in Kyoto." in str(standin.requests[1].body)


OPENED = """
from contextlib import asynccontextmanager

from agents.mcp import MCPServerStreamableHttp

from app.agent import agent

opened = []


@asynccontextmanager
async def open_resources():
    async with MCPServerStreamableHttp({"url": "http://localhost:PORT/mcp"}) as weather:
        agent.mcp_servers = [weather]
        opened.append(weather)
        yield weather
"""


def test_an_mcp_server_that_the_resources_open_is_opened_anew_by_itself(
    agent_project: Path, standin: StandIn, tmp_path: Path
) -> None:
    port = free_port()
    source = OPENED.replace("PORT", str(port))
    (agent_project / "backend/app/resources.py").write_text(source, encoding="utf-8")
    with Backend(agent_project, environment("local", standin, tmp_path)) as backend:
        deadline = time.monotonic() + 15
        while "while opening" not in (cause := backend.http.get("/ready").json()["cause"]):
            assert cause == "resources: still opening"
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert cause.startswith("resources: ")
        refused = send(backend, "Will it rain?")
        assert refused.status_code == 503
        assert "/ready" in refused.json()["detail"]
        assert refused.headers["retry-after"]
        with mcp_server(tmp_path, port):
            backend.ready(40)
        # It goes: the chat says it, and /ready too. It comes back: all is well again.
        [error] = backend.say("And now?").errors
        assert "A server of the agent's tools does not answer. Try again" in error["message"]
        assert backend.http.get("/ready").json()["cause"].startswith("MCP server streamable_http: ")
        standin.answers(Answer(ToolCall("forecast", {"city": "Nara"})), Answer(Text("There, too.")))
        with mcp_server(tmp_path, port):
            backend.ready(40)
            assert backend.say("Will it rain in Nara?").text == "There, too."
        assert len(sys.modules["app.resources"].opened) == 1


def test_resources_that_are_no_context_manager_end_the_start(
    agent_project: Path, standin: StandIn, tmp_path: Path
) -> None:
    resources = agent_project / "backend/app/resources.py"
    reword(resources, "@asynccontextmanager\n", "")
    assert failed_start(agent_project, environment("local", standin, tmp_path)) == (
        "Cannot start: app/resources.py: open_resources needs @asynccontextmanager above it.\n"
    )


def test_what_was_opened_is_closed_at_the_end_by_the_task_that_opened_it(
    agent_project: Path, standin: StandIn, tmp_path: Path
) -> None:
    (agent_project / "backend/app/resources.py").write_text(
        "import asyncio\n"
        "from contextlib import asynccontextmanager\n\n"
        "tasks = []\n\n\n"
        "@asynccontextmanager\n"
        "async def open_resources():\n"
        "    tasks.append(asyncio.current_task())\n"
        "    yield 'opened'\n"
        "    tasks.append(asyncio.current_task())\n",
        encoding="utf-8",
    )
    with Backend(agent_project, environment("local", standin, tmp_path)) as backend:
        backend.ready()
        tasks = sys.modules["app.resources"].tasks
        assert len(tasks) == 1
    assert tasks[0] is tasks[1]


FRAIL = """
import asyncio
from contextlib import asynccontextmanager

import anyio

from core.turns.resources import NotReady

opened, closed = [], []


async def fail():
    await asyncio.sleep(0.2)
    raise ConnectionError


@asynccontextmanager
async def open_resources():
    opened.append(len(opened))
    if len(opened) == 1:
        raise NotReady("the weather is away")
    async with anyio.create_task_group() as group:
        if len(opened) == 2:
            group.start_soon(fail)
        yield "open"
    closed.append(len(opened))
    await asyncio.sleep(60)
"""


def test_what_is_lost_is_opened_again_and_what_does_not_close_is_given_up(
    agent_project: Path, standin: StandIn, tmp_path: Path
) -> None:
    (agent_project / "backend/app/resources.py").write_text(FRAIL, encoding="utf-8")
    backend = Backend(agent_project, environment("local", standin, tmp_path))
    core: Any = sys.modules["core.turns.resources"]
    own: Any = sys.modules["app.resources"]
    core.FIRST_PAUSE = core.CLOSE_SECONDS = 0.5
    with backend:
        assert backend.http.get("/ready").json()["cause"] == "resources: the weather is away"
        deadline = time.monotonic() + 10
        while len(own.opened) < 3:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        backend.ready()
        assert (len(own.opened), own.closed) == (3, [])
        began = time.monotonic()
    assert time.monotonic() - began < 5


def test_settings_of_one_s_own_are_read_and_a_wrong_one_ends_the_start(
    agent_project: Path, standin: StandIn, tmp_path: Path
) -> None:
    put(agent_project, "backend/app/weather.py")
    agent = agent_project / "backend/app/agent.py"
    reword(agent, "STARTERS = (", "from app.weather import settings\n\nSTARTERS = (\n", 1)
    reword(agent, "What can you do?", 'Will it rain in " + settings.weather_city + "?')
    (agent_project / ".env").write_text("WEATHER_CITY=Nara\n", encoding="utf-8")
    env = environment("local", standin, tmp_path)
    with Backend(agent_project, env) as backend:
        assert "Will it rain in Nara?" in backend.http.get("/page/about.json").json()["starters"]
    reword(agent_project / "backend/app/weather.py", "min_length=1", "min_length=3")
    said = failed_start(agent_project, env | {"WEATHER_CITY": "X"})
    assert said == "Cannot start: WEATHER_CITY must be a city. Set it in .env or the environment.\n"


# --- Routes ---


@pytest.fixture
def routes(tmp_path: Path) -> Path:
    project = render_into(
        tmp_path / "myapp", level=3, provider="local", store="sqlite", auth="session"
    )
    api = put(project, "backend/app/api.py")
    broken = '@router.get("/broken", include_in_schema=False)\nasync def broken() -> None:\n'
    reword(api, "def add_routes", f"{broken}    raise ValueError\n\n\ndef add_routes")
    return project


def test_a_route_knows_who_asks_and_refuses_other_sites(
    routes: Path, standin: StandIn, tmp_path: Path
) -> None:
    with signed_in("session") as users:
        env = environment("local", standin, tmp_path) | users.env | {"DEBUG": "true"}
        ada = users.headers("ada")
        with Backend(routes, env) as backend:
            backend.ready()
            http = backend.http
            assert http.get("/api/me", headers=ada).json() == {"user": "ada"}
            nobody = http.get("/api/me")
            assert nobody.status_code == 401
            assert nobody.json()["detail"] == "Sign in to use this chat."
            # A page of another site makes the browser send the cookies, and is refused.
            for site in ({"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}):
                headers = {"Cookie": ada["Cookie"], **site}
                assert http.request("DELETE", "/api/threads", headers=headers).status_code == 403
            # FastAPI's own, as its users expect it: a detail that is no sentence, too.
            none = http.delete("/api/threads", headers=ada)
            assert (none.status_code, none.json()) == (
                404,
                {"detail": {"code": "nothing", "message": "There is nothing to forget."}},
            )
            assert none.headers["x-request-id"]
            # What nobody foresaw can be read by the page that asked, too.
            broken = http.get("/api/broken", headers=ada)
            assert broken.status_code == 500
            assert broken.json()["request_id"] == broken.headers["x-request-id"]
            assert broken.headers["access-control-allow-origin"] == ada["Origin"]
            standin.answers(Answer(Text("Hello.")))
            http.headers.update(ada)
            backend.say("Hello")
            assert http.delete("/api/threads").json() == {"deleted": 1}
            # Pages of an allowed origin may use each method that there is a route for.
            asked = {"Access-Control-Request-Method": "DELETE", "Origin": ada["Origin"]}
            allowed = http.options("/api/threads", headers=asked)
            assert "DELETE" in allowed.headers["access-control-allow-methods"]
            assert "PATCH" not in allowed.headers["access-control-allow-methods"]
            docs = http.get("/docs")
            assert docs.status_code == 200
            assert "cdn.jsdelivr.net" in docs.headers["content-security-policy"]
            assert set(http.get("/openapi.json").json()["paths"]) == {"/api/me", "/api/threads"}


def test_without_debug_nobody_is_shown_the_routes(
    routes: Path, standin: StandIn, tmp_path: Path
) -> None:
    with signed_in("session") as users:
        env = environment("local", standin, tmp_path) | users.env
        with Backend(routes, env) as backend:
            for path in ("/docs", "/openapi.json", "/redoc"):
                assert backend.http.get(path).status_code == 404


def test_a_route_that_costs_something_counts_as_a_message(
    routes: Path, standin: StandIn, tmp_path: Path
) -> None:
    api = routes / "backend/app/api.py"
    reword(api, "core.http.user import User", "core.http.limited_user import LimitedUser as User")
    with signed_in("session") as users:
        env = environment("local", standin, tmp_path) | users.env | {"RATE_LIMIT": "1/minute"}
        with Backend(routes, env, headers=users.headers("ada")) as backend:
            assert backend.http.get("/api/me").status_code == 200
            refused = backend.http.get("/api/me")
            assert (refused.status_code, bool(refused.headers["retry-after"])) == (429, True)


def test_a_handler_of_the_start_runs(agent_project: Path, standin: StandIn, tmp_path: Path) -> None:
    api = agent_project / "backend/app/api.py"
    api.write_text(
        api.read_text(encoding="utf-8").replace(
            "    app.include_router(router)\n",
            "    app.include_router(router)\n"
            "    app.router.on_startup.append(lambda: setattr(app.state, 'mine', 'started'))\n",
        ),
        encoding="utf-8",
    )
    with Backend(agent_project, environment("local", standin, tmp_path)) as backend:
        assert backend.main.app.state.mine == "started"


# --- A front end ---


def test_a_front_end_of_one_s_own_has_its_own_policy(
    routes: Path, standin: StandIn, tmp_path: Path
) -> None:
    [line] = (each for each in examples(routes) if "FrontEnd(" in each)
    api = routes / "backend/app/api.py"
    reword(api, "    app.include_router(router)\n", f"    app.include_router(router)\n{line}")
    reword(api, "router =", "from core.http.front_end import FrontEnd\n\nrouter =", count=1)
    with signed_in("session") as users:
        env = environment("local", standin, tmp_path) | users.env | {"DEBUG": "true"}
        built = routes / "web" / "dist"
        built.mkdir(parents=True)
        (built / "index.html").write_text("<h1>Mine</h1>", encoding="utf-8")
        (built / "app.js").write_text("mine()", encoding="utf-8")
        said = failed_start(routes, env)
        assert "GET / is served by core/ already." in said
        assert 'path="/chat"' in said
        page = "add_chat_page(app, PROJECT, server, PAGE"
        reword(routes / "backend/app/wiring.py", page, f'{page}, path="/chat"')
        (built / "index.html").rename(built / "later.html")
        with Backend(routes, env, headers=users.headers("ada")) as backend:
            http = backend.http
            missing = http.get("/")
            assert missing.status_code == 404
            assert missing.json() == {"detail": "The front end has not been built."}
            (built / "later.html").rename(built / "index.html")
            for path, text in (("/", "Mine"), ("/orders/7", "Mine"), ("/app.js", "mine()")):
                shown = http.get(path)
                assert text in shown.text, path
                assert shown.headers["content-security-policy"] == "default-src 'self'"
            assert http.get("/missing.js").status_code == 404
            assert "page/main.js" in http.get("/chat/").text
            assert http.get("/api/me").json() == {"user": "ada"}
            assert http.get("/health").json() == {"status": "ok"}
            assert http.get("/api/none").status_code == 200  # The front end's own to show.


def test_a_route_that_would_never_be_reached_ends_the_start(
    agent_project: Path, standin: StandIn, tmp_path: Path
) -> None:
    api = agent_project / "backend/app/api.py"
    route = '\n\n@router.get("/health")\nasync def mine() -> str:\n    return "mine"\n'
    reword(api, "router = APIRouter()\n", f"router = APIRouter()\n{route}")
    said = failed_start(agent_project, environment("local", standin, tmp_path))
    assert said == "Cannot start: app/api.py: GET /health is served by core/ already.\n"


# --- Decisions ---


def test_a_server_of_one_s_own_decides_who_is_answered_and_by_whom(
    standin: StandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = render_into(tmp_path / "myapp", level=3, provider="local", store="sqlite")
    put(project, "backend/app/server.py")
    standin.answers(Answer(Text("By day.")), Answer(Text("By night.")))
    with signed_in("jwt") as users:
        env = environment("local", standin, tmp_path) | users.env | {"TITLES": "false"}
        with Backend(project, env, headers=users.headers("ada")) as backend:
            backend.ready()
            for hour in (12, 23):
                clock = type("clock", (), {"now": lambda hour=hour: datetime(2026, 1, 1, hour)})
                monkeypatch.setattr(sys.modules["app.server"], "datetime", clock)
                backend.say("Hello")
            backend.http.headers.update(users.headers("mallory"))
            refused = send(backend, "Hello")
            assert refused.status_code == 403
            assert refused.json()["detail"].startswith("This account is closed.")
            assert backend.ask("threads.list")["data"] == []
    day, night = (str(request.body) for request in standin.requests)
    assert "helpful assistant" in day
    assert "somebody will answer in the morning" in night


@pytest.mark.parametrize("level", [1, 2])
def test_sentences_of_one_s_own_are_told_in_their_language(
    level: int, standin: StandIn, tmp_path: Path
) -> None:
    project = render_into(tmp_path / "myapp", level=level, provider="local", store="sqlite")
    [example] = (each for each in examples(project) if "sentences = " in each)
    constant, head, attribute = re.split(r"(class .*\n)", example)
    refuses = (
        "\n    async def admit(self, request, context):\n"
        '        raise Refused(Sentence("Only {count} are left.", count=3))\n\n'
    )
    server = project / ("backend/app/hello.py" if level == 1 else "backend/app/server.py")
    needed = "from core.errors import Refused\nfrom core.sentences import Sentence\n"
    reword(server, "from core.", f"{needed}from core.", 1)
    source = server.read_text(encoding="utf-8")
    [begin] = re.findall(re.escape(head) + r'    """.*?"""\n', source, re.DOTALL)
    server.write_text(
        source.replace(begin, constant + begin + attribute + refuses), encoding="utf-8"
    )
    with Backend(project, environment("local", standin, tmp_path)) as backend:
        http = backend.http
        http.headers["Accept-Language"] = "it-IT"
        nowhere = backend.post("threads.get_by_id", thread_id="nowhere")
        assert (nowhere.status_code, nowhere.json()["detail"]) == (404, "Qui non c'è niente.")
        assert send(backend, "Hello").json()["detail"] == "Only 3 are left."
        http.headers["Accept-Language"] = "de"
        assert send(backend, "Hello").json()["detail"] == "Es sind nur noch 3 da."


OTHER_SERVER = """
from chatkit.agents import ResponseStreamConverter
from chatkit.server import AudioInput, TranscriptionResult
from chatkit.store import AttachmentStore
from chatkit.types import FileAttachment

from core.models.local_models import LocalSource
from core.turns.agent_server import AgentServer
from core.turns.item_converter import ItemConverter


class Shouted(ItemConverter):
    async def tag_to_message_content(self, tag):
        return {"type": "input_text", "text": f"TAG {tag.text}"}

    async def attachment_to_message_content(self, attachment):
        return {"type": "input_text", "text": f"FILE {attachment.name}"}


class Titled(ResponseStreamConverter):
    async def url_citation_to_annotation(self, annotation):
        found = await super().url_citation_to_annotation(annotation)
        found.source.title = "Ours"
        return found


class Files(AttachmentStore):
    async def create_attachment(self, input, context):
        return FileAttachment(
            id=self.generate_attachment_id(input.mime_type, context),
            name=input.name,
            mime_type=input.mime_type,
        )

    async def delete_attachment(self, attachment_id, context):
        pass


class Server(AgentServer):
    item_converter = Shouted()
    response_converter = Titled()

    def __init__(self, *args, **parts):
        super().__init__(*args, attachment_store=Files(), **parts)

    async def model_for(self, thread, message, context):
        wanted = message.inference_options.model if message else None
        if wanted is None:
            return self.model
        return LocalSource(f"local/{wanted}", base_url=BASE_URL, key_name="OTHER_KEY")

    async def transcribe(self, audio_input: AudioInput, context) -> TranscriptionResult:
        return TranscriptionResult(text=audio_input.data.decode())
"""


def test_a_server_of_one_s_own_converts_transcribes_and_takes_files_and_models(
    agent_project: Path, standin: StandIn, tmp_path: Path
) -> None:
    env = environment("local", standin, tmp_path)
    source = OTHER_SERVER.replace("BASE_URL", repr(env["MODEL_BASE_URL"]))
    (agent_project / "backend/app/server.py").write_text(source, encoding="utf-8")
    standin.answers(Answer(Text("Read.")))
    with Backend(agent_project, env) as backend:
        backend.ready()
        audio = {"audio_base64": "SGVsbG8u", "mime_type": "audio/wav"}
        assert backend.ask("input.transcribe", **audio) == {"text": "Hello."}
        made = backend.ask("attachments.create", name="a.txt", size=3, mime_type="text/plain")
        content = [
            {"type": "input_text", "text": "Read "},
            {"type": "input_tag", "id": "u1", "text": "Ada", "data": {}},
        ]
        options = {"model": "other:1b"}
        given = {"content": content, "attachments": [made["id"]], "inference_options": options}
        turn = backend.turn("threads.create", input=given)
        assert turn.text == "Read."
        # What is still left open is refused in words.
        action = {"type": "go", "payload": {}}
        refused = backend.post("threads.sync_custom_action", thread_id=turn.thread, action=action)
        assert refused.status_code == 400
        assert "does not offer threads.sync_custom_action" in refused.json()["detail"]
    body = standin.requests[0].body
    assert body["model"] == "other:1b"
    assert "TAG Ada" in str(body) and "FILE a.txt" in str(body)


def test_a_converter_of_one_s_own_makes_the_annotations(standin: StandIn, tmp_path: Path) -> None:
    project = render_into(tmp_path / "myapp", level=2, provider="openai", store="sqlite")
    source = OTHER_SERVER.replace("BASE_URL", "''").replace("local_models", "openai_models")
    source = source.replace("LocalSource", "OpenAISource")
    (project / "backend/app/server.py").write_text(source, encoding="utf-8")
    page = {"type": "url_citation", "url": "https://example.com/a", "title": "A page"}
    cited = Source(page | {"start_index": 0, "end_index": 5})
    standin.answers(Answer(Text("Paris"), cited, Text(" it is.")))
    with Backend(project, environment("openai", standin, tmp_path)) as backend:
        backend.ready()
        turn = backend.say("What is the capital of France?")
        [annotation] = backend.items(turn.thread)[1]["content"][0]["annotations"]
    assert annotation["source"]["title"] == "Ours"


def test_the_choices_of_the_readme_are_offered_and_done(
    agent_project: Path, standin: StandIn, tmp_path: Path
) -> None:
    file = "backend/app/server.py"
    [example] = (each for each in examples(agent_project) if each.startswith(f"# {file}, with"))
    (agent_project / file).write_text(example, encoding="utf-8")
    standin.always(Answer(Text("Roses are red.")))
    with Backend(agent_project, environment("local", standin, tmp_path)) as backend:
        backend.ready()
        offers = backend.http.get("/page/about.json").json()["offers"]
        assert [option["id"] for option in offers["tools"]] == ["current_time", "poem"]
        for option in offers["tools"]:
            assert not backend.say("Hello", tool_choice={"id": option["id"]}).errors
    forced, poem = (request.body for request in standin.requests)
    assert forced["tool_choice"]["function"]["name"] == "current_time"
    assert "Answer in verse." in str(poem) and "tool_choice" not in poem


COUNTING = """
from agents import RunContextWrapper, function_tool
from chatkit.actions import ActionConfig
from chatkit.agents import AgentContext
from chatkit.types import ThreadItemReplacedEvent
from chatkit.widgets import Button, Card, Text
from pydantic import BaseModel

from core.context import RequestContext
from core.turns.feature import Feature
from core.turns.widget_actions import StreamingAction

Context = RunContextWrapper[AgentContext[RequestContext]]


class Count(BaseModel):
    pass


def card(text):
    go = ActionConfig(type="count")
    return Card(children=[Text(value=text), Button(label="Count", onClickAction=go)])


async def count(payload, sender, context):
    threads = await context.store.load_threads(10, None, "desc", context)
    text = f"{len(threads.data)} of {context.user_id}, {context.resources}"
    yield ThreadItemReplacedEvent(item=sender.model_copy(update={"widget": card(text)}))


@function_tool(description_override="Show a card.")
async def show(context: Context) -> str:
    turn = context.context
    await turn.stream_widget(card(f"Opened: {turn.request_context.resources}"))
    return "Shown."


COUNTING = Feature(tools=[show], actions={"count": StreamingAction(Count, count)})
"""


def test_a_feature_of_one_s_own_reaches_store_user_and_resources(
    agent_project: Path, standin: StandIn, tmp_path: Path
) -> None:
    """At level 2 too, where a project has no actions to begin with."""
    app = agent_project / "backend" / "app"
    (app / "counting.py").write_text(COUNTING, encoding="utf-8")
    reword(app / "resources.py", "yield Resources()", "yield 'a pool'")
    reword(app / "wiring.py", "        starters=STARTERS,\n", "        features=[COUNTING],\n")
    reword(app / "wiring.py", "PROJECT =", "from app.counting import COUNTING\n\nPROJECT =", 1)
    standin.answers(Answer(ToolCall("show", {})), Answer(Text("There.")))
    with Backend(agent_project, environment("local", standin, tmp_path)) as backend:
        backend.ready()
        turn = backend.say("Show me.")
        [widget] = (each for each in backend.items(turn.thread) if each["type"] == "widget")
        assert "Opened: a pool" in str(widget)
        action = {"type": "count", "payload": {}}
        backend.turn(
            "threads.custom_action", thread_id=turn.thread, item_id=widget["id"], action=action
        )
        [widget] = (each for each in backend.items(turn.thread) if each["type"] == "widget")
        assert "1 of local, a pool" in str(widget)


# --- Tables ---


def test_tables_of_one_s_own_and_a_later_release_s_do_not_meet(tmp_path: Path) -> None:
    project = render_into(tmp_path / "myapp", level=2, provider="local", store="postgres")
    backend = project / "backend"
    [commands] = (each for each in examples(project) if "--branch-label app" in each)
    url = create("template0")
    env = bare({"DATABASE_URL": url})

    def shell(commands: str) -> str:
        program = f"{Path(sys.executable).parent}/alembic"
        done = subprocess.run(
            commands.replace("alembic ", f"{program} "),
            shell=True,
            cwd=backend,
            env=env,
            capture_output=True,
            text=True,
            check=False,
        )
        return done.stdout + done.stderr if done.returncode == 0 else f"failed: {done.stderr}"

    assert "failed" not in shell("alembic upgrade heads")
    assert "failed" not in shell(commands)
    [mine] = (backend / "app/migrations").glob("app_0001*.py")
    reword(mine, 'op.execute("")', 'op.execute("CREATE TABLE notes (id text PRIMARY KEY)")', 1)
    assert "In backend/, run: alembic upgrade heads" in failed_start(project, {"DATABASE_URL": url})
    assert "failed" not in shell("alembic upgrade heads")
    execute(url, "INSERT INTO notes VALUES ('kept')")

    # A later release has a revision of its own.
    later = backend / "migrations/versions/0002_later.py"
    later.write_text(
        '"""Later."""\n\nfrom alembic import op\n\nrevision = "0002"\ndown_revision = "0001"\n\n\n'
        "def upgrade() -> None:\n"
        '    op.execute("ALTER TABLE threads ADD COLUMN later text")\n',
        encoding="utf-8",
    )
    assert "In backend/, run: alembic upgrade heads" in failed_start(project, {"DATABASE_URL": url})
    assert "failed" not in shell("alembic upgrade heads")
    execute(url, "SELECT later FROM threads")
    # And the next one of one's own finds its branch.
    next_one = 'alembic revision --head app@head --rev-id app_0002 -m "more"'
    assert "failed" not in shell(next_one)
    assert "failed" not in shell("alembic upgrade heads")
    with Backend(project, {"DATABASE_URL": url, "MODEL_BASE_URL": "http://127.0.0.1:9/v1"}) as up:
        assert up.ask("threads.list")["data"] == []


# --- Inside another application ---


def test_mounted_in_another_application_everything_works_below_its_path(
    agent_project: Path, standin: StandIn, tmp_path: Path
) -> None:
    [parent] = (each for each in examples(agent_project) if "mount(app" in each)
    parent += '\n\n@app.get("/own")\nasync def own() -> str:\n    return "mine"\n'
    (agent_project / "backend" / "parent.py").write_text(parent, encoding="utf-8")
    standin.answers(Answer(Text("Hello.")))
    port = free_port()
    server = subprocess.Popen(
        [sys.executable, "-m", "uvicorn", "parent:app", "--port", str(port)],
        cwd=agent_project / "backend",
        env=bare(environment("local", standin, tmp_path)),
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False) as http:
            deadline = time.monotonic() + 30
            while True:
                try:
                    if http.get("/assistant/ready").status_code == 200:
                        break
                except httpx.TransportError:
                    pass
                assert time.monotonic() < deadline and server.poll() is None
                time.sleep(0.1)
            assert http.get("/own").json() == "mine"
            assert "page/main.js" in http.get("/assistant/").text
            type, params = message("Hello")
            answer = http.post("/assistant/chatkit", json={"type": type, "params": params})
            assert "Hello." in answer.text
    finally:
        server.terminate()
        assert server.stderr is not None
        said = server.stderr.read()
        server.wait(20)
    assert "Application shutdown complete" in said


def test_mounted_without_a_start_it_says_so(
    agent_project: Path, standin: StandIn, tmp_path: Path
) -> None:
    script = (
        "from fastapi import FastAPI\n"
        "from fastapi.testclient import TestClient\n"
        "from main import app\n"
        "parent = FastAPI()\n"
        "parent.mount('/assistant', app)\n"
        "print(TestClient(parent).post('/assistant/chatkit', json={}).text)\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", script],
        cwd=agent_project / "backend",
        env=bare(environment("local", standin, tmp_path)),
        capture_output=True,
        text=True,
        check=True,
    )
    assert "core.http.mount.mount" in done.stdout


# --- What goes, and what comes ---


def test_without_the_lunch_example_everything_else_is_green(tmp_path: Path) -> None:
    project = render_into(tmp_path / "myapp", level=3, provider="openai", store="memory")
    app = project / "backend" / "app"
    shutil.rmtree(app / "lunch")
    wiring = (app / "wiring.py").read_text(encoding="utf-8")
    kept = [line for line in wiring.splitlines(keepends=True) if "lunch" not in line.lower()]
    assert len(wiring.splitlines()) - len(kept) == 2
    (app / "wiring.py").write_text("".join(kept), encoding="utf-8")
    assert "skipped" not in own_tests(project)
    run([sys.executable, "-m", "ruff", "check", "--no-cache", str(project)])


OTHER_AGENT = '''\
"""An agent with a hand-off, an MCP server, a model of its own, and typed answers."""

from agents import Agent, AgentOutputSchema, ModelSettings
from agents.mcp import MCPServerStdio
from pydantic import BaseModel

STARTERS = ()


class Verdict(BaseModel):
    words: str


nowhere = MCPServerStdio({"command": "nothing-of-this-name"})
other = Agent(name="Other", instructions="You take over.", model="gpt-6.1-sol")
agent = Agent(
    name="First",
    instructions="You hand over.",
    handoffs=[other],
    mcp_servers=[nowhere],
    model="litellm/somebody-else/of-their-own",
    model_settings=ModelSettings(temperature=0),
    output_type=AgentOutputSchema(Verdict),
)
'''


@pytest.mark.parametrize("level", [2, 3])
def test_a_project_s_tests_are_green_whatever_agent_stands_in_it(
    level: int, tmp_path: Path
) -> None:
    project = render_into(tmp_path / "myapp", level=level, provider="openai", store="memory")
    (project / "backend/app/agent.py").write_text(OTHER_AGENT, encoding="utf-8")
    own_tests(project)
