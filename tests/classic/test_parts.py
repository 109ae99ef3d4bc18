"""Addresses, the pool of ports, comings and goings: without a server."""

from __future__ import annotations

import asyncio
import socket

import pytest

from madang.core.errors import ServerDraining
from madang.core.presence import Presence, Status
from madang.rpc.classic.addresses import Place, peer_host, reached_by
from madang.rpc.classic.comings import Comings
from madang.rpc.classic.ports import Ports, places
from madang.rpc.classic.tasks import Tasks

from .people import free_ports


@pytest.mark.parametrize(
    ("peer", "host"),
    [
        ("ipv4:127.0.0.1:1234", "127.0.0.1"),
        ("ipv6:%5B::1%5D:1234", "::1"),
        ("ipv6:[::1]:1234", "::1"),
        ("ipv6:%5Bfe80::1%25eth0%5D:1", "fe80::1%eth0"),
        ("ipv6:%5B::ffff:192.0.2.7%5D:9", "192.0.2.7"),
        ("unix:/run/madang.sock", "unix:/run/madang.sock"),
        ("unix:", "unix:"),
        ("", ""),
    ],
)
def test_the_host_of_a_peer(peer: str, host: str) -> None:
    assert peer_host(peer) == host


@pytest.mark.parametrize(
    ("listens", "caller", "address"),
    [
        ("localhost", "127.0.0.1", "127.0.0.1:50052"),
        ("localhost", "::1", "[::1]:50052"),
        ("::", "::1", "[::1]:50052"),
        ("0.0.0.0", "127.0.0.5", "127.0.0.1:50052"),
        ("127.0.0.1", "127.0.0.1", "127.0.0.1:50052"),
        ("::1", "127.0.0.1", "[::1]:50052"),
        ("chat.example.org", "192.0.2.7", "chat.example.org:50052"),
        ("localhost", "unix:", "localhost:50052"),
    ],
)
def test_the_address_that_a_caller_is_given(listens: str, caller: str, address: str) -> None:
    assert str(reached_by(Place(listens, 50052), caller)) == address


def test_ports_are_taken_in_order_and_rest_before_they_come_again() -> None:
    ports = Ports(1, 3)
    assert [ports.take(lambda _: True) for _ in range(2)] == [1, 2]
    ports.give_back(1)
    assert [ports.take(lambda _: True) for _ in range(3)] == [3, 1, None]


def test_a_port_that_cannot_be_used_is_tried_again_later() -> None:
    ports = Ports(1, 2)
    assert ports.take(lambda port: port != 1) == 2
    assert ports.take(lambda _: False) is None
    assert ports.take(lambda _: True) == 1


@pytest.mark.parametrize("taken", ["127.0.0.1", "::1"])
def test_localhost_is_both_of_its_addresses_or_none(taken: str) -> None:
    port = free_ports(1).first
    assert places("localhost", port) == [Place("127.0.0.1", port), Place("::1", port)]
    with socket.socket(socket.AF_INET6 if ":" in taken else socket.AF_INET) as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # closed connections of other tests may linger
        other.bind((taken, port))
        other.listen()
        assert places("localhost", port) == []
        assert places(taken, port) == []


def presence(user_id: int, status: Status) -> Presence:
    return Presence(user_id, status, None)


async def test_between_online_and_away_nobody_comes() -> None:
    comings = Comings()
    feed = comings.open(1)
    comings.note([presence(2, Status.ONLINE)])
    assert await feed.next(1) == {2: True}
    comings.note([presence(2, Status.AWAY), presence(3, Status.OFFLINE)])
    comings.note([presence(2, Status.OFFLINE)])
    assert await feed.next(1) == {2: False}


async def test_who_came_and_went_untold_is_not_told_and_nor_is_the_user_itself() -> None:
    comings = Comings()
    feed = comings.open(1)
    comings.note([presence(1, Status.ONLINE), presence(2, Status.ONLINE)])
    comings.note([presence(2, Status.OFFLINE), presence(3, Status.ONLINE)])
    assert await feed.next(1) == {3: True}
    assert await feed.next(0.01) == {}


async def test_a_closed_feed_hears_nothing_and_an_ended_one_raises() -> None:
    comings = Comings()
    closed, ended = comings.open(1), comings.open(1)
    comings.close(closed)
    comings.note([presence(2, Status.ONLINE)])
    assert await closed.next(0.01) == {}
    ended.end(ServerDraining(retry_after=1))
    with pytest.raises(ServerDraining):
        await ended.next(1)


async def test_work_goes_on_though_its_caller_goes() -> None:
    tasks, go, done = Tasks(), asyncio.Event(), asyncio.Event()

    async def work() -> None:
        await go.wait()
        done.set()

    caller = asyncio.create_task(tasks.through(work()))
    await asyncio.sleep(0)
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    go.set()
    await tasks.finish()
    assert done.is_set()
