"""What 0.6.0 has moved, in code of your own: `python -m core.moved_names` lists the lines.

With --write it changes them. The exit code is 1 while a line is left.
"""

import argparse
import ast
import sys
from collections.abc import Iterator
from pathlib import Path

from core.settings import BACKEND

# Where a module of app/ has gone, and the names that have gone elsewhere or are called otherwise.
MODULES = {
    "app.auth": "core.auth.users",
    "app.auth_jwt": "core.auth.tokens",
    "app.auth_session": "core.auth.sessions",
    "app.chat_page": "core.http.chat_page",
    "app.context": "core.context",
    "app.database": "core.stores.postgres_connection",
    "app.edge": "core.http.hosts_and_headers",
    "app.errors": "core.turns.failures",
    "app.finish": "core.models.complete_answers",
    "app.history": "core.turns.history",
    "app.limits": "core.auth.limits",
    "app.local_postgres": "core.stores.local_postgres",
    "app.locks_memory": "core.stores.locks_memory",
    "app.locks_postgres": "core.stores.locks_postgres",
    "app.logs": "core.logs",
    "app.lunch": "app.lunch.kitchen",
    "app.model": "core.models.source",
    "app.model_embedded": "core.models.embedded_model",
    "app.model_events": "core.turns.raw_events",
    "app.model_litellm": "core.models.litellm_models",
    "app.model_local": "core.models.local_models",
    "app.model_openai": "core.models.openai_models",
    "app.move_from_sqlite": "core.stores.move_from_sqlite",
    "app.offers": "core.turns.widget_actions",
    "app.production": "core.turns.agent_server",
    "app.protocol": "core.protocol.requests",
    "app.provider": "core.models.provider_settings",
    "app.routes": "core.http.routes",
    "app.schema": "core.stores.postgres_schema",
    "app.server": "core.turns.agent_server",
    "app.settings": "core.settings",
    "app.store": "core.stores.base",
    "app.store_memory": "core.stores.memory",
    "app.store_postgres": "core.stores.postgres",
    "app.store_sqlite": "core.stores.sqlite",
    "app.stream": "core.turns.run_stream",
    "app.titles": "core.turns.titles",
    "app.toy": "core.turns.toy",
    "app.turn_server": "core.turns.server",
    "app.turns": "core.turns.running",
    "app.urls": "core.urls",
}
NAMES = {
    ("app.auth", "Auth"): ("core.auth.sign_in", "SignIn"),
    ("app.history", "Converter"): ("core.turns.item_converter", "ItemConverter"),
    ("app.production", "ProductionServer"): ("app.server", "Server"),
    ("app.production", "TracingSettings"): ("core.turns.tracing", "TracingSettings"),
    ("app.protocol", "ProtocolServer"): ("core.turns.server", "TurnServer"),
    ("app.protocol", "Refused"): ("core.errors", "Refused"),
    ("app.protocol", "TITLE_LENGTH"): ("core.protocol.messages", "TITLE_LENGTH"),
    ("app.protocol", "text_of"): ("core.protocol.messages", "text_of"),
    ("app.protocol", "title_of"): ("core.protocol.messages", "title_of"),
    ("app.routes", "check_origin"): ("core.http.origins", "check_origin"),
    ("app.store", "StoreError"): ("core.errors", "StoreError"),
    ("app.store", "whole"): ("core.text", "repair_surrogates"),
    ("app.tools", "told"): ("app.tools", "explain_failure"),
    ("app.turns", "Locks"): ("core.stores.locks", "Locks"),
    ("app.turns", "ThreadBusy"): ("core.errors", "ThreadBusy"),
    ("conftest", "Chat"): ("chat_client", "Chat"),
    ("conftest", "serving"): ("chat_client", "serving"),
    ("conftest", "thread_of"): ("chat_client", "thread_of"),
    ("production", "production_server"): ("scripted_server", "scripted_server"),
}
STAYS = {
    "app.lunch": {"LUNCH", "actions", "kitchen", "tools", "widgets"},
    "app.server": {"Server"},
}
"""What stands where a module of the old name stood."""


def moved_imports(source: str) -> Iterator[tuple[ast.ImportFrom, str]]:
    """The imports of what has moved, each with what it has to be now."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            module = node.module
            moved = {name.name: where(module, name.name) for name in node.names}
            if any(new != (module, name) for name, new in moved.items()):
                names: dict[str, list[str]] = {}
                for each in node.names:
                    new, name = moved[each.name]
                    called = each.asname or each.name
                    names.setdefault(new, []).append(
                        name if name == called else f"{name} as {called}"
                    )
                lines = [f"from {new} import {', '.join(found)}" for new, found in names.items()]
                yield node, ("\n" + " " * node.col_offset).join(lines)


def where(module: str, name: str) -> tuple[str, str]:
    """The module in which a name is now, and what it is called there."""
    if (module, name) in NAMES:
        return NAMES[module, name]
    if name in STAYS.get(module, ()):
        return module, name
    if module == "app" and (new := MODULES.get(f"app.{name}")) and name != "server":
        folder, _, file = new.rpartition(".")
        return folder, file
    return MODULES.get(module, module), name


def own_files() -> Iterator[Path]:
    """The Python files that may be the project's own."""
    for path in sorted(BACKEND.rglob("*.py")):
        parts = path.relative_to(BACKEND).parts
        if parts[0] in ("main.py", "app") or (parts[0] == "tests" and parts[1] != "core"):
            yield path


def lines_to_change(*, write: bool) -> list[str]:
    """Each import of what has moved, as a line for the reader. With `write` it is changed."""
    found: list[str] = []
    for path in own_files():
        source = path.read_text(encoding="utf-8")
        try:
            imports = list(moved_imports(source))
        except SyntaxError:
            found.append(f"{path.relative_to(BACKEND)}: resolve the conflict in it first")
            continue
        lines = source.splitlines(keepends=True)
        # From the bottom, so that the numbers of the lines above stay true.
        for node, new in sorted(imports, key=lambda each: -each[0].lineno):
            place = f"{path.relative_to(BACKEND)}:{node.lineno}"
            found.append(f"{place}: {'; '.join(line.strip() for line in new.splitlines())}")
            if write:
                indent = lines[node.lineno - 1][: node.col_offset]
                lines[node.lineno - 1 : node.end_lineno] = [f"{indent}{new}\n"]
        if write and imports:
            path.write_text("".join(lines), encoding="utf-8", newline="\n")
    return found


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m core.moved_names", description=__doc__)
    parser.add_argument("--write", action="store_true", help="change the lines")
    write = parser.parse_args().write
    found = lines_to_change(write=write)
    if not found:
        print("Nothing here imports what has moved.")
        return 0
    print("Changed to:" if write else "To be changed to (--write does it):", *found, sep="\n  ")
    return 0 if write else 1


if __name__ == "__main__":
    sys.exit(main())
