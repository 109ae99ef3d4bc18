"""Limits over a real connection: what is refused, with which reason, and that waiting as long as told is enough."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from typing import Any

import grpc
import pytest

from madang.core import limits
from madang.core.budget import Rate
from madang.core.limits import MAX_BYTES_BEFORE_SIGN_IN, Limits
from madang.node.embed import Server
from madang.node.settings import networks
from madang.rpc import interceptor
from madang.v1 import channel_service_pb2 as pb

from .calls import Caller, Refusal, Stream, connect, item, refusal_in, sign_in

LIMITED = ("RESOURCE_EXHAUSTED", "RATE_LIMITED")
FULL = ("RESOURCE_EXHAUSTED", "LIMIT_REACHED")


async def post_all(stream: Stream, sends: list[pb.SendRequest]) -> list[Refusal | int]:
    """Send a list; of each message its sequence, or how it was refused."""
    await stream.write(sends=sends)
    return verdicts(await stream.read())


def verdicts(response: pb.PostResponse) -> list[Refusal | int]:
    return [
        result.stored.sequence if result.HasField("stored") else refusal_in(result.error) for result in response.results
    ]


async def test_the_defaults() -> None:
    """5 at once, then 2 a second, however they are sent; somebody else has their own."""
    async with Server() as server, connect(server.target) as channel:
        mina, nari = await sign_in(channel, "mina"), await sign_in(channel, "nari")
        began = time.monotonic()
        await mina.say(1, "1", "2", "3")
        one, two, three = await post_all(mina.post(), [item(1, text) for text in "456"])
        assert (one, two) == (4, 5)
        assert isinstance(three, Refusal)
        assert three.what == LIMITED
        assert three.retry_after is not None
        assert 0 < three.retry_after <= 0.5
        assert (await mina.refused("Send", channel_id=1, text="6")).what == LIMITED
        assert time.monotonic() - began < 0.5, "the machine was too slow for this test"
        await nari.say(1, "6", "7", "8", "9", "10")
        assert (await mina.call("ListMessages", channel_id=1)).messages


async def test_waiting_as_long_as_told_is_enough() -> None:
    async with (
        Server(limits=Limits(messages=Rate(1, 100_000))) as server,
        connect(server.target) as channel,
    ):
        mina = await sign_in(channel, "mina")
        await mina.say(1, "hello")
        for _ in range(10):
            refusal = await mina.refused("Send", channel_id=1, text="again")
            assert refusal.what == LIMITED
            assert refusal.retry_after is not None
            await asyncio.sleep(refusal.retry_after)
            await mina.say(1, "again")


async def test_nothing_overtakes_what_was_refused() -> None:
    """A client that pipelines has sent more before it hears of the refusal: none of that is stored before it."""
    async with (
        Server(limits=Limits(messages=Rate(3, 50_000))) as server,
        connect(server.target) as channel,
    ):
        mina = await sign_in(channel, "mina")
        stream = mina.post()
        sends = [item(1, str(n)) for n in range(5)]
        first = await post_all(stream, sends)
        assert first[:3] == [1, 2, 3]
        refused = first[3]
        assert isinstance(refused, Refusal)
        await asyncio.sleep(0.5)  # there would be enough for more by now
        late = await post_all(stream, [item(1, "late"), item(1, "later")])
        assert [verdict.what for verdict in late if isinstance(verdict, Refusal)] == [LIMITED] * 2
        assert (await post_all(stream, [sends[4], sends[3]]))[0] != 4, "not in this order"
        again = sends[3]
        again.request_id = again.request_id.upper()
        assert await post_all(stream, [again, sends[4], item(1, "late")]) == [4, 5, 6]
        assert await mina.texts(1) == ["0", "1", "2", "3", "4", "late"]


async def test_a_message_that_can_never_be_stored_holds_nothing_up() -> None:
    async with (
        Server(limits=Limits(messages=Rate(3, 50_000))) as server,
        connect(server.target) as channel,
    ):
        mina = await sign_in(channel, "mina")
        stream = mina.post()
        sends = [item(1, "0"), item(1, ""), item(1, "2"), item(1, "")]
        one, empty, two, after = await post_all(stream, sends)
        assert (one, two) == (1, 2)
        assert isinstance(empty, Refusal)
        assert empty.reason == "INVALID_FIELD"
        assert isinstance(after, Refusal)
        assert after.what == LIMITED
        await asyncio.sleep(0.1)
        bad, good = await post_all(stream, [sends[3], item(1, "4")])
        assert isinstance(bad, Refusal)
        assert bad.reason == "INVALID_FIELD"
        assert good == 3


async def test_a_storm_of_lists_leaves_the_server_to_the_others() -> None:
    async with Server() as server, connect(server.target) as storm, connect(server.target) as channel:
        mina, nari = await sign_in(storm, "mina"), await sign_in(channel, "nari")
        sends = [item(1, "x" * 100) for _ in range(1000)]
        stream = mina.post()
        for _ in range(20):
            await stream.write(sends=sends)
        began = time.monotonic()
        for _ in range(5):
            await nari.say(1, "hello")
        assert time.monotonic() - began < 2
        stored = sum(isinstance(verdict, int) for verdict in verdicts(await stream.read()))
        for _ in range(19):
            stored += sum(isinstance(verdict, int) for verdict in verdicts(await stream.read()))
        assert stored <= 5, "the first of a refused list comes first again, or nothing does"
        stream.call.cancel()


@pytest.mark.parametrize(
    ("method", "fields", "given"),
    [
        ("ListMessages", {"channel_id": 1}, {"reads": Rate(2, 10**8)}),
        ("GetMessage", {"channel_id": 1, "sequence": 1}, {"reads": Rate(2, 10**8)}),
        ("JoinChannel", {"channel_id": 1}, {"changes": Rate(2, 10**8)}),
        ("GetMe", {}, {"requests": Rate(2, 10**8)}),
        ("SetTyping", {"channel_id": 1}, {"requests": Rate(2, 10**8)}),
    ],
)
async def test_budgets_of_calls(method: str, fields: dict[str, int], given: dict[str, Rate]) -> None:
    async with Server(limits=Limits(**given)) as server, connect(server.target) as channel:  # type: ignore[arg-type]
        mina = await sign_in(channel, "mina")
        for _ in range(2):
            with suppress(grpc.aio.AioRpcError):  # there is no such message
                await mina.call(method, **fields)
        assert (await mina.refused(method, **fields)).what == LIMITED
        await mina.say(1, "I can still speak")


async def test_new_streams_and_open_streams() -> None:
    few = Limits(subscriptions=Rate(5, 10**8), streams_per_session=2)
    async with Server(limits=few) as server, connect(server.target) as channel:
        mina = await sign_in(channel, "mina")
        first, second = await mina.subscribe(), await mina.subscribe()
        assert (await mina.refused("Subscribe")).what == FULL
        assert (await mina.refused("WatchPresence")).what == FULL
        assert (await mina.post().ending()).what == FULL
        for live in (first, second):
            live.stream.call.cancel()
        async with asyncio.timeout(10):
            while (await mina.refused("Post")).what == FULL:  # noqa: ASYNC110  # nobody tells when they are gone
                await asyncio.sleep(0.01)
        await mina.subscribe()
        assert (await mina.refused("Subscribe")).what == LIMITED
        await mina.say(1, "I can still speak")


async def test_new_guests_of_an_address() -> None:
    async with Server(limits=Limits(guests_by_address=Rate(3, 10**8))) as server, connect(server.target) as channel:
        people = [await sign_in(channel, f"guest-{n}") for n in range(3)]
        assert (await Caller(channel).refused("SignIn", guest={})).what == LIMITED
        assert (await Caller(channel).call("SignIn", token={"token": people[0].token})).user.handle == "guest-0"


async def test_calls_before_signing_in_are_counted_by_address() -> None:
    few = Limits(open_calls_by_address=Rate(3, 10**8))
    async with Server(limits=few) as server, connect(server.target) as one, connect(server.target) as two:
        for channel in (one, two, one):
            await Caller(channel).call("GetServer")
        assert (await Caller(two).refused("GetServer")).what == LIMITED


async def test_addresses_behind_a_trusted_proxy() -> None:
    few = Limits(guests_by_address=Rate(1, 10**8))
    proxies = networks(["127.0.0.1"])
    async with Server(limits=few, trusted_proxies=proxies) as server, connect(server.target) as channel:
        for address in ("203.0.113.5", "2001:db8::1"):
            caller = Caller(channel)
            caller.metadata = (("x-forwarded-for", address),)
            await caller.call("SignIn", guest={})
            assert (await caller.refused("SignIn", guest={})).what == LIMITED
        caller.metadata = (("x-forwarded-for", "2001:db8::2"),)  # the same /64
        assert (await caller.refused("SignIn", guest={})).what == LIMITED


async def test_a_large_request_before_signing_in(nobody: Caller) -> None:
    refusal = await nobody.refused_raw("SignIn", b"\xff" * (MAX_BYTES_BEFORE_SIGN_IN + 1))
    assert refusal.what == FULL
    refusal = await nobody.refused_raw("SignIn", b"\xff" * MAX_BYTES_BEFORE_SIGN_IN)
    assert refusal.reason == "MALFORMED_REQUEST"


async def test_a_call_before_signing_in_that_never_ends(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """Headers, and no request. With a token that is no good nobody waits for it at all."""
    monkeypatch.setattr(interceptor, "MAX_SECONDS_BEFORE_SIGN_IN", 0.2)
    async with connect(server.target) as channel:
        for path in ("/madang.v1.AgentService/SignIn", "/madang.v1.ChannelService/Send"):
            made: Any = channel.stream_unary(path, None, None)
            call = made(metadata=(("authorization", "Bearer x"),))
            async with asyncio.timeout(10):
                code = await call.code()
            expected = {"SignIn": "RESOURCE_EXHAUSTED", "Send": "UNAUTHENTICATED"}[path.rpartition("/")[2]]
            assert code.name == expected


def test_the_seconds_are_those_of_the_design() -> None:
    assert limits.MAX_SECONDS_BEFORE_SIGN_IN == 10
    assert limits.MAX_BYTES_BEFORE_SIGN_IN == 8 * 1024
