"""The log of a server in a process of its own, as whoever collects it reads it."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

BACKEND = Path(__file__).resolve().parents[2]
SAID = "what the user said"

# A server that is asked twice, and fails the second time.
SERVER = """
import asyncio, logging, sys, warnings
import httpx, uvicorn
from fastapi import FastAPI
from structlog.contextvars import bind_contextvars
from core.logs import configure_logging

configure_logging("INFO")
app = FastAPI()

@app.get("/")
async def answer(name: str, fail: bool = False) -> str:
    bind_contextvars(request_id=name)
    logging.getLogger("app").info("Two\\nlines")
    if fail:
        try:
            raise ValueError(sys.argv[1])
        except ValueError as error:
            raise RuntimeError(sys.argv[1]) from error
    return "yes"

async def main():
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_config=None))
    serving = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    secret = {"Cookie": "secret", "Authorization": "secret"}
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", headers=secret) as http:
        await http.get("/?name=first")
        await http.get("/?name=second&fail=true&key=secret")
    warnings.warn("careful")
    logging.getLogger("httpx").info("secret")
    server.should_exit = True
    await serving

asyncio.run(main())
"""

FAILURE = """
import logging, sys
from core.logs import configure_logging

configure_logging(sys.argv[2])
logging.getLogger("app").debug("debug")
logging.getLogger("library").debug("library")
try:
    raise ValueError(sys.argv[1])
except ValueError as error:
    logging.getLogger("app").exception("failed")
    logging.getLogger("chatkit.server").exception(error)
"""


def logged(program: str, *arguments: str) -> list[dict[str, Any]]:
    ran = subprocess.run(
        [sys.executable, "-c", program, SAID, *arguments],
        cwd=BACKEND,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert not ran.stdout
    return [json.loads(line) for line in ran.stderr.splitlines()]


def test_every_line_is_json_and_quotes_nobody() -> None:
    lines = logged(SERVER)
    for line in lines:
        assert {"time", "level", "logger", "message"} <= line.keys()
        assert line["time"].endswith("Z")
    assert SAID not in json.dumps(lines)
    assert "secret" not in json.dumps(lines)
    assert any("careful" in line["message"] for line in lines)

    asked = [line for line in lines if line["logger"] == "uvicorn.access"]
    assert [line["message"].partition("- ")[2] for line in asked] == [
        '"GET / HTTP/1.1" 200',
        '"GET / HTTP/1.1" 500',
    ]
    assert [line["request_id"] for line in asked] == ["first", "second"]
    told = [line["request_id"] for line in lines if line["message"] == "Two\nlines"]
    assert told == ["first", "second"]

    [failure] = [line for line in lines if "exception" in line]
    assert failure["request_id"] == "second"
    assert "\nValueError\nwhich led to:\n" in failure["exception"]
    assert "in answer\n" in failure["exception"]
    assert failure["exception"].endswith("\nRuntimeError")


def test_debug_tells_the_exceptions_own_words() -> None:
    [debug, failure, chatkit] = logged(FAILURE, "debug")
    assert (debug["level"], debug["message"]) == ("debug", "debug")
    assert failure["exception"].endswith(f"\nValueError: {SAID}")
    assert chatkit["message"] == SAID

    lines = [failure, chatkit] = logged(FAILURE, "error")
    assert failure["exception"].endswith("\nValueError")
    assert chatkit["message"] == "ValueError"
    assert SAID not in json.dumps(lines)
