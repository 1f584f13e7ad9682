"""Projects started for real, as their README says: `python main.py`, in a process of their own."""

import ast
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from tests.backend import Backend, message, sse
from tests.git import reword
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
    project: Path,
    env: Mapping[str, str],
    *,
    uvicorn: bool = False,
    arguments: Sequence[str] = (),
) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """`python main.py`, or `uvicorn main:app`, in the project, as soon as it answers."""
    port = free_port()
    command = ["-m", "uvicorn", "main:app", "--port", str(port)] if uvicorn else ["main.py"]
    command += arguments
    process = subprocess.Popen(
        [sys.executable, *command],
        cwd=project / "backend",
        env=bare({"PORT": str(port), **env}),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        # With these it starts other processes, which have to end with it.
        start_new_session=bool(arguments),
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
        if arguments:
            os.killpg(process.pid, signal.SIGKILL)
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


def failed_start(project: Path, env: Mapping[str, str], *arguments: str) -> str:
    """What a start that must fail prints; it exits with code 2."""
    ended = subprocess.run(
        [sys.executable, "main.py", *arguments],
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


# --- What costs a newcomer their evening ---


def test_without_the_virtual_environment_one_sentence_says_what_to_do() -> None:
    backend = render(level=1, store="memory") / "backend"
    # Python's own modules, and no other.
    ran = subprocess.run(
        [sys.executable, "-S", "main.py"], cwd=backend, capture_output=True, text=True, check=False
    )
    assert (ran.returncode, ran.stdout) == (2, "")
    [line] = ran.stderr.splitlines()
    assert line.startswith("Cannot start: the package fastapi is not installed for this Python.")
    assert ". .venv/bin/activate" in line


def test_an_old_python_reads_the_sentence_about_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    backend = render(level=1, store="memory") / "backend"
    sources = [(backend / name).read_text("utf-8") for name in ("main.py", "core/__init__.py")]
    for source in sources:
        ast.parse(source, feature_version=(3, 7))
    monkeypatch.setattr(sys, "version_info", (3, 9, 2))
    with pytest.raises(SystemExit) as ended:
        exec(compile(sources[1], "core/__init__.py", "exec"), {})
    assert ended.value.code == 2
    assert "Make the virtual environment with Python 3.10 or newer" in capsys.readouterr().err


def test_main_imports_core_first_which_can_tell_what_is_missing() -> None:
    """Otherwise a package that is not there would end in a traceback."""
    source = (render(level=2) / "backend" / "main.py").read_text("utf-8")
    modules = [
        node.module or "" for node in ast.parse(source).body if isinstance(node, ast.ImportFrom)
    ]
    assert modules[0].startswith("core.")


def test_a_misspelt_setting_is_told_and_other_lines_reach_the_libraries(
    standin: StandIn, tmp_path: Path
) -> None:
    project = render_into(tmp_path / "myapp", level=2, provider="local", store="memory")
    lines = ["MODEL_TIMOUT=5", "NO_PROXY=somewhere.example", "local_api_key=mine"]
    lines += ["AZURE_API_BASE=https://example.com"]
    (project / ".env").write_text("\n".join(lines), encoding="utf-8")
    script = (
        "import main, os\n"
        "print(os.environ.get('NO_PROXY'), os.environ.get('LOCAL_API_KEY'))\n"
        "print(main.settings.local_api_key.get_secret_value())\n"
    )
    ran = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", script],
        cwd=project / "backend",
        env={name: value for name, value in bare({}).items() if name.upper() != "NO_PROXY"},
        capture_output=True,
        text=True,
        check=True,
    )
    # The project's own secrets stay out of the environment of what it starts.
    assert ran.stdout.splitlines() == ["somewhere.example None", "mine"]
    misspelt = ".env: MODEL_TIMOUT is no setting. Did you mean MODEL_TIMEOUT?\n"
    assert ran.stderr == misspelt
    # It may be why another value is wrong.
    assert failed_start(project, {"MODEL_TIMEOUT": "5 s"}).startswith(f"{misspelt}Cannot start: ")


def test_backend_alone_in_a_container_has_its_files_beside_it(tmp_path: Path) -> None:
    project = render_into(tmp_path / "myapp", level=2, provider="local", store="sqlite")
    alone = tmp_path / "srv" / "app"
    shutil.copytree(project / "backend", alone)
    for folder, root in ((project / "backend", project), (alone, alone)):
        script = "from core.settings import ROOT; print(ROOT)"
        ran = subprocess.run(
            [sys.executable, "-c", script], cwd=folder, capture_output=True, text=True, check=True
        )
        assert Path(ran.stdout.strip()) == root


def test_the_tests_run_from_the_project_s_root_too(tmp_path: Path) -> None:
    project = render_into(tmp_path / "myapp", level=1, store="memory")
    kept = {name: value for name, value in os.environ.items() if not re.match("PYTEST|CI$", name)}
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"],
        cwd=project,
        env=kept,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert re.search(r"\d+ passed", ran.stdout)


def test_several_workers_listen_where_the_settings_say(standin: StandIn, tmp_path: Path) -> None:
    project = render(level=2, provider="local", store="sqlite")
    standin.answers(Answer(Text("Hello.")))
    env = environment("local", standin, tmp_path)
    with started(project, env, arguments=("--workers", "2")) as (process, url):
        wait_ready(url)
        type, params = message("Hello")
        answer = httpx.post(f"{url}/chatkit", json={"type": type, "params": params}, timeout=30)
        assert "Hello." in answer.text
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=20) in (0, -signal.SIGTERM)


def test_several_workers_are_not_started_with_a_wrong_setting() -> None:
    project = render(level=2, provider="local", store="sqlite")
    [line] = failed_start(project, {"PORT": "high"}, "--workers", "2").splitlines()
    assert line.startswith("Cannot start: PORT ")


def test_an_edit_is_served_anew_with_reload(tmp_path: Path) -> None:
    project = render_into(tmp_path / "myapp", level=1, store="memory")
    with started(project, {}, arguments=("--reload",)) as (_, url):
        reword(project / "backend" / "app" / "hello.py", "Hello! You wrote", "Moin! You wrote")
        type, params = message("Hello")
        deadline = time.monotonic() + 30
        while True:
            try:
                answer = httpx.post(f"{url}/chatkit", json={"type": type, "params": params})
                if "Moin!" in answer.text:
                    break
            except httpx.TransportError:
                pass
            assert time.monotonic() < deadline
            time.sleep(0.2)


def test_a_word_that_main_does_not_know_is_refused() -> None:
    project = render(level=1, store="memory")
    assert "unrecognized arguments: --relaod" in failed_start(project, {}, "--relaod")
    assert "--workers must be 1 or more" in failed_start(project, {}, "--workers", "0")


SLOW = """
    async def respond(self, thread, input_user_message, context):
        import asyncio
        from chatkit.types import (
            AssistantMessageContentPartTextDelta as Delta,
            ThreadItemAddedEvent,
            ThreadItemUpdatedEvent,
        )

        item = AssistantMessageItem(
            id=self.store.generate_item_id("message", thread, context),
            thread_id=thread.id,
            created_at=datetime.now(),
            content=[AssistantMessageContent(text="")],
        )
        thread.title = thread.title or "Mine"
        yield ThreadItemAddedEvent(item=item)
        for number in range(20):
            delta = Delta(content_index=0, delta=f"{number} ")
            yield ThreadItemUpdatedEvent(item_id=item.id, update=delta)
            item.content[0].text += delta.delta
            await asyncio.sleep(0.1)
        yield ThreadItemDoneEvent(item=item)
"""


@pytest.fixture
def slow_hello(tmp_path: Path) -> Iterator[Backend]:
    """A hello world of somebody's own, whose answers take two seconds."""
    project = render_into(tmp_path / "myapp", level=1, store="memory")
    hello = project / "backend/app/hello.py"
    source = hello.read_text(encoding="utf-8")
    hello.write_text(source[: source.index("    async def respond")] + SLOW, encoding="utf-8")
    with Backend(project, {}) as backend:
        yield backend


def test_a_hello_world_that_is_left_ends_at_once_and_keeps_what_it_said(
    slow_hello: Backend,
) -> None:
    with slow_hello.stream(*message("Hello")) as response:
        events = sse(response)
        thread = next(events)["thread"]["id"]
        while '"3 "' not in json.dumps(next(events)):
            pass
    slow_hello.settle(1)
    [(_, said), (_, kept)] = slow_hello.texts(thread)
    assert said == "Hello"
    assert kept.startswith("0 1 2 3 ")
    assert "9" not in kept


def test_a_hello_world_s_thread_is_renamed_and_deleted_while_it_answers(
    slow_hello: Backend,
) -> None:
    with slow_hello.stream(*message("Hello")) as response:
        events = sse(response)
        thread = next(events)["thread"]["id"]
        while "0 " not in json.dumps(next(events)):
            pass
        slow_hello.ask("threads.update", thread_id=thread, title="Renamed")
        list(events)
    assert slow_hello.ask("threads.get_by_id", thread_id=thread)["title"] == "Renamed"
    type, params = message("Again", thread)
    with slow_hello.stream(type, params) as response:
        events = sse(response)
        next(events)
        began = time.monotonic()
        assert slow_hello.post("threads.delete", thread_id=thread).status_code == 200
        assert time.monotonic() - began < 1.5
        list(events)
    assert slow_hello.ask("threads.list")["data"] == []


def test_another_provider_is_not_asked_at_the_local_server_s_address(tmp_path: Path) -> None:
    project = render(level=2, provider="local", store="memory")
    script = "import main; print(main.server.model.base_url)"
    for url, given in (("", "None"), ("http://gateway.example/v1", "http://gateway.example/v1")):
        ran = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", script],
            cwd=project / "backend",
            env=bare({"MODEL": "litellm/anthropic/claude", "MODEL_BASE_URL": url}),
            capture_output=True,
            text=True,
            check=True,
        )
        assert ran.stdout.strip() == given
