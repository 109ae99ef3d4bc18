"""Reports: somebody says that a message is wrong; the channel's moderators and the administrators see to it."""

from __future__ import annotations

from madang.core import policy
from madang.core.errors import MadangError, MessageNotFound, NotPermitted, ReportNotFound
from madang.core.models import Actor, Report
from madang.core.paging import cut, decode_token, encode_token, page_size
from madang.core.policy import Action
from madang.core.text import MAX_REASON, check_line
from madang.services import access
from madang.storage import audit, messages, reports
from madang.storage.database import Connection
from madang.storage.store import Store
from madang.storage.transaction import Transaction

DEFAULT_PAGE = 100
MAX_PAGE = 1000
_BEYOND_ALL = 2**63 - 1


class ReportService:
    """Report, list, resolve. Reports from a direct channel, which has no moderators, are the administrators' alone."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def report(self, actor: Actor, channel_id: int, sequence: int, reason: str) -> Report:
        """Report a message that the actor can read; a repeat returns the first report, with its reason.

        Raises TextNotAllowed, MessageNotFound, and what policy says.
        """
        return await self._store.write(_report, actor, channel_id, sequence, check_line(reason, MAX_REASON))

    async def page(
        self, actor: Actor, channel_id: int, include_resolved: bool, size: int, token: str
    ) -> tuple[list[Report], str]:
        """A page of reports, newest first, and the token of the next. `channel_id` 0: of all channels, for
        administrators.

        Raises NotPermitted, PageTokenInvalid, and what policy says.
        """
        query = ("reports", actor.user_id, channel_id, include_resolved)
        size = page_size(size, DEFAULT_PAGE, MAX_PAGE)
        before = decode_token(query, token, _BEYOND_ALL)
        found = await self._store.read(_page, actor, channel_id, before, size + 1, include_resolved)
        shown, more = cut(found, size)
        return shown, encode_token(query, shown[-1].report_id) if more else ""

    async def resolve(self, actor: Actor, report_id: int) -> Report:
        """Close a report. Repeating it changes nothing. Raises ReportNotFound, also where it is not the actor's to
        see.
        """
        return await self._store.write(_resolve, actor, report_id)


def _report(transaction: Transaction, actor: Actor, channel_id: int, sequence: int, reason: str) -> Report:
    access.require(transaction.connection, actor, channel_id, Action.REPORT)
    earlier = reports.by_reporter(transaction.connection, actor.user_id, channel_id, sequence)
    if earlier is not None:
        return earlier
    message = messages.get(transaction.connection, channel_id, sequence)
    if message is None:
        raise MessageNotFound(sequence=sequence, channel_id=channel_id)
    report = reports.add(transaction, message, actor.user_id, reason)
    audit.record(
        transaction,
        actor,
        "message.report",
        user_id=message.author_id,
        channel_id=channel_id,
        sequence=sequence,
        report_id=report.report_id,
    )
    return report


def _page(
    connection: Connection, actor: Actor, channel_id: int, before: int, size: int, include_resolved: bool
) -> list[Report]:
    if not policy.is_admin(access.server_role(connection, actor)):
        if not channel_id:
            raise NotPermitted(allowed="administrators", action="see the reports of all channels")
        access.require(connection, actor, channel_id, Action.HANDLE_REPORTS)
    return reports.page(connection, channel_id, before, size, include_resolved)


def _resolve(transaction: Transaction, actor: Actor, report_id: int) -> Report:
    report = reports.get(transaction.connection, report_id)
    if report is None or not _may_handle(transaction.connection, actor, report.channel_id):
        raise ReportNotFound(report_id=report_id)
    if report.resolved_at is not None:
        return report
    audit.record(
        transaction,
        actor,
        "report.resolve",
        user_id=report.author_id,
        channel_id=report.channel_id,
        sequence=report.sequence,
        report_id=report_id,
    )
    return reports.resolve(transaction, report_id, actor.user_id)


def _may_handle(connection: Connection, actor: Actor, channel_id: int) -> bool:
    if policy.is_admin(access.server_role(connection, actor)):
        return True
    try:
        access.require(connection, actor, channel_id, Action.HANDLE_REPORTS)
    except MadangError:
        return False
    return True
