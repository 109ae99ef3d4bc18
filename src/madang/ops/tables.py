"""The store's tables as `madang move` sees them: rows in the order of their keys, the same from either database.

A row is a tuple of what both databases have: whole numbers, texts, bytes and None. Truth is 0 or 1. So the same rows
have the same checksum, wherever they come from.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import AsyncIterable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from madang.storage.schema import metadata, store_info

BATCH_ROWS = 5_000
BATCH_BYTES = 4 * 1024 * 1024
"""How much goes over at once: an interrupted move loses no more than that."""

Row = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Table:
    """A table: its columns in their order, and those of its key."""

    name: str
    columns: tuple[str, ...]
    key: tuple[str, ...]
    truths: tuple[int, ...]
    """The places of the columns that hold true or false."""
    counter: str | None
    """The column whose values the database gives out, one after the other; None where there is none."""

    @property
    def select(self) -> str:
        """All rows by their key: good in both databases."""
        return f"SELECT {', '.join(self.columns)} FROM {self.name}{self.order}"  # noqa: S608 - names of our own

    @property
    def last_key(self) -> str:
        """The highest key that there is."""
        backwards = ", ".join(f"{column} DESC" for column in self.key)
        return f"SELECT {', '.join(self.key)} FROM {self.name} ORDER BY {backwards} LIMIT 1"  # noqa: S608

    @property
    def order(self) -> str:
        """By the key."""
        return f" ORDER BY {', '.join(self.key)}"

    def of(self, row: Sequence[Any]) -> Row:
        """A row with truth as the target wants it."""
        if not self.truths:
            return tuple(row)
        return tuple(bool(value) if index in self.truths else value for index, value in enumerate(row))


def _table(table: sa.Table) -> Table:
    columns = tuple(table.columns)
    counters = [column.name for column in table.primary_key if column.autoincrement is True]
    return Table(
        table.name,
        tuple(column.name for column in columns),
        tuple(column.name for column in table.primary_key),
        tuple(index for index, column in enumerate(columns) if isinstance(column.type, sa.Boolean)),
        counters[0] if counters else None,
    )


TABLES = tuple(_table(table) for table in metadata.sorted_tables if table is not store_info)
"""Every table of the store but the one that says whose store it is."""


class Digest:
    """Counts rows, and takes their checksum (SHA-256), one after the other."""

    def __init__(self) -> None:
        self.count = 0
        self._sha256 = hashlib.sha256()

    def add(self, row: Sequence[Any]) -> None:
        """Take in a row. Equal rows of the two databases are written alike."""
        self.count += 1
        self._sha256.update(repr([int(value) if value is True or value is False else value for value in row]).encode())

    @property
    def value(self) -> str:
        """The checksum so far, hexadecimal."""
        return self._sha256.hexdigest()


def digest(rows: Iterable[Sequence[Any]]) -> Digest:
    """The digest of rows that are there."""
    made = Digest()
    for row in rows:
        made.add(row)
    return made


async def digest_of(rows: AsyncIterable[Sequence[Any]]) -> Digest:
    """The digest of rows that come."""
    made = Digest()
    async for row in rows:
        made.add(row)
    return made


def count(source: sqlite3.Connection, table: Table) -> int:
    """How many rows there are."""
    (found,) = source.execute(f"SELECT count(*) FROM {table.name}").fetchone()  # noqa: S608 - a name of our own
    return int(found)


def read(source: sqlite3.Connection, table: Table, beyond: Sequence[Any] | None = None) -> Iterator[Row]:
    """The rows of a data file by their key; with `beyond`, those of higher keys alone."""
    if beyond is None:
        yield from source.execute(table.select)
        return
    key, marks = ", ".join(table.key), ", ".join("?" for _ in table.key)
    columns = ", ".join(table.columns)
    yield from source.execute(
        f"SELECT {columns} FROM {table.name} WHERE ({key}) > ({marks}){table.order}",  # noqa: S608
        tuple(beyond),
    )


def in_batches(rows: Iterable[Row]) -> Iterator[list[Row]]:
    """The rows in pieces that are neither long nor large."""
    batch: list[Row] = []
    size = 0
    for row in rows:
        batch.append(row)
        size += sum(len(value) for value in row if isinstance(value, str | bytes))
        if len(batch) >= BATCH_ROWS or size >= BATCH_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def next_number(source: sqlite3.Connection, table: Table) -> int:
    """The highest number that was ever given in a table, of rows that are gone, too; 0: none was."""
    if table.counter is None:
        return 0
    found = source.execute("SELECT seq FROM sqlite_sequence WHERE name = ?", (table.name,)).fetchone()
    highest = source.execute(f"SELECT max({table.counter}) FROM {table.name}").fetchone()  # noqa: S608
    return max(found[0] if found else 0, highest[0] or 0)
