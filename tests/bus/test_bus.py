"""The bus's one suite, over both: what is said at one end is heard at the other, and nothing else."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
from parts.nats import Nats
from support import eventually

from madang.bus.base import Bus
from madang.bus.local import LocalBus
from madang.core import events
from madang.core.claims import Claim
from madang.core.events import BusEvent
from madang.core.models import ServerRole, User, UserKind
from madang.core.presence import Presence, Status

from .conftest import joined

CHANNEL = 7
USER = User(3, "mina", UserKind.PERSON, 1_700_000_000_000_000, ServerRole.ADMIN, "Mina", "out", 0, None, 5_000_000)
OF_CHANNEL: list[BusEvent] = [
    events.ChannelChanged(CHANNEL, 4, 6, b"\x12\x04\x08\x07\x10\x05"),
    events.HeadKnown(CHANNEL, 9),
    events.TextsErased(CHANNEL),
    events.TypingStarted(CHANNEL, 3),
]
FOR_ALL: list[BusEvent] = [
    events.MembershipChanged(CHANNEL, 3, True, 12),
    events.MembershipChanged(CHANNEL, 3, False, 13),
    events.SessionEnded(5, 3),
    events.ReadMarkMoved(CHANNEL, 3, 11),
    events.UserChanged(USER),
    events.ServerRoleChanged(3, ServerRole.MEMBER),
    events.BotLimitsChanged(3, 10, 20),
    events.NewsLost(),
    events.ClaimsChanged("a", 4, 5, (Claim(3, True, 8, Status.AWAY, 7), Claim(4, False, 0))),
]
KINDS = {type(event) for event in OF_CHANNEL + FOR_ALL}


@dataclass
class Ends:
    """Two ends of one bus: two nodes, or the two sides of one."""

    here: Bus
    there: Bus


@pytest.fixture(params=["local", "nats"])
async def ends(request: pytest.FixtureRequest, nats: Nats, cluster: str) -> AsyncIterator[Ends]:
    if request.param == "local":
        bus = LocalBus()
        yield Ends(bus, bus)
    else:
        async with joined(nats, cluster) as here, joined(nats, cluster) as there:
            yield Ends(here, there)


def listen(bus: Bus) -> list[BusEvent]:
    """Everything that comes to the bus from now on."""
    heard: list[BusEvent] = []
    for kind in KINDS:
        bus.subscribe(kind, heard.append)
    return heard


@pytest.mark.parametrize("event", FOR_ALL, ids=lambda event: type(event).__name__)
async def test_what_everyone_has_to_know_comes_to_everyone(ends: Ends, event: BusEvent) -> None:
    heard = listen(ends.there)
    ends.here.publish(event)
    await eventually(lambda: heard, "it came")
    assert heard == [event]


@pytest.mark.parametrize("event", OF_CHANNEL, ids=lambda event: type(event).__name__)
async def test_what_concerns_a_channel_comes_to_whoever_watches_it(ends: Ends, event: BusEvent) -> None:
    heard = listen(ends.there)
    ends.there.watch(CHANNEL)
    await ends.there.settled()
    ends.here.publish(event)
    await eventually(lambda: heard, "it came")
    assert heard == [event]


async def test_handlers_here_are_called_before_publish_returns(ends: Ends) -> None:
    heard = listen(ends.here)
    for event in OF_CHANNEL + FOR_ALL:
        ends.here.publish(event)
    assert heard == OF_CHANNEL + FOR_ALL


async def test_each_event_comes_once_and_in_order(ends: Ends) -> None:
    heard_here, heard_there = [], listen(ends.there)
    if ends.here is not ends.there:
        heard_here = listen(ends.here)
        ends.here.watch(CHANNEL)
        await ends.here.settled()
    ends.there.watch(CHANNEL)
    await ends.there.settled()
    said: list[BusEvent] = [events.ChannelChanged(CHANNEL, n, n + 1, bytes([n % 256]) * n) for n in range(2000)]
    for event in said:
        ends.here.publish(event)
    await eventually(lambda: len(heard_there) == len(said), "all came")
    assert heard_there == said
    assert heard_here in ([], said), "nothing comes back to whoever said it"


async def test_what_is_delivered_stays_here(ends: Ends) -> None:
    heard_here, heard_there = listen(ends.here), listen(ends.there)
    ends.here.deliver(events.SessionEnded(1, 1))
    ends.here.publish(events.SessionEnded(2, 2))
    await eventually(lambda: events.SessionEnded(2, 2) in heard_there, "what was published came")
    assert heard_here[0] == events.SessionEnded(1, 1)
    assert ends.here is ends.there or heard_there == [events.SessionEnded(2, 2)]


async def test_a_handler_that_fails_keeps_nothing_from_the_others(ends: Ends) -> None:
    def fail(event: events.SessionEnded) -> None:
        raise ValueError("on purpose")

    ends.there.subscribe(events.SessionEnded, fail)
    heard = listen(ends.there)
    ends.here.publish(events.SessionEnded(1, 1))
    ends.here.publish(events.SessionEnded(2, 1))
    await eventually(lambda: len(heard) == 2, "both came")


async def test_presence_is_each_nodes_own_business(ends: Ends) -> None:
    heard: list[events.PresenceChanged] = []
    ends.there.subscribe(events.PresenceChanged, heard.append)
    told = listen(ends.there)
    ends.here.publish(events.PresenceChanged((Presence(1, Status.ONLINE, 1),)))
    ends.here.publish(events.NewsLost())
    await eventually(lambda: told, "what came after it is here")
    assert bool(heard) is (ends.here is ends.there)
