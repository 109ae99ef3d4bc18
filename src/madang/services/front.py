"""The Agent's services, put together."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from madang.bus.base import Bus
from madang.core.models import Registration
from madang.services.accounts import AccountService
from madang.services.admin import AdminService
from madang.services.agent import AgentService
from madang.services.bots import BotService
from madang.services.credentials import Credentials
from madang.services.deletion import DeletionService
from madang.services.export import ExportService
from madang.services.limits import Limiter
from madang.services.passwords import Cost, Passwords
from madang.storage.store import Store


@dataclass(frozen=True, slots=True)
class Entrance:
    """Who gets in: how one gets an account, whether guests are let in, and what a password costs to hash."""

    registration: Registration = Registration.INVITE
    guests: bool = True
    cost: Cost = field(default_factory=Cost)


class Front:
    """What stands behind AgentService of the contract, by subject."""

    def __init__(
        self, store: Store, bus: Bus, clock: Callable[[], int], entrance: Entrance, limiter: Limiter | None = None
    ) -> None:
        """`limiter` None: without limits."""
        limiter = limiter or Limiter(None, clock)
        limits = limiter.limits
        self.entrance = entrance
        self.passwords = Passwords(entrance.cost)
        self.credentials = Credentials(store, self.passwords, limiter)
        self.agent = AgentService(store, bus, clock, self.credentials, entrance.guests, limits)
        self.accounts = AccountService(store, clock, self.passwords, self.credentials, entrance.registration)
        self.admin = AdminService(store, clock, limits)
        self.bots = BotService(store, clock, limits)
        self.deletion = DeletionService(store, self.credentials)
        self.export = ExportService(store, clock)
