"""The colours of the terminal. Sixteen ANSI colours alone, so that they follow the user's own theme."""

from __future__ import annotations

from prompt_toolkit.styles import Style

STYLE = Style.from_dict(
    {
        "time": "ansibrightblack",
        "channel": "ansicyan",
        "name-0": "ansired",
        "name-1": "ansigreen",
        "name-2": "ansiyellow",
        "name-3": "ansiblue",
        "name-4": "ansimagenta",
        "name-5": "ansicyan",
        "me": "bold",
        "stored": "ansigreen",
        "sending": "ansibrightblack",
        "problem": "ansired",
        "event": "ansibrightblack",
        "note": "ansibrightblack",
        "rule": "ansibrightblack bold",
        "command": "ansibrightblack",
        "prompt": "bold",
        "bottom-toolbar": "noreverse ansibrightblack",
        "status": "noreverse ansibrightblack",
    }
)
