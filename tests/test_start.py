"""Projects started for real, as their README says: `python main.py`, in a process of their own."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from tests.backend import message, sse
from tests.providers import KEY, environment, talking_to
from tests.render import render, render_into
from tests.standins import Answer, StandIn, Text


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def bare(env: Mapping[str, str]) -> dict[str, str]:
    """This process's environment without anything that a project would read, and with `env`."""
    names = r"(?i).*_API_KEY|(MODEL|AUTH|DATABASE|ALLOWED|RATE).*|HOST|PORT|DEBUG|LOG_LEVEL"
    kept = {name: value for name, value in os.environ.items() if not re.fullmatch(names, name)}
    return {**kept, "PYTHONUNBUFFERED": "1", **env}


@contextmanager
def started(
    project: Path, env: Mapping[str, str], *, uvicorn: bool = False
) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """`python main.py`, or `uvicorn main:app`, in the project, as soon as it answers."""
    port = free_port()
    command = ["-m", "uvicorn", "main:app", "--port", str(port)] if uvicorn else ["main.py"]
    process = subprocess.Popen(
        [sys.executable, *command],
        cwd=project / "backend",
        env=bare({"PORT": str(port), **env}),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        url = f"http://127.0.0.1:{port}"
        deadline = time.monotonic() + 60
        while True:
            assert process.poll() is None, process.communicate()[0]
            assert time.monotonic() < deadline
            try:
                if asked(f"{url}/health") == 200:
                    break
            except httpx.TransportError:
                time.sleep(0.05)
        yield process, url
    finally:
        process.kill()
        process.wait()
        # Whoever has read its last words has closed it.
        assert process.stdout is not None
        process.stdout.close()


def asked(url: str) -> int:
    """The status of the answer."""
    # To load certificates, of which http needs none, takes the start's time again and again.
    return httpx.get(url, timeout=5, trust_env=False, verify=False).status_code


def wait_ready(url: str) -> None:
    deadline = time.monotonic() + 60
    while asked(f"{url}/ready") != 200:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def failed_start(project: Path, env: Mapping[str, str]) -> str:
    """What a start that must fail prints; it exits with code 2."""
    ended = subprocess.run(
        [sys.executable, "main.py"],
        cwd=project / "backend",
        env=bare(env),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 2, ended.stderr
    return ended.stderr


def test_each_bad_setting_is_one_line_that_names_it() -> None:
    bad = {
        "PORT": "70000",
        "MODEL": "anthropic/claude",
        "MODEL_BASE_URL": "ftp://example.com",
        "ALLOWED_ORIGINS": "https://good.example,bad",
        "DATABASE_URL": "mysql://localhost/chat",
        "DEBUG": "perhaps",
        "HISTORY_ITEMS": "0",
        "GEMINI_API_KEY": "“quoted”",
    }
    project = render(level=2, provider="gemini", store="sqlite")
    lines = failed_start(project, bad).splitlines()
    assert sorted(line.split()[2] for line in lines) == sorted(bad)
    assert all(line.endswith(" Set it in .env or the environment.") for line in lines)
    for name, wrong in (("PORT", "eight thousand"), ("MODEL_BASE_URL", "http://a b")):
        [line] = failed_start(project, {name: wrong}).splitlines()
        assert line.startswith(f"Cannot start: {name} ")


@pytest.mark.parametrize("provider", ["gemini", "openai", "anthropic", "azure", "local"])
def test_a_key_with_the_newline_of_its_file_is_taken(
    provider: str, standin: StandIn, tmp_path: Path
) -> None:
    standin.answers(Answer(Text("Hello.")))
    with talking_to(
        standin, tmp_path, provider, **{f"{provider.upper()}_API_KEY": f" {KEY}\r\n"}
    ) as backend:
        assert backend.say("Hello?").text == "Hello."
    assert any(value.endswith(KEY) for value in standin.requests[0].headers.values())


def test_a_database_that_cannot_be_made_is_one_line_that_names_the_setting() -> None:
    project = render(level=2, provider="gemini", store="sqlite")
    [line] = failed_start(project, {"DATABASE_URL": "sqlite:////proc/nowhere/chat.db"}).splitlines()
    assert "DATABASE_URL" in line
    assert ".env" in line


def test_an_env_file_that_is_not_utf_8_is_one_line(tmp_path: Path) -> None:
    project = render_into(tmp_path / "myapp", level=1, store="memory")
    (project / ".env").write_text("PORT=8000\n", encoding="utf-16")
    [line] = failed_start(project, {}).splitlines()
    assert "UTF-8" in line


def test_a_taken_port_is_one_line_that_names_the_setting() -> None:
    project = render(level=1, store="memory")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        [line] = failed_start(project, {"PORT": port}).splitlines()
    assert port in line
    assert "PORT" in line


def test_the_settings_are_read_from_dot_env(standin: StandIn, tmp_path: Path) -> None:
    project = render_into(tmp_path / "myapp", level=2, provider="local", store="sqlite")
    env = environment("local", standin, tmp_path)
    lines = [f"{name}={value}" for name, value in env.items()]
    (project / ".env").write_text("\n".join(lines), encoding="utf-8")
    with started(project, {}) as (_, url):
        wait_ready(url)
        type, params = message("Hello")
        answer = httpx.post(f"{url}/chatkit", json={"type": type, "params": params}, timeout=30)
        assert "thread.item.done" in answer.text
    assert standin.requests
    assert (tmp_path / "chat.db").exists()


def test_a_hello_world_starts_and_answers_without_loading_litellm() -> None:
    project = render(level=1, store="memory")
    with started(project, {}) as (_, url):
        type, params = message("Anybody?")
        answer = httpx.post(f"{url}/chatkit", json={"type": type, "params": params}, timeout=30)
        assert "Hello! You wrote: Anybody?" in answer.text
    code = "import main, sys; print('litellm' in sys.modules)"
    ran = subprocess.run(
        [sys.executable, "-c", code],
        cwd=project / "backend",
        env=bare({}),
        capture_output=True,
        text=True,
        check=True,
    )
    assert ran.stdout.strip() == "False"


@pytest.mark.parametrize("uvicorn", [False, True], ids=["main.py", "uvicorn"])
def test_a_server_told_to_end_ends_its_answers_and_keeps_what_was_said(
    uvicorn: bool, standin: StandIn, tmp_path: Path
) -> None:
    standin.answers(Answer(Text([f"word{number} " for number in range(900)]), delay=0.02))
    project = render(level=2, provider="local", store="sqlite")
    env = environment("local", standin, tmp_path)
    with started(project, env, uvicorn=uvicorn) as (process, url), ThreadPoolExecutor(1) as aside:
        wait_ready(url)
        type, params = message("Tell me a story.")
        body = {"type": type, "params": params}
        thread = ""
        with httpx.stream("POST", f"{url}/chatkit", json=body, timeout=30) as response:
            for seen, event in enumerate(sse(response)):
                if event["type"] == "thread.created":
                    thread = event["thread"]["id"]
                if seen == 5:
                    type, params = message("And another.", thread)
                    body = {"type": type, "params": params}
                    waiting = aside.submit(httpx.post, f"{url}/chatkit", json=body, timeout=30)
                if seen == 120:
                    process.send_signal(signal.SIGTERM)
        # The stream came to its end, with the message that was begun done.
        assert event["type"] == "thread.item.done"
        # A message that waited for it was not begun any more.
        assert waiting.result(5).status_code == 503
        process.wait(5)
    assert len(standin.requests) == 1
    with started(project, env) as (_, url):
        listing = {"type": "items.list", "params": {"thread_id": thread, "order": "asc"}}
        items = httpx.post(f"{url}/chatkit", json=listing).json()["data"]
        assert items[1]["content"][0]["text"].startswith("word0 word1")


@pytest.mark.parametrize(("level", "wrong"), [(1, "trace"), (2, " info")])
def test_a_wrong_log_level_is_one_line(level: int, wrong: str) -> None:
    project = render(level=level, store="memory")
    [line] = failed_start(project, {"LOG_LEVEL": wrong}).splitlines()
    assert line.startswith("Cannot start: LOG_LEVEL must be DEBUG, INFO,")


def test_nothing_is_sent_to_other_hosts_and_no_line_is_logged_twice(
    standin: StandIn, tmp_path: Path
) -> None:
    """No price list, no traces: every look-up of a foreign host's name would be seen here."""
    project = render_into(tmp_path / "myapp", level=2, provider="gemini", store="sqlite")
    spy = (
        "import socket\n"
        "real = socket.getaddrinfo\n"
        "def spy(host, *args, **kwargs):\n"
        "    if host not in ('127.0.0.1', 'localhost', b'127.0.0.1'):\n"
        "        print('LOOKED UP', host, flush=True)\n"
        "    return real(host, *args, **kwargs)\n"
        "socket.getaddrinfo = spy\n"
    )
    (project / "backend" / "sitecustomize.py").write_text(spy, encoding="utf-8")
    env = environment("gemini", standin, tmp_path) | {
        "OPENAI_API_KEY": "sk-somebody-s",
        "LOG_LEVEL": "info",
        "PYTHONPATH": str(project / "backend"),
    }
    with started(project, env) as (process, url):
        wait_ready(url)
        type, params = message("Hello")
        answer = httpx.post(f"{url}/chatkit", json={"type": type, "params": params}, timeout=30)
        assert '"type":"error"' not in answer.text, answer.text
        time.sleep(1.5)
        process.send_signal(signal.SIGTERM)
        output = process.communicate(timeout=15)[0]
    assert "LOOKED UP" not in output
    assert output.count("threads.create") <= 1
    assert "Hello" not in output
    assert json.dumps(env["GEMINI_API_KEY"]) not in output
