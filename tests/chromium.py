"""The browser of this machine, for the chat page's tests and its picture."""

import os
import shutil

from playwright.sync_api import Browser, Error, Playwright

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
# Without these, it asks Google's hosts for its own affairs.
QUIET = ["--disable-background-networking", "--disable-component-update", "--disable-sync"]


def launched(playwright: Playwright) -> Browser | None:
    """A Chromium that nobody sees: CHROMIUM's, the PATH's, or an installed Chrome. None without."""
    found = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)
    as_root = os.name == "posix" and os.geteuid() == 0
    args = [*QUIET, "--no-sandbox"] if as_root else QUIET
    if found is not None:
        return playwright.chromium.launch(executable_path=found, args=args)
    try:
        return playwright.chromium.launch(channel="chrome", args=args)
    except Error:
        return None
