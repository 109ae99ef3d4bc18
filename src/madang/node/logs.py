"""The log: lines for people, or a JSON object a line. Never a message's text, a password or a token.

That nobody logs one is up to whoever logs; what looks like a secret all the same, in the text of some library's error,
say, is masked here.
"""

from __future__ import annotations

import datetime
import json
import logging
import re
import sys
from typing import Any

from madang.core import tokens

_SECRETS = re.compile(rf"{tokens.PREFIX}[A-Za-z0-9_-]{{16,}}|(?i:bearer)\s+\S+")
_MASK = "(secret)"
_CONTROL = re.compile("[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029]")
"""What would end a line, or be obeyed by a terminal."""


def set_up(log_format: str, verbose: bool) -> None:
    """Have everything logged to standard error. `log_format`: `text` or `json`."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter() if log_format == "json" else TextFormatter())
    logging.basicConfig(level=logging.DEBUG if verbose else logging.INFO, handlers=[handler])
    logging.getLogger("alembic").setLevel(logging.WARNING)
    # These would say too much at DEBUG: statements, and every call of gRPC's.
    for name in ("sqlalchemy", "aiosqlite", "asyncio", "grpc"):
        logging.getLogger(name).setLevel(logging.WARNING)


def masked(text: str) -> str:
    """The text without what looks like a token."""
    return _SECRETS.sub(_MASK, text)


def on_one_line(text: str) -> str:
    """The text with escapes for what would break its line: texts of others, of a library's error say, may hold it."""
    return _CONTROL.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


class TextFormatter(logging.Formatter):
    """A line for people; an error's traceback follows."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802
        """See logging."""
        return on_one_line(super().formatMessage(record))

    def format(self, record: logging.LogRecord) -> str:
        """See logging."""
        return masked(super().format(record))


class JsonFormatter(logging.Formatter):
    """One object a line: `time` (RFC 3339, UTC), `level`, `logger`, `message`, of an error its `traceback`, of a call
    the facts of the access log.
    """

    def format(self, record: logging.LogRecord) -> str:
        """See logging."""
        time = datetime.datetime.fromtimestamp(record.created, datetime.UTC)
        line: dict[str, Any] = {
            "time": time.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": masked(record.getMessage()),
        }
        line |= getattr(record, "facts", {})
        if record.exc_info:
            line["traceback"] = masked(self.formatException(record.exc_info))
        return on_one_line(json.dumps(line, ensure_ascii=False))  # the same escapes as in JSON
