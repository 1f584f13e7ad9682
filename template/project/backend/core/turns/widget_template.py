"""Widgets out of .widget files, as widgets.chatkit.studio saves them."""

from pathlib import Path

from chatkit.widgets import WidgetTemplate


def widget_template(folder: Path, name: str) -> WidgetTemplate:
    """The template in `name`.widget of this folder; its `build` takes the data that it shows."""
    # The whole path: to find a relative one ChatKit goes through the call stack and every module.
    return WidgetTemplate.from_file(str((folder / f"{name}.widget").resolve()))
