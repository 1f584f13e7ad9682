"""The demo: a level 2 project with the embedded model and SQLite, rendered and started.

`make demo` runs it. With `--once` it asks one question itself, prints the answer, and ends: exit
code 0 if the model answered, 1 if not.
"""

import argparse
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from typing import Any, NoReturn

from scripts.dev import ROOT, fingerprint, install, python_of
from scripts.rendered import render

DEMO = ROOT / "build" / "demo"
BACKEND = DEMO / "backend"
VENV = BACKEND / ".venv"
PORT = 8000
QUESTION = "What is a rainbow?"
READY_SECONDS = 120


def main() -> int:
    # Lines reach a pipe or a log when they are printed, and every console can show them.
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(line_buffering=True, errors="replace")
    parser = argparse.ArgumentParser(description="Start a chat backend with a model inside.")
    parser.add_argument(
        "--once", action="store_true", help="ask one question, print the answer, end"
    )
    parser.add_argument("--port", type=int, default=PORT, help="where to listen")
    options = parser.parse_args()

    step("Rendering a project: level 2, the embedded model, SQLite")
    render({DEMO: {"level": 2, "provider": "embedded", "store": "sqlite", "port": PORT}})
    install_project()

    port = free_port(options.port)
    if port != options.port:
        print(f"Port {options.port} is taken; using {port}.")
    step("Starting it")
    server = subprocess.Popen(
        [python_of(VENV), "main.py"],
        cwd=BACKEND,
        env={**os.environ, "PORT": str(port), "HOST": "127.0.0.1", "LOG_LEVEL": "WARNING"},
    )
    # `kill` and closed terminals end the server as well.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        address = f"http://localhost:{port}"
        wait_until_ready(address, server)
        if options.once:
            return ask(address, QUESTION)
        invite(address)
        server.wait()
        give_up("The server has ended.")
    except KeyboardInterrupt:
        print("\nThe demo has ended. The project is in build/demo.")
        return 0
    finally:
        stop(server)


def install_project() -> None:
    """Install what the project needs, and fetch the model; nothing of it the second time."""
    stamp = VENV / ".installed"
    wanted = fingerprint(BACKEND / "requirements.txt", BACKEND / "constraints.txt")
    if stamp.exists() and stamp.read_text() == wanted:
        return
    step("Installing what it needs into its own .venv")
    install(VENV, ["-r", "requirements.txt"], cwd=BACKEND)
    step("Fetching the model, 93 MB, once")
    fetch = [str(python_of(VENV)), "-m", "core.models.embedded_model"]
    if subprocess.run(fetch, cwd=BACKEND, check=False).returncode:
        give_up("The model could not be fetched; the lines above say why.")
    stamp.write_text(wanted)


def free_port(wanted: int) -> int:
    """The port that is wanted, or the next that is free."""
    for port in range(wanted, min(wanted + 100, 65536)):
        # Asked instead of bound: on Windows and macOS a port that is taken can be bound again.
        with socket.socket() as asking:
            asking.settimeout(1)
            if asking.connect_ex(("127.0.0.1", port)) != 0:
                return port
    give_up(f"No port is free from {wanted} on.")


def wait_until_ready(address: str, server: "subprocess.Popen[bytes]") -> None:
    cause = "no answer"
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline:
        if server.poll() is not None:
            give_up("The server did not start; the lines above say why.")
        try:
            with urllib.request.urlopen(f"{address}/ready", timeout=5):
                return
        except urllib.error.HTTPError as error:
            cause = str(json.loads(error.read()).get("cause"))
        except OSError:
            pass
        time.sleep(0.1)
    give_up(f"The server is not ready after {READY_SECONDS} seconds: {cause}.")


def ask(address: str, question: str) -> int:
    """Ask, print the answer as it streams, and tell whether one came: 0 or 1."""
    print(f"\n> {question}\n")
    request = urllib.request.Request(
        f"{address}/chatkit",
        data=json.dumps(create_thread(question)).encode(),
        headers={"Content-Type": "application/json"},
    )
    said = ""
    failed = False
    with urllib.request.urlopen(request, timeout=120) as response:
        for line in response:
            if not line.startswith(b"data: "):
                continue
            event: dict[str, Any] = json.loads(line[len(b"data: ") :])
            failed = failed or event["type"] == "error"
            text = event.get("update", {}).get("delta", "")
            item = event.get("item", {})
            if not said and item.get("type") == "assistant_message":
                # An answer that came at once, not bit by bit.
                text = "".join(part["text"] for part in item["content"])
            said += text
            print(text, end="", flush=True)
    print()
    return 0 if said.strip() and not failed else 1


def create_thread(text: str) -> dict[str, Any]:
    content = [{"type": "input_text", "text": text}]
    message = {"content": content, "attachments": [], "inference_options": {}}
    return {"type": "threads.create", "params": {"input": message}}


def invite(address: str) -> None:
    body = json.dumps(create_thread(QUESTION), separators=(",", ":"))
    quoted = '"' + body.replace('"', '\\"') + '"' if os.name == "nt" else f"'{body}'"
    print(
        f"""
Ready. The chat, in a browser:

    {address}

A first question to ask: {QUESTION} Or from another terminal:

    curl -N {address}/chatkit -H "Content-Type: application/json" -d {quoted}

The model is tiny, a toy: it chats, and knows little. Ctrl+C ends the demo.
"""
    )


def stop(server: "subprocess.Popen[bytes]") -> None:
    """End the server, if it has not ended with Ctrl+C already."""
    try:
        server.wait(0.5)
    except subprocess.TimeoutExpired:
        server.terminate()
        try:
            server.wait(10)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


def step(sentence: str) -> None:
    print(f"- {sentence} ...")


def give_up(sentence: str) -> NoReturn:
    print(sentence, file=sys.stderr)
    raise SystemExit(1)


if __name__ == "__main__":
    raise SystemExit(main())
