"""Who has how much left: the budgets of accounts, sessions and addresses, and what each has open."""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Awaitable, Callable, Hashable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

from madang.bus.base import Bus
from madang.core.budget import SECOND, Allowances, Buckets, Rate
from madang.core.errors import LimitReached, Overloaded, RateLimited
from madang.core.events import BotLimitsChanged
from madang.core.limits import Budget, Limits, cost_of, rate_limited
from madang.core.models import ServerRole, Session

LoadRate = Callable[[int], Awaitable[tuple[int, int]]]
"""Looks up what an administrator has set for a bot, by its user_id: messages a second, and at once; 0: nothing."""

MOST_RATES = 10_000
TRY_AGAIN = 0.2
"""When a call that has to wait for the session's others is told to come back, seconds."""


class SignInGuard:
    """Counts wrong passwords, by account and by address. Pure: `now` in microseconds.

    An attempt counts from its beginning, until it turns out to be right: a thousand that are made at the same instant
    are five, and one that is broken off is one. Accounts that do not exist are counted like those that do.
    """

    def __init__(self, limits: Limits | None) -> None:
        self._by_account = Allowances(limits.sign_in_failures) if limits else None
        self._by_address = Allowances(limits.sign_in_failures_by_address) if limits else None

    def check(self, handle: Hashable, address: Hashable, now: int) -> None:
        """Before the password is looked at. Raises RateLimited, and then this was no attempt.

        `handle`: the handle in the form in which it is unique, whether there is such an account or not.
        """
        if self._by_account is None or self._by_address is None:
            return
        wait = max(self._by_account.wait(handle, now), self._by_address.wait(address, now))
        if wait:
            raise rate_limited("wrong passwords", wait)
        self._by_account.add(handle, now)
        self._by_address.add(address, now)

    def succeeded(self, handle: Hashable, address: Hashable) -> None:
        """The password was right: the account begins anew, and for the address it was no failure."""
        if self._by_account is None or self._by_address is None:
            return
        self._by_account.clear(handle)
        self._by_address.take_back(address)

    def withdrawn(self, handle: Hashable, address: Hashable) -> None:
        """Nobody has looked at the password: this was no attempt."""
        if self._by_account is None or self._by_address is None:
            return
        self._by_account.take_back(handle)
        self._by_address.take_back(address)


class Attempt:
    """A password that is being looked at. It counts as wrong unless it is said to be something else."""

    def __init__(self, guard: SignInGuard, handle: Hashable, address: Hashable) -> None:
        self._guard = guard
        self._of = (handle, address)

    def succeeded(self) -> None:
        """It was right."""
        self._guard.succeeded(*self._of)

    def withdrawn(self) -> None:
        """Nobody has looked at it."""
        self._guard.withdrawn(*self._of)


class MessageBudget:
    """What one stream of messages is paid from: the user's budget, which all of its streams and calls share."""

    def __init__(self, buckets: Buckets, user_id: int, rate: Callable[[], Rate], clock: Callable[[], int]) -> None:
        self._buckets = buckets
        self._user_id = user_id
        self._rate = rate
        self._clock = clock

    def take(self, count: int) -> int:
        """Pay for up to `count` messages; for how many there was enough."""
        return self._buckets.take(self._user_id, self._clock(), count, self._rate())

    def refusal(self) -> RateLimited:
        """Why there is no more, and when there is."""
        wait = self._buckets.wait(self._user_id, self._clock(), 1, self._rate())
        return rate_limited(Budget.MESSAGES.value, wait)


class Limiter:
    """The budgets of one node. Addresses are as `madang.core.hosts.limit_key` makes them."""

    def __init__(
        self, limits: Limits | None, clock: Callable[[], int], bus: Bus | None = None, load_rate: LoadRate | None = None
    ) -> None:
        """`limits` None: there are none. `clock`: microseconds, of a clock that nobody sets."""
        self.limits = limits
        self.sign_ins = SignInGuard(limits)
        self._clock = clock
        self._load_rate = load_rate
        self._rates: OrderedDict[int, Rate] = OrderedDict()
        self._changes = 0
        self._under_way: Counter[int] = Counter()
        self._streams: Counter[tuple[str, Hashable]] = Counter()
        known = limits or Limits()
        self._default = known.bot_messages
        self._messages = Buckets(known.messages)
        self._open_calls = Buckets(known.open_calls_by_address)
        self._guests = Buckets(known.guests_by_address)
        self._registrations = Allowances(known.registrations_by_address)
        self._of_users = {
            Budget.READS: Buckets(known.reads),
            Budget.SUBSCRIPTIONS: Buckets(known.subscriptions),
            Budget.CHANGES: Buckets(known.changes),
        }
        self._requests = Buckets(known.requests)
        if bus is not None:
            bus.subscribe(BotLimitsChanged, self._on_bot_limits)

    async def messages(self, session: Session) -> MessageBudget | None:
        """The budget of the session's user for messages; None: without limits."""
        if self.limits is None:
            return None
        if session.role is not ServerRole.BOT:
            rate = self.limits.messages
            return MessageBudget(self._messages, session.user_id, lambda: rate, self._clock)
        await self._know(session.user_id)
        user_id = session.user_id
        return MessageBudget(self._messages, user_id, lambda: self._rates.get(user_id, self._default), self._clock)

    async def pay(self, method: str, session: Session) -> None:
        """Pay for a call of `Service/Method`. Raises RateLimited."""
        if self.limits is None:
            return
        budget, cost = cost_of(method)
        if budget is Budget.MESSAGES:
            await self.pay_message(session)
        elif budget is Budget.REQUESTS:
            _take(self._requests, session.session_id, self._clock(), cost, budget.value)
        else:
            _take(self._of_users[budget], session.user_id, self._clock(), cost, budget.value)

    async def pay_message(self, session: Session) -> None:
        """Pay for one message. Raises RateLimited."""
        budget = await self.messages(session)
        if budget is not None and not budget.take(1):
            raise budget.refusal()

    def pay_change(self, user_id: int) -> None:
        """Pay for something that others are told of. Raises RateLimited."""
        if self.limits is not None:
            _take(self._of_users[Budget.CHANGES], user_id, self._clock(), 1, Budget.CHANGES.value)

    def attempt(self, handle: Hashable, address: Hashable) -> Attempt:
        """Before a password is looked at; see SignInGuard.check. Raises RateLimited."""
        self.sign_ins.check(handle, address, self._clock())
        return Attempt(self.sign_ins, handle, address)

    def pay_open_call(self, address: Hashable) -> None:
        """Pay for a call without a session. Raises RateLimited."""
        if self.limits is not None:
            _take(self._open_calls, address, self._clock(), 1, "calls from your address")

    def pay_guest(self, address: Hashable) -> None:
        """Pay for a new guest. Raises RateLimited."""
        if self.limits is not None:
            _take(self._guests, address, self._clock(), 1, "new guests from your address")

    @contextmanager
    def registration(self, address: Hashable) -> Iterator[None]:
        """Around the making of an account, which counts unless it fails. Raises RateLimited."""
        if self.limits is None:
            yield
            return
        now = self._clock()
        wait = self._registrations.wait(address, now)
        if wait:
            raise rate_limited("new accounts from your address", wait)
        self._registrations.add(address, now)
        try:
            yield
        except BaseException:
            self._registrations.take_back(address)
            raise

    @contextmanager
    def under_way(self, session: Session) -> Iterator[None]:
        """Around a call that answers once. Raises Overloaded: the session has too many that wait."""
        if self.limits is None:
            yield
            return
        calls, session_id = self._under_way, session.session_id
        if calls[session_id] >= self.limits.requests_under_way:
            raise Overloaded(problem="this session waits for many answers", retry_after=TRY_AGAIN)
        calls[session_id] += 1
        try:
            yield
        finally:
            calls[session_id] -= 1
            if not calls[session_id]:
                del calls[session_id]

    def stream(self, session: Session, address: Hashable) -> AbstractContextManager[None]:
        """Around a stream. Raises LimitReached."""
        if self.limits is None:
            return _UNLIMITED
        of_session, of_address = ("session", session.session_id), ("address", address)
        if self._streams[of_session] >= self.limits.streams_per_session:
            raise LimitReached(what="open streams of a session", limit=self.limits.streams_per_session)
        if self._streams[of_address] >= self.limits.streams_per_address:
            raise LimitReached(what="open streams from your address", limit=self.limits.streams_per_address)
        return _Counted(self._streams, of_session, of_address)

    async def check_rates(self) -> None:
        """Look up again what is known of bots' rates."""
        if self._load_rate is None:
            return
        for user_id in list(self._rates):
            changes = self._changes
            a_second, burst = await self._load_rate(user_id)
            if changes == self._changes:
                self._remember(user_id, a_second, burst)

    async def _know(self, user_id: int) -> None:
        """Look a bot's rate up, once."""
        while user_id not in self._rates and self._load_rate is not None:
            changes = self._changes
            a_second, burst = await self._load_rate(user_id)
            if changes == self._changes:  # else what was read may be from before
                self._remember(user_id, a_second, burst)

    def _on_bot_limits(self, event: BotLimitsChanged) -> None:
        self._changes += 1
        self._remember(event.user_id, event.messages_per_second, event.burst)

    def _remember(self, user_id: int, a_second: int, burst: int) -> None:
        default = self._default
        interval = SECOND // a_second if a_second else default.interval
        self._rates[user_id] = Rate(burst or default.burst, max(1, interval))
        if len(self._rates) > MOST_RATES:
            self._rates.popitem(last=False)


def _take(buckets: Buckets, key: Hashable, now: int, cost: int, what: str) -> None:
    """Take all of the cost, or nothing. Raises RateLimited."""
    wait = buckets.wait(key, now, cost)
    if wait:
        raise rate_limited(what, wait)
    buckets.take(key, now, cost)


class _Counted(AbstractContextManager[None]):
    """Counts something under some keys while it lasts. A class, not a generator: every open stream has one."""

    __slots__ = ("_counts", "_keys")

    def __init__(self, counts: Counter[tuple[str, Hashable]], *keys: tuple[str, Hashable]) -> None:
        self._counts = counts
        self._keys = keys

    def __enter__(self) -> None:
        for key in self._keys:
            self._counts[key] += 1

    def __exit__(self, *_: object) -> None:
        for key in self._keys:
            self._counts[key] -= 1
            if not self._counts[key]:
                del self._counts[key]


_UNLIMITED = nullcontext()
