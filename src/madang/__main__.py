"""`python -m madang` is the command `madang`."""

from __future__ import annotations

from madang.terminal.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
