"""What holds for every test."""

import os
from collections.abc import Generator, Iterator

import pytest
from playwright.sync_api import Browser, Playwright, sync_playwright

from tests.chromium import launched
from tests.standins import StandIn

# These run inside a project: tests/test_postgres.py lays them there.
collect_ignore = ["inside"]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """In CI a skipped test is a failed one: nothing there may go unchecked by accident."""
    report = yield
    if os.environ.get("CI") and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped in CI: {report.longreprtext or call.excinfo}"
    return report


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
