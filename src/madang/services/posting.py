"""How changes get into a channel: in one order, each once. Runs inside the writer's transactions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from madang.core import policy
from madang.core.errors import ChannelNotFound, MadangError, RequestIdReused
from madang.core.models import Changes, Channel, Content, Draft, Message
from madang.core.policy import Action
from madang.storage import directory, messages
from madang.storage.transaction import Transaction
from madang.wire.convert import request_id_text

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
    sequence = messages.head(transaction.connection, channel.channel_id) + 1
    message = Message(channel.channel_id, sequence, sequence, author_id, transaction.now, content, text)
    messages.insert(transaction, [(message, None)])
    messages.set_heads(transaction, {channel.channel_id: sequence})
    transaction.events.append(Changes(channel.channel_id, sequence - 1, sequence, [message]))
    return message


@dataclass(slots=True)
class _Place:
    """A channel within the group."""

    channel: Channel
    head: int
    verdicts: dict[int, MadangError | None] = field(default_factory=dict)
    messages: list[Message] = field(default_factory=list)


class _Group:
    def __init__(self, transaction: Transaction, drafts: Sequence[Draft]) -> None:
        connection = transaction.connection
        pairs = {(draft.channel_id, draft.author_id) for draft in drafts}
        found, self._members = directory.places(connection, pairs)
        self._transaction = transaction
        self._places = {key: _Place(channel, channel.sequence) for key, channel in found.items()}
        self._rows: list[tuple[Message, bytes | None]] = []
        self._seen: dict[tuple[int, bytes], Message] = {}
        if transaction.careful:
            keys = {draft.request_id for draft in drafts if draft.request_id is not None}
            self._seen = messages.by_request(transaction, keys)

    def append(self, draft: Draft) -> Appended:
        key = None if draft.request_id is None else (draft.author_id, draft.request_id)
        if key is not None and key in self._seen:
            return _same(self._seen[key], draft, key[1])
        place = self._places.get(draft.channel_id)
        refusal = self._verdict(place, draft)
        if refusal is not None or place is None:
            return self._stored_before(draft) or refusal or ChannelNotFound(channel=draft.channel_id)
        place.head += 1
        message = Message(
            draft.channel_id, place.head, place.head, draft.author_id, self._transaction.now, draft.content, draft.text
        )
        place.messages.append(message)
        self._rows.append((message, draft.request_id))
        if key is not None:
            self._seen[key] = message
        return message

    def flush(self) -> None:
        if not self._rows:
            return
        messages.insert(self._transaction, self._rows)
        changed = {key: place for key, place in self._places.items() if place.messages}
        messages.set_heads(self._transaction, {key: place.head for key, place in changed.items()})
        for key, place in changed.items():
            self._transaction.events.append(Changes(key, place.channel.sequence, place.head, place.messages))

    def _verdict(self, place: _Place | None, draft: Draft) -> MadangError | None:
        """Why the author may not write there; None when it may."""
        if place is None:
            return ChannelNotFound(channel=draft.channel_id)
        author_id = draft.author_id
        if author_id not in place.verdicts:
            is_member = (draft.channel_id, author_id) in self._members
            try:
                policy.require(Action.WRITE, place.channel, author_id, is_member)
            except MadangError as error:
                place.verdicts[author_id] = error
            else:
                place.verdicts[author_id] = None
        return place.verdicts[author_id]

    def _stored_before(self, draft: Draft) -> Appended | None:
        """The message of a draft that is refused now, if it was stored at an earlier try."""
        if draft.request_id is None:
            return None
        found = messages.by_request(self._transaction, [draft.request_id]).get((draft.author_id, draft.request_id))
        return None if found is None else _same(found, draft, draft.request_id)


def _same(message: Message, draft: Draft, request_id: bytes) -> Appended:
    if (message.channel_id, message.content, message.text) == (draft.channel_id, draft.content, draft.text):
        return message
    return RequestIdReused(request_id=request_id_text(request_id))
