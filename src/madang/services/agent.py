"""The Agent: signing in and out, and the list of sessions."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Sequence

from madang.bus.base import Bus
from madang.core.errors import GuestsNotAllowed, HandleTaken, NotPermitted, SessionNotFound, UserNotFound
from madang.core.events import SessionEnded, UserChanged
from madang.core.handles import look_alike
from madang.core.limits import Limits
from madang.core.models import Actor, ServerRole, Session, User, UserKind
from madang.core.paging import cut, decode_token, encode_token, page_size
from madang.core.text import check_handle, numbered
from madang.services import bounds
from madang.services.credentials import Credentials, Proof, take
from madang.services.sessions import MAX_NOTED, SESSION_LIFE, Sessions, SignedIn, banned, end_all, new_token
from madang.services.standing import outranks
from madang.storage import accounts, audit, server_bans, sessions
from madang.storage.errors import NotUnique
from madang.storage.store import Store
from madang.storage.transaction import Transaction

DEFAULT_PAGE = 100
MAX_PAGE = 1000
_TRIES_IN_ORDER = 8
_TRIES_AT_RANDOM = 20


class AgentService:
    """Sign in, sign out, who is it, which sessions are there."""

    def __init__(
        self,
        store: Store,
        bus: Bus,
        clock: Callable[[], int],
        credentials: Credentials,
        guests: bool = True,
        limits: Limits | None = None,
    ) -> None:
        """`guests`: whether guests are let in; classic users have a switch of their own."""
        self._store = store
        self._clock = clock
        self._credentials = credentials
        self._guests = guests
        self._limits = limits
        self.sessions = Sessions(store, bus, clock, guests)
        self.known = self.sessions.known
        self.authenticate = self.sessions.authenticate

    async def sign_in_guest(
        self, handle: str, device: str, kind: UserKind = UserKind.GUEST, address: str = ""
    ) -> SignedIn:
        """Make a user and a session. A handle that is taken gets a number; an empty one is made up.

        Raises GuestsNotAllowed, NameNotAllowed, StorageUnavailable.
        """
        if kind is UserKind.GUEST and not self._guests:
            raise GuestsNotAllowed(where="on this server")
        wished = check_handle(handle) if handle else f"guest-{secrets.token_hex(3)}"
        token, digest = new_token()
        changes = self.sessions.changes
        user, session = await self._store.write(_add_guest, wished, kind, digest, device, address)
        self.sessions.remember_new(digest, session, address, changes)
        return SignedIn(session, user, token)

    async def sign_in_token(self, token: str, address: str = "") -> SignedIn:
        """Go on with a token's session. Raises what `authenticate` raises."""
        session = await self.authenticate(token, address)
        return SignedIn(session, await self.user(session.user_id), "")

    async def sign_in_password(self, handle: str, password: str, device: str, address: str = "") -> SignedIn:
        """Sign a person in. Raises CredentialsWrong, AccountBanned, RateLimited, Overloaded.

        Only who knows the password is told of a ban.
        """
        proof = await self._credentials.prove(handle, password, address)
        token, digest = new_token()
        changes = self.sessions.changes
        user, session = await self._store.write(_sign_in, self._limits, proof, digest, device, address)
        self.sessions.remember_new(digest, session, address, changes)
        return SignedIn(session, user, token)

    async def user(self, user_id: int) -> User:
        """A user by its id. Raises UserNotFound."""
        return _found(await self._store.read(accounts.user, user_id), user_id)

    async def sign_out(self, session: Session) -> None:
        """End the session; its streams end too. Repeating it does no harm."""
        await self._store.write(_sign_out, session)

    async def sign_out_unused(self, session: Session) -> Session | None:
        """The same, unless the session was used since it was read: then nothing ends, and this is how it is now."""
        return await self._store.write(_sign_out_unused, session)

    async def note_use(self, used: Sequence[Session]) -> int:
        """Write down that these sessions are in use now, without regard to when that was last written; the time."""
        now = self._clock()
        for start in range(0, len(used), MAX_NOTED):
            some = used[start : start + MAX_NOTED]
            await self._store.write(sessions.touch, {each.session_id: (now, now + SESSION_LIFE, None) for each in some})
        return now

    async def set_handle(self, user_id: int, handle: str) -> User:
        """Give the user another handle. Raises NameNotAllowed, HandleTaken."""
        return await self._store.write(_set_handle, user_id, check_handle(handle))

    async def list_sessions(self, actor: Actor, user_id: int, size: int, token: str) -> tuple[list[Session], str]:
        """A page of the sessions of the actor (0), of its bot, or for administrators of anyone; the next page's token.

        Raises NotPermitted, UserNotFound, PageTokenInvalid.
        """
        user_id = user_id or actor.user_id
        query = ("sessions", user_id)
        size = page_size(size, DEFAULT_PAGE, MAX_PAGE)
        before = decode_token(query, token, 2**63 - 1)
        if user_id != actor.user_id:
            found = await self._store.read(accounts.user, user_id)
            if actor.role < ServerRole.ADMIN and (found is None or found.owner_id != actor.user_id):
                raise NotPermitted(allowed="administrators", action="see the sessions of others")
            _found(found, user_id)
        found_here = await self._store.read(sessions.page, user_id, before, size + 1, self._clock())
        shown, more = cut(found_here, size)
        return shown, encode_token(query, shown[-1].session_id) if more else ""

    async def sessions_of_kind(self, kind: UserKind, user_id: int = 0) -> list[Session]:
        """The good sessions of all users of a kind, or of one of them, as the store has them now."""
        return await self._store.read(sessions.of_kind, kind, self._clock(), user_id)

    async def revoke_session(self, actor: Actor, session_id: int) -> int:
        """End one session, and its streams; how many ended just now. Raises SessionNotFound."""
        return await self._store.write(_revoke_session, actor, session_id)

    async def revoke_all(self, actor: Actor, user_id: int) -> int:
        """End all sessions of a user (0: the actor's own) but for the actor's; how many ended just now.

        Raises NotPermitted, UserNotFound.
        """
        return await self._store.write(_revoke_all, actor, user_id or actor.user_id)

    async def save_use(self, streaming: Iterable[int] = ()) -> None:
        """See Sessions."""
        await self.sessions.save_use(streaming)


def set_handle(transaction: Transaction, user_id: int, handle: str) -> User:
    """Give the user a handle that was checked, and tell everyone. Raises HandleTaken."""
    refuse_twin(transaction, handle, user_id)
    try:
        user = accounts.set_handle(transaction, user_id, handle)
    except NotUnique:
        raise HandleTaken(handle=handle) from None
    transaction.events.append(UserChanged(user))
    return user


def refuse_twin(transaction: Transaction, handle: str, user_id: int = 0) -> None:
    """Raise HandleTaken for a handle that the eye would take for that of another user."""
    twin = look_alike(handle)
    holder = None if twin is None else accounts.user_by_handle(transaction.connection, twin)
    if holder is not None and holder.user_id != user_id:
        raise HandleTaken(handle=handle)


def _found(user: User | None, asked: int) -> User:
    if user is None:
        raise UserNotFound(user=asked)
    return user


def _add_guest(
    transaction: Transaction, wished: str, kind: UserKind, digest: bytes, device: str, address: str
) -> tuple[User, Session]:
    user = accounts.add_user(transaction, _free_handle(transaction, wished), kind)
    return user, _open(transaction, user, digest, device, address)


def _sign_in(
    transaction: Transaction, limits: Limits | None, proof: Proof, digest: bytes, device: str, address: str
) -> tuple[User, Session]:
    user = take(transaction, proof)
    ban = server_bans.active(transaction.connection, user.user_id, transaction.now)
    if ban is not None:
        raise banned(ban)
    for session_id in bounds.sessions_to_end(transaction, limits, user.user_id):
        sessions.revoke(transaction, session_id)
        transaction.events.append(SessionEnded(session_id, user.user_id))
    return user, _open(transaction, user, digest, device, address)


def _open(transaction: Transaction, user: User, digest: bytes, device: str, address: str) -> Session:
    session = sessions.add(transaction, user, digest, device, transaction.now + SESSION_LIFE, address)
    actor = Actor(user.user_id, session.session_id, user.role, address)
    audit.record(transaction, actor, "session.sign_in", user_id=user.user_id, kind=user.kind.name.lower())
    return session


def _free_handle(transaction: Transaction, wished: str) -> str:
    candidates = [wished]
    candidates += [numbered(wished, number) for number in range(2, 2 + _TRIES_IN_ORDER)]
    candidates += [numbered(wished, 100 + secrets.randbelow(10**6)) for _ in range(_TRIES_AT_RANDOM)]
    for candidate in candidates:
        twins = (candidate, look_alike(candidate))
        if all(twin is None or accounts.user_by_handle(transaction.connection, twin) is None for twin in twins):
            return candidate
    raise HandleTaken(handle=wished)


def _sign_out(transaction: Transaction, session: Session) -> None:
    sessions.revoke(transaction, session.session_id)
    transaction.events.append(SessionEnded(session.session_id, session.user_id))


def _sign_out_unused(transaction: Transaction, session: Session) -> Session | None:
    found = sessions.get(transaction.connection, session.session_id)
    if found is not None and found.revoked_at is None and found.used_at != session.used_at:
        return found
    _sign_out(transaction, session)
    return None


def _set_handle(transaction: Transaction, user_id: int, handle: str) -> User:
    return set_handle(transaction, user_id, handle)


def _revoke_session(transaction: Transaction, actor: Actor, session_id: int) -> int:
    session = sessions.get(transaction.connection, session_id)
    user = None if session is None else accounts.user(transaction.connection, session.user_id)
    if user is None or not _may_end(transaction, actor, user):
        raise SessionNotFound(session_id=session_id)
    if not sessions.revoke(transaction, session_id):
        return 0
    transaction.events.append(SessionEnded(session_id, user.user_id))
    audit.record(transaction, actor, "session.revoke", user_id=user.user_id, session=session_id)
    return 1


def _revoke_all(transaction: Transaction, actor: Actor, user_id: int) -> int:
    user = accounts.user(transaction.connection, user_id)
    if user is None and actor.role >= ServerRole.ADMIN:
        raise UserNotFound(user=user_id)
    if user is None or not _may_end(transaction, actor, user):
        raise NotPermitted(allowed="administrators", action="end the sessions of others")
    ended = end_all(transaction, user_id, but=actor.session_id)
    if ended:
        audit.record(transaction, actor, "session.revoke", user_id=user_id, sessions=ended)
    return ended


def _may_end(transaction: Transaction, actor: Actor, user: User) -> bool:
    return actor.user_id in (user.user_id, user.owner_id) or outranks(transaction, actor, user)
