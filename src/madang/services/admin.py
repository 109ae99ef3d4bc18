"""What administrators do: invites, password resets, roles, bans, limits, and reading the audit log."""

from __future__ import annotations

from collections.abc import Callable

from madang.core.errors import InvalidField, InviteNotFound, NotPermitted, UserNotFound
from madang.core.events import BotLimitsChanged, ServerRoleChanged, SessionEnded, UserChanged
from madang.core.limits import Limits
from madang.core.models import Actor, AuditEvent, Invite, ServerRole, User, UserKind
from madang.core.paging import cut, decode_token, encode_token, page_size
from madang.core.text import MAX_REASON, check_line
from madang.services import bounds
from madang.services.accounts import new_code
from madang.services.sessions import end_all
from madang.services.standing import keep_an_owner, require_rank, require_role, there
from madang.storage import accounts, audit, codes, server_bans, sessions
from madang.storage.store import Store
from madang.storage.transaction import Transaction

DEFAULT_PAGE = 100
MAX_PAGE = 1000
MAX_NOTE = 128
INVITE_LIFE = 7 * 24 * 3600
"""How long an invite is good unless something else is asked for, seconds."""
RESET_LIFE = 24 * 3600
"""How long a code for a new password is good, seconds."""
_SECOND = 1_000_000
_START = 2**63 - 1


class AdminService:
    """Changes that need a role on this server. The role is looked up again in the transaction of each change."""

    def __init__(self, store: Store, clock: Callable[[], int], limits: Limits | None = None) -> None:
        self._store = store
        self._limits = limits
        self._clock = clock

    async def create_invite(
        self, actor: Actor, role: ServerRole, max_uses: int, lifetime: int, note: str
    ) -> tuple[str, Invite]:
        """A code, and the invite that it is of. `max_uses` 0: 1; `lifetime` in seconds, 0: a week.

        Raises InvalidField, NotPermitted, TextNotAllowed, LimitReached.
        """
        if role < ServerRole.MEMBER:
            raise InvalidField(field="role", rule="people are invited as members, admins or owners")
        code, digest = new_code()
        life = (lifetime or INVITE_LIFE) * _SECOND
        invite = await self._store.write(
            _create_invite, self._limits, actor, digest, role, max_uses or 1, life, check_line(note, MAX_NOTE)
        )
        return code, invite

    async def invites(self, size: int, token: str) -> tuple[list[Invite], str]:
        """A page of invites, newest first, and the token of the next. Raises PageTokenInvalid."""
        query = ("invites",)
        size = page_size(size, DEFAULT_PAGE, MAX_PAGE)
        found = await self._store.read(codes.invites_page, decode_token(query, token, _START), size + 1)
        shown, more = cut(found, size)
        return shown, encode_token(query, shown[-1].invite_id) if more else ""

    async def revoke_invite(self, actor: Actor, invite_id: int) -> None:
        """Make an invite worthless. Repeating it does no harm. Raises InviteNotFound, NotPermitted."""
        await self._store.write(_revoke_invite, actor, invite_id)

    async def create_reset(self, actor: Actor, user_id: int) -> tuple[str, int]:
        """A code for a person's new password, and when it expires, microseconds. Earlier ones are worthless.

        Raises UserNotFound, NotPermitted, InvalidField.
        """
        code, digest = new_code()
        return code, await self._store.write(_create_reset, actor, digest, user_id)

    async def set_role(self, actor: Actor, user_id: int, role: ServerRole) -> User:
        """Give a person a role. Raises InvalidField, UserNotFound, NotPermitted, LastOwner."""
        if role < ServerRole.MEMBER:
            raise InvalidField(field="role", rule="a person is a member, an admin or an owner")
        return await self._store.write(_set_role, actor, user_id, role)

    async def set_bot_limits(self, actor: Actor, bot_id: int, rate: int, burst: int) -> None:
        """Set how many messages a bot may send, a second and at once; 0: as the settings say. Raises UserNotFound."""
        await self._store.write(_set_bot_limits, actor, bot_id, rate or None, burst or None)

    async def ban(self, actor: Actor, user_id: int, reason: str, expires_at: int | None) -> None:
        """Shut an account out until `expires_at`, microseconds (None: for good); its sessions end.

        Its bots are shut out as long as it is. Raises UserNotFound, NotPermitted, LastOwner, InvalidField,
        TextNotAllowed.
        """
        if expires_at is not None and expires_at <= self._clock():
            raise InvalidField(field="expire_time", rule="lies in the past")
        await self._store.write(_ban, actor, user_id, check_line(reason, MAX_REASON), expires_at)

    async def unban(self, actor: Actor, user_id: int) -> None:
        """Let an account in again. Repeating it does no harm. Raises UserNotFound, NotPermitted."""
        await self._store.write(_unban, actor, user_id)

    async def audit_events(
        self, size: int, token: str, *, actor_id: int, user_id: int, channel_id: int, action_prefix: str
    ) -> tuple[list[AuditEvent], str]:
        """A page of the audit log, newest first, and the token of the next. Filters: 0 or empty let everything through.

        Raises PageTokenInvalid.
        """
        query = ("audit", actor_id, user_id, channel_id, action_prefix)
        size = page_size(size, DEFAULT_PAGE, MAX_PAGE)
        found = await self._store.read(
            audit.page,
            decode_token(query, token, _START),
            size + 1,
            actor_id=actor_id,
            user_id=user_id,
            channel_id=channel_id,
            action_prefix=action_prefix,
        )
        shown, more = cut(found, size)
        return shown, encode_token(query, shown[-1].event_id) if more else ""


def _create_invite(
    transaction: Transaction,
    limits: Limits | None,
    actor: Actor,
    digest: bytes,
    role: ServerRole,
    max_uses: int,
    life: int,
    note: str,
) -> Invite:
    least = ServerRole.ADMIN if role is ServerRole.MEMBER else ServerRole.OWNER
    require_role(transaction, actor, least, f"invite {role.name.lower()}s")
    bounds.require_invite(transaction, limits, actor.user_id)
    expires_at = transaction.now + life
    invite = codes.add_invite(transaction, digest, actor.user_id, role, max_uses, expires_at, note)
    audit.record(transaction, actor, "invite.create", invite=invite.invite_id, role=role.name.lower(), uses=max_uses)
    return invite


def _revoke_invite(transaction: Transaction, actor: Actor, invite_id: int) -> None:
    require_role(transaction, actor, ServerRole.ADMIN, "revoke invites")
    if codes.invite(transaction.connection, invite_id) is None:
        raise InviteNotFound(invite_id=invite_id)
    if codes.revoke_invite(transaction, invite_id):
        audit.record(transaction, actor, "invite.revoke", invite=invite_id)


def _create_reset(transaction: Transaction, actor: Actor, digest: bytes, user_id: int) -> int:
    user = _person(transaction, user_id)
    require_rank(transaction, actor, user, "reset the password")
    codes.revoke_resets_of(transaction, user_id)
    expires_at = transaction.now + RESET_LIFE * _SECOND
    codes.add_reset(transaction, digest, actor.user_id, user_id, expires_at)
    audit.record(transaction, actor, "user.password_reset_code", user_id=user_id)
    return expires_at


def _set_role(transaction: Transaction, actor: Actor, user_id: int, role: ServerRole) -> User:
    require_role(transaction, actor, ServerRole.OWNER, "give roles on this server")
    user = _person(transaction, user_id)
    if user.role is role:
        return user
    keep_an_owner(transaction, user)
    changed = accounts.set_role(transaction, user_id, role)
    if role < user.role:  # nothing that it prepared may bring it back
        codes.revoke_invites_of(transaction, user_id, above=role if role > ServerRole.MEMBER else None)
        codes.revoke_resets_by(transaction, user_id)
    transaction.events += [UserChanged(changed), ServerRoleChanged(user_id, role)]
    audit.record(
        transaction, actor, "user.role", user_id=user_id, role=role.name.lower(), former_role=user.role.name.lower()
    )
    return changed


def _set_bot_limits(transaction: Transaction, actor: Actor, bot_id: int, rate: int | None, burst: int | None) -> None:
    require_role(transaction, actor, ServerRole.ADMIN, "set a bot's limits")
    if there(transaction, bot_id).kind is not UserKind.BOT:
        raise UserNotFound(user=bot_id)
    accounts.set_limits(transaction, bot_id, rate, burst)
    transaction.events.append(BotLimitsChanged(bot_id, rate or 0, burst or 0))
    audit.record(transaction, actor, "bot.limits", user_id=bot_id, messages_per_second=rate or 0, burst=burst or 0)


def _ban(transaction: Transaction, actor: Actor, user_id: int, reason: str, expires_at: int | None) -> None:
    require_role(transaction, actor, ServerRole.ADMIN, "ban accounts")
    user = there(transaction, user_id)
    if user_id == actor.user_id:
        raise NotPermitted(allowed="others", action="ban an account, not its owner")
    require_rank(transaction, actor, user, "ban the account")
    keep_an_owner(transaction, user)
    server_bans.put(transaction, user_id, actor.user_id, reason, expires_at)
    end_all(transaction, user_id)
    codes.revoke_invites_of(transaction, user_id)
    codes.revoke_resets_by(transaction, user_id)
    for bot in accounts.bots_page(transaction.connection, user_id, 0, MAX_PAGE):
        # Its tokens stay good for the time after the ban; until then they are refused.
        ended = sessions.good_ids(transaction, bot.user_id)
        transaction.events += [SessionEnded(session_id, bot.user_id) for session_id in ended]
    until = 0 if expires_at is None else expires_at // _SECOND
    audit.record(transaction, actor, "user.ban", user_id=user_id, reason=reason, until=until)


def _unban(transaction: Transaction, actor: Actor, user_id: int) -> None:
    user = there(transaction, user_id)
    require_rank(transaction, actor, user, "lift the ban")
    if server_bans.lift(transaction, user_id):
        audit.record(transaction, actor, "user.unban", user_id=user_id)


def _person(transaction: Transaction, user_id: int) -> User:
    user = there(transaction, user_id)
    if user.kind is not UserKind.PERSON:
        raise InvalidField(field="user_id", rule=f"{user.handle} is not a person with an account")
    return user
