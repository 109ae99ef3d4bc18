"""How changes get into a channel: in one order, each once. Runs inside the writer's transactions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from madang.core import policy
from madang.core.errors import ChannelNotFound, MadangError, RequestIdReused, SessionRevoked
from madang.core.events import HeadKnown
from madang.core.models import Changes, Channel, ChannelKind, ChannelRole, Content, Draft, Message, ServerRole
from madang.core.policy import Action, Standing
from madang.services.sessions import banned
from madang.storage import directory, memberships, messages, server_bans
from madang.storage.transaction import Transaction
from madang.wire.values import request_id_text

Appended = Message | MadangError


def append(transaction: Transaction, drafts: Sequence[Draft]) -> list[Appended]:
    """Store drafts in their order; of each the message, or why it was refused.

    A draft whose request_id was stored before gets that message, if it is the same, whatever became of the channel.
    Looking for repeats in the store costs as much as storing, and they are rare: unless the transaction is careful, the
    unique index finds them, with NotUnique.
    """
    group = _Group(transaction, drafts)
    appended = [group.append(draft) for draft in drafts]
    group.flush()
    return appended


def record(transaction: Transaction, channel: Channel, author_id: int, content: Content, text: str = "") -> Message:
    """Store a change of the channel itself, which nobody may refuse any more; the message that tells of it."""
    transaction.lock_channels([channel.channel_id])
    sequence = messages.head(transaction.connection, channel.channel_id) + 1
    message = Message(channel.channel_id, sequence, sequence, author_id, transaction.now, content, text)
    messages.add(transaction, [(message, None)], {channel.channel_id: sequence})
    transaction.events.append(Changes(channel.channel_id, sequence - 1, sequence, [message]))
    return message


@dataclass(slots=True)
class _Place:
    """A channel within the group. `slowed`: who is held to its slow mode, and when each of them wrote last."""

    channel: Channel
    head: int
    plain: bool
    verdicts: dict[int, MadangError | None] = field(default_factory=dict)
    slowed: dict[int, int | None] = field(default_factory=dict)
    messages: list[Message] = field(default_factory=list)
    trace: str = ""


class _Group:
    def __init__(self, transaction: Transaction, drafts: Sequence[Draft]) -> None:
        connection = transaction.connection
        if transaction.locks is not None:
            transaction.locks.channels({draft.channel_id for draft in drafts})
        pairs = {(draft.channel_id, draft.author_id) for draft in drafts}
        found, self._seats, suspicious = directory.places(connection, pairs)
        # The session was good when the draft was handed over; its user may have been shut out since.
        everyone = {author_id for _, author_id in pairs} if suspicious else ()
        self._shut_out = server_bans.shut_out(connection, everyone, transaction.now) if everyone else {}
        # Few channels care what their authors are on the server: for all others it is not even asked.
        asking = {key for key, channel in found.items() if policy.asks_server_role(channel)}
        authors = {author_id for channel_id, author_id in pairs if channel_id in asking} if asking else ()
        self._server_roles = memberships.server_roles(connection, authors) if authors else {}
        self._transaction = transaction
        self._places = {
            key: _Place(channel, channel.sequence, policy.is_plain(channel)) for key, channel in found.items()
        }
        self._rows: list[tuple[Message, bytes | None]] = []
        self._seen: dict[tuple[int, bytes], Message] = {}
        self._heads: dict[int, int] = {}
        self._stored: dict[tuple[int, bytes], Message] = {}
        if transaction.careful:
            keys = {draft.request_id for draft in drafts if draft.request_id is not None}
            self._stored = messages.by_request(transaction, keys)
            self._seen = dict(self._stored)

    def append(self, draft: Draft) -> Appended:
        key = None if draft.request_id is None else (draft.author_id, draft.request_id)
        if key is not None and key in self._seen:
            return self._same(self._seen[key], draft, key)
        place = self._places.get(draft.channel_id)
        refusal = self._verdict(place, draft)
        if refusal is not None or place is None:
            return self._stored_before(draft) or refusal or ChannelNotFound(channel=draft.channel_id)
        if draft.author_id in place.slowed:
            place.slowed[draft.author_id] = self._transaction.now
        place.head += 1
        message = Message(
            draft.channel_id, place.head, place.head, draft.author_id, self._transaction.now, draft.content, draft.text
        )
        place.messages.append(message)
        if draft.trace:
            place.trace = draft.trace
        self._rows.append((message, draft.request_id))
        if key is not None:
            self._seen[key] = message
        return message

    def flush(self) -> None:
        if self._heads:
            self._transaction.events += [HeadKnown(*known) for known in self._heads.items()]
        if not self._rows:
            return
        changed = {key: place for key, place in self._places.items() if place.messages}
        messages.add(self._transaction, self._rows, {key: place.head for key, place in changed.items()})
        for key, place in changed.items():
            changes = Changes(key, place.channel.sequence, place.head, place.messages, place.trace)
            self._transaction.events.append(changes)
            if place.slowed:
                wrote = place.slowed.keys() & {message.author_id for message in place.messages}
                memberships.set_wrote_at(self._transaction, key, wrote)

    def _verdict(self, place: _Place | None, draft: Draft) -> MadangError | None:
        """Why the author may not write there; None when it may."""
        if place is None:
            return ChannelNotFound(channel=draft.channel_id)
        author_id = draft.author_id
        if author_id not in place.verdicts:
            try:
                self._judge(place, author_id)
            except MadangError as error:
                place.verdicts[author_id] = error
            else:
                place.verdicts[author_id] = None
        refusal = place.verdicts[author_id]
        if refusal is None and author_id in place.slowed:
            return policy.slow_down(place.channel, place.slowed[author_id], self._transaction.now)
        return refusal

    def _judge(self, place: _Place, author_id: int) -> None:
        """Raise unless the author may write there, now; and note if it is held to slow mode."""
        if author_id in self._shut_out:
            ban = self._shut_out[author_id]
            raise SessionRevoked if ban is None else banned(ban)
        channel = place.channel
        seat = self._seats.get((channel.channel_id, author_id))
        in_lobby = channel.kind is ChannelKind.LOBBY
        if place.plain and (in_lobby if seat is None else seat.muted_until is None):
            return
        role = seat.role if seat is not None else ChannelRole.MEMBER if in_lobby else None
        server_role = self._server_roles.get(author_id, ServerRole.GUEST)
        policy.require(Action.WRITE, channel, role, server_role)
        stands = policy.standing(channel, role, server_role)
        muted_until = None if seat is None else seat.muted_until
        policy.require_voice(channel, stands, server_role, muted_until, self._transaction.now)
        if channel.slow_mode and stands < Standing.MODERATOR:
            place.slowed[author_id] = None if seat is None else seat.wrote_at

    def _stored_before(self, draft: Draft) -> Appended | None:
        """The message of a draft that is refused now, if it was stored at an earlier try."""
        if draft.request_id is None:
            return None
        key = (draft.author_id, draft.request_id)
        found = self._stored.get(key) or messages.by_request(self._transaction, [draft.request_id]).get(key)
        if found is None:
            return None
        self._stored[key] = found
        return self._same(found, draft, key)

    def _same(self, message: Message, draft: Draft, key: tuple[int, bytes]) -> Appended:
        """The first result, for a repeat of the same draft. What was stored by an earlier commit is told of again: when
        nobody knew whether that commit happened, nobody was told.
        """
        if (message.channel_id, message.content, message.text) != (draft.channel_id, draft.content, draft.text):
            return RequestIdReused(request_id=request_id_text(key[1]))
        if key in self._stored:
            known = self._heads.get(message.channel_id, 0)
            self._heads[message.channel_id] = max(known, message.version)
        return message
