"""Whether a data file holds what it should: SQLite's own check, and our promise that no message is missing."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from madang.ops.reading import reading

# Every number of a channel was taken by a message posted, or by a change of one. Where nothing was ever changed, the
# messages are numbered without a hole; the newest number is always the newest version.
_CHANNELS = """
SELECT c.channel_id, c.sequence, count(m.sequence), coalesce(max(m.sequence), 0), coalesce(max(m.version), 0),
       coalesce(min(m.sequence), 1), coalesce(sum(m.version != m.sequence), 0), coalesce(min(m.version - m.sequence), 0)
FROM channels c LEFT JOIN messages m ON m.channel_id = c.channel_id
GROUP BY c.channel_id
"""
_STRAYS = "SELECT count(*) FROM messages WHERE channel_id NOT IN (SELECT channel_id FROM channels)"


class Contents(NamedTuple):
    """How much a data file holds, and what is wrong with it: nothing, when `problems` is empty."""

    users: int
    channels: int
    messages: int
    problems: list[str]


def verify(path: Path, *, quick: bool = False) -> Contents:
    """Check a data file that nobody writes to, or that is in WAL mode. Reads only.

    `quick`: leave out whether indexes agree with their tables, which takes longest. Raises sqlite3.Error where the file
    cannot be read at all.
    """
    check = "quick_check" if quick else "integrity_check"
    with reading(path) as connection:
        connection.execute("BEGIN")  # one snapshot
        found = [str(row[0]) for row in connection.execute(f"PRAGMA {check}(20)")]
        problems = [] if found == ["ok"] else [f"SQLite says: {line}" for line in found]
        rows = connection.execute(_CHANNELS).fetchall()
        for row in rows:
            problems += _problems(*row)
        (strays,) = connection.execute(_STRAYS).fetchone()
        if strays:
            problems.append(f"{strays} messages belong to no channel")
        (users,) = connection.execute("SELECT count(*) FROM users").fetchone()
    return Contents(users, len(rows), sum(row[2] for row in rows), problems)


def _problems(
    channel_id: int, head: int, count: int, last: int, version: int, first: int, changed: int, least: int
) -> list[str]:
    """What is wrong with the sequence of one channel."""
    name = f"channel {channel_id}"
    if version != head or last > head or first < 1 or least < 0:
        return [f"{name}: its sequence is {head}, but its messages go from {first} to {last} (versions to {version})"]
    missing = head - count
    if missing < changed or (missing and not changed):
        return [f"{name}: its sequence is {head}, but it has {count} messages ({changed} of them changed later)"]
    return []
