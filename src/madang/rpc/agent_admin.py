"""AgentService on the wire: what administrators do."""

from __future__ import annotations

from madang.core.models import ServerRole
from madang.rpc.interceptor import Context, actor
from madang.services.front import Front
from madang.v1 import agent_service_pb2 as pb
from madang.v1 import resources_pb2
from madang.v1.agent_service_pb2_grpc import AgentServiceServicer
from madang.wire.administration import audit_event_to_pb, invite_to_pb
from madang.wire.people import SERVER_ROLES, user_to_pb
from madang.wire.values import micros, set_time


class AdminServicer(AgentServiceServicer):
    """Decode, call, encode; what each method does is said in the contract."""

    def __init__(self, front: Front) -> None:
        self._admin = front.admin

    async def CreateInvite(self, request: pb.CreateInviteRequest, context: Context) -> pb.CreateInviteResponse:
        """See the contract."""
        role = ServerRole.MEMBER
        if request.role != resources_pb2.SERVER_ROLE_UNSPECIFIED:
            role = SERVER_ROLES.core(request.role)
        code, invite = await self._admin.create_invite(
            actor(), role, request.max_uses, request.lifetime_seconds, request.note
        )
        return pb.CreateInviteResponse(code=code, invite=invite_to_pb(invite))

    async def ListInvites(self, request: pb.ListInvitesRequest, context: Context) -> pb.ListInvitesResponse:
        """See the contract."""
        found, token = await self._admin.invites(request.page_size, request.page_token)
        return pb.ListInvitesResponse(invites=map(invite_to_pb, found), next_page_token=token)

    async def RevokeInvite(self, request: pb.RevokeInviteRequest, context: Context) -> pb.RevokeInviteResponse:
        """See the contract."""
        await self._admin.revoke_invite(actor(), request.invite_id)
        return pb.RevokeInviteResponse()

    async def CreatePasswordReset(
        self, request: pb.CreatePasswordResetRequest, context: Context
    ) -> pb.CreatePasswordResetResponse:
        """See the contract."""
        code, expires_at = await self._admin.create_reset(actor(), request.user_id)
        response = pb.CreatePasswordResetResponse(code=code)
        set_time(response.expire_time, expires_at)
        return response

    async def SetServerRole(self, request: pb.SetServerRoleRequest, context: Context) -> pb.SetServerRoleResponse:
        """See the contract."""
        user = await self._admin.set_role(actor(), request.user_id, SERVER_ROLES.core(request.role))
        return pb.SetServerRoleResponse(user=user_to_pb(user))

    async def SetBotLimits(self, request: pb.SetBotLimitsRequest, context: Context) -> pb.SetBotLimitsResponse:
        """See the contract."""
        await self._admin.set_bot_limits(actor(), request.bot_id, request.messages_per_second, request.burst)
        return pb.SetBotLimitsResponse()

    async def BanUser(self, request: pb.BanUserRequest, context: Context) -> pb.BanUserResponse:
        """See the contract."""
        expires_at = micros(request.expire_time) if request.HasField("expire_time") else None
        await self._admin.ban(actor(), request.user_id, request.reason, expires_at)
        return pb.BanUserResponse()

    async def UnbanUser(self, request: pb.UnbanUserRequest, context: Context) -> pb.UnbanUserResponse:
        """See the contract."""
        await self._admin.unban(actor(), request.user_id)
        return pb.UnbanUserResponse()

    async def ListAuditEvents(self, request: pb.ListAuditEventsRequest, context: Context) -> pb.ListAuditEventsResponse:
        """See the contract."""
        found, token = await self._admin.audit_events(
            request.page_size,
            request.page_token,
            actor_id=request.actor_id,
            user_id=request.user_id,
            channel_id=request.channel_id,
            action_prefix=request.action_prefix,
        )
        return pb.ListAuditEventsResponse(events=map(audit_event_to_pb, found), next_page_token=token)
