"""Who has how much left."""

from __future__ import annotations

import asyncio

import pytest
from support import Clock

from madang.bus.local import LocalBus
from madang.core.budget import Allowance, Rate
from madang.core.errors import LimitReached, Overloaded, RateLimited
from madang.core.events import BotLimitsChanged
from madang.core.limits import BUDGETS, Limits, rate_limited, require_room
from madang.core.models import ServerRole, Session
from madang.core.rights import RULES
from madang.services.limits import Limiter, SignInGuard

MINUTE = 60 * 1_000_000
HOME, CAFE = "203.0.113.5", "198.51.100.7"


def session(user_id: int = 7, session_id: int = 70, role: ServerRole = ServerRole.MEMBER) -> Session:
    return Session(session_id, user_id, "", 0, 0, 0, role=role)


def limiter(limits: Limits | None, clock: Clock | None = None, bus: LocalBus | None = None) -> Limiter:
    async def nothing(user_id: int) -> tuple[int, int]:
        return 0, 0

    return Limiter(limits, clock or Clock(), bus, nothing)


# Wrong passwords.


def test_five_guesses_in_fifteen_minutes_to_the_letter() -> None:
    guard, allowed = SignInGuard(Limits()), []
    for second in range(1000):  # a thousand guesses, from a thousand addresses
        try:
            guard.check("mina", f"10.0.{second // 256}.{second % 256}", second * 1_000_000)
        except RateLimited:
            continue
        allowed.append(second)
    assert allowed == [0, 1, 2, 3, 4, 900, 901, 902, 903, 904]


def test_a_thousand_guesses_at_the_same_instant_are_five() -> None:
    """None of them has failed yet when the last begins."""
    guard = SignInGuard(Limits())
    for _ in range(5):
        guard.check("mina", HOME, 0)
    for _ in range(995):
        with pytest.raises(RateLimited, match="900"):
            guard.check("mina", HOME, 0)


def test_the_right_password_begins_anew() -> None:
    guard = SignInGuard(Limits())
    for now in range(100):
        for _ in range(4):
            guard.check("mina", CAFE if now < 6 else f"10.0.0.{now}", now)
        guard.check("mina", HOME, now)
        guard.succeeded("mina", HOME)
    for _ in range(5):
        guard.check("mina", HOME, 100)
    with pytest.raises(RateLimited):
        guard.check("mina", HOME, 100)


def test_many_accounts_behind_one_address() -> None:
    """Guessing one password at many accounts is counted by address; who signs in rightly from there is not counted."""
    guard = SignInGuard(Limits())
    for n in range(1000):
        guard.check(f"good {n}", HOME, n)
        guard.succeeded(f"good {n}", HOME)
    for n in range(30):
        guard.check(f"victim {n}", HOME, n)
    with pytest.raises(RateLimited) as caught:
        guard.check("one more", HOME, 30)
    guard.check("one more", CAFE, 30)
    wait = round((caught.value.retry_after or 0) * 1_000_000)
    guard.check("one more", HOME, 30 + wait)


def test_a_password_that_nobody_has_looked_at() -> None:
    guard = SignInGuard(Limits())
    for now in range(100):
        guard.check("mina", HOME, now)
        guard.withdrawn("mina", HOME)
    for _ in range(5):
        guard.check("mina", HOME, 100)


def test_a_refused_attempt_costs_nothing() -> None:
    guard = SignInGuard(Limits())
    for _ in range(5):
        guard.check("mina", HOME, 0)
    for now in range(1000):
        with pytest.raises(RateLimited):
            guard.check("mina", HOME, now)
    guard.check("mina", HOME, 15 * MINUTE)
    for n in range(24):
        guard.check(f"other {n}", HOME, 0)


# Messages.


async def test_five_messages_and_then_two_a_second() -> None:
    clock = Clock()
    limits = limiter(Limits(), clock)
    one, two = [await limits.messages(session(session_id=number)) for number in (70, 71)]
    assert one is not None
    assert two is not None
    assert one.take(3) == 3
    assert two.take(3) == 2, "the account has one budget"
    assert two.refusal().retry_after == 0.5
    clock.pass_seconds(0.5)
    assert one.take(9) == 1
    assert one.refusal().facts["what"] == "messages"
    clock.pass_seconds(3600)
    assert one.take(9) == 5


async def test_what_a_refusal_says_is_true() -> None:
    clock = Clock()
    limits = limiter(Limits(messages=Rate(3, 333_333)), clock)
    for _ in range(3):
        await limits.pay("ChannelService/Send", session())
    for _ in range(20):
        with pytest.raises(RateLimited) as caught:
            await limits.pay("ChannelService/Send", session())
        clock.now += round((caught.value.retry_after or 0) * 1_000_000)
        await limits.pay("ChannelService/Send", session())


async def test_reading_never_eats_the_right_to_speak() -> None:
    limits = limiter(Limits())
    calls = ("ChannelService/ListMessages", "ChannelService/Subscribe", "LobbyService/JoinChannel", "x/AnythingElse")
    for method in calls:
        assert 50 < await _paid(limits, method) < 1000
    await limits.pay("ChannelService/Send", session())
    for method in calls:
        await limits.pay(method, session(user_id=8, session_id=80))


async def _paid(limits: Limiter, method: str) -> int:
    """How often a call can be paid for at one moment."""
    for count in range(10_000):
        try:
            await limits.pay(method, session())
        except RateLimited:
            return count
    raise AssertionError("there is no limit")


async def test_a_bot_has_what_it_was_given() -> None:
    clock, bus, asked = Clock(), LocalBus(), []

    async def load(user_id: int) -> tuple[int, int]:
        asked.append(user_id)
        return {1: (100, 1000), 2: (0, 0)}[user_id]

    limits = Limiter(Limits(), clock, bus, load)
    rich, usual = [await limits.messages(session(user_id, role=ServerRole.BOT)) for user_id in (1, 2)]
    assert rich is not None
    assert usual is not None
    assert rich.take(5000) == 1000
    assert usual.take(5000) == 50
    await limits.pay("x/AnythingElse", session(1, role=ServerRole.BOT))
    await limits.messages(session(1, role=ServerRole.BOT))
    assert asked == [1, 2], "looked up once each"
    bus.publish(BotLimitsChanged(1, 1, 2))
    clock.pass_seconds(60)
    assert rich.take(5000) == 2, "at once, on streams that are open"


async def test_a_bots_limits_that_change_while_they_are_looked_up() -> None:
    bus, answers, asked = LocalBus(), [asyncio.get_running_loop().create_future() for _ in range(2)], []

    async def load(user_id: int) -> tuple[int, int]:
        asked.append(user_id)
        return await answers[len(asked) - 1]  # type: ignore[no-any-return]

    limits = Limiter(Limits(), Clock(), bus, load)
    asking = asyncio.create_task(limits.messages(session(role=ServerRole.BOT)))
    await asyncio.sleep(0)
    bus.publish(BotLimitsChanged(7, 1, 3))
    answers[0].set_result((1000, 1000))
    budget = await asking
    assert budget is not None
    assert budget.take(100) == 3


# Others.


def test_an_account_that_could_not_be_made_does_not_count() -> None:
    limits = limiter(Limits(registrations_by_address=Allowance(2, MINUTE)))
    for _ in range(10):
        with pytest.raises(ZeroDivisionError), limits.registration(HOME):
            raise ZeroDivisionError
    with limits.registration(HOME), limits.registration(HOME), pytest.raises(RateLimited), limits.registration(HOME):
        pytest.fail("a third one while two are made")
    with pytest.raises(RateLimited), limits.registration(HOME):
        pytest.fail("a third one")
    with limits.registration(CAFE):
        pass


def test_streams_are_counted_by_session_and_by_address() -> None:
    limits = limiter(Limits(streams_per_session=2, streams_per_address=3))
    one, two, three = [session(session_id=number) for number in (1, 2, 3)]
    with limits.stream(one, HOME), limits.stream(one, HOME):
        with pytest.raises(LimitReached, match="no more than 2 open streams of a session"), limits.stream(one, CAFE):
            pytest.fail("a third one")
        with limits.stream(two, HOME):
            with pytest.raises(LimitReached, match="3 open streams from your address"), limits.stream(three, HOME):
                pytest.fail("a fourth one")
            with limits.stream(three, CAFE):
                pass
    with limits.stream(one, HOME), limits.stream(one, HOME):
        assert len(limits._streams) == 2
    assert not limits._streams


def test_calls_under_way() -> None:
    limits, one = limiter(Limits(requests_under_way=2)), session()
    with limits.under_way(one), limits.under_way(one), pytest.raises(Overloaded), limits.under_way(one):
        pytest.fail("a third one")
    with limits.under_way(one):
        pass
    assert not limits._under_way


async def test_without_limits() -> None:
    limits = limiter(None)
    for _ in range(10_000):
        await limits.pay("ChannelService/Send", session())
        limits.pay_guest(HOME)
        limits.sign_ins.check("mina", HOME, 0)
    assert await limits.messages(session()) is None


def test_every_method_with_a_price_is_in_the_contract() -> None:
    assert BUDGETS.keys() <= RULES.keys()


def test_how_long_to_wait_is_never_told_too_short() -> None:
    for micros in (1, 999, 1000, 1001, 499_999, 500_000, 1_234_567):
        told = rate_limited("messages", micros).retry_after
        assert told is not None
        assert 0 <= told * 1_000_000 - micros < 1000


def test_room() -> None:
    require_room("bots", 19, 20)
    with pytest.raises(LimitReached, match="there may be no more than 20 bots"):
        require_room("bots", 20, 20)


@pytest.mark.parametrize("field", ["streams_per_session", "channels_per_user"])
def test_nonsense(field: str) -> None:
    with pytest.raises(ValueError, match=field):
        Limits(**{field: 0})  # type: ignore[arg-type]
