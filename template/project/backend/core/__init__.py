"""The template's part of this project. README.md beside this file is a map of it.

Nothing here needs to be edited, and `copier update` renews it.
"""

import sys
from importlib.util import find_spec

NEEDED = ("fastapi", "uvicorn", "chatkit", "pydantic_settings")
"""Packages without which nothing here can be imported."""

# Whoever starts without the virtual environment, or with an old Python, reads a sentence about it
# instead of a traceback. So this file has nothing that an old Python cannot read.
if sys.version_info < (3, 10):  # noqa: UP036
    print(
        f"Cannot start: this is Python {sys.version.split()[0]}. Make the virtual environment "
        "with Python 3.10 or newer, as README.md says under Start.",
        file=sys.stderr,
    )
    raise SystemExit(2)
for name in NEEDED:
    if find_spec(name) is None:
        print(
            f"Cannot start: the package {name} is not installed for this Python. In backend/, "
            "activate the virtual environment: . .venv/bin/activate (Windows: "
            ".venv\\Scripts\\activate); README.md says under Start how to make it.",
            file=sys.stderr,
        )
        raise SystemExit(2)
