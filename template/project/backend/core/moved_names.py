"""What 0.6.0 has moved, in code of your own: `python -m core.moved_names` lists the lines.

With --write it changes those that it can. The exit code is 1 while a line is left.
"""

import argparse
import ast
import inspect
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from core.settings import BACKEND, give_up

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
    ("app.finish", "WholeAnswers"): ("core.models.complete_answers", "CompleteAnswers"),
    ("app.history", "Converter"): ("core.turns.item_converter", "ItemConverter"),
    ("app.production", "ProductionServer"): ("app.server", "Server"),
    ("app.production", "TracingSettings"): ("core.turns.tracing", "TracingSettings"),
    ("app.protocol", "FAILED"): ("core.errors", "FAILED"),
    ("app.protocol", "ProtocolServer"): ("core.turns.server", "TurnServer"),
    ("app.protocol", "Refused"): ("core.errors", "Refused"),
    ("app.protocol", "TITLE_LENGTH"): ("core.protocol.messages", "TITLE_LENGTH"),
    ("app.protocol", "as_refused"): ("core.errors", "as_refused"),
    ("app.protocol", "text_of"): ("core.protocol.messages", "text_of"),
    ("app.protocol", "title_of"): ("core.protocol.messages", "title_of"),
    ("app.protocol", "with_offset"): ("core.protocol.events", "with_offset"),
    ("app.routes", "check_origin"): ("core.http.origins", "check_origin"),
    ("app.store", "StoreError"): ("core.errors", "StoreError"),
    ("app.store", "whole"): ("core.text", "repair_surrogates"),
    ("app.store_sqlite", "DatabaseSettings"): ("core.stores.sqlite_file", "DatabaseSettings"),
    ("app.stream", "failed_turn"): ("core.turns.failures", "failed_run"),
    ("app.tools", "Context"): ("core.turns.tools", "ToolContext"),
    ("app.tools", "told"): ("core.turns.tools", "explain_failure"),
    ("app.turns", "EventStream"): ("core.http.event_stream", "EventStream"),
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
METHODS = {
    "admit(self, context, held)": "gets (request, context) now",
    "answer(self, request, context)": "is no longer called: override `check`",
    "begin(self, request, context)": "is no longer called: override `admit(request, context)`",
    "checked(self, request, context)": "is no longer called: override `check`",
    "encoded(self, events, context)": "is no longer called: see core/protocol/events.py",
    "equipped(self, agent)": "is no longer called: override `prepare(agent)`",
    "identify(self, request)": "is no longer called: app/wiring.py hands in a SignIn as `sign_in`",
    "note_failure(self, error)": "is no longer called: what is lost is opened anew by itself",
    "parsed(self, body, context)": "is no longer called: override `check`",
    "response(self, result, context)": "is no longer called: see core/http/routes.py",
    "waiting_call(self, thread_id, context)": "is no longer called: see core/protocol/checks.py",
}
"""What a server of one's own could override, and what has become of it."""


def check_overrides(server: type) -> None:
    """End the program with a sentence for each method that a server overrides in vain.

    It may be a sign-in, so nobody shall find out by its silence.
    """
    wrong: list[str] = []
    for each in server.__mro__:
        if each.__module__.startswith(("core.", "chatkit.")):
            continue
        for old, fate in METHODS.items():
            name, _, parameters = old.rstrip(")").partition("(")
            method = vars(each).get(name)
            if callable(method) and ", ".join(inspect.signature(method).parameters) == parameters:
                wrong.append(f"`{name}` of {each.__module__}.{each.__qualname__} {fate}.")
    if wrong:
        give_up(*wrong)


# --- The command ---


@dataclass
class Line:
    """A line to change: what it has to be now, or None where only its author can tell."""

    file: Path
    node: ast.stmt | ast.expr
    reason: str
    now: str | None = None

    def __str__(self) -> str:
        said = self.now or f"by hand: {self.reason}"
        place = f"{self.file.relative_to(BACKEND).as_posix()}:{self.node.lineno}"
        return f"{place}: {'; '.join(part.strip() for part in said.splitlines())}"


def lines_of(file: Path, source: str) -> Iterator[Line]:
    """Each line of a source that names what has moved."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.ImportFrom():
                yield from from_import(file, source, node)
            case ast.Import(names=names):
                for name in names:
                    if new := MODULES.get(name.name):
                        where = f"import {new} as {name.asname}" if name.asname else None
                        alone = where if len(names) == 1 and stands_alone(source, node) else None
                        yield Line(file, node, f"{name.name} is {new} now", alone)
            case ast.Constant(value=str(text)) if text in MODULES and text != "app.server":
                yield Line(file, node, f"{text} is {MODULES[text]} now")


def from_import(file: Path, source: str, node: ast.ImportFrom) -> Iterator[Line]:
    module = absolute(file, node)
    moved = {name.name: where(module, name.name) for name in node.names}
    gone = [name for name, (new, now) in moved.items() if not has(new, now)]
    if all(new == (module, name) for name, new in moved.items()):
        return
    if gone:
        yield Line(file, node, f"{', '.join(gone)} of {module} is gone")
        return
    names: dict[str, list[str]] = {}
    for each in node.names:
        new, name = moved[each.name]
        called = each.asname or each.name
        names.setdefault(new, []).append(name if name == called else f"{name} as {called}")
    imports = [f"from {new} import {', '.join(found)}" for new, found in names.items()]
    now = ("\n" + " " * node.col_offset).join(imports)
    reason = f"the line has more than the import; now: {'; '.join(imports)}"
    yield Line(file, node, reason, now if stands_alone(source, node) else None)


def absolute(file: Path, node: ast.ImportFrom) -> str:
    """The module that an import names, also a relative one."""
    if not node.level:
        return node.module or ""
    package = file.relative_to(BACKEND).parts[: -node.level]
    return ".".join([*package, *([node.module] if node.module else [])])


def where(module: str, name: str) -> tuple[str, str]:
    """The module in which a name is now, and what it is called there."""
    if (module, name) in NAMES:
        return NAMES[module, name]
    if name in STAYS.get(module, ()):
        return module, name
    if module == "app" and name != "server" and (new := MODULES.get(f"app.{name}")):
        folder, _, file = new.rpartition(".")
        return folder, file
    return MODULES.get(module, module), name


def has(module: str, name: str) -> bool:
    """Whether a module of core/ has the name; one that is not in this project may have."""
    path = BACKEND / module.replace(".", "/")
    if not module.startswith("core") or path.is_dir():
        return True
    if not path.with_suffix(".py").exists():
        return True
    tree = ast.parse(path.with_suffix(".py").read_text(encoding="utf-8"))
    return name == "*" or name in {each for node in tree.body for each in defined(node)}


def defined(node: ast.stmt) -> Iterator[str]:
    match node:
        case ast.ClassDef(name=name) | ast.FunctionDef(name=name):
            yield name
        case ast.AsyncFunctionDef(name=name) | ast.AnnAssign(target=ast.Name(id=name)):
            yield name
        case ast.Assign(targets=targets):
            for target in targets:
                yield from (each.id for each in ast.walk(target) if isinstance(each, ast.Name))
        case ast.ImportFrom(names=names) | ast.Import(names=names):
            yield from (each.asname or each.name for each in names)


def stands_alone(source: str, node: ast.stmt) -> bool:
    """Whether nothing else is on the statement's lines: no other statement, and no comment."""
    lines = source.splitlines()[node.lineno - 1 : node.end_lineno]
    before, after = lines[0][: node.col_offset], lines[-1][node.end_col_offset :]
    return not before.strip(" ") and not after.strip() and not any("#" in line for line in lines)


def own_files() -> Iterator[Path]:
    """The Python files that may be the project's own."""
    for path in sorted(BACKEND.rglob("*.py")):
        parts = path.relative_to(BACKEND).parts
        if parts[0] != "core" and parts[:2] != ("tests", "core") and parts[0][0] != ".":
            yield path


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m core.moved_names", description=__doc__)
    parser.add_argument("--write", action="store_true", help="change the lines")
    write = parser.parse_args().write
    changed: list[Line] = []
    left: list[Line | str] = []
    for file in own_files():
        text = file.read_bytes().decode("utf-8-sig")
        try:
            found = list(lines_of(file, text))
        except SyntaxError as error:
            name = file.relative_to(BACKEND).as_posix()
            left.append(f"{name}:{error.lineno}: resolve the conflict first, and run this again")
            continue
        left += [line for line in found if line.now is None or not write]
        if write and (lines := [line for line in found if line.now is not None]):
            rewrite(file, text, lines)
            changed += lines
    if changed:
        print("Changed to (ruff check --fix sorts the imports):", *changed, sep="\n  ")
    if left:
        print("To be changed to (--write does it):" if not write else "Left:", *left, sep="\n  ")
    if not changed and not left:
        print("Nothing here imports what has moved.")
    return 1 if left else 0


def rewrite(file: Path, text: str, found: list[Line]) -> None:
    """Change these lines of a file, and nothing else in it."""
    end = "\r\n" if "\r\n" in text else "\n"
    lines = text.splitlines(keepends=True)
    # From the bottom, so that the numbers of the lines above stay true.
    for line in sorted(found, key=lambda each: -each.node.lineno):
        indent = lines[line.node.lineno - 1][: line.node.col_offset]
        new = f"{indent}{line.now}\n".replace("\n", end)
        lines[line.node.lineno - 1 : line.node.end_lineno] = [new]
    mark = b"\xef\xbb\xbf" if file.read_bytes().startswith(b"\xef\xbb\xbf") else b""
    file.write_bytes(mark + "".join(lines).encode())


if __name__ == "__main__":
    sys.exit(main())
