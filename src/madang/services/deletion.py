"""Deleting an account: what says who it was goes at once, and its texts too if that is wanted."""

from __future__ import annotations

from madang.core.events import TextsErased, UserChanged
from madang.core.models import Actor, User, UserKind
from madang.services import membership
from madang.services.credentials import Credentials, Proof, take
from madang.services.sessions import end_all
from madang.services.standing import keep_an_owner, there
from madang.storage import accounts, audit, codes, memberships, traces
from madang.storage.store import Store
from madang.storage.transaction import Transaction


class DeletionService:
    """Deletes accounts, and erases texts step by step."""

    def __init__(self, store: Store, credentials: Credentials) -> None:
        self._store = store
        self._credentials = credentials

    async def delete_me(self, actor: Actor, password: str, erase: bool) -> None:
        """Delete the actor's account and its bots. A person proves once more who it is; a guest has no password.

        `erase`: the texts of the account's messages go too; they are gone when this returns, and when the server stops
        before, it goes on at its next start. Raises CredentialsWrong, LastOwner, Overloaded.
        """
        user = await self._store.read(accounts.user, actor.user_id)
        proof = None
        if user is not None and user.kind is UserKind.PERSON:
            proof = await self._credentials.prove_user(actor.user_id, password, actor.address)
        await self._store.write(_delete_me, actor, proof, erase)
        if erase:
            await self._erase(actor.user_id)

    async def go_on(self) -> None:
        """Erase what an earlier run of the server did not come to. Called at each start."""
        for user_id in await self._store.read(traces.owed_erasures):
            await self._erase(user_id)

    async def _erase(self, user_id: int) -> None:
        # Asked of the writer: what the account had on its way when it was deleted is stored by then.
        heads = await self._store.write(_heads, user_id)
        for channel_id, after in traces.steps(heads):
            await self._store.write(_erase_step, user_id, channel_id, after)
        await self._store.write(traces.erased, user_id)


def delete_account(transaction: Transaction, user: User) -> None:
    """Take away everything of an account but its messages: its name, password, sessions, memberships, codes."""
    end_all(transaction, user.user_id)
    codes.revoke_invites_of(transaction, user.user_id)
    codes.revoke_resets_by(transaction, user.user_id)
    codes.revoke_resets_of(transaction, user.user_id)
    for channel_id in sorted(memberships.of_user(transaction.connection, user.user_id)):  # see storage/locks.py
        membership.depart(transaction, user.user_id, channel_id)
    transaction.events.append(UserChanged(accounts.mark_deleted(transaction, user.user_id)))


def _delete_me(transaction: Transaction, actor: Actor, proof: Proof | None, erase: bool) -> None:
    user = there(transaction, actor.user_id) if proof is None else take(transaction, proof)
    keep_an_owner(transaction, user)
    while bots := accounts.bots_page(transaction.connection, user.user_id, 0, 100):
        for bot in bots:
            delete_account(transaction, bot)
            audit.record(transaction, actor, "bot.delete", user_id=bot.user_id)
    delete_account(transaction, user)
    if erase:
        traces.owe_erasure(transaction, user.user_id)
    audit.record(transaction, actor, "user.delete", user_id=user.user_id, messages="erase" if erase else "anonymize")


def _heads(transaction: Transaction, user_id: int) -> dict[int, int]:
    if transaction.locks is not None:  # what another node is storing for the account just now is waited for
        transaction.lock_channels(traces.heads(transaction.connection, user_id))
    return traces.heads(transaction.connection, user_id)


def _erase_step(transaction: Transaction, user_id: int, channel_id: int, after: int) -> None:
    if traces.erase(transaction, user_id, channel_id, after):
        transaction.events.append(TextsErased(channel_id))
