"""Direct channels: one for each set of people. Runs inside the writer's transactions."""

from __future__ import annotations

from collections.abc import Collection

from madang.core.errors import InvalidField, UserNotFound
from madang.core.events import MembershipChanged
from madang.core.limits import Limits
from madang.core.models import Actor, Channel, Member
from madang.services import bounds
from madang.storage import audit, directory, memberships
from madang.storage.transaction import Transaction

MAX_PEOPLE = 9


def open_channel(
    transaction: Transaction, limits: Limits | None, actor: Actor, user_ids: Collection[int]
) -> tuple[Channel, Member]:
    """The direct channel of the actor and these others, made where there is none yet, and the actor's place in it.

    Anyone can be one of them, a guest too. Nothing is written in it: those who are in it are told by its being there.
    Raises InvalidField unless they are 2 to 9 with the actor; UserNotFound, LimitReached.
    """
    people = {actor.user_id, *user_ids}
    if not 2 <= len(people) <= MAX_PEOPLE:
        raise InvalidField(field="user_ids", rule=f"has to name 1 to {MAX_PEOPLE - 1} others than the caller")
    found = directory.get_direct(transaction.connection, people)
    there = memberships.server_roles(transaction.connection, people)
    missing = sorted(people - there.keys() - {actor.user_id})
    if missing:
        raise UserNotFound(user=missing[0])
    if found is None:
        bounds.require_direct(transaction, limits, people)
    channel = found or directory.create_direct(transaction, people)
    if found is None:
        audit.record(transaction, actor, "channel.direct", channel_id=channel.channel_id)
    for user_id in sorted(people):  # all of a new one; of one that there was, whoever the server had taken out of it
        if memberships.get(transaction.connection, channel.channel_id, user_id) is None:
            memberships.add(transaction, channel.channel_id, user_id)
            transaction.events.append(MembershipChanged(channel.channel_id, user_id, True, channel.sequence))
    member = memberships.get(transaction.connection, channel.channel_id, actor.user_id)
    if member is None:
        raise UserNotFound(user=actor.user_id)
    return channel, member
