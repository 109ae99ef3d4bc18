"""HeartbeatService: who is here."""

from __future__ import annotations

import pytest

from madang.services.heartbeat import LEASE
from madang.v1 import heartbeat_service_pb2 as pb

from .calls import Caller, Stream

ONLINE, OFFLINE, AWAY = pb.PRESENCE_STATUS_ONLINE, pb.PRESENCE_STATUS_OFFLINE, pb.PRESENCE_STATUS_AWAY
PAGE_TOKEN = ("INVALID_ARGUMENT", "PAGE_TOKEN_INVALID")


async def until(watch: Stream, user_id: int, status: int) -> None:
    """Read on until a user is seen as something."""
    while True:
        for presence in (await watch.read()).presences:
            if (presence.user_id, presence.status) == (user_id, status):
                return


async def here(caller: Caller) -> list[int]:
    """Everyone who is here."""
    return [presence.user_id for presence in (await caller.call("ListPresences")).presences]


async def test_beat(mina: Caller, nari: Caller) -> None:
    assert await here(nari) == [], "a call is no proof of life"
    assert (await mina.call("Beat")).lease.ToSeconds() == LEASE
    (presence,) = (await nari.call("ListPresences")).presences
    assert (presence.user_id, presence.status) == (mina.user_id, ONLINE)
    assert presence.HasField("last_seen_time")


async def test_set_status(mina: Caller, nari: Caller) -> None:
    for status in (ONLINE, AWAY, pb.PRESENCE_STATUS_DO_NOT_DISTURB):
        assert (await mina.call("SetStatus", status=status)).presence.status == OFFLINE, "a wish is no proof of life"
    await mina.call("Beat")
    assert (await nari.call("ListPresences", user_ids=[mina.user_id])).presences[0].status == ONLINE
    assert (await mina.call("SetStatus", status=AWAY)).presence.status == AWAY
    assert (await nari.call("ListPresences", user_ids=[mina.user_id])).presences[0].status == AWAY


@pytest.mark.parametrize("status", [0, 1, 5, -1, 2**31 - 1])
async def test_statuses_that_nobody_can_have(mina: Caller, status: int) -> None:
    refusal = await mina.refused("SetStatus", status=status)
    assert (refusal.what, refusal.field) == (("INVALID_ARGUMENT", "INVALID_FIELD"), "status")


async def test_list_presences_of_users(mina: Caller, nari: Caller) -> None:
    await mina.call("Beat")
    wanted = [nari.user_id, mina.user_id, mina.user_id, 999]
    presences = (await mina.call("ListPresences", user_ids=wanted)).presences
    assert [(presence.user_id, presence.status) for presence in presences] == [
        (mina.user_id, ONLINE),
        (nari.user_id, OFFLINE),
        (999, OFFLINE),
    ]
    assert not presences[1].HasField("last_seen_time")


async def test_pages(mina: Caller, nari: Caller) -> None:
    await mina.call("Beat")
    await nari.call("Beat")
    first = await mina.call("ListPresences", page_size=1)
    second = await mina.call("ListPresences", page_size=1, page_token=first.next_page_token)
    assert [page.presences[0].user_id for page in (first, second)] == [mina.user_id, nari.user_id]
    assert not second.next_page_token
    token = first.next_page_token
    assert (await mina.refused("ListPresences", user_ids=[1], page_token=token)).what == PAGE_TOKEN
    assert (await mina.refused("ListUsers", page_token=token)).what == PAGE_TOKEN
    assert (await mina.refused("ListPresences", **{"page_token": "nonsense"})).what == PAGE_TOKEN


async def test_watch_presence(mina: Caller, nari: Caller) -> None:
    watch = mina.stream("WatchPresence")
    assert [presence.user_id for presence in (await watch.read()).presences] == [mina.user_id], "who watches is here"
    await nari.call("Beat")
    await until(watch, nari.user_id, ONLINE)
    await nari.call("SetStatus", status=AWAY)
    await until(watch, nari.user_id, AWAY)
    await nari.call("SignOut")
    await until(watch, nari.user_id, OFFLINE)


async def test_a_subscription_is_proof_of_life(mina: Caller, nari: Caller) -> None:
    await nari.subscribe()
    assert await here(mina) == [nari.user_id]


async def test_two_devices(mina: Caller, nari: Caller) -> None:
    first, second = await nari.subscribe(), await nari.subscribe()
    first.stream.call.cancel()
    assert await here(mina) == [nari.user_id]
    await second.reaches(1, await mina.say(1, "still there?"))
    second.stream.call.cancel()
    assert await here(mina) == [nari.user_id], "a reconnect is not seen as going and coming"
