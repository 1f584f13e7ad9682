"""What the buttons and forms of widgets do. This is a file to edit, with tools.py and widgets/."""

from core.turns.widget_actions import Actions

ACTIONS: Actions = {}
"""Their types in the widgets. A widget's action is taken only as long as the widget offers it."""
