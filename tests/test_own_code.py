"""What a project's own code raises, at each level, as its log has it."""

import json
import re
import signal
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.backend import Backend, Client, message
from tests.git import reword
from tests.providers import environment
from tests.render import render_into
from tests.standins import HttpError, StandIn
from tests.test_failures import MARKER
from tests.test_start import started, wait_ready
from tests.users import signed_in

OWN = "The project's own code failed. The server's log has the cause."
WORDS = "the shelf is empty"
FAIL = f'raise LookupError("{WORDS}")'


def test_level_1_says_so_too(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    project = render_into(tmp_path / "myapp", level=1)
    hello = project / "backend/app/hello.py"
    reword(hello, "        answer = f", f"        {FAIL}\n        answer = f")
    with Backend(project, {}) as backend:
        [error] = backend.say("Hello").errors
    assert error["message"].startswith(OWN)
    assert error["allow_retry"] is False
    request_id = re.search(r"Request (\w+)", error["message"])
    assert request_id
    assert f"request {request_id[1]}: the project's own code failed\n" in caplog.text
    assert f"LookupError: {WORDS}" in caplog.text
    assert "hello.py" in caplog.text


@pytest.mark.filterwarnings("ignore:coroutine:RuntimeWarning")
def test_an_answer_without_a_yield_is_told_as_such(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    project = render_into(tmp_path / "myapp", level=1)
    reword(project / "backend/app/hello.py", "yield Thread", "return Thread")
    with Backend(project, {}) as backend:
        [error] = backend.say("Hello").errors
    assert error["message"].startswith(OWN)
    assert error["allow_retry"] is False
    assert "respond, or action, has given back coroutine instead of AsyncIterator" in caplog.text


FAILING = f"""
from contextlib import asynccontextmanager

opened = []


@asynccontextmanager
async def open_resources():
    opened.append(1)
    if len(opened) == 1:
        {FAIL.replace("shelf", "pool")}
    yield None
"""


def test_at_level_3_the_log_has_the_words_under_the_request_s_id(
    standin: StandIn, tmp_path: Path
) -> None:
    project = render_into(tmp_path / "myapp", level=3, provider="local", store="sqlite")
    app = project / "backend/app"
    (app / "resources.py").write_text(FAILING, encoding="utf-8")
    (app / "agent.py").write_text(
        "from agents import Agent\n\nSTARTERS = ()\n\n\n"
        f"def instructions(context, agent):\n    {FAIL}\n\n\n"
        'agent = Agent(name="Assistant", instructions=instructions)\n',
        encoding="utf-8",
    )
    route = f'@router.get("/mine")\nasync def mine() -> None:\n    {FAIL.replace("shelf", "box")}\n'
    reword(app / "api.py", "def add_routes", f"{route}\n\ndef add_routes")
    with signed_in("jwt") as users:
        env = environment("local", standin, tmp_path) | users.env | {"TITLES": "false"}
        with started(project, env) as (process, url):
            wait_ready(url)
            http = httpx.Client(
                base_url=url, headers=users.headers("ada"), trust_env=False, timeout=30
            )
            with http:
                turn = [*Client(http).events(*message("My secret is 42."))]
                assert http.get("/mine").status_code == 500
            process.send_signal(signal.SIGTERM)
            log, _ = process.communicate(timeout=20)
    [error] = [event for event in turn if event["type"] == "error"]
    assert error["message"].startswith(OWN)
    lines: list[dict[str, Any]] = [json.loads(line) for line in log.splitlines() if line[0] == "{"]
    [line] = [each for each in lines if WORDS in each.get("exception", "")]
    assert line["request_id"] in error["message"]
    assert f"LookupError: {WORDS}" in line["exception"]
    assert "agent.py" in line["exception"]
    for words in ("the pool is empty", "the box is empty"):
        assert any(words in each.get("exception", "") for each in lines), words
    assert "My secret is 42." not in log


def test_what_a_provider_says_to_a_tool_stays_out_of_the_log(
    standin: StandIn, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    project = render_into(tmp_path / "myapp", level=2, provider="local", store="sqlite")
    (project / "backend/app/agent.py").write_text(
        "import openai\nfrom agents import Agent, AgentHooks\n\nSTARTERS = ()\n\n\n"
        "class Asking(AgentHooks):\n"
        "    async def on_start(self, context, agent):\n"
        "        try:\n"
        f'            client = openai.AsyncOpenAI(api_key="x", base_url="{standin.url}/v1")\n'
        '            talk = [{"role": "user", "content": "Hi"}]\n'
        "            create = client.chat.completions.create\n"
        '            await create(model="m", messages=talk, stream=True)\n'
        "        except openai.APIError as error:\n"
        f'            raise LookupError("{WORDS}") from error\n\n\n'
        'agent = Agent(name="Assistant", instructions="Talk.", hooks=Asking())\n',
        encoding="utf-8",
    )
    standin.answers(HttpError(400, marker=MARKER))
    with Backend(project, environment("local", standin, tmp_path)) as backend:
        backend.ready()
        [error] = backend.say("Hello").errors
    assert error["message"].startswith(OWN)
    assert f"LookupError: {WORDS}" in caplog.text
    assert "which led to:" in caplog.text
    assert MARKER not in caplog.text
