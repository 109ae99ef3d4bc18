"""When a node holds what it knows against the store, and what comes of it; with a bus that is there all the time."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from typing import Any

import pytest
import sqlalchemy as sa
from support import Parts

from madang.core.errors import StorageUnavailable
from madang.core.events import NewsLost, ServerRoleChanged, SessionEnded
from madang.core.limits import Limits
from madang.core.models import ServerRole, Session
from madang.services import healing
from madang.services.healing import Healing
from madang.services.limits import Limiter
from madang.services.sessions import Sessions
from madang.storage import accounts, schema, sessions
from madang.storage.transaction import Transaction

from .conftest import SlowStore

NEVER = 1e9


@dataclass
class Healed:
    """A person's session, and who holds it against the store."""

    own: Parts
    known: Sessions
    healing: Healing
    session: Session

    async def set_role(self, role: ServerRole) -> None:
        """Change the role without telling anyone."""
        await self.own.store.write(accounts.set_role, self.session.user_id, role)

    def role(self) -> ServerRole:
        """The role as it is known here."""
        (found,) = self.known.cached()
        return found.role


@pytest.fixture
async def healed(own: Parts) -> Healed:
    (person,) = await own.people(ServerRole.MEMBER)

    def add(transaction: Transaction) -> Session:
        user = accounts.user(transaction.connection, person.user_id)
        assert user is not None
        return sessions.add(transaction, user, b"digest", "test", transaction.now + 3_600_000_000, "")

    session = await own.store.write(add)
    known = Sessions(own.store, own.bus, own.clock)
    known.remember(b"digest", session)
    limiter = Limiter(None, own.clock)
    return Healed(own, known, Healing(own.store, own.bus, own.hub, own.streams, known, limiter, own.clock), session)


def every(monkeypatch: pytest.MonkeyPatch, *, all_every: float = NEVER, lost_every: float = 0.0) -> None:
    monkeypatch.setattr(healing, "ALL_EVERY", all_every)
    monkeypatch.setattr(healing, "LOST_EVERY", lost_every)


async def test_everything_is_checked_at_first_and_now_and_then(healed: Healed, monkeypatch: pytest.MonkeyPatch) -> None:
    every(monkeypatch, all_every=0.0)
    for role in (ServerRole.ADMIN, ServerRole.MEMBER):
        await healed.set_role(role)
        await healed.healing.look()
        assert healed.role() is role


async def test_between_the_checks_the_store_is_left_alone(healed: Healed, monkeypatch: pytest.MonkeyPatch) -> None:
    every(monkeypatch)
    await healed.healing.look()
    await healed.set_role(ServerRole.ADMIN)
    await healed.healing.look()
    assert healed.role() is ServerRole.MEMBER
    healed.own.bus.publish(NewsLost())
    await healed.healing.look()
    assert healed.role() is ServerRole.ADMIN
    await healed.set_role(ServerRole.MEMBER)
    await healed.healing.look()
    assert healed.role() is ServerRole.ADMIN, "a loss is dealt with once"


async def test_what_was_checked_just_now_is_not_checked_for_every_node_that_lost_something(
    healed: Healed, monkeypatch: pytest.MonkeyPatch
) -> None:
    every(monkeypatch, lost_every=NEVER)
    await healed.healing.look()
    await healed.set_role(ServerRole.ADMIN)
    healed.own.bus.publish(NewsLost())
    await healed.healing.look()
    assert healed.role() is ServerRole.MEMBER, "not yet"
    monkeypatch.setattr(healed.healing, "_not_again_before", 0.0)
    await healed.healing.look()
    assert healed.role() is ServerRole.ADMIN, "it is not forgotten"


async def test_a_loss_stays_due_while_the_store_does_not_answer(
    healed: Healed, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    every(monkeypatch)
    await healed.healing.look()
    await healed.set_role(ServerRole.ADMIN)

    async def fail(*_: object) -> None:
        raise StorageUnavailable(problem="for a test")

    for _ in range(2):
        healed.own.bus.publish(NewsLost())
        with monkeypatch.context() as failing, caplog.at_level(logging.WARNING):
            failing.setattr(healed.own.store, "read", fail)
            for _ in range(3):
                await healed.healing.look()
        assert healed.role() is ServerRole.MEMBER
        assert len(caplog.records) == 1, "half a second later it is the same"
        caplog.clear()
        await healed.healing.look()
        assert healed.role() is ServerRole.ADMIN
        await healed.set_role(ServerRole.MEMBER)
        healed.own.bus.publish(NewsLost())
        await healed.healing.look()
        await healed.set_role(ServerRole.ADMIN)


async def test_what_was_read_before_a_change_is_not_taken_for_what_is(
    healed: Healed, slow: SlowStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[ServerRole] = []
    healed.own.bus.subscribe(ServerRoleChanged, lambda event: told.append(event.role))
    slow.hold(sessions.by_ids)
    looking = asyncio.create_task(healed.healing.look())
    await slow.is_asked()
    await healed.set_role(ServerRole.ADMIN)
    healed.own.bus.publish(ServerRoleChanged(healed.session.user_id, ServerRole.ADMIN))
    slow.answer()
    await looking
    assert (told, healed.role(), healed.healing.sessions_healed) == ([ServerRole.ADMIN], ServerRole.ADMIN, 0)


async def test_a_session_that_was_used_elsewhere_lasts_longer_here(healed: Healed) -> None:
    later = healed.session.expires_at + 5

    def move(transaction: Transaction, expires_at: int) -> None:
        transaction.connection.execute(sa.update(schema.sessions).values(expires_at=expires_at))

    await healed.own.store.write(move, later)
    await healed.healing.check_all(lost=False)
    assert [session.expires_at for session in healed.known.cached()] == [later]
    await healed.own.store.write(move, later - 3)
    await healed.healing.check_all(lost=False)
    assert [session.expires_at for session in healed.known.cached()] == [later], "its use here is not written down yet"
    await healed.own.store.write(move, 0)
    await healed.healing.check_all(lost=False)
    assert [session.expires_at for session in healed.known.cached()] == [0], "never"


async def test_a_session_that_is_over_is_ended_by_a_check(healed: Healed) -> None:
    told: list[Any] = []
    healed.own.bus.subscribe(SessionEnded, told.append)
    await healed.own.store.write(sessions.revoke, healed.session.session_id)
    await healed.healing.check_all(lost=False)
    assert told == [SessionEnded(healed.session.session_id, healed.session.user_id)]
    assert healed.known.cached() == []
    assert healed.healing.sessions_healed == 1


async def test_what_bots_may_send_is_looked_up_again(own: Parts) -> None:
    """It was set on a node that could not tell of it."""
    rates = {7: (1, 2)}

    async def load(user_id: int) -> tuple[int, int]:
        return rates[user_id]

    limiter = Limiter(Limits(), own.clock, own.bus, load)
    known = Sessions(own.store, own.bus, own.clock)
    healing = Healing(own.store, own.bus, own.hub, own.streams, known, limiter, own.clock)
    budget = await limiter.messages(Session(70, 7, "", 0, 0, 0, role=ServerRole.BOT))
    assert budget is not None
    assert budget.take(100) == 2
    rates[7] = (1, 30)
    own.clock.pass_seconds(3600)
    assert budget.take(100) == 2
    await healing.check_all(lost=False)
    own.clock.pass_seconds(3600)
    assert budget.take(100) == 30
