"""What a reader of an answer sees, in a real browser under the page's own policy."""

import json
import random
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page

from tests.backend import Backend
from tests.render import render

HARNESS = """async () => {
  const { Markdown } = await import("./page/markdown.js");
  document.body.replaceChildren(document.createElement("main"));
  document.body.style.display = "block";
  const main = document.querySelector("main");
  window.violations = [];
  document.addEventListener("securitypolicyviolation",
    (event) => violations.push(event.violatedDirective + " " + event.blockedURI));
  window.fresh = () => {
    main.replaceChildren(document.createElement("div"));
    return window.view = new Markdown(main.firstChild);
  };
  window.show = (text) => { fresh().set(text); return main.firstChild; };
}"""


@pytest.fixture(scope="module")
def tab(browser: Browser) -> Iterator[Page]:
    """A page of a generated project, with nothing in it but Markdown."""
    with Backend(render(level=1, store="memory"), {}) as backend:
        context = browser.new_context(permissions=["clipboard-read", "clipboard-write"])
        tab = context.new_page()
        # The page itself would wake up in the middle of it.
        tab.route(
            "**/page/main.js",
            lambda route: route.fulfill(content_type="text/javascript", body=""),
        )
        tab.goto(backend.url)
        tab.evaluate(HARNESS)
        yield tab
        context.close()


@pytest.fixture(autouse=True)
def no_complaints(tab: Page) -> Iterator[None]:
    complaints: list[str] = []
    tab.on("console", lambda message: complaints.append(message.text))
    tab.on("pageerror", lambda error: complaints.append(str(error)))
    yield
    assert complaints == []
    assert tab.evaluate("violations.splice(0)") == []


def html(tab: Page, text: str) -> str:
    """The drawn nodes, without the attributes that every block or link has."""
    drawn: str = tab.evaluate("(text) => show(text).innerHTML", text)
    for noise in (
        ' dir="auto"',
        ' target="_blank"',
        ' rel="noopener noreferrer nofollow"',
        ' title=""',
        ' class=""',
        ' type="button"',
        "<tbody>",
        "</tbody>",
    ):
        drawn = drawn.replace(noise, "")
    return drawn


SEEN = {
    "a paragraph keeps its line ends as spaces": ("a\nb\n\nc", "<p>a\nb</p><p>c</p>"),
    "two spaces or a backslash break a line": ("a  \nb\\\nc", "<p>a<br>b<br>c</p>"),
    "headings start at level three": (
        "# a\n## b\n### c\n#### d\n###### e\n#f",
        "<h3> a</h3><h4> b</h4><h5> c</h5><h6> d</h6><h6> e</h6><p>#f</p>",
    ),
    "bold italic and struck": (
        "**a** *b* ***c*** __d__ _e_ ___f___ ~~g~~",
        "<p><strong>a</strong> <em>b</em> <strong><em>c</em></strong> <strong>d</strong> "
        "<em>e</em> <strong><em>f</em></strong> <del>g</del></p>",
    ),
    "marks inside marks": (
        "**a *b* c** *d **e** f* **g *h*** _i **j**_ *k **l***",
        "<p><strong>a <em>b</em> c</strong> <em>d <strong>e</strong> f</em> "
        "<strong>g <em>h</em></strong> <em>i <strong>j</strong></em> "
        "<em>k <strong>l</strong></em></p>",
    ),
    "snake_case and sums stay as they are": (
        "snake_case_name 2 * 3 * 4 __init__ma 1_000_000 **2*3 = 6**",
        "<p>snake_case_name 2 * 3 * 4 __init__ma 1_000_000 <strong>2*3 = 6</strong></p>",
    ),
    "bold beside Chinese punctuation": ("**（强调）**的", "<p><strong>（强调）</strong>的</p>"),
    "inline code": (
        "`a` ``b`c`` `` ` `` `*d*` **`**`**",
        "<p><code>a</code> <code>b`c</code> <code>`</code> <code>*d*</code> "
        "<strong><code>**</code></strong></p>",
    ),
    "nested lists": (
        "- a\n  - b\n    - c\n- d\n    1. e\n\t2. f",
        "<ul><li><p>a</p><ul><li><p>b</p><ul><li><p>c</p></li></ul></li></ul></li>"
        '<li><p>d</p><ol start="1"><li><p>e</p></li><li><p>f</p></li></ol></li></ul>',
    ),
    "a numbered list starts where it says, and two spaces nest in it": (
        "7. a\n  - b\n    - c\n8. d\n\n   more",
        '<ol start="7"><li><p>a</p><ul><li><p>b</p><ul><li><p>c</p></li></ul></li></ul></li>'
        "<li><p>d</p><p>more</p></li></ol>",
    ),
    "a year does not start a list": ("1986. A good year", "<p>1986. A good year</p>"),
    "quotes, nested": (
        "> a\n> > b\n>\n> - c\n\nd",
        "<blockquote><p>a</p><blockquote><p>b</p></blockquote><ul><li><p>c</p></li></ul>"
        "</blockquote><p>d</p>",
    ),
    "rules": ("---\n* * *\n___", "<hr><hr><hr>"),
    "escapes": (r"\*a\* \[b\](c) \# \\", r"<p>*a* [b](c) # \</p>"),
    "entities stay as typed": ("a &lt; b &amp;", "<p>a &amp;lt; b &amp;amp;</p>"),
    "markup stays text": (
        "<b>a</b> <script>b</script>",
        "<p>&lt;b&gt;a&lt;/b&gt; &lt;script&gt;b&lt;/script&gt;</p>",
    ),
    "a list after a line of text": (
        "a:\n- b\n- c\n\nd",
        "<p>a:</p><ul><li><p>b</p></li><li><p>c</p></li></ul><p>d</p>",
    ),
}


@pytest.mark.parametrize("name", SEEN)
def test_a_reader_sees(tab: Page, name: str) -> None:
    text, expected = SEEN[name]
    drawn = html(tab, text)
    assert drawn.replace("> ", ">").replace(" <", "<") == expected.replace("> ", ">").replace(
        " <", "<"
    )


LINKS = {
    "[a **b**](https://x.org/y)": ("a b", "https://x.org/y"),
    '[a](https://x.org/y "t")': ("a", "https://x.org/y"),
    "[a](<https://x.org/y>)": ("a", "https://x.org/y"),
    "[a](https://x.org/y_(z))": ("a", "https://x.org/y_(z)"),
    "[a](mailto:me@x.org)": ("a", "mailto:me@x.org"),
    "[a](HTTPS://x.org/y)": ("a", "https://x.org/y"),
    "<https://x.org/y>": ("https://x.org/y", "https://x.org/y"),
    "At https://x.org/y, or": ("https://x.org/y", "https://x.org/y"),
    "(see https://x.org/y).": ("https://x.org/y", "https://x.org/y"),
    "**https://x.org/y_(z)**, b": ("https://x.org/y_(z)", "https://x.org/y_(z)"),
    "[https://x.org/y](https://x.org/y)": ("https://x.org/y", "https://x.org/y"),
    "![a](https://x.org/y.png)": ("a", "https://x.org/y.png"),
    "![](https://x.org/y.png)": ("https://x.org/y.png", "https://x.org/y.png"),
    "[![a](https://x.org/y.png)](https://x.org/z)": ("a", "https://x.org/z"),
    r"[a](https://x.org/y\_z)": ("a", "https://x.org/y_z"),
}


@pytest.mark.parametrize("text", LINKS)
def test_a_link_opens_its_address_in_a_new_tab_that_knows_nothing_of_this_one(
    tab: Page, text: str
) -> None:
    found = tab.evaluate(
        "(text) => [...show(text).querySelectorAll('a')]"
        ".map((a) => [a.textContent, a.href, a.target, a.rel])",
        text,
    )
    assert found == [[*LINKS[text], "_blank", "noopener noreferrer nofollow"]]


def test_a_link_shows_its_title(tab: Page) -> None:
    assert (
        tab.evaluate("""() => show('[a](https://x.org "b c")').querySelector("a").title""") == "b c"
    )


@pytest.mark.parametrize(
    "address",
    [
        "javascript:alert(1)",
        "JaVaScRiPt:alert(1)",
        "java\tscript:alert(1)",
        "java\nscript:alert(1)",
        "\x01javascript:alert(1)",
        "data:text/html,x",
        "vbscript:x",
        "file:///etc/passwd",
        "/relative",
        "//x.org",
        "blob:https://x.org/1",
        "https://",
        "javascript&colon;alert(1)",
        "",
        "#here",
        "view-source:https://x.org",
        "<javascript:alert(1)>",
        r"javascript\:alert(1)",
    ],
)
@pytest.mark.parametrize("mark", ["", "!"])
def test_an_address_of_another_kind_is_no_link(tab: Page, address: str, mark: str) -> None:
    found = tab.evaluate(
        "(text) => { const view = show(text);"
        " return [view.querySelectorAll('[href], [src]').length, view.textContent]; }",
        f"{mark}[label]({address})",
    )
    assert found[0] == 0
    assert "label" in found[1]


HOSTILE = [
    "<img src=x onerror=alert(1)>",
    "<script>alert(1)</script>",
    "<svg/onload=alert(1)>",
    "<iframe src=https://x.org>",
    "<a href='javascript:alert(1)'>a</a>",
    "<img src=x onerror=",
    "</div></main><h1>a",
    "<!-- a",
    "<style>*{display:none}</style>",
    "<![CDATA[a]]>",
    '[a](https://x.org "b" onmouseover="alert(1))',
    '[a](https://x.org "b\' onclick=alert(1) x=")',
    '[a](https://x.org/"onclick="alert(1))',
    '```"><script>alert(1)</script>\na\n```',
    "| <img src=x onerror=alert(1)> |\n|---|\n| <script>alert(1)</script> |",
    "# <svg/onload=alert(1)>",
    "- [ ] <input autofocus onfocus=alert(1)>",
    "`<img src=x onerror=alert(1)>`",
    "<javascript:alert(1)>",
    '<https://x.org"onclick=alert(1)>',
]


@pytest.mark.parametrize("text", HOSTILE)
def test_markup_in_an_answer_never_becomes_elements_or_handlers(tab: Page, text: str) -> None:
    found = tab.evaluate(
        """(text) => [...show(text).querySelectorAll("*")].flatMap((element) => [
      element.localName, ...element.getAttributeNames()])""",
        text,
    )
    drawn = {
        "p",
        "a",
        "href",
        "title",
        "rel",
        "target",
        "dir",
        "div",
        "table",
        "tbody",
        "tr",
        "th",
        "td",
        "class",
        "tabindex",
        "role",
        "aria-label",
        "figure",
        "figcaption",
        "button",
        "type",
        "pre",
        "code",
        "h3",
        "ul",
        "li",
    }
    assert set(found) <= drawn
    assert "onclick" not in found


def test_code_shows_its_language_and_is_copied(tab: Page) -> None:
    tab.evaluate("() => show('a\\n```js\\nlet a = *b*;\\n\\n  <b>\\n```\\nc')")
    figure = tab.locator("figure")
    assert figure.locator("pre").inner_text() == "let a = *b*;\n\n  <b>"
    assert figure.locator("figcaption").inner_text().split() == ["js", "Copy"]
    figure.get_by_role("button", name="Copy").focus()
    tab.keyboard.press("Enter")
    figure.get_by_role("button", name="Copied").wait_for()
    assert tab.evaluate("navigator.clipboard.readText()") == "let a = *b*;\n\n  <b>"
    assert tab.locator("main p").all_inner_texts() == ["a", "c"]


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("~~~\n```\n~~~", "```"),
        ("```\na ``` b\n```", "a ``` b"),
        ("````md\n```\na\n```\n````", "```\na\n```"),
        ("```\na", "a"),
        ("1. b\n   ```\n   a\n     c\n   ```", "a\n  c"),
        ("1. ```\n   a\n   ```", "a"),
        ("- b\n\n    ```\n    a\n    ```", "a"),
        ("> ```\n> a\n> ```", "a"),
        ("```\n\ta\n```", "\ta"),
        ("```js\n# a\n- b\n> c\n| d |\n|---|\n```", "# a\n- b\n> c\n| d |\n|---|"),
    ],
)
def test_code_is_shown_as_it_was_written(tab: Page, text: str, code: str) -> None:
    assert tab.evaluate("(text) => show(text).querySelector('pre').textContent", text) == code


def test_a_table_is_aligned_and_scrolls_by_keyboard(tab: Page) -> None:
    tab.set_viewport_size({"width": 360, "height": 600})
    wide = "x" * 90
    tab.evaluate(
        "(text) => show(text)",
        f"a\n| l | c | r | n |\n|:--|:-:|--:|---|\n| `a\\|b` | **b** | | {wide} |\n| e\n\nz",
    )
    assert tab.get_by_role("columnheader").all_inner_texts() == ["l", "c", "r", "n"]
    assert tab.get_by_role("cell").all_inner_texts() == ["a|b", "b", "", wide, "e"]
    assert tab.locator("td strong").count() == 1
    assert tab.locator("th").evaluate_all(
        "(cells) => cells.map((cell) => getComputedStyle(cell).textAlign)"
    ) == ["start", "center", "right", "start"]
    table = tab.get_by_role("group", name="Table")
    table.focus()
    tab.keyboard.press("ArrowRight")
    # Chromium focuses any scrolling box; other browsers need to be told.
    assert table.get_attribute("tabindex") == "0"
    for _ in range(50):
        if table.evaluate("(table) => table.scrollLeft"):
            break
        tab.wait_for_timeout(100)
    assert table.evaluate("(table) => table.scrollLeft") > 0
    assert tab.evaluate("document.documentElement.scrollWidth") <= 360
    tab.set_viewport_size({"width": 1280, "height": 720})


def test_a_row_that_repeats_the_header_is_a_row(tab: Page) -> None:
    assert html(tab, "|a|\n|-|\n|a|").count("<th>") == 1


def test_a_line_of_bars_alone_makes_no_table(tab: Page) -> None:
    assert html(tab, "\n|-|-|\n\na") == "<p>|-|-|</p><p>a</p>"


def test_tasks_show_what_is_done(tab: Page) -> None:
    tab.evaluate("() => show('- [x] a\\n- [ ] b\\n  - [X] c\\n- [link] d')")
    assert tab.locator("main li > p").all_inner_texts() == ["☑ a", "☐ b", "☑ c", "[link] d"]


def test_arabic_and_hebrew_run_from_the_right(tab: Page) -> None:
    tab.evaluate("() => show('שלום\\n\\n- مرحبا\\n\\nhello')")
    assert tab.locator("main > div > *").evaluate_all(
        "(all) => all.map((block) => getComputedStyle(block).direction)"
    ) == ["rtl", "rtl", "ltr"]


@pytest.mark.parametrize(
    "text",
    [
        "**bo",
        "*bo",
        "__bo",
        "~~bo",
        "`bo",
        "``bo`",
        "[bo",
        "[bo](",
        "[bo](htt",
        "[bo](https://x.org",
        '[bo](https://x.org "ti',
        "![bo](",
        "<https://bo",
        "| bo | b",
        "| bo |\n|",
        "| bo |\n|--",
        "- bo",
        "- [",
        "1",
        "1.",
        "#",
        "# bo",
        "```",
        "```bo",
        "```\nbo\n``",
        "> bo\n>",
        "bo\\",
        "bo\n-",
        "---",
    ],
)
def test_a_half_written_construct_is_shown(tab: Page, text: str) -> None:
    shown = tab.evaluate("(text) => show(text).textContent", text)
    assert ("bo" in shown) == ("bo" in text)


PIECES = [
    *'ab1 \n\n*_`~[]()!<>#-+.|:\\\t"',
    "**",
    "```",
    "\n- ",
    "\n  ",
    "\n> ",
    "1. ",
    "|-|\n",
    "](",
    "https://x.org ",
    "&lt;",
    "~~~",
    "\n\n",
    "[ ] ",
]


def documents(count: int, seed: int, size: int = 60) -> list[str]:
    draw = random.Random(seed)
    return [
        "".join(draw.choice(PIECES) for _ in range(draw.randint(1, size))) for _ in range(count)
    ]


def test_no_letter_is_lost(tab: Page) -> None:
    # Letters only outside of addresses, titles, language names and list numbers.
    pieces = [
        p
        for p in PIECES
        if p not in ("](", "1", "1. ", "```", "~~~", "https://x.org ", "(", "`", "~")
    ]
    draw = random.Random(7)
    texts = []
    for _ in range(300):
        letters = iter("abcdefghijklmnopqrstuvwyz" * 9)
        texts.append(
            "".join(
                next(letters) if draw.random() < 0.4 else draw.choice(pieces)
                for _ in range(draw.randint(1, 80))
            )
        )
    shown = tab.evaluate("(texts) => texts.map((text) => show(text).textContent)", texts)
    for text, seen in zip(texts, shown, strict=True):
        wanted = [c for c in text if c.isalpha()]
        if "[x]" in text.lower():
            continue
        assert [c for c in seen if c.isalpha()] == wanted, json.dumps(text)


def test_code_and_links_lose_no_letter_either(tab: Page) -> None:
    texts = documents(300, 8)
    shown = tab.evaluate("(texts) => texts.map((text) => show(text).textContent)", texts)
    for text, seen in zip(texts, shown, strict=True):
        if any(mark in text for mark in ("```", "~~~", "](")) or "``" in text:
            continue
        assert seen.count("a") == text.count("a"), json.dumps(text)
        assert seen.count("b") == text.count("b"), json.dumps(text)


def test_a_stream_ends_as_the_whole_text_would_look(tab: Page) -> None:
    assert (
        tab.evaluate(
            """(texts) => texts.filter((text) => {
      const view = fresh();
      for (let end = 0; end <= text.length; end++) view.set(text.slice(0, end));
      const streamed = document.querySelector("main").innerHTML;
      show(text);
      return document.querySelector("main").innerHTML !== streamed;
    })""",
            documents(200, 9),
        )
        == []
    )


def test_a_selection_in_earlier_text_survives_the_stream(tab: Page) -> None:
    assert tab.evaluate("""() => {
      const view = fresh();
      const box = document.querySelector("main").firstChild;
      let text = "first *one*\\n\\n- a\\n- b\\n\\n```\\ncode\\n```\\n\\nlast";
      view.set(text);
      const before = [...box.children];
      getSelection().selectAllChildren(before[0]);
      for (const more of [" words", " **and", "** more", "\\n\\n| a |\\n|---|", "\\n| b |"]) {
        view.set(text += more);
      }
      return [before.length, box.children.length, String(getSelection()),
        before.slice(0, 3).every((node, i) => node === box.children[i])];
    }""") == [4, 5, "first one", True]


def test_a_text_that_shrinks_or_changes_is_redrawn(tab: Page) -> None:
    assert tab.evaluate("""() => {
      const view = fresh();
      view.set("a\\n\\nb\\n\\nc");
      view.set("a\\n\\nx");
      const two = document.querySelector("main").innerText;
      view.set("");
      return [two, document.querySelector("main").innerText];
    }""") == ["a\n\nx", ""]


LONG = {
    "blocks": "a\n\n" * 33_000,
    "three and four stars": "**a ***b ****c " * 7_000,
    "stars": "*" * 100_000,
    "spaced stars": "*a " * 33_000,
    "pairs of stars": "**a " * 25_000,
    "closing stars": "a* " * 33_000,
    "stars around": "*a* " * 25_000,
    "mixed stars": "*a **b " * 14_000,
    "nested stars": "*a **b " * 7_000 + "c** d* " * 7_000,
    "underscores": "_a " * 33_000,
    "joined underscores": "_a" * 50_000,
    "tildes": "~~a " * 25_000,
    "brackets": "[" * 100_000,
    "pairs of brackets": "[]" * 50_000,
    "open brackets": "[a" * 50_000,
    "links that never end": "[a](" * 25_000,
    "links with spaces": "[](" + " " * 100_000,
    "links after links": "[a](b " * 16_000,
    "titles": '[a](b "' * 14_000,
    "round brackets": "[a](" + "(" * 100_000,
    "images": "![" * 50_000,
    "closing brackets": "]" * 100_000,
    "backticks": "`" * 100_000,
    "odd backticks": "`a" * 50_001,
    "ticks of every length": " ".join("`" * n for n in range(1, 447)),
    "escaped ticks": "\\``" * 33_000,
    "backslashes": "\\" * 100_001,
    "quotes": ">" * 10_000 + " a",
    "spaced quotes": "> " * 10_000 + "a",
    "quotes on every line": ("> " * 40 + "a\n") * 1_200,
    "bars": "|" * 100_000,
    "bars under bars": "|" * 50_000 + "\n" + "|-" * 25_000,
    "table rows": "| a | b |\n|---|---|\n" + "| c | d |\n" * 10_000,
    "rules of bars": "|-|\n" * 25_000,
    "spaces": "a" + " " * 100_000 + "b",
    "only spaces": " " * 100_000,
    "dashes": "-" * 100_000 + "x",
    "spaced dashes": "- " * 50_000 + "x",
    "hashes": "# " * 50_000 + "x",
    "hash run": "#" * 100_000,
    "empty items": "-\n" * 50_000,
    "items": "- a\n" * 25_000,
    "deeper and deeper": "".join("  " * n + "- a\n" for n in range(400)),
    "numbers": "1" * 100_000,
    "addresses": "https://" * 12_000,
    "address of commas": "https://a" + "," * 100_000,
    "brackets in an address": "https://a" + "(" * 100_000,
    "angles": "<https:" * 14_000,
    "newlines": "\n" * 100_000,
    "spaces at line ends": ("a" + " " * 1_000 + "\n") * 100,
    "fences": "```\n" * 25_000,
    "fence and tick": "`" * 100_000 + "a`",
    "ampersands": "&amp;" * 20_000,
    "long word": "a" * 200_000,
    "a code of everything": "```\n" + "a *b* [c](d)\n" * 15_000,
    "ticks in bold": "**`a " * 20_000,
    "bold ticks": "**a`" * 25_001,
    "label ticks": "[`" * 50_000,
}


@pytest.mark.parametrize("name", LONG)
def test_a_hostile_text_does_not_freeze_the_page(tab: Page, name: str) -> None:
    seconds, shown, letters = tab.evaluate(
        """(text) => {
      const view = fresh();
      const start = performance.now();
      view.set(text);
      const box = document.querySelector("main").firstChild;
      return [(performance.now() - start) / 1000, box.textContent.match(/[a-z]/g)?.length ?? 0,
        text.match(/[a-z]/g)?.length ?? 0];
    }""",
        LONG[name],
    )
    tab.evaluate("() => fresh() && null")
    # A step that is quadratic takes minutes.
    assert seconds < 15
    if "fence" not in name and "code" not in name:
        assert shown >= min(letters, 1) * letters * 0.2


def test_a_long_stream_redraws_only_what_changed(tab: Page) -> None:
    text = "A **short** paragraph with a [link](https://x.org).\n\n" * 4_000
    whole, median = tab.evaluate(
        """(text) => {
            const timed = (draw) => {
                const start = performance.now();
                draw();
                return performance.now() - start;
            };
            const view = fresh();
            const whole = timed(() => view.set(text.slice(0, -1000)));
            const steps = [];
            for (let end = text.length - 1000; end < text.length; end += 40)
                steps.push(timed(() => view.set(text.slice(0, end))));
            return [whole, steps.sort((one, other) => one - other)[steps.length >> 1]];
        }""",
        text,
    )
    tab.evaluate("() => fresh() && null")
    assert median < whole
