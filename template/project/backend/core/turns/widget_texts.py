"""What a person can read in a widget, which the model is told in the widget's place."""

from collections.abc import Iterator
from typing import Any

SAYS = ("title", "value", "label", "text", "caption", "description", "alt")
"""Where a component has words. Others say how it looks, what it is called, or what it sends."""
HOLDS = ("children", "header", "footer", "items", "columns", "rows", "cells")
"""Where mere texts in a list are words, too."""


def texts_of(component: Any) -> Iterator[str]:
    """What a person can read in a widget's component, without its buttons, from top to bottom."""
    match component:
        case list():
            for child in component:
                yield from texts_of(child)
        case {"type": "Button"}:
            return
        case {"type": "Chart"}:
            yield from chart_texts(component)
        case {"options": list(options)}:
            yield from words(component)
            yield from option_texts(options, component)
        case dict():
            yield from words(component)
            yield from field_texts(component)
            for name, held in component.items():
                if is_shown(name) and isinstance(held, dict | list):
                    yield from texts_of(held if name in HOLDS else parts_of(held))
        case str() | int() | float():
            yield str(component)


def is_shown(name: str) -> bool:
    """Whether what has this name may be seen, unlike what an action sends."""
    return not name.lower().endswith(("action", "payload", "editable"))


def parts_of(held: dict[str, Any] | list[Any]) -> dict[str, Any] | list[Any]:
    """What may be components, of what a component holds."""
    if isinstance(held, dict):
        return held
    return [each for each in held if isinstance(each, dict | list)]


def words(component: dict[str, Any]) -> Iterator[str]:
    for name in SAYS:
        match component.get(name):
            case str(text) if text.strip():
                yield text
            case bool():
                pass
            case int() | float() as number:
                yield str(number)


def field_texts(field: dict[str, Any]) -> Iterator[str]:
    """What stands in a form's field before the user changes it; not what is typed as a password."""
    match field:
        case {"inputType": "password"}:
            pass
        case {"defaultValue": str() | int() | float() as value} if value != "":
            yield str(value)
        case {"defaultChecked": bool(checked)}:
            yield "(checked)" if checked else "(not checked)"
        case {"placeholder": str(text)} if text.strip():
            yield text


def option_texts(options: list[Any], field: dict[str, Any]) -> Iterator[str]:
    """The options' labels, with a note at the one that is chosen."""
    chosen = field.get("defaultValue")
    if chosen is None and field.get("placeholder"):
        yield str(field["placeholder"])
    for option in options:
        if not isinstance(option, dict):
            yield from texts_of(option)
            continue
        label = str(option.get("label") or option.get("value", ""))
        more = f" ({option['description']})" if option.get("description") else ""
        mark = " (chosen)" if chosen is not None and option.get("value") == chosen else ""
        yield f"{label}{more}{mark}"


def chart_texts(chart: dict[str, Any]) -> Iterator[str]:
    """A line for each row of a chart's data: where on the axis, and what each series has there."""
    axis: Any = chart.get("xAxis")
    labels: dict[str, Any] = {}
    if isinstance(axis, dict):
        axis, labels = axis.get("dataKey"), axis.get("labels") or {}
    series = [each for each in chart.get("series") or [] if isinstance(each, dict)]
    for row in chart.get("data") or []:
        place = row.get(axis, "")
        values = [
            f"{each.get('label') or each.get('dataKey')} {row[each.get('dataKey')]}"
            for each in series
            if each.get("dataKey") in row
        ]
        yield f"{labels.get(str(place), place)}: {', '.join(values)}"
