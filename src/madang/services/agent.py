"""The Agent: accounts and sessions."""

from __future__ import annotations

import secrets
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from madang.bus.base import Bus
from madang.core import tokens
from madang.core.errors import HandleTaken, MadangError, SessionExpired, SessionRevoked, TokenInvalid, UserNotFound
from madang.core.events import SessionEnded, UserChanged
from madang.core.models import Session, User, UserKind
from madang.core.text import check_handle, numbered
from madang.storage import accounts
from madang.storage.errors import NotUnique
from madang.storage.store import Store
from madang.storage.transaction import Transaction

SESSION_LIFE = 30 * 24 * 3600 * 1_000_000
"""How long a session lives without being used, microseconds."""

MAX_CACHED = 100_000
_TRIES_IN_ORDER = 8
_TRIES_AT_RANDOM = 20


@dataclass(frozen=True, slots=True)
class SignedIn:
    """A session, its user, and its token when the session is new."""

    session: Session
    user: User
    token: str


class AgentService:
    """Sign in, sign out, who is it. Knows the sessions in use by the digests of their tokens."""

    def __init__(self, store: Store, bus: Bus, clock: Callable[[], int]) -> None:
        self._store = store
        self._clock = clock
        self._cache: OrderedDict[bytes, Session] = OrderedDict()
        self._digests: dict[int, bytes] = {}  # of the sessions in the cache
        self._used: set[int] = set()
        self._ends = 0
        bus.subscribe(SessionEnded, self._on_session_ended)

    async def sign_in_guest(self, handle: str, device: str, kind: UserKind = UserKind.GUEST) -> SignedIn:
        """Make a user and a session. A handle that is taken gets a number; an empty one is made up.

        Raises NameNotAllowed, StorageUnavailable.
        """
        wished = check_handle(handle) if handle else f"guest-{secrets.token_hex(3)}"
        token = tokens.encode(secrets.token_bytes(tokens.SECRET_BYTES))
        digest = tokens.digest(token) or b""
        user, session = await self._store.write(_add_guest, wished, kind, digest, device)
        self._remember(digest, session)
        return SignedIn(session, user, token)

    async def sign_in_token(self, token: str) -> SignedIn:
        """Go on with a token's session. Raises what `authenticate` raises."""
        session = await self.authenticate(token)
        return SignedIn(session, await self.user(session.user_id), "")

    def known(self, token: str) -> Session | None:
        """The session of a token that is in use and good, without waiting; None: ask `authenticate`."""
        digest = tokens.digest(token)
        session = self._cache.get(digest) if digest is not None else None
        if session is None or session.expires_at <= self._clock():
            return None
        self._used.add(session.session_id)
        return session

    async def authenticate(self, token: str) -> Session:
        """The session of a token. Raises TokenInvalid, SessionExpired, SessionRevoked."""
        digest = tokens.digest(token)
        if digest is None:
            raise TokenInvalid
        session = self._cache.get(digest)
        while session is None:
            ends = self._ends
            session = await self._store.read(accounts.session_by_digest, digest)
            if session is None:
                raise TokenInvalid
            if ends != self._ends:  # a session ended meanwhile: what was read may be from before
                session = None
        if session.revoked_at is not None:
            raise SessionRevoked
        if session.expires_at <= self._clock():
            raise SessionExpired
        self._remember(digest, session)
        return session

    async def user(self, user_id: int) -> User:
        """A user by its id. Raises UserNotFound."""
        user = await self._store.read(accounts.user, user_id)
        if user is None:
            raise UserNotFound(user=user_id)
        return user

    async def sign_out(self, session: Session) -> None:
        """End the session; its streams end too. Repeating it does no harm."""
        await self._store.write(_revoke, session)

    async def set_handle(self, user_id: int, handle: str) -> User:
        """Give the user another handle. Raises NameNotAllowed, HandleTaken."""
        return await self._store.write(_set_handle, user_id, check_handle(handle))

    async def save_use(self, streaming: Iterable[int] = ()) -> None:
        """Write down which sessions were used since the last time: their 30 days begin anew. Called now and then.

        `streaming`: the ids of sessions that have a stream open, which is use as well.
        """
        used, self._used = self._used.union(streaming), set()
        now = self._clock()
        rows: dict[int, tuple[int, int]] = {}
        for session_id in used & self._digests.keys():
            digest = self._digests[session_id]
            self._cache[digest] = replace(self._cache[digest], used_at=now, expires_at=now + SESSION_LIFE)
            rows[session_id] = (now, now + SESSION_LIFE)
        try:
            if rows:
                await self._store.write(accounts.touch_sessions, rows)
        except MadangError:
            self._used |= used  # again at the next time
            raise

    def _remember(self, digest: bytes, session: Session) -> None:
        self._cache[digest] = session
        self._cache.move_to_end(digest)
        self._digests[session.session_id] = digest
        self._used.add(session.session_id)
        if len(self._cache) > MAX_CACHED:
            _, oldest = self._cache.popitem(last=False)
            del self._digests[oldest.session_id]

    def _on_session_ended(self, event: SessionEnded) -> None:
        self._ends += 1
        digest = self._digests.pop(event.session_id, None)
        if digest is not None:
            del self._cache[digest]


def _add_guest(
    transaction: Transaction, wished: str, kind: UserKind, digest: bytes, device: str
) -> tuple[User, Session]:
    user = accounts.add_user(transaction, _free_handle(transaction, wished), kind)
    session = accounts.add_session(transaction, user.user_id, digest, device, transaction.now + SESSION_LIFE)
    return user, session


def _free_handle(transaction: Transaction, wished: str) -> str:
    candidates = [wished]
    candidates += [numbered(wished, number) for number in range(2, 2 + _TRIES_IN_ORDER)]
    candidates += [numbered(wished, 100 + secrets.randbelow(10**6)) for _ in range(_TRIES_AT_RANDOM)]
    for candidate in candidates:
        if accounts.user_by_handle(transaction.connection, candidate) is None:
            return candidate
    raise HandleTaken(handle=wished)


def _revoke(transaction: Transaction, session: Session) -> None:
    accounts.revoke_session(transaction, session.session_id)
    transaction.events.append(SessionEnded(session.session_id, session.user_id))


def _set_handle(transaction: Transaction, user_id: int, handle: str) -> User:
    try:
        user = accounts.set_handle(transaction, user_id, handle)
    except NotUnique:
        raise HandleTaken(handle=handle) from None
    transaction.events.append(UserChanged(user))
    return user
