"""Takes the README's picture: the chat page of a generated project, in a real browser.

Everything in it is real but the model, whose words are written here.
"""

import tempfile
from pathlib import Path

from playwright.sync_api import expect, sync_playwright

from scripts.dev import ROOT, give_up
from tests.backend import Backend
from tests.chromium import launched
from tests.providers import environment
from tests.render import render_into
from tests.standins import Answer, StandIn, Text, ToolCall

PICTURE = ROOT / "docs" / "chat.png"
ASKED = ("What time is it in Tokyo?", "And how do I get it in Python?")
ANSWER = """\
It is a standard library one-liner, since **Python 3.9**:

```python
from datetime import datetime
from zoneinfo import ZoneInfo

datetime.now(ZoneInfo("Asia/Tokyo"))
```

1. `ZoneInfo` knows every time zone by its IANA name.
2. On Windows, the package `tzdata` brings the names along.
"""


def main() -> int:
    with (
        tempfile.TemporaryDirectory() as scratch,
        StandIn() as provider,
        sync_playwright() as playwright,
    ):
        folder = Path(scratch)
        project = render_into(folder / "myapp", level=2, provider="gemini", store="sqlite")
        provider.answers(
            Answer(ToolCall("current_time", {"time_zone": "Asia/Tokyo"})),
            Answer(Text("In Tokyo it is **Friday, 18:30**: the working day is ending.")),
            Answer(Text(ANSWER.splitlines(keepends=True)), delay=0.02),
        )
        quiet = {"LOG_LEVEL": "WARNING"}
        browser = launched(playwright)
        if browser is None:
            give_up("There is no Chromium here: install it, or say where it is with CHROMIUM=…")
        with Backend(project, quiet | environment("gemini", provider, folder)) as backend:
            backend.ready()
            page = browser.new_page(viewport={"width": 1240, "height": 780}, device_scale_factor=2)
            page.goto(backend.url)
            page.get_by_role("button", name="Events", exact=True).click()
            for number, text in enumerate(ASKED, 1):
                page.get_by_role("textbox", name="Message").fill(text)
                page.keyboard.press("Enter")
                expect(page.locator(".assistant_message")).to_have_count(number)
                expect(page.get_by_role("button", name="Send")).to_be_visible()
            PICTURE.parent.mkdir(exist_ok=True)
            page.screenshot(path=PICTURE)
        browser.close()
    print(f"Wrote {PICTURE.relative_to(ROOT)}.")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
