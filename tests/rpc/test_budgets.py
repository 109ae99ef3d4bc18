"""Limits over a real connection: what is refused, with which reason, and that waiting as long as told is enough."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from contextlib import suppress
from typing import Any

import grpc
import pytest
from support import Clock, eventually

from madang.core import limits
from madang.core.budget import Allowance, Rate
from madang.core.limits import MAX_BYTES_BEFORE_SIGN_IN, Limits
from madang.core.models import Registration
from madang.node.embed import Server
from madang.node.kinds import NETWORKS
from madang.rpc import interceptor
from madang.v1 import channel_service_pb2 as pb

from .calls import Caller, Refusal, Stream, connect, item, refusal_in, sign_in

PASSWORD = "nine lives and a tail"  # noqa: S105
CHEAP: dict[str, Any] = {"password_time": 1, "password_memory": 8, "password_lanes": 1}
LIMITED = ("RESOURCE_EXHAUSTED", "RATE_LIMITED")
FULL = ("RESOURCE_EXHAUSTED", "LIMIT_REACHED")


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The time of the budgets, which stands still."""
    made = Clock()
    monkeypatch.setattr("madang.node.node.ticks", made)
    return made


async def post_all(stream: Stream, sends: list[pb.SendRequest]) -> list[Refusal | int]:
    """Send a list; of each message its sequence, or how it was refused."""
    await stream.write(sends=sends)
    return verdicts(await stream.read())


def verdicts(response: pb.PostResponse) -> list[Refusal | int]:
    return [
        result.stored.sequence if result.HasField("stored") else refusal_in(result.error) for result in response.results
    ]


async def test_the_defaults(clock: Clock) -> None:
    """5 at once, then 2 a second, however they are sent; somebody else has their own."""
    async with Server() as server, connect(server.target) as channel:
        mina, nari = await sign_in(channel, "mina"), await sign_in(channel, "nari")
        await mina.say(1, "1", "2", "3")
        one, two, three = await post_all(mina.post(), [item(1, text) for text in "456"])
        assert (one, two) == (4, 5)
        assert isinstance(three, Refusal)
        assert three.what == LIMITED
        assert three.retry_after is not None
        assert 0 < three.retry_after <= 0.5
        assert (await mina.refused("Send", channel_id=1, text="6")).what == LIMITED
        await nari.say(1, "6", "7", "8", "9", "10")
        assert (await mina.call("ListMessages", channel_id=1)).messages


async def test_waiting_as_long_as_told_is_enough(clock: Clock) -> None:
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
            clock.pass_seconds(refusal.retry_after)
            await mina.say(1, "again")


async def test_nothing_overtakes_what_was_refused(clock: Clock) -> None:
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
        clock.pass_seconds(0.5)  # there would be enough for more by now
        late = await post_all(stream, [item(1, "late"), item(1, "later")])
        assert [verdict.what for verdict in late if isinstance(verdict, Refusal)] == [LIMITED] * 2
        assert (await post_all(stream, [sends[4], sends[3]]))[0] != 4, "not in this order"
        again = sends[3]
        again.request_id = again.request_id.upper()
        assert await post_all(stream, [again, sends[4], item(1, "late")]) == [4, 5, 6]
        assert await mina.texts(1) == ["0", "1", "2", "3", "4", "late"]


async def test_a_message_that_can_never_be_stored_holds_nothing_up(clock: Clock) -> None:
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
        clock.pass_seconds(0.1)
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


async def test_a_thousand_guesses_at_a_password() -> None:
    """At once, and however they are answered: five are looked at. An account that is not there is no different."""
    wrong = ("UNAUTHENTICATED", "CREDENTIALS_WRONG")
    async with Server(registration=Registration.OPEN, **CHEAP) as server, connect(server.target) as channel:
        nobody = Caller(channel)
        await nobody.call("Register", handle="mina", password=PASSWORD)
        for handle in ("MINA", "not-there"):
            guesses = [{"handle": handle, "password": f"guess number {n}"} for n in range(500)]
            refusals = await asyncio.gather(*(nobody.refused("SignIn", password=guess) for guess in guesses))
            refusals += [await nobody.refused("SignIn", password=guess) for guess in guesses[:5]]
            assert Counter(refusal.what for refusal in refusals) == {wrong: 5, LIMITED: 500}
            waits = [refusal.retry_after or 0 for refusal in refusals if refusal.what == LIMITED]
            assert 800 < min(waits) <= max(waits) <= 900
        refusal = await nobody.refused("SignIn", password={"handle": "mina", "password": PASSWORD})
        assert refusal.what == LIMITED, "also the right one: else every guess would be worth it"
        assert refusal.retry_after is not None
        assert 800 < refusal.retry_after <= 900


async def test_guesses_with_a_stolen_session_count_too() -> None:
    async with Server(registration=Registration.OPEN, **CHEAP) as server, connect(server.target) as channel:
        mina = Caller(channel, (await Caller(channel).call("Register", handle="mina", password=PASSWORD)).token)
        change = {"old_password": "not this one", "new_password": "another one that is long"}
        found = [(await mina.refused("ChangePassword", **change)).reason for _ in range(4)]
        delete = {"password": "nor this", "messages": 1}
        found += [(await mina.refused("DeleteMe", **delete)).reason for _ in range(2)]
        assert found == ["CREDENTIALS_WRONG"] * 5 + ["RATE_LIMITED"]


async def test_the_right_password_does_not_count() -> None:
    async with Server(registration=Registration.OPEN, **CHEAP) as server, connect(server.target) as channel:
        nobody = Caller(channel)
        await nobody.call("Register", handle="mina", password=PASSWORD)
        for _ in range(40):
            await nobody.call("SignIn", password={"handle": "mina", "password": PASSWORD})


async def test_new_accounts_of_an_address() -> None:
    few = Limits(registrations_by_address=Allowance(2, 10**9))
    async with (
        Server(limits=few, registration=Registration.OPEN, **CHEAP) as server,
        connect(server.target) as channel,
    ):
        nobody = Caller(channel)
        await nobody.call("Register", handle="mina", password=PASSWORD)
        for _ in range(3):
            assert (await nobody.refused("Register", handle="mina", password=PASSWORD)).reason == "HANDLE_TAKEN"
        await nobody.call("Register", handle="nari", password=PASSWORD)
        assert (await nobody.refused("Register", handle="joon", password=PASSWORD)).what == LIMITED


async def test_a_bot_has_the_limits_that_an_administrator_sets(clock: Clock) -> None:
    few = Limits(bot_messages=Rate(2, 10**8))
    async with Server(limits=few, **CHEAP) as server, connect(server.target) as channel:
        code = await server.first_invite()
        nobody = Caller(channel)
        hana = Caller(
            channel, (await nobody.call("Register", handle="hana", password=PASSWORD, invite_code=code)).token
        )
        bot_id = (await hana.call("CreateBot", handle="robot")).bot.user_id
        made = await hana.call("CreateBotToken", bot_id=bot_id, scopes=["TOKEN_SCOPE_SEND"])
        robot = Caller(channel, made.token)
        stream = robot.post()
        sends = [item(1, str(n)) for n in range(10)]
        assert (await post_all(stream, sends))[:2] == [1, 2]
        await hana.call("SetBotLimits", bot_id=bot_id, messages_per_second=1, burst=7)
        found = await post_all(stream, sends[2:])
        assert [verdict for verdict in found if isinstance(verdict, int)] == [], "what it has used stays used"
        await hana.call("SetBotLimits", bot_id=bot_id, messages_per_second=100_000, burst=100)
        (refused,) = await post_all(stream, sends[2:3])  # what was empty is empty; it only fills faster
        assert isinstance(refused, Refusal)
        assert refused.retry_after == 0.001
        clock.pass_seconds(0.01)
        assert await post_all(stream, sends[2:]) == list(range(3, 11)), "on the stream that is open"


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

        async def are_gone() -> bool:
            return (await mina.refused("Post")).what != FULL

        await eventually(are_gone, "nobody tells when they are")
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
    proxies = NETWORKS.read("127.0.0.1")
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
