"""Your widgets: .widget files, as widgets.chatkit.studio saves them, and a function for each."""

from pathlib import Path

from chatkit.widgets import WidgetTemplate

from core.turns.widget_template import widget_template


def template(name: str) -> WidgetTemplate:
    """The .widget file of this name in this folder; its `build` takes the data that it shows."""
    return widget_template(Path(__file__).parent, name)
