"""Only so many of each thing: asked in the transaction that would make one more. Each raises LimitReached.

`limits` None: there are none.
"""

from __future__ import annotations

from collections.abc import Iterable

from madang.core.limits import Limits, require_room
from madang.core.models import LOBBY_ID
from madang.storage import counts
from madang.storage.transaction import Transaction


def require_place(transaction: Transaction, limits: Limits | None, channel_id: int, user_id: int) -> None:
    """Before a user becomes a member of a channel. The lobby has room for everyone."""
    if limits is None or channel_id == LOBBY_ID:
        return
    connection = transaction.connection
    require_room("members in a channel", counts.members_of(connection, channel_id), limits.members_per_channel)
    require_channels(transaction, limits, user_id)


def require_channels(transaction: Transaction, limits: Limits | None, user_id: int) -> None:
    """Before a user is in one more channel."""
    if limits is not None:
        joined = counts.channels_joined(transaction.connection, user_id)
        require_room("channels for a user to be in", joined, limits.channels_per_user)


def require_own(transaction: Transaction, limits: Limits | None, owner_id: int) -> None:
    """Before a user makes a channel."""
    if limits is not None:
        owned = counts.channels_owned(transaction.connection, owner_id)
        require_room("channels of your own", owned, limits.channels_owned)


def require_direct(transaction: Transaction, limits: Limits | None, user_ids: Iterable[int]) -> None:
    """Before a direct channel is made with these users."""
    if limits is not None:
        for user_id in user_ids:
            count = counts.direct_channels(transaction.connection, user_id)
            require_room("direct channels of one of you", count, limits.direct_channels_per_user)


def require_invite(transaction: Transaction, limits: Limits | None, creator_id: int) -> None:
    """Before an invite is made."""
    if limits is not None:
        count = counts.invites_of(transaction.connection, creator_id, transaction.now)
        require_room("invites of yours that are still good", count, limits.invites_per_user)


def require_bot(transaction: Transaction, limits: Limits | None, owner_id: int) -> None:
    """Before a person makes a bot."""
    if limits is not None:
        require_room("bots of yours", counts.bots_of(transaction.connection, owner_id), limits.bots_per_person)


def require_token(transaction: Transaction, limits: Limits | None, bot_id: int) -> None:
    """Before a bot gets a token."""
    if limits is not None:
        count = counts.sessions_of(transaction.connection, bot_id, transaction.now)
        require_room("tokens of a bot", count, limits.tokens_per_bot)


def sessions_to_end(transaction: Transaction, limits: Limits | None, user_id: int) -> list[int]:
    """Which sessions have to end when a person signs in on one more device: those that were not used for longest.

    To refuse would be to shut out whoever has lost the devices.
    """
    if limits is None:
        return []
    good = counts.sessions_by_use(transaction.connection, user_id, transaction.now)
    return good[limits.sessions_per_user - 1 :]
