"""Many rows in one statement, at the price of one.

A driver that executes a statement for each row of a list lets go of the interpreter at each of them, and while the
event loop is busy each time costs a wait (docs/decisions/0003). One statement with many rows lets go once. SQLAlchemy
compiles such a statement anew each time, which takes longer than to run it: so their texts are made here, for a few
sizes that every driver keeps prepared.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any, TypeVar

import sqlalchemy as sa

T = TypeVar("T")

SIZES = (64, 32, 16, 8, 4, 2, 1)
"""Rows per statement."""


def insert_rows(connection: sa.Connection, table: sa.Table, rows: Sequence[tuple[Any, ...]]) -> None:
    """Insert rows, each with a value for every column of the table, in the table's order."""
    for few in _pieces(rows):
        statement = _insert(table, len(few), connection.dialect)
        connection.exec_driver_sql(statement, tuple(value for row in few for value in row))


def set_by_key(
    connection: sa.Connection, key: sa.Column[int], column: sa.Column[int], values: Sequence[tuple[int, int]]
) -> None:
    """Set a column in the rows with these keys: (key, value)."""
    for few in _pieces(values):
        statement = _update(key, column, len(few), connection.dialect)
        cases = tuple(part for pair in few for part in pair)
        connection.exec_driver_sql(statement, (*cases, *(each for each, _ in few)))


def _pieces(rows: Sequence[T]) -> Iterator[Sequence[T]]:
    start = 0
    while start < len(rows):
        size = next(size for size in SIZES if size <= len(rows) - start)
        yield rows[start : start + size]
        start += size


@lru_cache(maxsize=64)
def _insert(table: sa.Table, count: int, dialect: sa.Dialect) -> str:
    marks = _marks(dialect)
    names = ", ".join(column.name for column in table.columns)
    rows = ", ".join(f"({', '.join(next(marks) for _ in table.columns)})" for _ in range(count))
    return f"INSERT INTO {table.name} ({names}) VALUES {rows}"  # noqa: S608 - names of our own schema, no values


@lru_cache(maxsize=64)
def _update(key: sa.Column[int], column: sa.Column[int], count: int, dialect: sa.Dialect) -> str:
    marks = _marks(dialect)
    cases = " ".join(f"WHEN {next(marks)} THEN {next(marks)}" for _ in range(count))
    keys = ", ".join(next(marks) for _ in range(count))
    # S608: names of our own schema, no values
    return f"UPDATE {column.table} SET {column.name} = CASE {key.name} {cases} END WHERE {key.name} IN ({keys})"  # noqa: S608


def _marks(dialect: sa.Dialect) -> Iterator[str]:
    """The marks of parameters, one after the other, as the dialect's driver wants them."""
    number = 0
    while True:
        number += 1
        yield f"${number}" if dialect.paramstyle == "numeric_dollar" else "?"
