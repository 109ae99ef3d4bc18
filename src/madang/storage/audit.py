"""SQL of the audit log: append, and list. Nothing changes or removes an event."""

from __future__ import annotations

import json
from collections.abc import Sequence

import sqlalchemy as sa

from madang.core.models import Actor, AuditEvent
from madang.storage.schema import audit_events
from madang.storage.transaction import Transaction

_COLUMNS = (
    audit_events.c.event_id,
    audit_events.c.created_at,
    audit_events.c.actor_id,
    audit_events.c.address,
    audit_events.c.action,
    audit_events.c.user_id,
    audit_events.c.channel_id,
    audit_events.c.details,
)


def record(
    transaction: Transaction,
    actor: Actor | None,
    action: str,
    *,
    user_id: int = 0,
    channel_id: int = 0,
    address: str = "",
    **details: str | int,
) -> None:
    """Append an event, in the transaction of what it tells of: the one is never there without the other.

    `actor` None: the server itself, or somebody who has not signed in and calls from `address`. Details never hold a
    message's text, a password or a token.
    """
    values = {
        "created_at": transaction.now,
        "actor_id": actor.user_id if actor else 0,
        "address": actor.address if actor else address,
        "action": action,
        "user_id": user_id,
        "channel_id": channel_id,
        "details": json.dumps({name: str(value) for name, value in details.items()}, ensure_ascii=False),
    }
    transaction.connection.execute(sa.insert(audit_events).values(values))


def last(connection: sa.Connection) -> int:
    """The id of the newest event; 0 when there is none."""
    return connection.execute(sa.select(sa.func.max(audit_events.c.event_id))).scalar() or 0


def users_after(connection: sa.Connection, event_id: int, actions: Sequence[str], size: int) -> list[int]:
    """To whom one of these things was done after that event; of the newest events, so many at most."""
    query = (
        sa.select(audit_events.c.user_id)
        .where(audit_events.c.event_id > event_id, audit_events.c.action.in_(actions))
        .order_by(audit_events.c.event_id.desc())
        .limit(size)
    )
    return sorted(set(connection.execute(query).scalars()))


def page(
    connection: sa.Connection,
    before: int | None,
    size: int,
    *,
    actor_id: int = 0,
    user_id: int = 0,
    channel_id: int = 0,
    action_prefix: str = "",
) -> list[AuditEvent]:
    """Events with an id below `before`, newest first; filters that are 0 or empty let everything through."""
    query = sa.select(*_COLUMNS).order_by(audit_events.c.event_id.desc()).limit(size)
    if before is not None:
        query = query.where(audit_events.c.event_id < before)
    for column, wanted in (
        (audit_events.c.actor_id, actor_id),
        (audit_events.c.user_id, user_id),
        (audit_events.c.channel_id, channel_id),
    ):
        if wanted:
            query = query.where(column == wanted)
    if action_prefix:
        query = query.where(audit_events.c.action.startswith(action_prefix, autoescape=True))
    return [AuditEvent(*row[:7], json.loads(row[7])) for row in connection.execute(query)]
