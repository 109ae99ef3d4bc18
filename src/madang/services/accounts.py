"""People's accounts: register, change, and the codes that let one in."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from madang.core import codes
from madang.core.errors import CodeInvalid, HandleTaken, RegistrationClosed
from madang.core.events import UserChanged
from madang.core.models import Actor, Registration, ServerRole, Session, User, UserKind
from madang.core.passwords import check_password
from madang.core.text import MAX_DISPLAY_NAME, MAX_STATUS, check_handle, check_line
from madang.services.agent import refuse_twin, set_handle
from madang.services.credentials import Credentials, Proof, take
from madang.services.passwords import Passwords
from madang.services.sessions import SESSION_LIFE, SignedIn, end_all, new_token
from madang.storage import accounts, audit, sessions
from madang.storage import codes as stored
from madang.storage.database import Connection
from madang.storage.errors import NotUnique
from madang.storage.store import Store
from madang.storage.transaction import Transaction

FIRST_INVITE_LIFE = 24 * 3600 * 1_000_000
"""How long the invite of the first owner is good, microseconds."""
START_TOGETHER = 5 * 60 * 1_000_000
"""How far apart nodes may start so that each leaves the others' invites as they are, microseconds."""


def new_code() -> tuple[str, bytes]:
    """A new code, and the digest under which it is stored."""
    code = codes.encode(secrets.token_bytes(codes.SECRET_BYTES))
    return code, codes.digest(code) or b""


@dataclass(frozen=True, slots=True)
class _Newcomer:
    """What an account is made of, checked."""

    handle: str
    display_name: str
    password_hash: str
    device: str
    address: str
    token_digest: bytes
    code_digest: bytes | None


class AccountService:
    """Register, change the own profile and password."""

    def __init__(
        self,
        store: Store,
        clock: Callable[[], int],
        passwords: Passwords,
        credentials: Credentials,
        registration: Registration,
    ) -> None:
        self._store = store
        self._clock = clock
        self._passwords = passwords
        self._credentials = credentials
        self._registration = registration

    async def register(
        self, handle: str, password: str, code: str, display_name: str = "", device: str = "", address: str = ""
    ) -> SignedIn:
        """Make an account for a person, and a session. `code`: of an invite; empty for none.

        Raises NameNotAllowed, TextNotAllowed, PasswordNotAllowed, RegistrationClosed, CodeInvalid, HandleTaken,
        Overloaded. An invite counts as used only when the account is there.
        """
        handle = check_handle(handle)
        display_name = check_line(display_name, MAX_DISPLAY_NAME)
        password = check_password(password, handle)
        code_digest = codes.digest(code) if code else None
        if code and code_digest is None:
            raise CodeInvalid
        await self._store.read(self._admit, code_digest)  # before a hash is paid for; it is asked again in the end
        password_hash = await self._passwords.hash(password)
        token, token_digest = new_token()
        newcomer = _Newcomer(handle, display_name, password_hash, device, address, token_digest, code_digest)
        user, session = await self._store.write(self._register, newcomer)
        return SignedIn(session, user, token)

    async def first_invite(self, node: str = "") -> str | None:
        """A new invite for the first owner, good once, for a day. None: there is an owner.

        Called at each start of a server. What an earlier start gave out is worthless then: a code that others saw in a
        log is voided by a restart. `node`: the name of a node of a cluster; it leaves those of other nodes that are
        younger than START_TOGETHER: nodes that start together are not to void each other's. All of them are worthless
        when there is an owner.
        """
        code, digest = new_code()
        return code if await self._store.write(_invite_owner, digest, node) else None

    async def update(self, actor: Actor, handle: str | None, display_name: str | None, status_text: str | None) -> User:
        """Change what is not None of the actor's own account; the account as it is now.

        Raises NameNotAllowed, TextNotAllowed, HandleTaken.
        """
        texts: dict[str, str] = {}
        if display_name is not None:
            texts["display_name"] = check_line(display_name, MAX_DISPLAY_NAME)
        if status_text is not None:
            texts["status_text"] = check_line(status_text, MAX_STATUS)
        return await self._store.write(_update, actor, None if handle is None else check_handle(handle), texts)

    async def change_password(self, actor: Actor, old: str, new: str) -> None:
        """Give the actor another password; its other sessions end.

        Raises CredentialsWrong, PasswordNotAllowed, Overloaded.
        """
        proof = await self._credentials.prove_user(actor.user_id, old, actor.address)
        password_hash = await self._passwords.hash(check_password(new, proof.user.handle))
        await self._store.write(_change_password, actor, proof, password_hash)

    async def redeem_reset(self, code: str, new: str, address: str) -> str:
        """Set a new password with a code; every session of the account ends. The account's handle.

        Raises CodeInvalid, PasswordNotAllowed, Overloaded.
        """
        digest = codes.digest(code)
        handle = None if digest is None else await self._store.read(self._handle_of_reset, digest)
        if digest is None or handle is None:
            raise CodeInvalid
        password_hash = await self._passwords.hash(check_password(new, handle))
        return await self._store.write(_redeem_reset, digest, password_hash, address)

    def _admit(self, connection: Connection, code_digest: bytes | None) -> None:
        """Raise RegistrationClosed or CodeInvalid when nobody can register, or not with this code."""
        now = self._clock()
        invite = None if code_digest is None else stored.good_invite(connection, code_digest, now)
        if self._registration is Registration.CLOSED:
            first = invite is not None and invite.role is ServerRole.OWNER and not accounts.owners(connection, now)
            if not first:
                raise RegistrationClosed(needs="an administrator to open the registration")
        if code_digest is None:
            if self._registration is Registration.INVITE:
                raise RegistrationClosed(needs="an invite")
        elif invite is None or (invite.creator_id == 0 and accounts.owners(connection, now)):
            raise CodeInvalid

    def _register(self, transaction: Transaction, newcomer: _Newcomer) -> tuple[User, Session]:
        self._admit(transaction.connection, newcomer.code_digest)
        invite = None if newcomer.code_digest is None else stored.use_invite(transaction, newcomer.code_digest)
        refuse_twin(transaction, newcomer.handle)
        try:
            user = accounts.add_user(
                transaction,
                newcomer.handle,
                UserKind.PERSON,
                ServerRole.MEMBER if invite is None else invite.role,
                display_name=newcomer.display_name,
                password_hash=newcomer.password_hash,
            )
        except NotUnique:
            raise HandleTaken(handle=newcomer.handle) from None
        expires_at = transaction.now + SESSION_LIFE
        session = sessions.add(transaction, user, newcomer.token_digest, newcomer.device, expires_at, newcomer.address)
        actor = Actor(user.user_id, session.session_id, user.role, newcomer.address)
        if invite is not None and invite.creator_id == 0:
            stored.revoke_invites_of(transaction, 0)  # those of the other nodes: there is one first owner
        if invite is not None:
            audit.record(transaction, actor, "invite.use", user_id=user.user_id, invite=invite.invite_id)
        audit.record(transaction, actor, "user.register", user_id=user.user_id, role=user.role.name.lower())
        return user, session

    def _handle_of_reset(self, connection: Connection, digest: bytes) -> str | None:
        user_id = stored.good_reset(connection, digest, self._clock())
        user = None if user_id is None else accounts.user(connection, user_id)
        return None if user is None else user.handle


def _invite_owner(transaction: Transaction, digest: bytes, node: str) -> bool:
    there_is_one = bool(accounts.owners(transaction.connection, transaction.now))
    note = f"the first owner, from node {node}" if node else "the first owner"
    if node and not there_is_one:
        stored.revoke_first_invites(transaction, note, transaction.now - START_TOGETHER)
    else:
        stored.revoke_invites_of(transaction, 0)
    if there_is_one:
        return False
    expires_at = transaction.now + FIRST_INVITE_LIFE
    invite = stored.add_invite(transaction, digest, 0, ServerRole.OWNER, 1, expires_at, note)
    audit.record(transaction, None, "invite.create", invite=invite.invite_id, role="owner", uses=1)
    return True


def _update(transaction: Transaction, actor: Actor, handle: str | None, texts: dict[str, str]) -> User:
    before = accounts.user(transaction.connection, actor.user_id)
    user = before
    if texts:
        user = accounts.set_profile(transaction, actor.user_id, **texts)
    if handle is not None:
        user = set_handle(transaction, actor.user_id, handle)
    elif user is not None and user != before:
        transaction.events.append(UserChanged(user))
    if before is None or user is None:
        raise LookupError(f"user {actor.user_id} has a session but no row")
    if user != before:
        changed = [
            name for name in ("handle", "display_name", "status_text") if getattr(user, name) != getattr(before, name)
        ]
        facts: dict[str, Any] = {"handle": user.handle, "former_handle": before.handle} if "handle" in changed else {}
        audit.record(transaction, actor, "user.update", user_id=user.user_id, changed=" ".join(changed), **facts)
    return user


def _change_password(transaction: Transaction, actor: Actor, proof: Proof, password_hash: str) -> None:
    user = take(transaction, proof)
    accounts.set_password(transaction, user.user_id, password_hash)
    stored.revoke_resets_of(transaction, user.user_id)
    ended = end_all(transaction, user.user_id, but=actor.session_id)
    audit.record(transaction, actor, "user.password_change", user_id=user.user_id, sessions=ended)


def _redeem_reset(transaction: Transaction, digest: bytes, password_hash: str, address: str) -> str:
    user_id = stored.use_reset(transaction, digest)
    user = None if user_id is None else accounts.user(transaction.connection, user_id)
    if user is None or user.deleted_at is not None:
        raise CodeInvalid
    accounts.set_password(transaction, user.user_id, password_hash)
    ended = end_all(transaction, user.user_id)
    audit.record(transaction, None, "user.password_reset", user_id=user.user_id, address=address, sessions=ended)
    return user.handle
