"""Everything that is stored of somebody, as JSON lines, page by page."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Iterable
from datetime import UTC, datetime, timedelta

from madang.core.models import Actor, Member, Message, Session, User
from madang.storage import accounts, audit, sessions, traces
from madang.storage.store import Store
from madang.storage.transaction import Transaction

PAGE = 500
MAX_PIECE = 256 * 1024
"""About how many characters one piece of the export has at most, and at least one line."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

_BREAKS = {0x85: "\\u0085", 0x2028: "\\u2028", 0x2029: "\\u2029"}
"""What JSON lets stand as it is, and some readers of lines take for the end of one."""

Line = dict[str, object]


class ExportService:
    """Reads what somebody is, has and wrote."""

    def __init__(self, store: Store, clock: Callable[[], int]) -> None:
        self._store = store
        self._clock = clock

    async def export(self, actor: Actor) -> AsyncIterator[bytes]:
        """Pieces of a text in UTF-8 with one JSON object a line; its member `type` says what it is.

        What is there: the account, its bots, its good sessions, its memberships, and all that it wrote.
        """
        await self._store.write(_record, actor)
        for lines in (await self._facts(actor.user_id), await self._sessions(actor.user_id)):
            for piece in _pieces(lines):
                yield piece
        heads = await self._store.read(traces.heads, actor.user_id)
        for channel_id, after in traces.steps(heads):
            found = await self._store.read(traces.written, actor.user_id, channel_id, after)
            for piece in _pieces(map(_message, found)):
                yield piece

    async def _facts(self, user_id: int) -> list[Line]:
        user = await self._store.read(accounts.user, user_id)
        lines = [] if user is None else [_user("account", user)]
        lines += [_user("bot", bot) for bot in await self._store.read(accounts.bots_page, user_id, 0, PAGE)]
        return lines + [_member(member) for member in await self._store.read(traces.memberships, user_id)]

    async def _sessions(self, user_id: int) -> list[Line]:
        lines: list[Line] = []
        before: int | None = None
        while page := await self._store.read(sessions.page, user_id, before, PAGE, self._clock()):
            lines += map(_session, page)
            before = page[-1].session_id
        return lines


def _record(transaction: Transaction, actor: Actor) -> None:
    audit.record(transaction, actor, "user.export", user_id=actor.user_id)


def _pieces(lines: Iterable[Line]) -> Iterable[bytes]:
    piece = ""
    for line in lines:
        text = json.dumps(line, ensure_ascii=False).translate(_BREAKS) + "\n"
        if piece and len(piece) + len(text) > MAX_PIECE:
            yield piece.encode()
            piece = ""
        piece += text
    if piece:
        yield piece.encode()


def _time(micros: int | None) -> str | None:
    return None if not micros else (_EPOCH + timedelta(microseconds=micros)).isoformat()


def _user(kind: str, user: User) -> Line:
    return {
        "type": kind,
        "user_id": user.user_id,
        "handle": user.handle,
        "kind": user.kind.name.lower(),
        "role": user.role.name.lower(),
        "display_name": user.display_name,
        "status_text": user.status_text,
        "create_time": _time(user.created_at),
    }


def _session(session: Session) -> Line:
    return {
        "type": "session",
        "session_id": session.session_id,
        "device": session.device,
        "address": session.address,
        "create_time": _time(session.created_at),
        "use_time": _time(session.used_at),
        "expire_time": _time(session.expires_at),
    }


def _member(member: Member) -> Line:
    return {
        "type": "membership",
        "channel_id": member.channel_id,
        "role": member.role.name.lower(),
        "join_time": _time(member.joined_at),
        "read_through": member.read_through,
    }


def _message(message: Message) -> Line:
    return {
        "type": "message",
        "channel_id": message.channel_id,
        "sequence": message.sequence,
        "create_time": _time(message.created_at),
        "content": message.content.name.lower(),
        "text": message.text,
    }
