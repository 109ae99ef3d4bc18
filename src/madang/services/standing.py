"""What an actor is on this server at the moment of a change: asked inside of the transaction that makes it."""

from __future__ import annotations

from madang.core.errors import LastOwner, NotPermitted, UserNotFound
from madang.core.models import Actor, ServerRole, User
from madang.storage import accounts, server_bans
from madang.storage.transaction import Transaction

_WHO = {ServerRole.ADMIN: "administrators", ServerRole.OWNER: "owners of this server"}


def role_now(transaction: Transaction, actor: Actor) -> ServerRole:
    """The actor's role as it is now: GUEST for one that was shut out, or deleted, after it had asked."""
    user = accounts.user(transaction.connection, actor.user_id)
    if user is None or server_bans.active(transaction.connection, actor.user_id, transaction.now) is not None:
        return ServerRole.GUEST
    return user.role


def require_role(transaction: Transaction, actor: Actor, least: ServerRole, action: str) -> None:
    """Raise NotPermitted unless the actor is at least that. `least`: ADMIN or OWNER."""
    if role_now(transaction, actor) < least:
        raise NotPermitted(allowed=_WHO[least], action=action)


def outranks(transaction: Transaction, actor: Actor, user: User) -> bool:
    """Whether the actor may act upon the user: an owner upon anyone, an administrator upon all but its like."""
    role = role_now(transaction, actor)
    return role is ServerRole.OWNER or (role is ServerRole.ADMIN and user.role < ServerRole.ADMIN)


def require_rank(transaction: Transaction, actor: Actor, user: User, action: str) -> None:
    """Raise NotPermitted unless the actor may act upon the user; see `outranks`."""
    require_role(transaction, actor, ServerRole.ADMIN, action)
    if not outranks(transaction, actor, user):
        raise NotPermitted(allowed=_WHO[ServerRole.OWNER], action=f"{action} of an administrator or owner")


def there(transaction: Transaction, user_id: int) -> User:
    """A user that is not deleted. Raises UserNotFound."""
    user = accounts.user(transaction.connection, user_id)
    if user is None or user.deleted_at is not None:
        raise UserNotFound(user=user_id)
    return user


def keep_an_owner(transaction: Transaction, user: User) -> None:
    """Raise LastOwner when the user is the only one that can act as an owner of this server."""
    if user.role is ServerRole.OWNER and not set(accounts.owners(transaction.connection, transaction.now)) - {
        user.user_id
    }:
        raise LastOwner(of="this server")
