"""What holds for every test."""

import os
from collections.abc import Generator, Iterator

import pytest

from tests.standins import StandIn


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
