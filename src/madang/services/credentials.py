"""Proving who one is with a password. Every wrong guess, at whatever call, passes through here."""

from __future__ import annotations

from dataclasses import dataclass

from madang.core.errors import CredentialsWrong, Overloaded
from madang.core.hosts import limit_key
from madang.core.models import User, UserKind
from madang.core.text import MAX_HANDLE, fold
from madang.services.limits import Limiter
from madang.services.passwords import Passwords, Verdict
from madang.storage import accounts, audit
from madang.storage.accounts import Credential
from madang.storage.store import Store
from madang.storage.transaction import Transaction


@dataclass(frozen=True, slots=True)
class Proof:
    """Somebody knew the password whose hash this was. `rehashed`: what to store from now on, if not None."""

    user: User
    password_hash: str
    rehashed: str | None


class Credentials:
    """Verifies passwords, keeps a record of the wrong ones, and allows only so many of them."""

    def __init__(self, store: Store, passwords: Passwords, limiter: Limiter) -> None:
        self._store = store
        self._passwords = passwords
        self._limiter = limiter
        self.right = 0
        """How many passwords were right."""
        self.wrong = 0
        """How many were not, or were of nobody."""

    async def prove(self, handle: str, password: str, address: str) -> Proof:
        """That somebody is who it says it is. Raises CredentialsWrong, RateLimited, Overloaded.

        An unknown handle takes the same time, and is told the same, as a wrong password.
        """
        return await self._prove(
            await self._store.read(accounts.credential_by_handle, handle), handle, password, address
        )

    async def prove_user(self, user_id: int, password: str, address: str) -> Proof:
        """The same for someone who is signed in."""
        found = await self._store.read(accounts.credential, user_id)
        return await self._prove(found, found.user.handle if found else "", password, address)

    async def _prove(self, found: Credential | None, handle: str, password: str, address: str) -> Proof:
        known = found if found is not None and found.user.kind is UserKind.PERSON else None
        password_hash = known.password_hash if known else None
        attempt = self._limiter.attempt(fold(handle), limit_key(address))
        try:
            verdict: Verdict = await self._passwords.verify(password_hash, password)
        except Overloaded:  # nobody has looked at the password
            attempt.withdrawn()
            raise
        if known is None or password_hash is None or not verdict.right:
            self.wrong += 1
            await self._store.write(_failed, handle, known.user.user_id if known else 0, address)
            raise CredentialsWrong
        attempt.succeeded()
        self.right += 1
        return Proof(known.user, password_hash, verdict.rehashed)


def take(transaction: Transaction, proof: Proof) -> User:
    """Hold a proof against the account as it is now: hashing takes a while, and the password may be another one.

    Raises CredentialsWrong. The user as it is now.
    """
    found = accounts.credential(transaction.connection, proof.user.user_id)
    if found is None or found.password_hash != proof.password_hash:
        raise CredentialsWrong
    if proof.rehashed is not None:
        accounts.set_password(transaction, found.user.user_id, proof.rehashed)
    return found.user


def _failed(transaction: Transaction, handle: str, user_id: int, address: str) -> None:
    audit.record(
        transaction, None, "session.sign_in_failed", user_id=user_id, address=address, handle=handle[:MAX_HANDLE]
    )
