"""Two nodes over one store: what the bus loses is late, never missing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from parts.nats import Nats
from support import Live, Parts, actor, eventually, parts, subscribed

from madang.bus.nats import NatsBus
from madang.core.errors import MadangError, SessionRevoked, StorageUnavailable
from madang.core.events import ChannelChanged, HeadKnown, MembershipChanged, NewsLost, TextsErased
from madang.core.models import Content, Message, Scope, ServerRole, Session
from madang.services.channel import ChannelService
from madang.services.healing import Healing
from madang.services.hub import Hub
from madang.services.limits import Limiter
from madang.services.sessions import Sessions
from madang.services.streams import Streams
from madang.services.subscription import Wanted
from madang.storage import accounts, messages, sessions
from madang.storage.transaction import Transaction
from madang.wire.batches import encode_segment

from .conftest import joined

MINA, HANA = 1, 2


@dataclass
class Node:
    """A node over another one's store."""

    bus: NatsBus
    hub: Hub
    streams: Streams
    sessions: Sessions
    channel: ChannelService
    healing: Healing


@dataclass
class Pair:
    """Two nodes. What is written is written at the first."""

    nats: Nats
    here: Parts
    here_bus: NatsBus
    there: Node

    async def lose_the_bus(self) -> None:
        """NATS is away, and both know it."""
        self.nats.stop()
        await eventually(lambda: not self.here_bus.is_connected and not self.there.bus.is_connected, "it is away")

    async def find_the_bus(self) -> None:
        """NATS is back, and both know it."""
        self.nats.start()
        await eventually(lambda: self.here_bus.is_connected and self.there.bus.is_connected, "it is back")


@pytest.fixture(scope="module")
def own_nats(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nats]:
    """A NATS server that the tests of this module may stop."""
    with Nats(tmp_path_factory.mktemp("nats")) as server:
        yield server


@pytest.fixture
async def pair(own_nats: Nats, cluster: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Pair]:
    monkeypatch.setattr("madang.services.healing.LOST_EVERY", 0.0)
    async with joined(own_nats, cluster) as one, joined(own_nats, cluster) as other, parts(tmp_path, bus=one) as here:
        streams, hub = Streams(other), Hub(other, 0.0)
        hub.use(here.store)
        known = Sessions(here.store, other, here.clock)
        channel = ChannelService(here.store, other, hub, here.clock)
        healing = Healing(here.store, other, hub, streams, known, Limiter(None, here.clock), here.clock)
        await healing.check_all(lost=False)
        yield Pair(own_nats, here, one, Node(other, hub, streams, known, channel, healing))


async def test_what_one_node_stores_the_other_delivers(pair: Pair) -> None:
    room = await pair.here.room(MINA, HANA)
    async with subscribed(pair.there, HANA) as hana:
        for number in range(20):
            await pair.here.say(MINA, room, f"message {number}")
        await hana.reaches(room, await pair.here.store.read(messages.head, room))
        assert hana.reader.texts(room)[-20:] == [f"message {number}" for number in range(20)]
        assert pair.there.hub.pages.loaded <= 1, "they came over the bus, not from the store"
        assert pair.there.hub.gaps_healed == 0


async def test_nothing_falls_between_the_first_look_and_the_bell(pair: Pair) -> None:
    """Streams begin while messages are stored, again and again; none waits for the healing."""
    room = await pair.here.room(MINA, HANA)
    for number in range(50):
        saying = asyncio.create_task(pair.here.say(MINA, room, f"message {number}"))
        async with subscribed(pair.there, HANA, {room: 2}) as hana:
            await saying
            await hana.reaches(room, await pair.here.store.read(messages.head, room))
    assert pair.there.hub.rings == {}, "whoever goes takes the ring along"


async def test_the_head_is_read_after_the_channel_is_watched_for_sure(pair: Pair) -> None:
    """What is stored while NATS has not yet heard that the channel is watched here is not told by NATS."""
    room = await pair.here.room(MINA, HANA)
    pair.nats.freeze()
    subscription = pair.there.channel.subscribe(HANA, Wanted())
    live = Live(subscription)
    beginning = asyncio.create_task(live.next())
    await eventually(lambda: room in pair.there.hub.rings, "it has begun")
    await pair.here.say(MINA, room, "stored meanwhile")
    pair.nats.kill()
    await beginning
    await live.until(lambda: live.reader.texts(room)[-1:] == ["stored meanwhile"])
    subscription.close()
    await eventually(lambda: not pair.there.bus.is_connected and not pair.here_bus.is_connected, "both know")
    await pair.find_the_bus()


async def test_a_channel_that_is_joined_under_an_open_stream_is_complete(pair: Pair) -> None:
    async with subscribed(pair.there, HANA) as hana:
        for number in range(20):
            room = await pair.here.room(MINA, name=f"room-{number}")
            await pair.here.lobby.join(actor(HANA), room)
            await pair.here.say(MINA, room, "welcome")
            await hana.reaches(room, await pair.here.store.read(messages.head, room))
            assert hana.reader.texts(room)[-1] == "welcome"


async def test_a_slow_look_does_not_put_off_the_next_for_long(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("madang.services.healing.REST", 1e9)
    monkeypatch.setattr("madang.services.healing.MOST_REST", 0.05)
    room = await pair.here.room(MINA, HANA)
    async with subscribed(pair.there, HANA) as hana:
        await pair.lose_the_bus()
        await pair.there.healing.look()
        await pair.here.say(MINA, room, "while it rests")
        reading = asyncio.create_task(hana.until(lambda: hana.reader.texts(room)[-1:] == ["while it rests"]))

        async def healed() -> bool:
            await pair.there.healing.look()
            return reading.done()

        await eventually(healed, "a look that is not put off")
        await reading
    await pair.find_the_bus()


async def test_messages_that_the_bus_lost_come_from_the_store(pair: Pair) -> None:
    room = await pair.here.room(MINA, HANA)
    async with subscribed(pair.there, HANA) as hana:
        await pair.lose_the_bus()
        await pair.here.say(MINA, room, "lost", "and lost")
        await pair.there.healing.look()
        await hana.until(lambda: hana.reader.texts(room)[-2:] == ["lost", "and lost"])
        assert pair.there.hub.gaps_healed == 1
        await pair.here.say(MINA, room, "lost, too")
        await pair.find_the_bus()
        await pair.there.healing.look()
        await hana.until(lambda: hana.reader.texts(room)[-1] == "lost, too")
        await pair.here.say(MINA, room, "not lost")
        await hana.until(lambda: hana.reader.texts(room)[-1] == "not lost")


async def test_a_range_that_was_never_stored_and_leaves_a_gap_is_taken_back(pair: Pair) -> None:
    """Whoever asks the store for it finds that there is nothing."""
    room = await pair.here.room(MINA, HANA)
    async with subscribed(pair.there, HANA) as hana:
        head = await pair.here.store.read(messages.head, room)
        for event in (ChannelChanged(room, head + 5, head + 9, b"forged"), HeadKnown(room, head + 9)):
            pair.there.bus.deliver(event)
            for number in range(3):
                await pair.here.say(MINA, room, f"message {number}")
            await hana.reaches(room, await pair.here.store.read(messages.head, room))
        assert hana.reader.texts(room)[-6:] == ["message 0", "message 1", "message 2"] * 2
        await pair.there.healing.check_all(lost=False)
        assert pair.there.hub.rings[room].head == await pair.here.store.read(messages.head, room)


async def test_a_range_that_was_never_stored_and_was_read_does_not_keep_its_readers_from_what_comes(
    pair: Pair, caplog: pytest.LogCaptureFixture
) -> None:
    """It was forged; or the database went back, at a fail-over say, to before what it had acknowledged."""
    room = await pair.here.room(MINA, HANA)
    async with subscribed(pair.there, HANA) as hana:
        head = await pair.here.store.read(messages.head, room)
        never = [Message(room, n, n, MINA, 1, Content.TEXT, "forged") for n in range(head + 1, head + 10)]
        pair.there.bus.deliver(ChannelChanged(room, head, head + 9, encode_segment(never)))
        await hana.reaches(room, head + 9)
        await pair.here.say(MINA, room, "behind what was forged")
        await pair.there.healing.check_all(lost=False)
        with pytest.raises(StorageUnavailable, match="subscribe again"):
            await hana.next()
        positions = hana.reader.positions
    async with subscribed(pair.there, HANA, positions) as hana:
        await pair.there.healing.check_all(lost=False)
        await pair.here.say(MINA, room, "after it")
        await hana.until(lambda: hana.reader.texts(room)[-1:] == ["after it"])
        assert hana.reader.positions[room] == head + 2, "begun anew where the channel is"
    assert f"channel {room} ends at {head + 1}, and not at {head + 9}, as was told" in caplog.text


async def test_readers_of_what_is_stored_are_not_ended_by_the_checks(pair: Pair) -> None:
    """Messages are told while the heads are read, again and again."""
    room = await pair.here.room(MINA, HANA)
    async with subscribed(pair.there, HANA) as hana:
        for number in range(50):
            saying = asyncio.create_task(pair.here.say(MINA, room, f"message {number}"))
            await pair.there.healing.check_all(lost=False)
            await saying
        await hana.reaches(room, await pair.here.store.read(messages.head, room))


async def test_who_left_while_the_bus_was_away_reads_no_more(pair: Pair) -> None:
    room = await pair.here.room(MINA, HANA)
    async with subscribed(pair.there, HANA) as hana:
        await pair.lose_the_bus()
        await pair.here.lobby.leave(actor(HANA), room)
        await pair.there.healing.look()
        await hana.until(lambda: room not in hana.reader.open)
        assert room not in pair.there.hub.rings
        assert pair.there.healing.members_healed == 1
        await pair.find_the_bus()


async def test_who_joined_while_the_bus_was_away_reads_from_there_on(pair: Pair) -> None:
    room = await pair.here.room(MINA)
    await pair.here.say(MINA, room, "before")
    async with subscribed(pair.there, HANA) as hana:
        await pair.lose_the_bus()
        await pair.here.lobby.join(actor(HANA), room)
        await pair.here.say(MINA, room, "after", "and after")
        await pair.there.healing.look()
        await hana.until(lambda: hana.reader.texts(room)[-2:] == ["after", "and after"])
        assert hana.reader.texts(room) == ["after", "and after"], "from its joining on"
        await pair.find_the_bus()
        await pair.there.healing.look()
        assert pair.there.healing.members_healed == 1, "what is right stays"


async def test_who_left_and_came_back_is_not_kept_out(pair: Pair) -> None:
    room = await pair.here.room(MINA, HANA)
    async with subscribed(pair.there, HANA) as hana:
        await pair.lose_the_bus()
        for _ in range(3):
            await pair.here.lobby.leave(actor(HANA), room)
            await pair.there.healing.check_all(lost=False)
            await hana.until(lambda: room not in hana.reader.open)
            await pair.here.lobby.join(actor(HANA), room)
            await pair.there.healing.check_all(lost=False)
            await hana.until(lambda: room in hana.reader.open)
        await pair.find_the_bus()


async def test_comings_and_goings_in_the_wrong_order_end_in_the_right_state(pair: Pair) -> None:
    room = await pair.here.room(MINA, HANA)
    async with subscribed(pair.there, HANA) as hana:
        pair.there.bus.deliver(MembershipChanged(room, HANA, False, 40))
        pair.there.bus.deliver(MembershipChanged(room, HANA, True, 39))
        await hana.until(lambda: room not in hana.reader.open)
        assert room not in pair.there.hub.rings


async def new_session(pair: Pair, user_id: int, digest: bytes) -> Session:
    """A session that the store knows."""

    def add(transaction: Transaction) -> Session:
        user = accounts.user(transaction.connection, user_id)
        assert user is not None
        return sessions.add(transaction, user, digest, "test", transaction.now + 3_600_000_000, "")

    return await pair.here.store.write(add)


async def test_the_streams_of_an_ended_session_end_without_the_bus(pair: Pair) -> None:
    (person,) = await pair.here.people(ServerRole.MEMBER)
    session = await new_session(pair, person.user_id, b"digest")
    pair.there.sessions.remember(b"digest", session)
    ended: list[MadangError] = []
    await pair.lose_the_bus()
    with pair.there.streams.open(session.session_id, ended.append):
        await pair.there.healing.end_revoked()
        assert ended == []
        pair.here.clock.pass_seconds(100)
        await pair.here.store.write(sessions.revoke, session.session_id)
        await pair.there.healing.end_revoked()
        assert [type(error) for error in ended] == [SessionRevoked]
        await pair.there.healing.end_revoked()
        assert len(ended) == 1, "once"
        with pair.there.streams.open(session.session_id, ended.append):  # it was authenticated just before
            await pair.there.healing.end_revoked()
            assert len(ended) == 2, "also one that came after the session's end was told"
    assert pair.there.streams.count == 0
    assert pair.there.sessions.cached() == []
    assert pair.there.healing.sessions_healed == 2
    await pair.find_the_bus()


async def test_the_streams_of_a_banned_persons_bots_end_without_the_bus(pair: Pair) -> None:
    hana, mina = await pair.here.people(ServerRole.OWNER, ServerRole.MEMBER)
    bot = await pair.here.front.bots.create(mina, "robot", "")
    _, session = await pair.here.front.bots.create_token(mina, bot.user_id, Scope.READ, "", None)
    ended: list[MadangError] = []
    await pair.lose_the_bus()
    with pair.there.streams.open(session.session_id, ended.append):
        await pair.there.healing.end_revoked()
        assert ended == []
        await pair.here.front.admin.ban(hana, mina.user_id, "spam", None)
        await pair.there.healing.end_revoked()
        assert [type(error) for error in ended] == [SessionRevoked]
    await pair.find_the_bus()


async def test_roles_and_ends_that_were_missed_are_found_in_the_end(pair: Pair) -> None:
    person, other = await pair.here.people(ServerRole.MEMBER, ServerRole.MEMBER)
    for each in (person, other):
        digest = bytes([each.user_id])
        pair.there.sessions.remember(digest, await new_session(pair, each.user_id, digest))
    gone = pair.there.sessions.cached()[1]

    def change(transaction: Transaction) -> None:
        accounts.set_role(transaction, person.user_id, ServerRole.ADMIN)
        sessions.revoke(transaction, gone.session_id)

    await pair.here.store.write(change)
    pair.there.bus.deliver(NewsLost())
    await pair.there.healing.look()
    (left,) = pair.there.sessions.cached()
    assert (left.user_id, left.role) == (person.user_id, ServerRole.ADMIN)


async def test_a_role_that_was_taken_while_the_bus_was_away_is_gone_with_the_next_look(pair: Pair) -> None:
    (person,) = await pair.here.people(ServerRole.ADMIN)
    pair.there.sessions.remember(b"digest", await new_session(pair, person.user_id, b"digest"))
    await pair.lose_the_bus()
    await pair.there.healing.look()
    await pair.here.store.write(accounts.set_role, person.user_id, ServerRole.MEMBER)
    pair.there.healing._rest_until = 0.0
    await pair.there.healing.look()
    assert [session.role for session in pair.there.sessions.cached()] == [ServerRole.MEMBER]
    await pair.find_the_bus()


async def test_what_rings_hold_may_be_erased_after_a_loss(pair: Pair) -> None:
    room = await pair.here.room(MINA, HANA)
    async with subscribed(pair.there, HANA) as hana:
        await pair.here.say(MINA, room, "secret")
        await hana.until(lambda: "secret" in hana.reader.texts(room))
        assert pair.there.hub.rings[room].batch(pair.there.hub.rings[room].head - 1) is not None
        pair.there.bus.deliver(NewsLost())
        await pair.there.healing.look()
        assert pair.there.hub.rings[room].batch(pair.there.hub.rings[room].head - 1) is None


async def test_what_is_told_after_it_was_erased_is_not_kept(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    """One node erases texts that another one stored just before, and is heard first."""
    monkeypatch.setattr("madang.services.hub.ERASED_AGAIN", 0.0)
    room = await pair.here.room(MINA, HANA)
    async with subscribed(pair.there, HANA) as hana:
        pair.there.bus.deliver(TextsErased(room))
        await pair.here.say(MINA, room, "secret")
        await hana.until(lambda: "secret" in hana.reader.texts(room))
        ring = pair.there.hub.rings[room]
        assert ring.batch(ring.head - 1) is not None
        await pair.there.healing.look()
        assert ring.batch(ring.head - 1) is None


async def test_the_check_of_a_new_channel_ends_with_the_node(pair: Pair) -> None:
    room = await pair.here.room(MINA)
    async with subscribed(pair.there, HANA):
        pair.nats.freeze()
        pair.there.bus.deliver(MembershipChanged(room, HANA, True, 1))
        (checking,) = [task for task in asyncio.all_tasks() if "Hub._check" in repr(task)]
        await pair.there.hub.close()
        assert checking.done()
        pair.nats.thaw()


async def test_whatever_goes_wrong_with_the_check_of_a_new_channel_is_logged(
    pair: Pair, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    room = await pair.here.room(MINA)

    async def fail(*_: object) -> None:
        raise RuntimeError("a mistake")

    async with subscribed(pair.there, HANA):
        with monkeypatch.context() as failing:
            failing.setattr(pair.here.store, "read", fail)
            pair.there.bus.deliver(MembershipChanged(room, HANA, True, 1))
            await eventually(lambda: "new channels could not be checked" in caplog.text, "it is in the log")


async def test_read_marks_and_accounts_are_told_again_after_a_loss(pair: Pair) -> None:
    room = await pair.here.room(MINA, HANA)
    (person,) = await pair.here.people(ServerRole.MEMBER)
    async with subscribed(pair.there, HANA) as hana:
        await pair.lose_the_bus()
        await pair.here.channel.mark_read(HANA, room, 2)
        await pair.here.front.accounts.update(person, None, "Somebody Else", None)
        await pair.find_the_bus()
        await pair.there.healing.look()
        response = await hana.next()
        while not response.users:
            response = await hana.next()
        assert [(user.user_id, user.display_name) for user in response.users] == [(person.user_id, "Somebody Else")]
        assert [(mark.channel_id, mark.read_through) for mark in response.read_marks] == [(room, 2)]
