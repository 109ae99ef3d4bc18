"""What a store says about itself, and when that means that no server may use it."""

from __future__ import annotations

import sqlalchemy as sa

from madang.storage.schema import store_info

STORE_ID = "store_id"
"""The store's name: clients keep it with their positions."""

MOVING = "moving"
"""`madang move` is under way to this database; the value is the name of the store that it brings."""

MOVED = "moved_to"
"""Everything has moved; the value is where it is now."""


def read(connection: sa.Connection) -> dict[str, str]:
    """All marks, by their keys."""
    return {row.key: row.value for row in connection.execute(sa.select(store_info))}


def why_not(marks: dict[str, str]) -> str:
    """Why no server may use a store with these marks; empty when one may."""
    if MOVING in marks:
        return "a move to it has begun and is not finished: run `madang move` again, it goes on where it stopped"
    if MOVED in marks:
        return (
            f"its data has moved to {marks[MOVED]}: start with --database, or see docs/operations.md for how to go back"
        )
    return ""
