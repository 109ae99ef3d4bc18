"""What changed after a position: complete ranges, page by page, whatever happens meanwhile."""

from __future__ import annotations

import asyncio
import sqlite3
import tempfile
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st
from parts.postgres import execute
from sqlalchemy.util import await_only
from support import Where, draft, opened

from madang.core.models import LOBBY_ID, Changes
from madang.storage import messages
from madang.storage.schema import channels
from madang.storage.schema import messages as table
from madang.storage.store import FILE_NAME, Store
from madang.storage.transaction import Transaction

ALL = 2**40


async def fill(store: Store, sizes: Iterable[int]) -> None:
    await store.append([draft(text="x" * size) for size in sizes])


def edit(transaction: Transaction, sequence: int) -> None:
    """A message changes: it takes the next number as its version."""
    head = messages.head(transaction.connection, LOBBY_ID) + 1
    change = sa.update(table).where(table.c.channel_id == LOBBY_ID, table.c.sequence == sequence)
    transaction.connection.execute(change.values(version=head, text=f"edited at {head}"))
    messages.set_heads(transaction, {LOBBY_ID: head})


async def pages(store: Store, after: int, most: int, most_bytes: int) -> list[Changes]:
    """Page after page, until the head."""
    found: list[Changes] = []
    while True:
        page = await store.read(messages.changed, LOBBY_ID, after, most, most_bytes)
        assert page.after == after
        if page.through == after:
            assert not page.messages
            return found
        found.append(page)
        after = page.through


@settings(max_examples=40)
@given(
    sizes=st.lists(st.integers(1, 60), max_size=20),
    edits=st.lists(st.integers(1, 20), max_size=12),
    after=st.integers(0, 40),
    most=st.integers(1, 8),
    most_bytes=st.integers(1, 200),
)
def test_pages_are_complete_ranges(sizes: list[int], edits: list[int], after: int, most: int, most_bytes: int) -> None:
    async def run(path: Path) -> None:
        async with opened(path) as store:
            await fill(store, sizes)
            versions = {sequence: sequence for sequence in range(1, len(sizes) + 1)}
            head = len(sizes)
            for sequence in edits:
                if sequence in versions:
                    await store.write(edit, sequence)
                    head += 1
                    versions[sequence] = head
            found = await pages(store, after, most, most_bytes)
        expected = sorted((version, sequence) for sequence, version in versions.items() if version > after)
        assert [(one.version, one.sequence) for page in found for one in page.messages] == expected
        assert (found[-1].through if found else after) == max(head, after)
        for page in found:
            assert len(page.messages) <= most
            assert all(page.after < one.version <= page.through for one in page.messages)
            assert sum(len(one.text) for one in page.messages[:-1]) <= most_bytes, "more than one message too much"

    with tempfile.TemporaryDirectory() as path:
        asyncio.run(run(Path(path)))


@pytest.mark.parametrize("most", [1, 2, 9])
async def test_a_page_ends_where_it_is_told_to(store: Store, most: int) -> None:
    """Nothing that changed beyond it is in it, though its older self was within."""
    await fill(store, [1, 1, 1, 1])
    await store.write(edit, 2)
    for after in range(6):
        for until in range(7):
            page = await store.read(messages.changed, LOBBY_ID, after, most, ALL, until)
            expected = [version for version in (1, 3, 4, 5) if after < version <= until][:most]
            assert [one.version for one in page.messages] == expected
            end = max(min(5, until), after)
            assert page.through == (expected[-1] if len(expected) == most else end)


@pytest.mark.parametrize("after", [3, 4, 2**62])
async def test_at_the_head_and_beyond_it_there_is_nothing(store: Store, after: int) -> None:
    await fill(store, [1, 1, 1])
    assert await store.read(messages.changed, LOBBY_ID, after, 10, ALL) == Changes(LOBBY_ID, after, after, [])


async def test_a_channel_that_there_is_not_has_no_changes(store: Store) -> None:
    assert await store.read(messages.changed, 77, 0, 10, ALL) == Changes(77, 0, 0, [])


async def test_a_page_that_is_just_full_ends_where_it_ends(store: Store) -> None:
    """Whether more follows is not known then: the range must not reach beyond what was looked at."""
    await fill(store, [1, 1, 1, 1])
    page = await store.read(messages.changed, LOBBY_ID, 0, 4, ALL)
    assert (page.through, len(page.messages)) == (4, 4)


async def test_a_long_message_is_a_page_of_its_own(store: Store) -> None:
    await fill(store, [16_384, 16_384, 1])
    assert [len(page.messages) for page in await pages(store, 0, 200, 100)] == [1, 1, 1]


async def test_an_edit_is_seen_as_it_is_now_and_only_at_its_new_place(store: Store) -> None:
    await fill(store, [1, 1, 1])
    await store.write(edit, 1)
    page = await store.read(messages.changed, LOBBY_ID, 0, 10, ALL)
    assert [(one.sequence, one.version) for one in page.messages] == [(2, 2), (3, 3), (1, 4)]
    assert page.messages[-1].text == "edited at 4"
    assert page.through == 4


async def test_what_changes_between_the_two_reads_belongs_to_the_next_range(store: Store, where: Where) -> None:
    """The head is read first. A message that is edited right then lies beyond the range, and is in the next one."""
    await fill(store, [1, 1, 1])
    both = (
        "UPDATE messages SET version = 4 WHERE channel_id = 1 AND sequence = 2",
        "UPDATE channels SET sequence = 4 WHERE channel_id = 1",
    )

    def edit_now() -> None:
        if isinstance(where, str):
            await_only(execute(where, "; ".join(both)))  # as one transaction
            return
        with closing(sqlite3.connect(where / FILE_NAME, isolation_level=None)) as other:
            for statement in ("BEGIN IMMEDIATE", *both, "COMMIT"):
                other.execute(statement)

    def race(connection: sa.Connection) -> Changes:
        @sa.event.listens_for(connection, "after_cursor_execute", once=True)
        def after_the_first(*_: Any) -> None:
            edit_now()

        return messages.changed(connection, LOBBY_ID, 0, 10, ALL)

    first = await store.read(race)
    assert await store.read(messages.head, LOBBY_ID) == 4, "the race took place"
    second = await store.read(messages.changed, LOBBY_ID, first.through, 10, ALL)
    assert [(one.sequence, one.version) for one in first.messages + second.messages] == [(1, 1), (3, 3), (2, 4)]
    assert (first.through, second.through) == (3, 4)


async def test_heads_of_many_channels(store: Store) -> None:
    await fill(store, [1, 1])
    assert await store.read(messages.heads, [LOBBY_ID, 5]) == {LOBBY_ID: 2}


async def test_pages_of_history_both_ways(store: Store) -> None:
    await fill(store, [1] * 6)

    async def page(after: int, before: int, newest_first: bool, size: int) -> list[int]:
        found = await store.read(messages.page, LOBBY_ID, after, before, newest_first, size)
        return [one.sequence for one in found]

    assert await page(0, 2**62, True, 3) == [6, 5, 4]
    assert await page(0, 4, True, 3) == [3, 2, 1]
    assert await page(1, 5, False, 9) == [2, 3, 4]
    assert await page(3, 3, True, 9) == []


async def test_the_lobby_is_there_from_the_first_moment(store: Store) -> None:
    found = await store.read(lambda connection: connection.execute(sa.select(channels.c.channel_id, channels.c.name)))
    assert found is not None
    assert await store.read(messages.head, LOBBY_ID) == 0
