"""The examples: a project of each level, and the page that compares them."""

import re
from html import unescape
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import pytest

from scripts.examples import write
from scripts.lines import SAMPLES


class Page(HTMLParser):
    """What the page's links lead to, what it takes from elsewhere, and what is left open."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.foreign: list[str] = []
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in ("meta", "br"):
            self.open.append(tag)
        for name, value in attrs:
            if name == "href" and tag == "a":
                self.links.append(value or "")
            elif name in ("href", "src"):
                self.foreign.append(value or "")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("examples")
    (folder / "level-2").mkdir()
    (folder / "level-2" / "left_behind.py").touch()
    write(folder)
    return folder


@pytest.fixture(scope="module")
def text(folder: Path) -> str:
    return (folder / "index.html").read_text(encoding="utf-8")


def diff(text: str, level: str, file: str) -> str:
    """What the page shows of a file's change at a level, without its marks."""
    section = text[text.index(f'id="{level}"') :].split("</section>")[0]
    shown = re.search(rf"<summary>{re.escape(file)} .*?</details>", section, re.DOTALL)
    assert shown, file
    return unescape(re.sub("<[^>]+>", "", shown[0]))


def test_every_file_of_every_level_is_listed_and_can_be_opened(folder: Path, text: str) -> None:
    links = {unquote(link) for link in Page(text).links}
    projects = [folder / f"level-{answers['level']}" for answers in SAMPLES.values()]
    there = {link for link in links if not link.startswith("#")}
    assert there == {
        file.relative_to(folder).as_posix()
        for project in projects
        for file in project.rglob("*")
        if file.is_file()
    }


def test_nothing_of_an_earlier_run_is_left(folder: Path) -> None:
    assert not (folder / "level-2" / "left_behind.py").exists()


def test_a_level_s_difference_is_shown_file_by_file(text: str) -> None:
    requirements = diff(text, "level-2", "backend/requirements.txt")
    assert "changed" in requirements
    assert "+openai-agents>=" in requirements
    assert " fastapi>=" in requirements
    assert "gone" in diff(text, "level-2", "backend/app/hello.py")
    assert "new" in diff(text, "level-3", "backend/core/auth/tokens.py")
    assert "backend/core/context.py" not in re.findall(r"<summary>(\S+)", text)


def test_code_is_shown_as_it_is_written(folder: Path, text: str) -> None:
    file = folder / "level-3" / "backend" / "app" / "tools.py"
    shown = diff(text, "level-3", "backend/app/tools.py")
    for line in file.read_text(encoding="utf-8").splitlines():
        assert f"+{line}\n" in shown + "\n"


def test_the_page_is_whole_and_takes_nothing_from_elsewhere(text: str) -> None:
    page = Page(text)
    assert page.open == []
    assert page.foreign == []
    assert not re.search(r"url\(|@import", text.split("</style>")[0])
