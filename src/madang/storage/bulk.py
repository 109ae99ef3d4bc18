"""Many rows in one statement, at the price of one.

A driver that executes a statement for each row of a list, or fetches row by row, lets go of the interpreter at each of
them, and while the event loop is busy each time costs a wait of a tenth of a millisecond (docs/decisions/0003). One
statement with many rows lets go once. SQLAlchemy compiles such a statement anew each time, which takes longer than to
run it: so their texts are made here and kept, for each number of rows.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.sql import operators
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.elements import BinaryExpression, BindParameter
from sqlalchemy.sql.visitors import ExternallyTraversible, replacement_traverse

T = TypeVar("T")

_SQLITE = "sqlite"

MAX_ROWS = 64
"""Rows per statement at most. The driver keeps a prepared statement for each number of rows."""


def insert_rows(connection: sa.Connection, table: sa.Table, rows: Sequence[tuple[Any, ...]]) -> None:
    """Insert rows, each with a value for every column of the table, in the table's order."""
    if connection.dialect.name != _SQLITE:
        connection.exec_driver_sql(_insert_lists(table, connection.dialect), _columns(rows))
        return
    for few in _pieces(rows):
        statement = _insert(table, len(few), connection.dialect)
        connection.exec_driver_sql(statement, tuple(value for row in few for value in row))


def set_by_key(
    connection: sa.Connection, key: sa.Column[int], column: sa.Column[int], values: Sequence[tuple[int, int]]
) -> None:
    """Set a column in the rows with these keys: (key, value)."""
    if connection.dialect.name != _SQLITE:
        connection.exec_driver_sql(_update_lists(key, column, connection.dialect), _columns(values))
        return
    for few in _pieces(values):
        statement = _update(key, column, len(few), connection.dialect)
        cases = tuple(part for pair in few for part in pair)
        connection.exec_driver_sql(statement, (*cases, *(each for each, _ in few)))


def insert_and_set(
    connection: sa.Connection,
    table: sa.Table,
    rows: Sequence[tuple[Any, ...]],
    key: sa.Column[int],
    column: sa.Column[int],
    values: Sequence[tuple[int, int]],
) -> None:
    """`insert_rows` and `set_by_key`, both not empty, in one trip where trips are what it costs."""
    if connection.dialect.name == _SQLITE:
        insert_rows(connection, table, rows)
        set_by_key(connection, key, column, values)
    else:
        statement = _both_lists(table, key, column, connection.dialect)
        connection.exec_driver_sql(statement, (*_columns(rows), *_columns(values)))


def select_in(
    connection: sa.Connection, query: sa.Select[Any], lists: Mapping[str, Collection[int]]
) -> Sequence[Sequence[Any]]:
    """The rows of a query for numbers and texts whose only parameters are lists, none of them empty: the name of each
    with its values. Truth comes as 0 and 1.

    SQLAlchemy would write the lists into the query anew each time. Here its text is kept for a few sizes of lists: a
    shorter list is filled up with its last value.
    """
    if connection.dialect.name != _SQLITE:
        text, names = _select_lists(query, connection.dialect)
        return connection.exec_driver_sql(text, tuple(list(lists[name]) for name in names)).all()
    full = {name: _filled(values) for name, values in lists.items()}
    sizes = tuple((name, len(values)) for name, values in full.items())
    statement, order = _select(query, sizes, connection.dialect)
    result = connection.exec_driver_sql(statement, tuple(full[name][index] for name, index in order))
    rows: list[list[Any]] = json.loads(result.scalar_one())
    return rows


def _filled(values: Collection[int]) -> list[int]:
    """The values, the last one repeated until their number is a power of two."""
    filled = list(values)
    filled += filled[-1:] * ((1 << (len(filled) - 1).bit_length()) - len(filled))
    return filled


@lru_cache(maxsize=256)
def _select(
    query: sa.Select[Any], sizes: tuple[tuple[str, int], ...], dialect: sa.Dialect
) -> tuple[str, tuple[tuple[str, int], ...]]:
    """The text of a query with lists of these sizes, and which list's which value each parameter is."""
    places = {f"{name}_{index + 1}": (name, index) for name, size in sizes for index in range(size)}
    filled = query.params({name: [0] * size for name, size in sizes})
    compiled = filled.compile(dialect=dialect, compile_kwargs={"render_postcompile": True})
    if not isinstance(compiled, SQLCompiler) or compiled.positiontup is None:
        raise TypeError(f"{dialect.name}: its parameters have no positions")
    # All rows as one: SQLite's driver lets go of the interpreter for each row.
    columns = ", ".join(f"c{number}" for number, _ in enumerate(query.selected_columns))
    # S608: names of our own, no values
    text = f"WITH found ({columns}) AS ({compiled}) SELECT json_group_array(json_array({columns})) FROM found"  # noqa: S608
    return text, tuple(places[name] for name in compiled.positiontup)


@lru_cache(maxsize=64)
def _select_lists(query: sa.Select[Any], dialect: sa.Dialect) -> tuple[str, tuple[str, ...]]:
    """The text of a query whose lists are PostgreSQL's arrays, and which list each parameter is."""

    def array(element: ExternallyTraversible, **_: Any) -> ExternallyTraversible | None:
        match element:
            case BinaryExpression(operator=operators.in_op, right=BindParameter(expanding=True) as values):
                return element.left == sa.any_(sa.bindparam(values.key, type_=ARRAY(sa.BigInteger)))
        return None

    asking: sa.Select[Any] = replacement_traverse(query, {}, array)  # type: ignore[assignment]
    compiled = asking.compile(dialect=dialect)
    if not isinstance(compiled, SQLCompiler) or compiled.positiontup is None:
        raise TypeError(f"{dialect.name}: its parameters have no positions")
    return str(compiled), tuple(compiled.positiontup)


def _pieces(rows: Sequence[T]) -> Iterator[Sequence[T]]:
    for start in range(0, len(rows), MAX_ROWS):
        yield rows[start : start + MAX_ROWS]


@lru_cache(maxsize=4 * MAX_ROWS)
def _insert(table: sa.Table, count: int, dialect: sa.Dialect) -> str:
    marks = _marks(dialect)
    names = ", ".join(column.name for column in table.columns)
    rows = ", ".join(f"({', '.join(next(marks) for _ in table.columns)})" for _ in range(count))
    return f"INSERT INTO {table.name} ({names}) VALUES {rows}"  # noqa: S608 - names of our own schema, no values


@lru_cache(maxsize=64)
def _insert_lists(table: sa.Table, dialect: sa.Dialect) -> str:
    """PostgreSQL takes a list for each column."""
    names = ", ".join(column.name for column in table.columns)
    lists = _lists([column.type for column in table.columns], dialect)
    return f"INSERT INTO {table.name} ({names}) SELECT * FROM unnest({lists})"  # noqa: S608 - names of our own schema


@lru_cache(maxsize=64)
def _both_lists(table: sa.Table, key: sa.Column[int], column: sa.Column[int], dialect: sa.Dialect) -> str:
    inserted = _insert_lists(table, dialect)
    return f"WITH stored AS ({inserted}) {_update_lists(key, column, dialect, len(table.columns) + 1)}"


@lru_cache(maxsize=64)
def _update_lists(key: sa.Column[int], column: sa.Column[int], dialect: sa.Dialect, first: int = 1) -> str:
    lists = _lists([key.type, column.type], dialect, first)
    changed = f"UPDATE {column.table} SET {column.name} = new.value"  # noqa: S608 - names of our own schema, no values
    return f"{changed} FROM unnest({lists}) AS new (key, value) WHERE {key} = new.key"


def _lists(types: Sequence[sa.types.TypeEngine[Any]], dialect: sa.Dialect, first: int = 1) -> str:
    return ", ".join(f"${number}::{one.compile(dialect)}[]" for number, one in enumerate(types, first))


def _columns(rows: Sequence[tuple[Any, ...]]) -> tuple[list[Any], ...]:
    return tuple(map(list, zip(*rows, strict=True)))


@lru_cache(maxsize=4 * MAX_ROWS)
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
        yield "?"
