"""The widgets of the chat page, in a real browser, under the page's own policy."""

import inspect
import random
import time
import typing
import warnings
from collections.abc import Iterator
from typing import Any, Literal

import pydantic
import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from scripts.dev import TEMPLATE
from tests.backend import Backend
from tests.render import render

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)
    import chatkit.widgets as W
    from chatkit.actions import ActionConfig

SOURCE = TEMPLATE / "project" / "backend" / "core" / "http" / "page" / "widgets.js"
PIXEL = "data:image/gif;base64,R0lGODlhAQABAIAAAAUEBAAAACwAAAAAAQABAAACAkQBADs="
Given = pydantic.BaseModel | dict[str, Any]
HARNESS = """async () => {
  const { Widget } = await import("./page/widgets.js");
  document.body.replaceChildren(document.createElement("main"));
  document.body.style.display = "block";
  window.problems = [];
  addEventListener("error", (e) => problems.push(String(e.message)));
  addEventListener("unhandledrejection", (e) => problems.push(String(e.reason)));
  document.addEventListener("securitypolicyviolation",
    (e) => problems.push(`${e.violatedDirective} ${e.blockedURI}`));
  window.acts = [];
  window.waiting = [];
  window.hold = false;
  const act = (action) => {
    acts.push(JSON.parse(JSON.stringify(action)));
    if (!hold) return Promise.resolve();
    return new Promise((resolve, reject) => waiting.push({ resolve, reject }));
  };
  window.show = (root) => {
    window.w = new Widget(root, act);
    document.querySelector("main").append(w.element);
  };
}"""
OWN = "<svg xmlns='http://www.w3.org/2000/svg' width='64' height='64'></svg>"


@pytest.fixture(scope="module")
def base() -> Iterator[str]:
    with Backend(render(level=1, store="memory"), {}) as backend:
        yield backend.url


@pytest.fixture(scope="module")
def asked() -> list[str]:
    """Every address that the page has asked for."""
    return []


@pytest.fixture(scope="module")
def tab(browser: Browser, asked: list[str]) -> Iterator[Page]:
    # One for all tests: to open one takes longer than most of them.
    tab = browser.new_page(locale="en-GB")
    tab.set_default_timeout(15_000)
    tab.route("**/own.svg", lambda route: route.fulfill(content_type="image/svg+xml", body=OWN))
    # The page itself would wake up in the middle of it.
    tab.route(
        "**/page/main.js", lambda route: route.fulfill(content_type="text/javascript", body="")
    )
    tab.on("request", lambda request: asked.append(request.url))
    yield tab
    tab.close()


@pytest.fixture
def page(tab: Page, base: str, asked: list[str]) -> Iterator[Page]:
    """A page of a generated project, with nothing in it but widgets."""
    tab.set_viewport_size({"width": 420, "height": 800})
    tab.emulate_media(color_scheme="light")
    tab.goto(base)
    tab.evaluate(HARNESS)
    yield tab
    # Whatever a test does to a widget: no error, no breach of the policy, no other host asked.
    assert tab.evaluate("problems") == []
    assert [url for url in asked if not url.startswith((base, "data:", "blob:"))] == []


def until(page: Page, condition: str) -> None:
    """As page.wait_for_function, which needs the eval() that the policy forbids."""
    for _ in range(60):
        if page.evaluate(condition):
            return
        time.sleep(0.05)
    raise AssertionError(condition)


def dump(widget: Given) -> dict[str, Any]:
    if isinstance(widget, pydantic.BaseModel):
        return widget.model_dump(mode="json", exclude_none=True)
    return widget


def show(page: Page, widget: Given) -> Locator:
    page.evaluate("(root) => show(root)", dump(widget))
    return page.locator(".widget").last


def redraw(page: Page, widget: Given) -> None:
    page.evaluate("(root) => w.setRoot(root)", dump(widget))


def acts(page: Page) -> list[dict[str, Any]]:
    sent: list[dict[str, Any]] = page.evaluate("acts")
    return sent


def action(type: str = "go", payload: Any = None, **more: Any) -> ActionConfig:
    return ActionConfig(type=type, payload=payload, **more)


def card(*children: pydantic.BaseModel, **more: Any) -> W.Card:
    return W.Card(children=list(children), **more)


# Every component


def samples() -> dict[str, tuple[pydantic.BaseModel, list[str] | str]]:
    """One of each component with what is to be seen of it: words, or else a selector."""
    one = W.Text(value="inside")
    return {
        "Card": (
            card(
                one,
                status={"text": "inside status"},
                confirm={"label": "Yes", "action": action()},
                cancel={"label": "No", "action": action()},
            ),
            ["inside", "inside status", "Yes", "No"],
        ),
        "ListView": (
            W.ListView(children=[W.ListViewItem(children=[one])], status={"text": "S"}),
            ["inside", "S"],
        ),
        "ListViewItem": (W.ListViewItem(children=[one]), ["inside"]),
        "BasicRoot": (
            W.BasicRoot(children=[W.DynamicWidgetComponent(type="Text", value="inside")]),
            ["inside"],
        ),
        "DynamicWidgetRoot": (
            W.DynamicWidgetRoot(
                type="Card", children=[W.DynamicWidgetComponent(type="Text", value="inside")]
            ),
            ["inside"],
        ),
        "DynamicWidgetComponent": (
            W.DynamicWidgetComponent(
                type="Novel",
                value="a value",
                label="a label",
                title="a title",
                text="a text",
                children=W.DynamicWidgetComponent(type="Text", value="inside"),
            ),
            ["a value", "a label", "a title", "a text", "inside"],
        ),
        "Markdown": (W.Markdown(value="**md**"), "strong"),
        "Text": (W.Text(value="words"), ["words"]),
        "Title": (W.Title(value="words"), ["words"]),
        "Caption": (W.Caption(value="words"), ["words"]),
        "Badge": (W.Badge(label="words"), ["words"]),
        "Box": (W.Box(children=[one]), ["inside"]),
        "Row": (W.Row(children=[one]), ["inside"]),
        "Col": (W.Col(children=[one]), ["inside"]),
        "Form": (W.Form(children=[one]), ["inside"]),
        "Divider": (W.Divider(), "hr"),
        "Icon": (W.Icon(name="check"), ["✓"]),
        "Image": (W.Image(src=PIXEL, alt="dot"), "img[alt=dot]"),
        "Button": (W.Button(label="Press"), ["Press"]),
        "Spacer": (W.Spacer(), ".spacer"),
        "Select": (
            W.Select(name="n", options=[{"value": "a", "label": "Ay"}]),
            "select:has(option[value=a])",
        ),
        "DatePicker": (W.DatePicker(name="n"), "input[type=date]"),
        "Checkbox": (W.Checkbox(name="n", label="Tick"), ["Tick"]),
        "Input": (W.Input(name="n"), "input[type=text]"),
        "Label": (W.Label(value="Name", fieldName="n"), ["Name"]),
        "RadioGroup": (W.RadioGroup(name="n", options=[{"value": "a", "label": "Ay"}]), ["Ay"]),
        "Textarea": (W.Textarea(name="n"), "textarea"),
        "Transition": (W.Transition(children=one), ["inside"]),
        "Chart": (
            W.Chart(
                data=[{"m": "Jan", "v": 3}],
                series=[W.BarSeries(label="Sales", dataKey="v")],
                xAxis="m",
            ),
            ["Sales by m", "Jan", "3"],
        ),
    }


def component_classes() -> dict[str, type[W.WidgetComponentBase]]:
    return {
        n: c
        for n, c in vars(W).items()
        if inspect.isclass(c)
        and issubclass(c, W.WidgetComponentBase)
        and c is not W.WidgetComponentBase
    }


@pytest.mark.parametrize("name", sorted(component_classes()))
def test_every_component_of_the_sdk_is_drawn(page: Page, name: str) -> None:
    known = samples()
    assert name in known, f"{name} is new in ChatKit: draw it in widgets.js and add it here"
    widget, shows = known[name]
    root = show(page, widget)
    if isinstance(shows, str):
        assert root.locator(shows).count() == 1
    else:
        for words in shows:
            assert words in root.inner_text()


def test_every_type_has_its_own_drawing() -> None:
    source = SOURCE.read_text(encoding="utf-8")
    # Drawn as a plain box, on purpose.
    shared = {"Basic", "Box", "Row", "Col", "ListViewItem", "Transition"}
    for cls in component_classes().values():
        for type_ in typing.get_args(cls.model_fields["type"].annotation):
            if type_ not in shared:
                assert f"\n  {type_}: " in source or f"\n  {type_}(c" in source, type_


def test_a_screen_reader_finds_roles_and_names(page: Page) -> None:
    root = show(
        page,
        card(
            W.Title(value="Booking"),
            W.Form(
                children=[
                    W.Label(value="Full name", fieldName="name"),
                    W.Input(name="name"),
                    W.Label(value="Class", fieldName="class"),
                    W.RadioGroup(
                        name="class",
                        options=[
                            {"value": "e", "label": "Economy"},
                            {"value": "b", "label": "Business"},
                        ],
                    ),
                    W.Label(value="Meal", fieldName="meal"),
                    W.Select(
                        name="meal",
                        placeholder="Pick one",
                        options=[
                            {"value": "v", "label": "Vegan", "disabled": True},
                            {"value": "f", "label": "Fish"},
                        ],
                    ),
                    W.Label(value="Day", fieldName="day"),
                    W.DatePicker(
                        name="day", min="2026-01-02T00:00:00Z", max="2026-02-03T00:00:00Z"
                    ),
                    W.Checkbox(name="agree", label="I agree"),
                    W.Textarea(name="notes", placeholder="Notes", rows=4),
                ]
            ),
            W.Button(iconStart="chevron-left"),
            W.Button(iconStart="wreath"),
        ),
    )
    expect(root.get_by_role("heading", name="Booking")).to_have_count(1)
    expect(root.get_by_role("textbox", name="Full name")).to_have_count(1)
    expect(root.get_by_role("group", name="Class").get_by_role("radio")).to_have_count(2)
    meal = root.get_by_role("combobox", name="Meal")
    expect(meal).to_have_value("")
    assert meal.locator("option").all_inner_texts() == ["Pick one", "Vegan", "Fish"]
    assert meal.locator("option:disabled").all_inner_texts() == ["Pick one", "Vegan"]
    day = root.get_by_label("Day")
    assert (day.get_attribute("min"), day.get_attribute("max")) == ("2026-01-02", "2026-02-03")
    expect(root.get_by_role("checkbox", name="I agree")).to_have_count(1)
    expect(root.get_by_role("textbox", name="Notes")).to_have_attribute("rows", "4")
    expect(root.get_by_role("button", name="chevron-left")).to_have_text("‹\ufe0e")
    expect(root.get_by_role("button", name="wreath")).to_have_text("wreath")
    root.locator("label", has_text="Full name").click()
    expect(root.get_by_label("Full name")).to_be_focused()
    assert root.locator("button").evaluate_all("all => all.every(b => b.type === 'button')")


def test_labels_stay_in_their_form(page: Page) -> None:
    def form() -> W.Form:
        return W.Form(children=[W.Label(value="A", fieldName="a"), W.Input(name="a")])

    root = show(page, card(form(), form()))
    root.locator("label").nth(1).click()
    expect(root.locator("input").nth(1)).to_be_focused()


def test_chart_is_a_table(page: Page) -> None:
    root = show(
        page,
        W.Chart(
            data=[{"m": "1", "a": 10, "b": -5}, {"m": "2", "a": 1234567, "b": 0}],
            series=[
                W.BarSeries(label="A", dataKey="a", color="red"),
                W.LineSeries(label=None, dataKey="b"),
            ],
            xAxis={"dataKey": "m", "labels": {"1": "January"}},
        ),
    )
    table = root.get_by_role("table", name="A, b by m")
    assert table.get_by_role("columnheader").all_inner_texts() == ["m", "A", "b"]
    assert table.get_by_role("rowheader").all_inner_texts() == ["January", "2"]
    assert table.get_by_role("cell").all_inner_texts() == ["10", "-5", "1234567", "0"]


def test_only_this_server_s_images_are_loaded(page: Page) -> None:
    root = show(
        page,
        card(
            W.Image(src="/own.svg", alt="own", fit="contain", width=20, height=20),
            W.Image(src=PIXEL, alt="data"),
            W.Image(src="https://user@evil.example/p.png?q=secret", alt="far"),
            W.Image(src="javascript:alert(1)", alt="script"),
            W.Image(src="https://evil.example/x"),
            W.Image(src="", alt="none"),
        ),
    )
    assert root.locator("img").evaluate_all("all => all.map(i => i.alt)") == ["own", "data"]
    assert root.locator("a").all_inner_texts() == ["far (evil.example)", "Image (evil.example)"]
    assert root.locator("a").evaluate_all(
        "all => all.every(a => a.rel === 'noopener noreferrer nofollow' && a.target === '_blank')"
    )
    assert "script" in root.inner_text() and "none" in root.inner_text()
    assert root.locator("img").first.evaluate("i => [getComputedStyle(i).objectFit, i.width]") == [
        "contain",
        20,
    ]
    page.evaluate("""async () => {
      const src = URL.createObjectURL(await (await fetch("/own.svg")).blob());
      w.setRoot({ type: "Image", src, alt: "blob" });
    }""")
    expect(root.locator("img[alt=blob]")).to_have_count(1)


def test_a_long_list_shows_more_on_demand(page: Page) -> None:
    root = show(
        page,
        W.ListView(
            limit=2,
            status={"text": "Five found", "icon": "search"},
            children=[
                W.ListViewItem(id=f"i{n}", children=[W.Text(value=f"Item {n}")]) for n in range(5)
            ],
        ),
    )
    assert "Five found" in root.inner_text()
    expect(root.get_by_role("listitem")).to_have_count(2)
    page.evaluate("""w.setComponent("i4", {
      type: "ListViewItem", id: "i4", children: [{ type: "Text", value: "New 4" }],
    })""")
    expect(root.get_by_role("listitem")).to_have_count(2)
    root.get_by_text("Show more").press("Enter")
    expect(root.get_by_role("listitem")).to_have_count(5)
    assert "New 4" in root.inner_text()
    page.evaluate("""w.setComponent("i4", {
      type: "ListViewItem", id: "i4", children: [{ type: "Text", value: "Newer 4" }],
    })""")
    assert "Newer 4" in root.inner_text()
    page.evaluate("""w.setRoot({
      type: "ListView",
      limit: 1,
      children: [{ type: "ListViewItem", children: [] }, { type: "Text", value: "stray" }],
    })""")
    assert "stray" in root.inner_text()


def test_a_list_limits_itself(page: Page) -> None:
    root = show(
        page, W.ListView(limit="auto", children=[W.ListViewItem(children=[]) for _ in range(9)])
    )
    expect(root.get_by_role("listitem")).to_have_count(5)


# Actions


def test_a_button_sends_its_action_as_it_is(page: Page) -> None:
    root = show(
        page,
        card(
            W.Button(
                label="Go",
                onClickAction=action(
                    "t", {"a": 1}, handler="client", loadingBehavior="none", streaming=False
                ),
            )
        ),
    )
    root.get_by_role("button").click()
    assert acts(page) == [
        {
            "type": "t",
            "payload": {"a": 1},
            "handler": "client",
            "loadingBehavior": "none",
            "streaming": False,
        }
    ]


def test_an_action_needs_no_more_than_a_type(page: Page) -> None:
    root = show(page, {"type": "Button", "label": "Go", "onClickAction": {"type": "t"}})
    root.get_by_role("button").click()
    assert acts(page) == [{"type": "t", "payload": None}]


def test_a_button_without_an_action_sends_nothing(page: Page) -> None:
    root = show(
        page,
        card(
            W.Button(label="A"),
            W.Button(label="B", submit=True),
            W.Button(label="C", submit=True, onClickAction=action("c")),
        ),
    )
    for name in "ABC":
        root.get_by_role("button", name=name).click()
    assert [a["type"] for a in acts(page)] == ["c"]


def fields() -> list[pydantic.BaseModel]:
    return [
        W.Input(name="todo.title", defaultValue="Milk"),
        W.Textarea(name="todo.notes"),
        W.Select(
            name="todo.meta.list",
            options=[{"value": "x", "label": "X"}, {"value": "y", "label": "Y"}],
            defaultValue="y",
        ),
        W.Select(name="none", options=[{"value": "x", "label": "X"}]),
        W.DatePicker(name="due", defaultValue="2026-03-04T00:00:00Z"),
        W.Checkbox(name="done", defaultChecked=True),
        W.Checkbox(name="undone"),
        W.RadioGroup(
            name="level",
            options=[{"value": "1", "label": "One"}, {"value": "2", "label": "Two"}],
            defaultValue="2",
        ),
        W.RadioGroup(name="open", options=[{"value": "1", "label": "One"}]),
        W.Text(value="edit me", editable={"name": "text"}),
        W.Text(value="two\nlines", editable={"name": "long"}),
        W.Input(name="off", defaultValue="gone", disabled=True),
        W.Input(name="todo.id", defaultValue="other"),
        W.Input(name="number", inputType="number", defaultValue="4"),
        W.Input(name="__proto__.polluted", defaultValue="yes"),
        W.Input(name="constructor.x", defaultValue="z"),
    ]


VALUES = {
    "todo": {"id": 7, "title": "Milk", "notes": "typed", "meta": {"list": "y"}},
    "none": "",
    "due": "2026-03-04",
    "done": True,
    "undone": False,
    "level": "2",
    "open": "",
    "text": "edit me",
    "long": "two\nlines",
    "number": "4",
    "constructor": {"x": "z"},
}


def test_a_form_sends_what_was_typed(page: Page) -> None:
    root = show(
        page,
        W.Form(
            children=[
                *fields(),
                W.Button(label="Save", submit=True),
                W.Button(label="Other", onClickAction=action("other")),
            ],
            onSubmitAction=action("save", {"todo": {"id": 7}}),
        ),
    )
    root.locator("textarea").first.fill("typed")
    root.get_by_role("button", name="Save").click()
    root.get_by_role("button", name="Other").click()
    save, other = acts(page)
    assert (save["type"], save["payload"]) == ("save", VALUES)
    assert other["payload"]["todo"]["title"] == "Milk" and other["payload"]["todo"]["id"] == "other"
    assert page.evaluate("({}).polluted") is None


def test_payload_that_is_no_object_stays(page: Page) -> None:
    root = show(
        page,
        W.Form(
            children=[W.Input(name="a"), W.Button(label="Go", onClickAction=action("t", [1, 2]))]
        ),
    )
    root.get_by_role("button").click()
    assert acts(page)[0]["payload"] == [1, 2]


def test_a_card_can_be_a_form(page: Page) -> None:
    root = show(
        page,
        card(
            W.Input(name="a", required=True),
            W.Form(children=[W.Input(name="b", defaultValue="2")]),
            asForm=True,
            confirm={"label": "OK", "action": action("ok", {"c": 3})},
            cancel={"label": "No", "action": action("no")},
        ),
    )
    root.get_by_role("button", name="OK").click()
    assert acts(page) == []
    root.locator("input").first.fill("1")
    root.locator("input").first.press("Enter")
    root.get_by_role("button", name="No").click()
    assert [(a["type"], a["payload"]) for a in acts(page)] == [
        ("ok", {"c": 3, "a": "1", "b": "2"}),
        ("no", {"a": "1", "b": "2"}),
    ]


def test_a_card_that_is_no_form_sends_no_fields(page: Page) -> None:
    root = show(page, card(W.Input(name="a"), confirm={"label": "OK", "action": action("ok")}))
    root.get_by_role("button").click()
    assert acts(page)[0]["payload"] is None


def test_enter_submits_without_a_button(page: Page) -> None:
    root = show(page, W.Form(children=[W.Input(name="a")], onSubmitAction=action("s")))
    root.locator("input").fill("x")
    root.locator("input").press("Enter")
    assert acts(page)[0]["payload"] == {"a": "x"}


def test_a_submit_button_sends_its_own_action_once_the_form_is_valid(page: Page) -> None:
    root = show(
        page,
        W.Form(
            children=[
                W.Input(name="a", required=True),
                W.Button(label="Draft", submit=True, onClickAction=action("draft")),
            ],
            onSubmitAction=action("publish"),
        ),
    )
    root.get_by_role("button").click()
    assert acts(page) == []
    root.locator("input").fill("x")
    root.get_by_role("button").click()
    assert [(a["type"], a["payload"]) for a in acts(page)] == [("draft", {"a": "x"})]


@pytest.mark.parametrize(
    "field, bad, good",
    [
        (W.Input(name="f", required=True), "", "x"),
        (W.Input(name="f", pattern="[0-9]{3}"), "12", "123"),
        (W.Input(name="f", inputType="email"), "nobody", "a@b.example"),
        (W.Input(name="f", inputType="url"), "nowhere", "https://a.example"),
        (W.Textarea(name="f", required=True), "", "x"),
        (W.Text(value="", editable={"name": "f", "required": True}), "", "x"),
        (W.Text(value="", editable={"name": "f", "pattern": "a+"}), "b", "aa"),
        (W.DatePicker(name="f", min="2026-01-10T00:00:00Z"), "2026-01-01", "2026-01-20"),
    ],
)
def test_a_bad_value_is_told_before_it_is_sent(
    page: Page, field: pydantic.BaseModel, bad: str, good: str
) -> None:
    root = show(
        page,
        W.Form(
            children=[W.Input(name="first"), field, W.Button(label="Save", submit=True)],
            onSubmitAction=action(),
        ),
    )
    box = root.locator("input, textarea").nth(1)
    box.fill(bad)
    root.get_by_role("button").click()
    assert acts(page) == []
    expect(box).to_be_focused()
    assert box.evaluate("n => n.validationMessage") != ""
    box.fill(good)
    root.get_by_role("button").click()
    assert acts(page)[0]["payload"]["f"] == good


def test_a_missing_choice_is_told_before_it_is_sent(page: Page) -> None:
    root = show(
        page,
        W.Form(
            children=[
                W.Checkbox(name="c", label="C", required=True),
                W.RadioGroup(name="r", required=True, options=[{"value": "1", "label": "R"}]),
                W.Button(label="Save", submit=True),
            ],
            onSubmitAction=action(),
        ),
    )
    save = root.get_by_role("button")
    save.click()
    root.get_by_label("C").check()
    save.click()
    assert acts(page) == []
    root.get_by_label("R", exact=True).check()
    save.click()
    assert acts(page)[0]["payload"] == {"c": True, "r": "1"}


def test_a_change_sends_its_action(page: Page) -> None:
    def change(name: str) -> ActionConfig:
        return action(name, {"id": 1})

    root = show(
        page,
        card(
            W.Select(
                name="a.s", options=[{"value": "x", "label": "X"}], onChangeAction=change("select")
            ),
            W.Checkbox(name="c", label="C", onChangeAction=change("checkbox")),
            W.DatePicker(name="d", onChangeAction=change("date"), max="2026-02-02T00:00:00Z"),
            W.RadioGroup(
                name="r", options=[{"value": "1", "label": "One"}], onChangeAction=change("radio")
            ),
            W.Form(
                children=[
                    W.Input(name="i", defaultValue="in"),
                    W.Checkbox(name="f", label="F", onChangeAction=change("form")),
                ]
            ),
        ),
    )
    root.locator("select").select_option("x")
    root.get_by_label("C").check()
    root.locator("[type=date]").fill("2026-03-03")
    root.locator("[type=date]").fill("2026-01-01")
    root.get_by_label("One").check()
    root.get_by_label("F").check()
    assert [(a["type"], a["payload"]) for a in acts(page)] == [
        ("select", {"id": 1, "a": {"s": "x"}}),
        ("checkbox", {"id": 1, "c": True}),
        ("date", {"id": 1, "d": "2026-01-01"}),
        ("radio", {"id": 1, "r": "1"}),
        ("form", {"id": 1, "i": "in", "f": True}),
    ]


def test_a_spacer_pushes_what_follows_to_the_end(page: Page) -> None:
    row = W.Row(children=[W.Text(value="first"), W.Spacer(), W.Text(value="last")])
    root = show(page, card(row))
    first, last = (root.get_by_text(word).bounding_box() for word in ("first", "last"))
    assert first is not None and last is not None
    assert last["x"] - first["x"] > 200


def test_a_list_item_and_a_button_in_it_are_clicked_apart(page: Page) -> None:
    root = show(
        page,
        W.ListView(
            children=[
                W.ListViewItem(
                    onClickAction=action("item"),
                    children=[
                        W.Text(value="Row one"),
                        W.Button(label="Inner", onClickAction=action("inner")),
                    ],
                )
            ]
        ),
    )
    root.get_by_role("button", name="Row one").click()
    root.get_by_role("button", name="Inner", exact=True).click()
    row = root.get_by_text("Row one").bounding_box()
    assert row is not None
    page.mouse.click(row["x"] + 5, row["y"] + 5)
    assert [a["type"] for a in acts(page)] == ["item", "inner", "item"]


def test_any_component_may_be_clicked(page: Page) -> None:
    root = show(
        page,
        W.DynamicWidgetComponent(
            type="Box",
            onClickAction={"type": "box"},
            children=[W.DynamicWidgetComponent(type="Text", value="here")],
        ),
    )
    root.get_by_role("button", name="here").press("Space")
    assert acts(page)[0]["type"] == "box"


# Busy


def test_a_widget_rests_while_its_action_is_under_way(page: Page) -> None:
    root = show(
        page,
        card(
            W.Button(label="A", onClickAction=action("a")),
            W.Button(label="B", onClickAction=action("b")),
        ),
    )
    page.evaluate("hold = true")
    a, b = root.get_by_role("button", name="A"), root.get_by_role("button", name="B")
    a.focus()
    a.press("Enter")
    expect(a).to_be_disabled()
    expect(b).to_be_disabled()
    expect(root).to_have_attribute("aria-busy", "true")
    for button in (a, b):
        button.evaluate("n => n.click()")
    assert len(acts(page)) == 1
    page.evaluate("waiting[0].reject(new Error('no'))")
    expect(a).to_be_enabled()
    assert root.get_attribute("aria-busy") is None
    expect(a).to_be_focused()
    a.click()
    assert len(acts(page)) == 2


@pytest.mark.parametrize("how", ["resolve", "reject"])
def test_the_whole_widget_rests_while_a_card_acts(page: Page, how: str) -> None:
    root = show(
        page, card(W.Input(name="x"), asForm=True, confirm={"label": "OK", "action": action("ok")})
    )
    page.evaluate("hold = true")
    root.locator("input").fill("v")
    root.locator("input").press("Enter")
    assert root.evaluate("n => n.ariaBusy") == "true"
    root.locator("button").evaluate("n => n.click()")
    assert len(acts(page)) == 1
    page.wait_for_timeout(100)
    page.evaluate(f"waiting[0].{how}(new Error('no'))")
    until(page, "!w.element.ariaBusy")
    expect(root.locator("input")).to_be_focused()


@pytest.mark.parametrize(
    "behaviour, busy",
    [("none", False), ("container", True), ("self", True), ("auto", False)],
)
def test_a_select_is_busy_as_its_loading_behaviour_says(
    page: Page, behaviour: str, busy: bool
) -> None:
    root = show(
        page,
        card(
            W.Select(
                name="s",
                options=[{"value": "x", "label": "X"}],
                onChangeAction=action("s", loadingBehavior=behaviour),
            )
        ),
    )
    page.evaluate("hold = true")
    root.locator("select").select_option("x")
    assert page.evaluate("w.element.ariaBusy") == ("true" if busy else None)
    page.evaluate("waiting[0].resolve()")
    until(page, "!w.element.ariaBusy")


def test_a_form_or_a_list_item_that_acts_makes_its_widget_rest(page: Page) -> None:
    root = show(
        page,
        W.BasicRoot(
            children=[
                W.DynamicWidgetComponent(
                    type="Form",
                    onSubmitAction={"type": "f", "loadingBehavior": "self"},
                    children=[W.DynamicWidgetComponent(type="Button", label="Send", submit=True)],
                ),
                W.DynamicWidgetComponent(
                    type="ListViewItem",
                    onClickAction={"type": "i"},
                    children=[W.DynamicWidgetComponent(type="Text", value="Row")],
                ),
            ]
        ),
    )
    page.evaluate("hold = true")
    for number, name in enumerate(("Send", "Row")):
        root.get_by_role("button", name=name).click()
        expect(root.get_by_role("button", name="Row")).to_be_disabled()
        page.evaluate(f"waiting[{number}].resolve()")
        expect(root.get_by_role("button", name="Row")).to_be_enabled()
    assert [a["type"] for a in acts(page)] == ["f", "i"]


def test_busy_outlives_a_redraw(page: Page) -> None:
    widget = dump(card(W.Button(id="b", label="A", onClickAction=action("a"))))
    root = show(page, widget)
    page.evaluate("hold = true")
    a = root.get_by_role("button")
    a.focus()
    a.press("Enter")
    page.wait_for_timeout(50)
    widget["children"][0]["label"] = "Saving"
    redraw(page, widget)
    expect(a).to_be_disabled()
    a.evaluate("n => n.click()")
    assert len(acts(page)) == 1
    page.evaluate("waiting[0].resolve()")
    expect(a).to_be_enabled()
    expect(a).to_be_focused()


def test_what_the_server_has_disabled_stays_so(page: Page) -> None:
    widget = dump(card(W.Button(label="A", onClickAction=action("a"))))
    root = show(page, widget)
    page.evaluate("hold = true")
    root.get_by_role("button").click()
    widget["children"][0]["disabled"] = True
    redraw(page, widget)
    page.evaluate("waiting[0].resolve()")
    page.wait_for_timeout(50)
    expect(root.get_by_role("button")).to_be_disabled()


def test_a_button_whose_action_fails_at_once_is_enabled_again(page: Page) -> None:
    page.evaluate("""() => {
      show({ type: "Button", label: "A", onClickAction: { type: "a" } });
      w.act = () => { throw new Error("x"); };
    }""")
    b = page.get_by_role("button")
    b.click()
    expect(b).to_be_enabled()


# Updates


def test_a_streaming_text_grows(page: Page) -> None:
    root = show(
        page,
        card(
            W.Text(id="t", value="Hel", streaming=True),
            W.Markdown(id="m", value="**a", streaming=True),
            W.Text(id="empty", value=""),
            W.Button(label="x"),
        ),
    )
    page.evaluate("""() => {
      window.node = w.element.querySelector("[data-id=t]");
      window.button = w.element.querySelector("button");
      w.appendText("t", "lo", false);
      w.appendText("t", "!", true);
      w.appendText("m", "b**", true);
      w.appendText("empty", "now", true);
      w.appendText("nobody", "x", true);
      w.appendText('"]', "x", true);
    }""")
    expect(root.locator("[data-id=t]")).to_have_text("Hello!")
    expect(root.locator("[data-id=m] strong")).to_have_text("ab")
    expect(root.locator("[data-id=empty]")).to_have_text("now")
    assert page.evaluate("node.isConnected && button.isConnected")


def test_component_update_redraws_only_itself(page: Page) -> None:
    root = show(
        page,
        card(W.Text(id="a", value="one"), W.Box(id="b", children=[W.Text(id="c", value="two")])),
    )
    page.evaluate("""() => {
      window.a = w.element.querySelector("[data-id=a]");
      w.setComponent("c", { type: "Title", id: "c", value: "new" });
      w.setComponent("zz", { type: "Text", value: "no" });
    }""")
    assert root.inner_text().split() == ["one", "new"]
    assert page.evaluate("a.isConnected")
    page.evaluate("""() => {
      w.setComponent("c", { type: "Text", value: "again" });
      w.appendText("c", "!", true);
    }""")
    assert root.inner_text().split() == ["one", "again!"]


def test_updates_keep_what_is_typed_focus_and_caret(page: Page) -> None:
    def form(error: str, *extra: pydantic.BaseModel) -> dict[str, Any]:
        return dump(
            card(
                *([W.Text(value=error)] if error else []),
                W.Form(
                    id="f",
                    children=[
                        *extra,
                        W.Label(value="Name", fieldName="n"),
                        W.Input(name="n", defaultValue="d"),
                        W.Textarea(name="t"),
                        W.Checkbox(name="c", label="C"),
                        W.RadioGroup(
                            name="r",
                            options=[{"value": "1", "label": "R1"}, {"value": "2", "label": "R2"}],
                            defaultValue="1",
                        ),
                        W.Select(
                            name="s",
                            options=[{"value": "x", "label": "X"}, {"value": "y", "label": "Y"}],
                        ),
                        W.Input(name="e", inputType="email"),
                        W.Input(name="u", defaultValue="untouched" + error),
                    ],
                ),
            )
        )

    root = show(page, form(""))
    name = root.get_by_label("Name")
    root.locator("textarea").fill("area")
    root.get_by_label("C", exact=True).check()
    root.get_by_label("R2").check()
    root.locator("select").select_option("y")
    root.locator("[type=email]").fill("a@b")
    name.fill("abcdef")
    name.evaluate("n => n.setSelectionRange(2, 4)")

    def unchanged() -> None:
        expect(name).to_be_focused()
        assert name.evaluate("n => [n.value, n.selectionStart, n.selectionEnd]") == ["abcdef", 2, 4]
        assert root.locator("textarea").input_value() == "area"
        assert (
            root.get_by_label("C", exact=True).is_checked() and root.get_by_label("R2").is_checked()
        )
        assert not root.get_by_label("R1").is_checked()
        assert root.locator("select").input_value() == "y"
        assert root.locator("[type=email]").input_value() == "a@b"

    redraw(
        page,
        form(
            "Error",
            W.Input(name="new"),
            W.RadioGroup(name="q", options=[{"value": "2", "label": "Q"}]),
        ),
    )
    unchanged()
    assert root.locator("[data-name=u]").input_value() == "untouchedError"
    page.evaluate("(c) => w.setComponent('f', c)", form("")["children"][0])
    unchanged()
    redraw(page, form(""))
    unchanged()
    name.press("X")
    assert name.input_value() == "abXef"


def test_a_chosen_option_that_is_gone_leaves_the_placeholder(page: Page) -> None:
    def select(*values: str) -> W.Select:
        options = [{"value": value, "label": value} for value in values]
        return W.Select(name="s", placeholder="P", options=options)

    root = show(page, select("x", "y"))
    root.locator("select").select_option("y")
    redraw(page, select("x"))
    assert root.locator("select").evaluate("n => n.selectedOptions[0]?.label") == "P"


def test_a_new_key_starts_afresh(page: Page) -> None:
    root = show(page, {"type": "Input", "name": "a", "key": "1"})
    root.locator("input").fill("typed")
    page.evaluate("w.setRoot({type: 'Input', name: 'a', key: '2'})")
    expect(root.locator("input")).to_have_value("")


def test_focus_on_a_button_outlives_a_redraw(page: Page) -> None:
    def item(n: int) -> W.ListViewItem:
        return W.ListViewItem(
            onClickAction=action("go", {"n": n}), children=[W.Text(value=f"Item {n}")]
        )

    root = show(page, W.ListView(children=[item(1), item(2)]))
    root.get_by_role("button", name="Item 2").focus()
    redraw(page, W.ListView(children=[item(1), item(2), item(3)]))
    expect(root.get_by_role("button", name="Item 2")).to_be_focused()


def test_redraw_takes_no_focus_from_elsewhere(page: Page) -> None:
    show(page, card(W.Input(name="a", autoFocus=True)))
    page.evaluate("w.setRoot({type: 'Input', name: 'a'})")
    assert page.evaluate("document.activeElement === document.body")


# Styles


def style(page: Page, **properties: Any) -> str:
    page.evaluate("window.w?.element.remove()")
    show(page, {"type": "Box", "id": "x", **properties})
    css: str = page.evaluate("w.element.firstChild.style.cssText")
    return css


@pytest.mark.parametrize(
    "given, css",
    [
        ({"gap": 2}, "gap: 8px"),
        ({"gap": "1rem"}, "gap: 1rem"),
        ({"padding": 3}, "padding: 12px"),
        ({"padding": "4px 8px"}, "padding: 4px 8px"),
        ({"padding": {"x": 2, "top": 1}}, "padding: 4px 8px 0px"),
        ({"margin": {"left": "auto"}}, "margin: 0px 0px 0px auto"),
        ({"width": 120}, "width: 120px"),
        ({"size": 40}, "width: 40px; height: 40px"),
        ({"width": "50%"}, "width: 50%"),
        ({"minWidth": 4, "maxWidth": "20ch"}, "min-width: 4px; max-width: 20ch"),
        ({"size": 10, "width": 5}, "width: 5px; height: 10px"),
        (
            {"align": "center", "justify": "between"},
            "align-items: center; justify-content: space-between",
        ),
        ({"flex": 1}, "flex: 1 1 0%"),
        ({"flex": "0 0 auto"}, "flex: 0 0 auto"),
        ({"wrap": "wrap"}, "flex-wrap: wrap"),
        ({"radius": "full"}, "border-radius: 500px"),
        ({"radius": "lg"}, "border-radius: 10px"),
        ({"radius": "100%"}, "border-radius: 100%"),
        ({"border": 1}, "border: 1px solid var(--line)"),
        ({"border": {"size": 2, "color": "#f00"}}, "border: 2px solid rgb(255, 0, 0)"),
        ({"border": {"size": 2, "color": "strong"}}, "border: 2px solid var(--line)"),
        ({"background": "surface-secondary"}, "background: var(--raised)"),
        ({"background": "#abc"}, "background: rgb(170, 187, 204)"),
        ({"background": "rgb(0 0 0 / 50%)"}, "background: rgba(0, 0, 0, 0.5)"),
        ({"color": "danger"}, "--tone: var(--danger)"),
        ({"theme": "dark"}, "color-scheme: dark"),
    ],
)
def test_a_style_is_drawn(page: Page, given: dict[str, Any], css: str) -> None:
    assert css in style(page, **given)


HOSTILE = [
    "url(https://evil.example/x)",
    "URL(//evil.example)",
    "image-set('https://evil.example/x' 1x)",
    "red;background:url(//evil.example)",
    "var(--x,url(//evil.example))",
    "expression(alert(1))",
    "-webkit-image-set(url(//evil.example) 1x)",
    "99999px",
    "1e9px",
    "calc(1px * 999999)",
    "attr(x)",
    "\\75rl(//evil.example)",
    "u\\rl(//evil.example)",
    "url\n(//evil.example)",
    "light-dark(url(a),url(b))",
    "rgb(url(//evil.example))",
    "src('//evil.example')",
    "cross-fade(url(//evil.example), red)",
    "paint(x)",
    "@import '//evil.example'",
]


def test_hostile_values_set_nothing(page: Page) -> None:
    names = [
        "gap",
        "padding",
        "margin",
        "width",
        "height",
        "size",
        "minWidth",
        "maxSize",
        "align",
        "justify",
        "wrap",
        "flex",
        "background",
        "border",
        "radius",
        "aspectRatio",
        "color",
        "weight",
        "textAlign",
        "fit",
        "position",
        "theme",
        "spacing",
        "maxLines",
        "minLines",
    ]
    for value in HOSTILE:
        for shape in (
            value,
            {"light": value, "dark": value},
            {"size": value},
            {"size": 1, "color": value},
            {"size": 1, "style": value},
            {"top": value, "x": value},
            {"top": {"size": 1, "color": value}},
        ):
            text = style(page, **{name: shape for name in names})
            for word in ("url", "evil", "(/", "9999", "1e", "calc", "attr", "src", "@"):
                assert word not in text.replace("color-scheme", ""), (value, text)


def test_hostile_text_is_text(page: Page) -> None:
    evil = "<img src=x onerror=alert(1)><script>alert(1)</script>"
    root = show(
        page,
        card(
            W.Text(value=evil),
            W.Title(value=evil),
            W.Badge(label=evil),
            W.Button(label=evil),
            W.Label(value=evil, fieldName=evil),
            W.Input(name=evil, defaultValue=evil, placeholder=evil),
            W.Select(name="s", options=[{"value": evil, "label": evil}]),
            W.Chart(
                data=[{evil: evil}], series=[W.BarSeries(label=evil, dataKey=evil)], xAxis=evil
            ),
        ),
    )
    assert root.locator("img, script").count() == 0
    assert root.inner_text().count("onerror") >= 6
    assert root.evaluate("""(n) => [...n.querySelectorAll("*")].every(
      (e) => [...e.attributes].every((a) => !a.name.startsWith("on")),
    )""")


@pytest.mark.parametrize(
    "name",
    [
        "submit",
        "elements",
        "querySelectorAll",
        "replaceWith",
        "dataset",
        "style",
        "addEventListener",
        "closest",
        "inert",
        "noValidate",
        "contains",
        "remove",
        "tagName",
        "ariaBusy",
    ],
)
def test_field_names_hide_nothing_of_a_form(page: Page, name: str) -> None:
    form = dump(
        W.Form(
            id="f",
            children=[W.Input(name=name, defaultValue="v"), W.Button(label="Go", submit=True)],
            onSubmitAction=action(),
        )
    )
    root = show(page, form)
    page.evaluate("(form) => w.setComponent('f', form)", form)
    root.get_by_role("button").click()
    assert acts(page)[0]["payload"] == {name: "v"}


def test_a_widget_stays_in_its_place(page: Page) -> None:
    root = show(
        page,
        {
            "type": "Box",
            "width": 900,
            "margin": "-50px",
            "children": [{"type": "Text", "value": "x" * 500}],
        },
    )
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    outer = root.bounding_box()
    assert outer is not None and outer["x"] >= 0


def test_a_widget_keeps_its_theme(page: Page) -> None:
    root = show(page, card(W.Text(value="x"), theme="dark"))
    assert (
        root.locator(".card").evaluate("n => getComputedStyle(n).backgroundColor")
        == "rgb(23, 24, 26)"
    )
    root = show(page, W.ListView(children=[], theme="light"))
    page.emulate_media(color_scheme="dark")
    assert (
        root.locator(".list").evaluate("n => getComputedStyle(n).backgroundColor")
        == "rgb(255, 255, 255)"
    )


def test_texts_look_as_asked(page: Page) -> None:
    root = show(
        page,
        card(
            W.Text(
                value="a",
                italic=True,
                lineThrough=True,
                weight="semibold",
                color="danger",
                size="xl",
                textAlign="center",
            ),
            W.Text(value="long " * 80, truncate=True),
            W.Text(value="one line"),
            W.Caption(value="c", color="#123456"),
        ),
    )

    def css(n: int, *names: str) -> list[str]:
        values: list[str] = (
            root.locator("p")
            .nth(n)
            .evaluate("(p, names) => names.map((name) => getComputedStyle(p)[name])", names)
        )
        return values

    def height(n: int) -> float:
        box = root.locator("p").nth(n).bounding_box()
        assert box is not None
        return box["height"]

    assert css(0, "fontStyle", "textDecorationLine", "fontWeight", "textAlign", "color") == [
        "italic",
        "line-through",
        "600",
        "center",
        "rgb(179, 38, 30)",
    ]
    assert height(1) == pytest.approx(height(2), abs=1)
    assert css(3, "color") == ["rgb(18, 52, 86)"]


# Malformed


def test_a_malformed_widget_breaks_nothing(page: Page) -> None:
    page.evaluate("""() => {
      const odd = [
        null,
        undefined,
        1,
        "text",
        true,
        [],
        [null],
        ["a", ["b"]],
        {},
        { type: 7 },
        { type: {} },
        { type: "__proto__" },
        { type: "constructor" },
        { type: "Card" },
        { type: "Card", children: null, status: "x", confirm: "y", cancel: {} },
        { type: "ListView", children: "abc", limit: -1 },
        { type: "Select" },
        { type: "RadioGroup", options: "x" },
        { type: "Chart" },
        { type: "Chart", data: [null, 1, {}], series: [{}, null], xAxis: null },
        { type: "Image" },
        { type: "Button", onClickAction: "x" },
        { type: "Text", value: { toString: 1 } },
        { type: "Text", editable: {} },
        { type: "Markdown" },
        { type: "Form", onSubmitAction: [] },
        { type: "Image", src: "http://[" },
        { type: "Textarea", rows: 0 },
        { type: "DatePicker", defaultValue: 5 },
        { type: "Box", id: { toString: 1 } },
        { type: "Text", minLines: { toString: 1 }, editable: { name: { toString: 1 } } },
      ];
      for (const root of odd) {
        show(root);
        w.setRoot({ type: "Box", id: "i", children: odd });
        w.setComponent("i", root);
        w.appendText("i", "x", true);
      }
      for (const bad of [null, {}, [], { toString: 1 }]) {
        w.setComponent(bad, bad);
        w.appendText(bad, bad, bad);
      }
    }""")
    assert "text" in page.locator(".widget").nth(3).inner_text()


def test_depth_is_bounded(page: Page) -> None:
    deep = page.evaluate("""() => {
      let c = { type: "Text", value: "deepest" };
      for (let i = 0; i < 1000; i++) c = { type: i % 2 ? "Row" : "Form", children: [c] };
      show(c);
      let n = 0;
      for (let e = w.element; e; e = e.lastElementChild) n++;
      let arrays = ["x"];
      for (let i = 0; i < 100000; i++) arrays = [arrays];
      w.setRoot({ type: "Box", children: arrays });
      let payload = {};
      for (let i = 0; i < 100000; i++) payload = { payload };
      w.setRoot({
        type: "Box",
        background: { light: payload, dark: payload },
        padding: payload,
        children: payload,
      });
      return n;
    }""")
    assert deep <= 55


def test_updates_nest_no_deeper_either(page: Page) -> None:
    page.evaluate("""() => {
      show({ type: "Box", id: "0" });
      for (let i = 0; i < 80; i++) {
        const children = [{ type: "Box", id: String(i + 1) }];
        w.setComponent(String(i), { type: "Box", id: String(i), children });
      }
    }""")
    assert page.locator(".widget [data-depth]").count() <= 51


def test_random_widgets_break_nothing(page: Page) -> None:
    rng = random.Random(7)
    known = {
        t
        for c in component_classes().values()
        for t in typing.get_args(c.model_fields["type"].annotation)
    }
    types = [*sorted(known), "Novel", 3, None]
    names = sorted(
        {n for c in component_classes().values() for n in c.model_fields}
        | {"padding", "margin", "border", "onClickAction"}
    )
    atoms: list[Any] = [
        None,
        True,
        0,
        -5,
        1e300,
        3,
        "",
        "x",
        "auto",
        "url(//evil.example)",
        {"toString": 1},
        [],
        [None],
        {},
        "a" * 300,
        "__proto__",
        {"size": {}},
        {"type": "go"},
        "sm",
        "2xl",
        {"light": 1},
        {"name": "n"},
        [{"label": {}, "value": []}],
        {"text": "t"},
    ]

    def tree(depth: int) -> dict[str, Any]:
        c: dict[str, Any] = {n: rng.choice(atoms) for n in rng.sample(names, 14)}
        c["type"] = rng.choice(types)
        if depth:
            c["children"] = rng.choice([tree(depth - 1), [tree(depth - 1) for _ in range(2)], None])
        return c

    page.evaluate(
        """(trees) => {
          for (const tree of trees) {
            show(tree);
            w.setRoot(tree);
            for (const n of w.element.querySelectorAll("button:not([hidden]), input, select")) {
              n.click();
              n.dispatchEvent(new Event("change", { bubbles: true }));
            }
            w.element.remove();
          }
        }""",
        [tree(3) for _ in range(150)],
    )


# Keyboard and accessibility


def test_the_keyboard_is_enough(page: Page) -> None:
    root = show(
        page,
        card(
            W.Form(
                children=[
                    W.Input(name="a", placeholder="A"),
                    W.Checkbox(name="b", label="B"),
                    W.RadioGroup(
                        name="r",
                        options=[{"value": "1", "label": "1"}, {"value": "2", "label": "2"}],
                    ),
                    W.Select(name="s", options=[{"value": "x", "label": "Xx"}]),
                    W.Button(label="Send", submit=True),
                ],
                onSubmitAction=action(),
            ),
            W.ListViewItem(onClickAction=action("row"), children=[W.Text(value="Row")]),
        ),
    )
    key = page.keyboard
    for press in [
        "Tab",
        "h",
        "i",
        "Tab",
        "Space",
        "Tab",
        "Space",
        "ArrowDown",
        "Tab",
        "x",
        "Tab",
        "Space",
    ]:
        key.press(press)
    assert acts(page)[0]["payload"] == {"a": "hi", "b": True, "r": "2", "s": "x"}
    key.press("Tab")
    key.press("Enter")
    key.press("Space")
    assert [a["type"] for a in acts(page)][1:] == ["row", "row"]
    assert (
        root.get_by_role("button", name="Row").evaluate("n => getComputedStyle(n).outlineStyle")
        == "solid"
    )


# The gallery


def gallery() -> list[pydantic.BaseModel]:
    def item(title: str, sub: str, badge: str, tone: str | None) -> W.ListViewItem:
        words = [W.Text(value=title, weight="medium"), W.Caption(value=sub)]
        return W.ListViewItem(
            onClickAction=action("open"),
            children=[
                W.Icon(name="document", color="secondary"),
                W.Col(gap=0, flex=1, children=words),
                W.Badge(label=badge, color=tone),
            ],
        )

    return [
        card(
            W.Row(
                children=[
                    W.Image(src="/own.svg", alt="", size=44, radius="md"),
                    W.Col(
                        gap=0,
                        flex=1,
                        children=[
                            W.Title(value="Berlin to Lisbon"),
                            W.Caption(value="Saturday 14 March, 2 travellers"),
                        ],
                    ),
                    W.Badge(label="Confirmed", color="success"),
                ]
            ),
            W.Divider(flush=True),
            W.Row(
                justify="between",
                children=[W.Text(value="Fare"), W.Text(value="€ 312.40", weight="semibold")],
            ),
            W.Row(
                justify="between",
                children=[
                    W.Text(value="Hand luggage", color="secondary"),
                    W.Text(value="included", color="secondary"),
                ],
            ),
            W.Markdown(value="You can change this booking until 12 March."),
            status={"text": "Booking 4F2K9", "icon": "calendar"},
            confirm={"label": "Book", "action": action("book")},
            cancel={"label": "Not now", "action": action("no")},
        ),
        card(
            W.Form(
                onSubmitAction=action("save"),
                gap=3,
                children=[
                    W.Title(value="New task", size="md"),
                    W.Col(
                        gap=1,
                        children=[
                            W.Label(value="Title", fieldName="title"),
                            W.Input(name="title", placeholder="What is to be done?", required=True),
                        ],
                    ),
                    W.Row(
                        gap=3,
                        align="end",
                        children=[
                            W.Col(
                                gap=1,
                                flex=1,
                                children=[
                                    W.Label(value="List", fieldName="list"),
                                    W.Select(
                                        name="list",
                                        placeholder="Choose",
                                        options=[{"value": "w", "label": "Work"}],
                                    ),
                                ],
                            ),
                            W.Col(
                                gap=1,
                                flex=1,
                                children=[
                                    W.Label(value="Due", fieldName="due"),
                                    W.DatePicker(name="due", defaultValue="2026-03-14T00:00:00Z"),
                                ],
                            ),
                        ],
                    ),
                    W.Col(
                        gap=1,
                        children=[
                            W.Label(value="Priority", fieldName="p"),
                            W.RadioGroup(
                                name="p",
                                defaultValue="2",
                                options=[
                                    {"value": "1", "label": "Low"},
                                    {"value": "2", "label": "Normal"},
                                    {"value": "3", "label": "High"},
                                ],
                            ),
                        ],
                    ),
                    W.Textarea(name="notes", placeholder="Notes", rows=2),
                    W.Checkbox(
                        name="remind", label="Remind me the day before", defaultChecked=True
                    ),
                    W.Row(
                        justify="end",
                        children=[
                            W.Button(label="Cancel", onClickAction=action("c")),
                            W.Button(label="Save task", iconStart="check", submit=True),
                        ],
                    ),
                ],
            )
        ),
        W.ListView(
            limit=3,
            status={"text": "4 documents", "icon": "search"},
            children=[
                item("Quarterly report", "Changed yesterday", "Draft", "warning"),
                item("Contract with Meyer", "Changed in May", "Signed", "success"),
                item(
                    "Travel policy", "Changed last year, by somebody with a long name", "Old", None
                ),
                item("x", "y", "z", None),
            ],
        ),
        card(
            W.Title(value="Visits"),
            W.Chart(
                xAxis="Day",
                data=[
                    {"Day": d, "a": a, "b": b}
                    for d, a, b in [
                        ("Mon", 120, 80),
                        ("Tue", 96, 102),
                        ("Wed", 143, 77),
                        ("Thu", 1210, 640),
                    ]
                ],
                series=[
                    W.BarSeries(label="Web", dataKey="a"),
                    W.LineSeries(label="App", dataKey="b"),
                ],
            ),
            W.Row(
                children=[
                    W.Button(
                        label="Details",
                        iconEnd="chevron-right",
                        variant="soft",
                        color="info",
                        size="sm",
                    ),
                    W.Button(label="Delete", color="danger", size="sm"),
                    W.Button(label="Ghost", variant="ghost", size="sm"),
                    W.Button(label="Off", disabled=True, size="sm", pill=True),
                ]
            ),
        ),
    ]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 420])
def test_a_page_full_of_widgets_fits_its_width(
    page: Page, scheme: Literal["light", "dark"], width: int
) -> None:
    page.set_viewport_size({"width": width, "height": 800})
    page.emulate_media(color_scheme=scheme)
    for widget in gallery():
        show(page, widget)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert page.locator(".widget").evaluate_all(
        "all => all.every(n => n.scrollWidth <= n.clientWidth)"
    )
