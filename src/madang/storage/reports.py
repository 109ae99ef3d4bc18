"""SQL of the reports of messages."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from madang.core.models import Message, Report
from madang.storage.schema import reports
from madang.storage.transaction import Transaction

_REPORT = (
    reports.c.report_id,
    reports.c.channel_id,
    reports.c.sequence,
    reports.c.author_id,
    reports.c.reporter_id,
    reports.c.reason,
    reports.c.text,
    reports.c.created_at,
    reports.c.resolved_at,
    reports.c.resolver_id,
)


def add(transaction: Transaction, message: Message, reporter_id: int, reason: str) -> Report:
    """Insert a report of a message, with its text as it is now."""
    values = {
        "channel_id": message.channel_id,
        "sequence": message.sequence,
        "author_id": message.author_id,
        "reporter_id": reporter_id,
        "reason": reason,
        "text": message.text,
        "created_at": transaction.now,
    }
    query = sa.insert(reports).values(values).returning(*_REPORT)
    return _report(transaction.connection.execute(query).one())


def get(connection: sa.Connection, report_id: int) -> Report | None:
    """A report by its id."""
    return _maybe_report(connection, reports.c.report_id == report_id)


def by_reporter(connection: sa.Connection, reporter_id: int, channel_id: int, sequence: int) -> Report | None:
    """What this user reported of this message."""
    return _maybe_report(
        connection,
        sa.and_(
            reports.c.reporter_id == reporter_id, reports.c.channel_id == channel_id, reports.c.sequence == sequence
        ),
    )


def page(connection: sa.Connection, channel_id: int, before: int, size: int, include_resolved: bool) -> list[Report]:
    """Reports with an id below `before`, newest first. `channel_id` 0: of every channel."""
    query = sa.select(*_REPORT).where(reports.c.report_id < before)
    if channel_id:
        query = query.where(reports.c.channel_id == channel_id)
    if not include_resolved:
        query = query.where(reports.c.resolved_at.is_(None))
    rows = connection.execute(query.order_by(reports.c.report_id.desc()).limit(size))
    return [_report(row) for row in rows]


def resolve(transaction: Transaction, report_id: int, resolver_id: int) -> Report:
    """Close a report; the report as it is now."""
    query = (
        sa.update(reports)
        .where(reports.c.report_id == report_id)
        .values(resolved_at=transaction.now, resolver_id=resolver_id)
        .returning(*_REPORT)
    )
    return _report(transaction.connection.execute(query).one())


def _maybe_report(connection: sa.Connection, condition: sa.ColumnElement[bool]) -> Report | None:
    row = connection.execute(sa.select(*_REPORT).where(condition)).one_or_none()
    return None if row is None else _report(row)


def _report(row: Sequence[Any]) -> Report:
    return Report(*row)
