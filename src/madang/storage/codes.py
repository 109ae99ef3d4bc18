"""SQL of codes: invites, and password resets. Only their digests are stored."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from madang.core.models import Invite, ServerRole
from madang.storage.schema import codes
from madang.storage.transaction import Transaction

_INVITE = (
    codes.c.code_id,
    codes.c.creator_id,
    codes.c.role,
    codes.c.max_uses,
    codes.c.uses,
    codes.c.created_at,
    codes.c.expires_at,
    codes.c.revoked_at,
    codes.c.note,
)
_IS_INVITE = codes.c.user_id.is_(None)


def add_invite(
    transaction: Transaction,
    code_digest: bytes,
    creator_id: int,
    role: ServerRole,
    max_uses: int,
    expires_at: int,
    note: str,
) -> Invite:
    """Insert an invite. `creator_id` 0: the server's own first one."""
    values = _values(transaction, code_digest, creator_id, role, max_uses, expires_at, note)
    return _invite(transaction.connection.execute(sa.insert(codes).values(values).returning(*_INVITE)).one())


def add_reset(transaction: Transaction, code_digest: bytes, creator_id: int, user_id: int, expires_at: int) -> None:
    """Insert a code with which a user sets a new password, once."""
    values = _values(transaction, code_digest, creator_id, ServerRole.GUEST, 1, expires_at, "")
    transaction.connection.execute(sa.insert(codes).values({**values, "user_id": user_id}))


def good_invite(connection: sa.Connection, code_digest: bytes, now: int) -> Invite | None:
    """The invite of a code, if it can be used now."""
    query = sa.select(*_INVITE).where(codes.c.code_digest == code_digest, _IS_INVITE, *_good(now))
    row = connection.execute(query).one_or_none()
    return None if row is None else _invite(row)


def use_invite(transaction: Transaction, code_digest: bytes) -> Invite | None:
    """Use an invite once, if it can be used now; the invite as it is then."""
    row = _use(transaction, sa.and_(codes.c.code_digest == code_digest, _IS_INVITE), _INVITE)
    return None if row is None else _invite(row)


def good_reset(connection: sa.Connection, code_digest: bytes, now: int) -> int | None:
    """Whose password a code sets, if it can be used now."""
    query = sa.select(codes.c.user_id).where(codes.c.code_digest == code_digest, *_good(now))
    found: int | None = connection.execute(query).scalar_one_or_none()
    return found


def use_reset(transaction: Transaction, code_digest: bytes) -> int | None:
    """Use a code that sets a password, if it can be used now; whose password it sets."""
    condition = sa.and_(codes.c.code_digest == code_digest, sa.not_(_IS_INVITE))
    row = _use(transaction, condition, (codes.c.user_id,))
    return None if row is None else int(row[0])


def invite(connection: sa.Connection, invite_id: int) -> Invite | None:
    """An invite by its id, whether it is still good or not."""
    row = connection.execute(sa.select(*_INVITE).where(codes.c.code_id == invite_id, _IS_INVITE)).one_or_none()
    return None if row is None else _invite(row)


def invites_page(connection: sa.Connection, before: int | None, size: int) -> list[Invite]:
    """Invites with an id below `before`, newest first."""
    query = sa.select(*_INVITE).where(_IS_INVITE).order_by(codes.c.code_id.desc()).limit(size)
    if before is not None:
        query = query.where(codes.c.code_id < before)
    return [_invite(row) for row in connection.execute(query)]


def revoke_invite(transaction: Transaction, invite_id: int) -> bool:
    """Make an invite worthless; whether it was not before."""
    return _revoke(transaction, sa.and_(codes.c.code_id == invite_id, _IS_INVITE))


def revoke_invites_of(transaction: Transaction, creator_id: int, above: ServerRole | None = None) -> None:
    """Make the invites that somebody made worthless; only those to a role above `above`, if that is given."""
    condition = sa.and_(codes.c.creator_id == creator_id, _IS_INVITE)
    if above is not None:
        condition = sa.and_(condition, codes.c.role > above.value)
    _revoke(transaction, condition)


def revoke_first_invites(transaction: Transaction, note: str, before: int) -> None:
    """Make the invites worthless that servers made by themselves: with this note, or before a time, microseconds."""
    old = sa.or_(codes.c.note == note, codes.c.created_at < before)
    _revoke(transaction, sa.and_(codes.c.creator_id == 0, _IS_INVITE, old))


def revoke_resets_by(transaction: Transaction, creator_id: int) -> None:
    """Make the codes that somebody made for others' passwords worthless."""
    _revoke(transaction, sa.and_(codes.c.creator_id == creator_id, sa.not_(_IS_INVITE)))


def revoke_resets_of(transaction: Transaction, user_id: int) -> None:
    """Make the codes that set a user's password worthless."""
    _revoke(transaction, codes.c.user_id == user_id)


def _values(
    transaction: Transaction,
    code_digest: bytes,
    creator_id: int,
    role: ServerRole,
    max_uses: int,
    expires_at: int,
    note: str,
) -> dict[str, Any]:
    return {
        "code_digest": code_digest,
        "creator_id": creator_id,
        "role": role.value,
        "max_uses": max_uses,
        "uses": 0,
        "created_at": transaction.now,
        "expires_at": expires_at,
        "note": note,
    }


def _good(now: int) -> tuple[sa.ColumnElement[bool], ...]:
    return (codes.c.revoked_at.is_(None), codes.c.expires_at > now, codes.c.uses < codes.c.max_uses)


def _use(
    transaction: Transaction, condition: sa.ColumnElement[bool], columns: tuple[sa.Column[Any], ...]
) -> Sequence[Any] | None:
    """One statement finds the code good and counts its use: of two at the same instant one finds it used up."""
    query = sa.update(codes).where(condition, *_good(transaction.now)).values(uses=codes.c.uses + 1).returning(*columns)
    return transaction.connection.execute(query).one_or_none()


def _revoke(transaction: Transaction, condition: sa.ColumnElement[bool]) -> bool:
    query = sa.update(codes).where(condition, codes.c.revoked_at.is_(None)).values(revoked_at=transaction.now)
    return bool(transaction.connection.execute(query).rowcount)


def _invite(row: Sequence[Any]) -> Invite:
    return Invite(row[0], row[1], ServerRole(row[2]), *row[3:])
