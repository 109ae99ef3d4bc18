"""`python -m tests.fuzz --inputs 100000`: the long run; prints a page of what was tried."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))  # where the other tests' packages are, as pytest has it too

from .calls import Bad
from .campaign import run


def main() -> int:
    """The exit code: 0 when the server has stood it all."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--inputs", type=int, default=100_000, help="how many (default: 100000)")
    parser.add_argument("--limits", action="store_true", help="with the limits on; most calls are then RATE_LIMITED")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="madang-fuzz-") as directory:
        try:
            print(run(Path(directory), arguments.inputs, limits=arguments.limits).page())
        except Bad as error:
            print(f"FAILED: {error}", file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
