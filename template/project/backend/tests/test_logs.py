"""The log of a server in a process of its own, as whoever collects it reads it."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

BACKEND = Path(__file__).resolve().parents[1]

# A server that is asked twice, and fails the second time.
SERVER = """
import logging, sys, warnings
sys.path.insert(0, "tests")
from conftest import serving
from fastapi import FastAPI
from app.edge import EdgeSettings, guard
from app.logs import configure_logging

configure_logging("INFO")
app = FastAPI()

@app.get("/")
async def answer(fail: bool = False) -> str:
    logging.getLogger("app").info("Two\\nlines")
    if fail:
        try:
            raise ValueError("what the user said")
        except ValueError as error:
            raise RuntimeError("what the user said") from error
    return "yes"

guard(app, EdgeSettings(_env_file=None))
with serving(app) as http:
    http.get("/", params={"key": "token"}, headers={"Cookie": "token", "Authorization": "token"})
    http.get("/", params={"fail": "true"})
    warnings.warn("careful")
    logging.getLogger("httpx").info("token")
"""

FAILURE = """
import logging, sys
from app.logs import configure_logging

configure_logging(sys.argv[1])
logging.getLogger("app").debug("debug")
logging.getLogger("library").debug("library")
try:
    raise ValueError("what the user said")
except ValueError:
    logging.getLogger("app").exception("failed")
"""


def logged(program: str, *arguments: str) -> list[dict[str, Any]]:
    ran = subprocess.run(
        [sys.executable, "-c", program, *arguments],
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
    assert "what the user said" not in json.dumps(lines)
    assert "token" not in json.dumps(lines)
    assert any("careful" in line["message"] for line in lines)

    first, second = (line for line in lines if line["logger"] == "uvicorn.access")
    assert '"GET / HTTP/1.1" 200' in first["message"]
    assert '"GET / HTTP/1.1" 500' in second["message"]
    ids = [line["request_id"] for line in lines if line["message"] == "Two\nlines"]
    assert ids == [first["request_id"], second["request_id"]]
    assert ids[0] != ids[1]

    [failure] = [line for line in lines if "exception" in line]
    assert failure["request_id"] == ids[1]
    assert "ValueError\nwhich led to:\n" in failure["exception"]
    assert failure["exception"].endswith("in answer\nRuntimeError")


def test_debug_tells_the_exceptions_own_words() -> None:
    [debug, failure] = logged(FAILURE, "debug")
    assert (debug["level"], debug["message"]) == ("debug", "debug")
    assert failure["exception"].endswith("ValueError: what the user said")

    [failure] = logged(FAILURE, "error")
    assert failure["exception"].endswith("in <module>\nValueError")
