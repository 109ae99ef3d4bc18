"""Makes docs/settings.md from the table of settings; `--check` only says whether it is current."""

from __future__ import annotations

import sys
from pathlib import Path

from madang.node.show import page

PAGE = Path(__file__).parent.parent / "docs" / "settings.md"


def main() -> int:
    """Write, or check; the exit code."""
    if "--check" not in sys.argv[1:]:
        PAGE.write_text(page(), "utf-8")
        return 0
    if PAGE.is_file() and PAGE.read_text("utf-8") == page():
        return 0
    print(f"{PAGE.name} is not current: run scripts/settings_page.py", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
