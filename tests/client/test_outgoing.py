"""The message on its way, and its id."""

from __future__ import annotations

import asyncio
import time
import uuid

import pytest

from madang.client.outgoing import Outgoing, Receipt, new_request_id, usual_request_id
from madang.core.errors import ChannelNotFound, InvalidField


def test_request_ids_are_uuids_of_version_7_and_ordered_by_time() -> None:
    first = new_request_id()
    while new_request_id()[:13] == first[:13]:  # the same millisecond
        pass
    second = new_request_id()
    found = uuid.UUID(first)
    assert (found.version, found.variant, str(found)) == (7, uuid.RFC_4122, first)
    assert abs((found.int >> 80) / 1000 - time.time()) < 5
    assert first < second
    assert len({new_request_id() for _ in range(10_000)}) == 10_000


def test_a_request_id_of_the_callers_gets_its_usual_form() -> None:
    assert usual_request_id("{0190B6D4-7C5A-7000-8000-00000000000A}") == "0190b6d4-7c5a-7000-8000-00000000000a"
    with pytest.raises(InvalidField, match="request_id"):
        usual_request_id("yesterday")


def test_size_is_in_bytes() -> None:
    assert Outgoing("", 1, "abc").size == 3
    assert Outgoing("", 1, "마당").size == 6
    assert Outgoing("", 1, "half of a pair: \ud83d").size == -1


async def test_everyone_who_waits_is_told_and_a_cancelled_wait_harms_nobody() -> None:
    outgoing = Outgoing("id", 1, "hello")
    waits = [asyncio.create_task(outgoing.stored()) for _ in range(3)]
    await asyncio.sleep(0)
    waits[0].cancel()
    await asyncio.sleep(0)
    receipt = Receipt(1, 5, 0, "id")
    outgoing._settle(receipt)
    assert await asyncio.gather(*waits[1:]) == [receipt, receipt]
    assert await outgoing.stored() is receipt


async def test_a_refusal_is_raised() -> None:
    outgoing = Outgoing("id", "nowhere", "hello")
    outgoing._fail(ChannelNotFound(channel="nowhere"))
    with pytest.raises(ChannelNotFound):
        await outgoing.stored()
