"""The example of this level: an office orders lunch. It stands for your own business.

To be rid of it, delete this folder, and in app/wiring.py the two lines that name it.
"""

from core.turns.feature import Feature

from app.lunch.actions import ACTIONS
from app.lunch.tools import TOOLS

LUNCH = Feature(tools=TOOLS, actions=ACTIONS, starters=["What is for lunch today?"])
