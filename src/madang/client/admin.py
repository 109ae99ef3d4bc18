"""What administrators do: `client.admin`. The server refuses it to everyone else with NotPermitted."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from madang.client.backoff import Backoff
from madang.client.calls import Calls, from_now
from madang.client.errors import is_passing
from madang.client.known import ChannelRef, UserRef
from madang.client.paging import PAGE, pages
from madang.core.errors import MadangError
from madang.core.models import AuditEvent, Invite, ServerRole, User
from madang.v1 import agent_service_pb2 as pb
from madang.wire.administration import audit_event_from_pb, invite_from_pb
from madang.wire.people import SERVER_ROLES, user_from_pb
from madang.wire.values import micros

LOOK_EVERY = 1.0
"""How often the audit log is looked at by who follows it, seconds."""
_FEW = 50
"""So many of the newest events are looked at first."""


@dataclass(frozen=True, slots=True)
class NewInvite:
    """A new invite, and its code: a secret that the server tells this once."""

    code: str = field(repr=False)
    invite: Invite


@dataclass(frozen=True, slots=True)
class ResetCode:
    """A code with which a person sets a new password, once; a secret. `expires_at`: microseconds, UTC."""

    code: str = field(repr=False)
    expires_at: int


class Admin(Calls):
    """The Agent's calls of administrators. The sessions of others are `client.sessions(user)`, and so on."""

    async def create_invite(
        self, *, role: ServerRole = ServerRole.MEMBER, uses: int = 1, seconds: float | None = None, note: str = ""
    ) -> NewInvite:
        """Make an invite; `uses`: how many may register with it; `seconds`: for how long it is good, None for a week.

        Only owners invite admins and owners. Raises InvalidField.
        """
        request = pb.CreateInviteRequest(
            role=SERVER_ROLES.contract(role), max_uses=uses, lifetime_seconds=int(seconds or 0), note=note
        )
        answer = await self._transport.call(self._transport.agent.CreateInvite, request)
        return NewInvite(answer.code, invite_from_pb(answer.invite))

    async def invites(self) -> list[Invite]:
        """All invites, newest first, those that are no longer good too; not their codes."""

        async def fetch(token: str) -> pb.ListInvitesResponse:
            request = pb.ListInvitesRequest(page_size=PAGE, page_token=token)
            return await self._transport.call(self._transport.agent.ListInvites, request)

        return [invite_from_pb(invite) async for page in pages(fetch) for invite in page.invites]

    async def revoke_invite(self, invite_id: int) -> None:
        """Make an invite worthless. Raises InviteNotFound."""
        request = pb.RevokeInviteRequest(invite_id=invite_id)
        await self._transport.call(self._transport.agent.RevokeInvite, request)

    async def set_role(self, user: UserRef, role: ServerRole) -> User:
        """Give a person a role on the server (owners). Raises LastOwner."""
        request = pb.SetServerRoleRequest(user_id=await self._directory.user_id(user), role=SERVER_ROLES.contract(role))
        answer = await self._transport.call(self._transport.agent.SetServerRole, request)
        return user_from_pb(answer.user)

    async def reset_password(self, user: UserRef) -> ResetCode:
        """Make a code with which a person sets a new password, once, within a day. A newer one replaces it."""
        request = pb.CreatePasswordResetRequest(user_id=await self._directory.user_id(user))
        answer = await self._transport.call(self._transport.agent.CreatePasswordReset, request)
        return ResetCode(answer.code, micros(answer.expire_time))

    async def ban(self, user: UserRef, reason: str = "", *, seconds: float | None = None) -> None:
        """Shut an account out of the server; `seconds`: for how long, None for good. Its sessions end."""
        user_id = await self._directory.user_id(user)
        request = pb.BanUserRequest(user_id=user_id, reason=reason, expire_time=from_now(seconds))
        await self._transport.call(self._transport.agent.BanUser, request)

    async def unban(self, user: UserRef) -> None:
        """Let an account in again."""
        request = pb.UnbanUserRequest(user_id=await self._directory.user_id(user))
        await self._transport.call(self._transport.agent.UnbanUser, request)

    async def set_bot_limits(self, bot: UserRef, per_second: int, burst: int) -> None:
        """How many messages a bot may send a second in the long run, and at once; 0: as the server's setting says."""
        bot_id = await self._directory.user_id(bot)
        request = pb.SetBotLimitsRequest(bot_id=bot_id, messages_per_second=per_second, burst=burst)
        await self._transport.call(self._transport.agent.SetBotLimits, request)

    async def audit(
        self,
        *,
        actor: UserRef | None = None,
        user: UserRef | None = None,
        channel: ChannelRef | None = None,
        action: str = "",
        page_size: int = PAGE,
    ) -> AsyncIterator[AuditEvent]:
        """Who did what to whom, and from where, newest first, page by page.

        Only what `actor` did, what was done to `user`, in `channel`, and actions that begin with `action`.
        `page_size`: how many are asked for at once.
        """
        actor_id = 0 if actor is None else await self._directory.user_id(actor)
        user_id = 0 if user is None else await self._directory.user_id(user)
        channel_id = 0 if channel is None else await self._directory.channel_id(channel)

        async def fetch(token: str) -> pb.ListAuditEventsResponse:
            request = pb.ListAuditEventsRequest(
                page_size=page_size,
                page_token=token,
                actor_id=actor_id,
                user_id=user_id,
                channel_id=channel_id,
                action_prefix=action,
            )
            return await self._transport.call(self._transport.agent.ListAuditEvents, request)

        async for page in pages(fetch):
            for event in page.events:
                yield audit_event_from_pb(event)

    async def follow_audit(
        self,
        *,
        after: int,
        actor: UserRef | None = None,
        user: UserRef | None = None,
        channel: ChannelRef | None = None,
        action: str = "",
    ) -> AsyncIterator[AuditEvent]:
        """What comes into the audit log after the event with the id `after`, oldest first, for ever, as `audit` has it.

        Goes on by itself when the server was away. Nothing tells of new events, so it looks every second.
        """
        backoff = Backoff()
        while True:
            newer: list[AuditEvent] = []
            try:
                async for event in self.audit(actor=actor, user=user, channel=channel, action=action, page_size=_FEW):
                    if event.event_id <= after:
                        break
                    newer.append(event)
            except MadangError as error:
                if not is_passing(error):
                    raise
                await asyncio.sleep(backoff.next(error.retry_after))
                continue
            backoff.reset()
            for event in reversed(newer):
                after = event.event_id
                yield event
            await asyncio.sleep(LOOK_EVERY)
