"""MCP servers of the package `mcp`, over each transport: opened, lost, opened anew, closed."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from secrets import token_urlsafe
from typing import Any

import httpx
import pytest

from tests.backend import Backend, Turn
from tests.providers import environment
from tests.render import render_into
from tests.standins import Answer, StandIn, Text, ToolCall
from tests.test_approvals import cards, press
from tests.test_start import failed_start, free_port, started

SERVER = """\
import asyncio
import os
import sys
from pathlib import Path

from mcp.server.mcpserver import MCPServer

server = MCPServer("weather")


@server.tool()
def forecast(city: str) -> str:
    '''Tell the weather in a city.'''
    return f"It rains in {city}."


@server.tool()
def process() -> str:
    '''Tell the id of the process.'''
    return f"Process {os.getpid()}."


@server.tool()
async def wait(seconds: float) -> str:
    '''Wait.'''
    await asyncio.sleep(seconds)
    return "Waited."


@server.tool()
def broken() -> str:
    '''Fail.'''
    raise ValueError("out of order")


if len(sys.argv) > 1:
    server.run(sys.argv[1], port=int(sys.argv[2]))
else:
    Path(__file__).with_suffix(".pid").write_text(str(os.getpid()), encoding="utf-8")
    server.run("stdio")
"""

AGENT = """\
from agents import Agent
from agents.mcp import MCPServerSse, MCPServerStdio, MCPServerStreamableHttp

STARTERS = ()
weather = {weather}
other = Agent(name="Other", instructions="Talk.", mcp_servers=[weather])
agent = Agent(name="First", instructions="Talk.", {agent})
"""
OPTIONS = 'name="weather", client_session_timeout_seconds=1'
HTTP = f'MCPServerStreamableHttp({{"url": "http://localhost:PORT/mcp"}}, {OPTIONS})'
SSE = f'MCPServerSse({{"url": "http://localhost:PORT/sse"}}, {OPTIONS})'
OWN = "mcp_servers=[weather]"
NETWORK = pytest.mark.parametrize(
    ("transport", "weather"), [("streamable-http", HTTP), ("sse", SSE)], ids=["http", "sse"]
)


class Weather:
    """Where the MCP server is, and how it is run there."""

    def __init__(self, folder: Path) -> None:
        self.script = folder / "weather.py"
        self.script.write_text(SERVER, encoding="utf-8")
        self.port = free_port()

    @contextmanager
    def running(self, transport: str = "streamable-http") -> Iterator[None]:
        """Over the network, until it is killed."""
        process = subprocess.Popen(
            [sys.executable, self.script, transport, str(self.port)], stderr=subprocess.DEVNULL
        )
        try:
            deadline = time.monotonic() + 40
            while True:
                try:
                    httpx.get(f"http://localhost:{self.port}", timeout=5, trust_env=False)
                    break
                except httpx.TransportError:
                    assert time.monotonic() < deadline
                    time.sleep(0.05)
            yield
        finally:
            process.kill()
            process.wait()

    def stdio(self) -> str:
        """The agent's own process."""
        command = {"command": sys.executable, "args": [str(self.script)]}
        return f"MCPServerStdio({command!r}, {OPTIONS})"

    def project(self, weather: str, agent: str = OWN, level: int = 2) -> Path:
        """A project with this server, on this agent."""
        project = self.script.parent / "myapp"
        if not project.exists():
            render_into(project, level=level, provider="local", store="sqlite")
        source = AGENT.format(weather=weather.replace("PORT", str(self.port)), agent=agent)
        (project / "backend/app/agent.py").write_text(source, encoding="utf-8")
        return project


@pytest.fixture
def weather(tmp_path: Path) -> Weather:
    return Weather(tmp_path)


def serve(project: Path, standin: StandIn, folder: Path) -> Backend:
    """The project's backend, whose pauses are short."""
    backend = Backend(project, environment("local", standin, folder))
    kept: Any = sys.modules["core.turns.kept_mcp_server"]
    kept.FIRST_PAUSE, kept.LONGEST_PAUSE, kept.CHECK_SECONDS = 0.1, 0.5, 0.5
    return backend


def wait_for(backend: Backend, cause: str) -> None:
    """Wait until /ready says what is away."""
    deadline = time.monotonic() + 40
    while cause not in (said := backend.http.get("/ready").text):
        assert time.monotonic() < deadline, said
        time.sleep(0.05)


def ask(backend: Backend, standin: StandIn, tool: str, arguments: Any, thread: Any = None) -> Turn:
    """A turn in which the model calls the tool, and then answers."""
    standin.answers(Answer(ToolCall(tool, arguments)), Answer(Text("So it is.")))
    return backend.say("Ask.", thread)


def told(standin: StandIn) -> str:
    """What the model was told last that a tool has said."""
    return [what for who, what in standin.requests[-1].turns if who == "tool_output"][-1]


@NETWORK
def test_a_server_that_is_away_is_named_and_opened_as_soon_as_it_is_there(
    transport: str, weather: str, standin: StandIn, tmp_path: Path
) -> None:
    place = Weather(tmp_path)
    with serve(place.project(weather), standin, tmp_path) as backend:
        assert backend.http.get("/health").status_code == 200
        wait_for(backend, "MCP server weather: ")
        [error] = backend.say("Will it rain?").errors
        assert (
            "A server of the agent's tools does not answer. It is called weather."
            in error["message"]
        )
        assert error["allow_retry"]
        with place.running(transport):
            turn = ask(backend, standin, "forecast", {"city": "Kyoto"})
            assert (turn.text, turn.errors) == ("So it is.", [])
            assert "It rains in Kyoto." in told(standin)
            backend.ready()
        # Nobody has to ask it for its loss to be known.
        wait_for(backend, "MCP server weather: ")
        with place.running(transport):
            backend.ready()
        # Started anew between two turns, and nobody notices.
        with place.running(transport):
            turn = ask(backend, standin, "forecast", {"city": "Nara"}, turn.thread)
            assert (turn.text, turn.errors) == ("So it is.", [])
            assert "It rains in Nara." in told(standin)


def test_the_log_says_why_a_server_is_away_and_no_traceback_for_each_message(
    weather: Weather, standin: StandIn, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    commands = {
        "nowhere-at-all": ("FileNotFoundError", "nowhere-at-all"),
        "true": ("MCPError", "Connection closed"),
    }
    for command, (kind, words) in commands.items():
        source = f'MCPServerStdio({{"command": "{command}"}}, {OPTIONS})'
        with serve(weather.project(source), standin, tmp_path) as backend:
            wait_for(backend, f"MCP server weather: {kind} while opening")
            caplog.clear()
            for _ in range(2):
                [error] = backend.say("Will it rain?").errors
                assert "It is called weather." in error["message"]
        assert any(kind in line and words in line for line in caplog.messages)
        lines = [line for line in caplog.messages if "the run failed" in line]
        assert len(lines) == 2
        assert lines[0].endswith(": the run failed: The MCP server weather does not answer.")
        assert not [record for record in caplog.records if record.exc_info]


def test_a_process_that_is_killed_is_started_anew(
    weather: Weather, standin: StandIn, tmp_path: Path
) -> None:
    with serve(weather.project(weather.stdio()), standin, tmp_path) as backend:
        backend.ready()
        processes: list[int] = []
        for _ in range(2):
            turn = ask(backend, standin, "process", {})
            assert (turn.text, turn.errors) == ("So it is.", [])
            processes.append(int("".join(c for c in told(standin) if c.isdigit())))
            os.kill(processes[-1], signal.SIGKILL)
        assert processes[0] != processes[1]


def test_what_only_another_agent_needs_is_in_nobody_s_way(
    weather: Weather, standin: StandIn, tmp_path: Path
) -> None:
    project = weather.project(HTTP, "handoffs=[other]")
    resources = project / "backend/app/resources.py"
    resources.write_text(
        "from contextlib import asynccontextmanager\n\nopened = []\n\n\n"
        "@asynccontextmanager\nasync def open_resources():\n"
        "    opened.append(1)\n    yield 'a pool'\n    opened.append(0)\n",
        encoding="utf-8",
    )
    with serve(project, standin, tmp_path) as backend:
        wait_for(backend, "MCP server weather: ")
        standin.answers(Answer(Text("Hello.")))
        turn = backend.say("Hello")
        assert (turn.text, turn.errors) == ("Hello.", [])
        standin.answers(Answer(ToolCall("transfer_to_other", {})))
        [error] = backend.say("Will it rain?", turn.thread).errors
        assert "It is called weather." in error["message"]
        with weather.running():
            backend.ready()
        wait_for(backend, "MCP server weather: ")
        assert sys.modules["app.resources"].opened == [1]
    assert sys.modules["app.resources"].opened == [1, 0]


def test_a_slow_or_failing_tool_is_told_to_the_model_and_the_run_goes_on(
    weather: Weather, standin: StandIn, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with serve(weather.project(weather.stdio()), standin, tmp_path) as backend:
        backend.ready()
        turn = ask(backend, standin, "wait", {"seconds": 30})
        assert (turn.text, turn.errors) == ("So it is.", [])
        assert told(standin) == "The MCP server weather does not answer."
        assert "MCP server weather: the tool wait failed: MCPError: " in caplog.text
        turn = ask(backend, standin, "broken", {})
        assert (turn.text, turn.errors) == ("So it is.", [])
        assert "broken" in told(standin)
        turn = ask(backend, standin, "forecast", {"city": "Kyoto"})
        assert "It rains in Kyoto." in told(standin)


def test_a_name_that_two_servers_share_is_told_with_its_remedy(
    weather: Weather, standin: StandIn, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    two = f"mcp_servers=[weather, {weather.stdio().replace('weather', 'climate', 1)}]"
    two = two.replace('name="weather"', 'name="climate"').replace("climate.py", "weather.py")
    with serve(weather.project(weather.stdio(), two), standin, tmp_path) as backend:
        wait_for(backend, "an MCP server's tool broken has the name of another tool.")
        [error] = backend.say("Hello").errors
        assert "The agent is set up wrongly." in error["message"]
        assert not error["allow_retry"]
        lines = [line for line in caplog.messages if "has the name of another tool" in line]
        assert len(lines) == 1
        assert 'mcp_config={"include_server_in_tool_names": True}' in lines[0]
    prefixed = two + ', mcp_config={"include_server_in_tool_names": True}'
    with serve(weather.project(weather.stdio(), prefixed), standin, tmp_path) as backend:
        backend.ready()
        ask(backend, standin, "mcp_climate__forecast", {"city": "Kyoto"})
        assert "It rains in Kyoto." in told(standin)


def test_what_is_no_mcp_server_ends_the_start(
    weather: Weather, standin: StandIn, tmp_path: Path
) -> None:
    project = weather.project("'http://localhost:9000/mcp'")
    assert failed_start(project, environment("local", standin, tmp_path)) == (
        "Cannot start: app/agent.py: The agent First: mcp_servers holds str, which is no MCPServer "
        "of agents.mcp.\n"
    )


def test_a_server_of_one_turn_s_agent_is_opened_for_it(
    weather: Weather, standin: StandIn, tmp_path: Path
) -> None:
    project = weather.project(weather.stdio(), "")
    (project / "backend/app/server.py").write_text(
        "from core.turns.agent_server import AgentServer\n\nfrom app.agent import other\n\n\n"
        "class Server(AgentServer):\n"
        "    async def agent_for(self, thread, message, context):\n        return other\n",
        encoding="utf-8",
    )
    with serve(project, standin, tmp_path) as backend:
        backend.ready()
        mcp: Any = sys.modules["core.turns.mcp"]
        mcp.IDLE_SECONDS = 2.0
        ask(backend, standin, "forecast", {"city": "Kyoto"})
        assert "It rains in Kyoto." in told(standin)
        deadline = time.monotonic() + 40
        while backend.main.server.mcp_servers._kept:
            assert time.monotonic() < deadline
            time.sleep(0.05)


def test_no_process_outlives_the_server(weather: Weather, standin: StandIn, tmp_path: Path) -> None:
    project = weather.project(weather.stdio(), level=3)
    env = environment("local", standin, tmp_path) | {"AUTH_JWT_SECRET": token_urlsafe(48)}
    running = weather.script.with_suffix(".pid")
    with started(project, env) as (process, _):
        deadline = time.monotonic() + 40
        while not running.exists():
            assert time.monotonic() < deadline
            time.sleep(0.1)
        child = int(running.read_text(encoding="utf-8"))
        process.send_signal(signal.SIGTERM)
        process.wait(15)
        while alive(child):
            assert time.monotonic() < deadline
            time.sleep(0.1)


def alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


def test_a_decision_waits_for_the_server_of_an_agent_that_is_a_tool(
    weather: Weather, standin: StandIn, tmp_path: Path
) -> None:
    asking = HTTP.removesuffix(")") + ', require_approval="always")'
    project = weather.project(asking, 'tools=[other.as_tool("ask", "Ask another one.")]')
    with serve(project, standin, tmp_path) as backend:
        with weather.running():
            backend.ready()
            standin.answers(Answer(ToolCall("ask", {"input": "Ask."})))
            turn = ask(backend, standin, "forecast", {"city": "Kyoto"})
            [card] = cards(backend, turn.thread)
        wait_for(backend, "weather")
        [error] = press(backend, card).errors
        assert "It is called weather." in error["message"]
        assert not error["allow_retry"]
        with weather.running():
            backend.ready(40)
            standin.answers(Answer(Text("So it is.")))
            assert press(backend, card).text == "So it is."
