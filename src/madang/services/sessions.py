"""The sessions in use, by the digests of their tokens: who is it, without asking the store each time."""

from __future__ import annotations

import secrets
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from madang.bus.base import Bus
from madang.core import tokens
from madang.core.errors import (
    AccountBanned,
    GuestsNotAllowed,
    MadangError,
    SessionExpired,
    SessionRevoked,
    TokenInvalid,
)
from madang.core.events import ServerRoleChanged, SessionEnded
from madang.core.models import Ban, ServerRole, Session, User
from madang.storage import sessions
from madang.storage.store import Store
from madang.storage.transaction import Transaction

SESSION_LIFE = 30 * 24 * 3600 * 1_000_000
"""How long a session lives without being used, microseconds."""

USE_TO = 10 * 60 * 1_000_000
"""How exactly the last use of a session is kept, microseconds: one that was noted less long ago is not noted again."""

MAX_NOTED = 500
"""How many uses are noted in one operation: with many nodes these take turns in the whole cluster."""

MAX_CACHED = 100_000


@dataclass(frozen=True, slots=True)
class SignedIn:
    """A session, its user, and its token when the session is new."""

    session: Session
    user: User
    token: str


def new_token() -> tuple[str, bytes]:
    """A new token, and the digest under which its session is stored."""
    token = tokens.encode(secrets.token_bytes(tokens.SECRET_BYTES))
    return token, tokens.digest(token) or b""


def banned(ban: Ban) -> AccountBanned:
    """What the one who is shut out is told."""
    return AccountBanned(until=(ban.expires_at or 0) // 1_000_000, cause=ban.reason)


def end_all(transaction: Transaction, user_id: int, but: int = 0) -> int:
    """End all sessions of a user, but for one, and their streams; how many ended just now."""
    ended = sessions.revoke_all(transaction, user_id, but)
    transaction.events += [SessionEnded(session_id, user_id) for session_id in ended]
    return len(ended)


class Sessions:
    """Knows the sessions in use. What it knows follows the events: ends, and changes of roles."""

    def __init__(self, store: Store, bus: Bus, clock: Callable[[], int], guests: bool = True) -> None:
        """`guests`: whether guests are let in."""
        self._store = store
        self._clock = clock
        self._guests = guests
        self._cache: OrderedDict[bytes, Session] = OrderedDict()
        self._digests: dict[int, bytes] = {}  # of the sessions in the cache
        self._of_user: dict[int, set[int]] = {}  # the ids of the sessions in the cache
        self._used: dict[int, str] = {}
        self.changes = 0
        """How often something ended or changed: what was read, or written, before that may not be so any more."""
        bus.subscribe(SessionEnded, self._on_session_ended)
        bus.subscribe(ServerRoleChanged, self._on_role_changed)

    def __len__(self) -> int:
        return len(self._cache)

    def known(self, token: str, address: str = "") -> Session | None:
        """The session of a token that is in use and good, without waiting; None: ask `authenticate`.

        `address`: where the token was used from, empty when that is not known.
        """
        digest = tokens.digest(token)
        session = self._cache.get(digest) if digest is not None else None
        if session is None or self._is_over(session):
            return None
        self._used[session.session_id] = address
        return session

    async def authenticate(self, token: str, address: str = "") -> Session:
        """The session of a token.

        Raises TokenInvalid, SessionExpired, SessionRevoked, AccountBanned, GuestsNotAllowed.
        """
        digest = tokens.digest(token)
        if digest is None:
            raise TokenInvalid
        session = self._cache.get(digest)
        if session is None or self._is_over(session):  # another node may have seen it in use since
            session = await self._read(digest)
        if session.revoked_at is not None:
            raise SessionRevoked
        if self._is_over(session):
            raise SessionExpired
        self.remember(digest, session, address)
        return session

    def remember(self, digest: bytes, session: Session, address: str = "") -> None:
        """A session is in use."""
        self._cache[digest] = session
        self._cache.move_to_end(digest)
        self._digests[session.session_id] = digest
        self._of_user.setdefault(session.user_id, set()).add(session.session_id)
        self._used[session.session_id] = address
        if len(self._cache) > MAX_CACHED:
            _, oldest = self._cache.popitem(last=False)
            self._forget(oldest)

    def remember_new(self, digest: bytes, session: Session, address: str, changes: int) -> None:
        """A session was made. `changes`: how many there were before it was asked for; when there were more since, one
        of them may have ended it, and the store is asked at its first use.
        """
        if changes == self.changes:
            self.remember(digest, session, address)

    def cached(self) -> list[Session]:
        """The sessions that are known here."""
        return list(self._cache.values())

    def some(self, session_ids: Iterable[int]) -> list[Session]:
        """Those of the sessions that are known here."""
        digests = (self._digests.get(session_id) for session_id in session_ids)
        return [self._cache[digest] for digest in digests if digest is not None]

    def refresh(self, session: Session) -> None:
        """What the store says of a session that is known here."""
        digest = self._digests.get(session.session_id)
        if digest is not None:
            self._cache[digest] = session

    async def save_use(self, streaming: Iterable[int] = ()) -> None:
        """Write down which sessions were used since the last time: their 30 days begin anew. Called now and then.

        One whose use was written down in the last ten minutes waits until they are over, unless it came from another
        address. A bot's token lives as long as it was made for. `streaming`: the ids of sessions that have a stream
        open, which is use as well.
        """
        used, self._used = self._used, {}
        for session_id in streaming:
            used.setdefault(session_id, "")
        due: dict[int, str] = {}
        for session_id in used.keys() & self._digests.keys():
            address = used[session_id]
            session = self._cache[self._digests[session_id]]
            if self._clock() - session.used_at >= USE_TO or address not in ("", session.address):
                due[session_id] = address
            else:
                self._used.setdefault(session_id, address)  # later
        waiting = list(due)
        while waiting:
            part, waiting = waiting[:MAX_NOTED], waiting[MAX_NOTED:]
            try:
                await self._note(part, due)
            except MadangError:
                rest = {session_id: due[session_id] for session_id in (*part, *waiting)}
                self._used = rest | self._used  # again at the next time
                raise

    async def _note(self, session_ids: list[int], addresses: dict[int, str]) -> None:
        now = self._clock()
        rows: dict[int, tuple[int, int, str | None]] = {}
        noted: list[Session] = []
        for session in self.some(session_ids):  # others have ended meanwhile
            until = now + SESSION_LIFE if session.scopes is None else session.expires_at
            address = addresses[session.session_id]
            rows[session.session_id] = (now, until, address or None)
            noted.append(replace(session, used_at=now, expires_at=until, address=address or session.address))
        if rows:
            await self._store.write(sessions.touch, rows)
        for session in noted:
            digest = self._digests.get(session.session_id)
            if digest is not None:  # its role may have changed meanwhile
                self._cache[digest] = replace(session, role=self._cache[digest].role)

    async def _read(self, digest: bytes) -> Session:
        """What the store says. It is asked again when something changed meanwhile: its answer may be from before."""
        while True:
            changes = self.changes
            found = await self._store.read(sessions.by_digest, digest, self._clock())
            if found is None:
                raise TokenInvalid
            if changes != self.changes:
                continue
            if found.ban is not None:
                raise banned(found.ban)
            if found.session.role is ServerRole.GUEST and not self._guests and found.session.revoked_at is None:
                raise GuestsNotAllowed(where="on this server")
            return found.session

    def _is_over(self, session: Session) -> bool:
        return 0 < session.expires_at <= self._clock()

    def _forget(self, session: Session) -> None:
        del self._digests[session.session_id]
        others = self._of_user[session.user_id]
        others.discard(session.session_id)
        if not others:
            del self._of_user[session.user_id]

    def _on_session_ended(self, event: SessionEnded) -> None:
        self.changes += 1
        digest = self._digests.get(event.session_id)
        if digest is not None:
            self._forget(self._cache.pop(digest))

    def _on_role_changed(self, event: ServerRoleChanged) -> None:
        self.changes += 1
        for session_id in self._of_user.get(event.user_id, ()):
            digest = self._digests[session_id]
            self._cache[digest] = replace(self._cache[digest], role=event.role)
