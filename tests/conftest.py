"""What holds for every test."""

import os
import re
from collections import defaultdict
from collections.abc import Generator, Iterator

import pytest
from playwright.sync_api import Browser, Playwright, sync_playwright
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

from tests.chromium import launched
from tests.standins import StandIn

# These run inside a project: tests/test_postgres.py lays them there.
collect_ignore = ["inside"]


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "phase(name): the line of the table that counts this test")


# Begun last, they would keep one process at work when the others have nothing left to do.
LONG = (
    *("test_data_releases", "test_failures", "test_generated", "test_grow", "test_page"),
    *("test_places", "test_postgres", "test_protocol", "test_start", "test_update"),
    *("test_wheels", "test_widgets", "test_workers"),
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: item.path.stem not in LONG)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> LoadScopeScheduling:
    return Together(config, log)


class Together(LoadScopeScheduling):  # type: ignore[misc] # no types
    """Keeps a file's tests in one process, so that its imports and servers are paid once."""

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        # Each of these runs other processes.
        if file in [f"tests/test_{name}.py" for name in ("data_releases", "generated", "postgres")]:
            return nodeid
        # One file, but many projects: together those that import the same.
        if combination := re.search(r"^tests/test_matrix.py::\w+\[level\d-(\w+)", nodeid):
            through_litellm = combination[1] in ("gemini", "anthropic", "azure")
            return "litellm" if through_litellm else combination[1]
        return file


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if call.when == "call" and (phase := item.get_closest_marker("phase")):
        report.user_properties.append(("phase", [phase.args[0], call.duration]))
    # In CI a skipped test is a failed one: nothing there may go unchecked by accident.
    if os.environ.get("CI") and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped in CI: {report.longreprtext or call.excinfo}"
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """What each phase of the matrix took, in all processes together."""
    seconds: defaultdict[str, float] = defaultdict(float)
    for report in terminalreporter.getreports("passed"):
        for name, value in report.user_properties:
            if name == "phase":
                seconds[value[0]] += value[1]
    if seconds:
        terminalreporter.section("the matrix")
        for name, took in seconds.items():
            terminalreporter.line(f"{name:20} {took:6.1f} s")


@pytest.fixture
def standin() -> Iterator[StandIn]:
    """A provider that says what the test wrote."""
    with StandIn() as provider:
        yield provider


# Not for the whole session: while it is open, its event loop runs in the tests' own thread, and no
# other test could run one.
@pytest.fixture(scope="module")
def playwright() -> Iterator[Playwright]:
    with sync_playwright() as started:
        yield started


@pytest.fixture(scope="module")
def browser(playwright: Playwright) -> Iterator[Browser]:
    running = launched(playwright)
    if running is None:
        pytest.skip("There is no Chromium here: install it, or say where it is with CHROMIUM=…")
    yield running
    running.close()
