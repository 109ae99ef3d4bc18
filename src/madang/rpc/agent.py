"""AgentService on the wire: the front door, and the caller's own account and sessions."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from madang.core.errors import MadangError
from madang.core.models import Registration
from madang.rpc.agent_admin import AdminServicer
from madang.rpc.agent_bots import BotServicer
from madang.rpc.interceptor import Context, actor, caller, caller_address
from madang.rpc.streaming import ending
from madang.services.front import Front
from madang.services.guide import Guide
from madang.services.sessions import SignedIn
from madang.services.streams import Streams
from madang.v1 import agent_service_pb2 as pb
from madang.wire.people import session_to_pb, user_to_pb

_REGISTRATIONS: dict[Registration, pb.Registration.ValueType] = {
    Registration.INVITE: pb.REGISTRATION_INVITE,
    Registration.OPEN: pb.REGISTRATION_OPEN,
    Registration.CLOSED: pb.REGISTRATION_CLOSED,
}


@dataclass(frozen=True, slots=True)
class ServerFacts:
    """What the Agent tells of its server."""

    version: str
    store_id: str


class AgentServicer(AdminServicer, BotServicer):
    """Decode, call, encode; what each method does is said in the contract."""

    def __init__(self, front: Front, facts: ServerFacts, guide: Guide, streams: Streams) -> None:
        AdminServicer.__init__(self, front)
        BotServicer.__init__(self, front)
        self._front = front
        self._facts = facts
        self._guide = guide
        self._streams = streams

    async def GetServer(self, request: pb.GetServerRequest, context: Context) -> pb.GetServerResponse:
        """See the contract."""
        facts, entrance = self._facts, self._front.entrance
        return pb.GetServerResponse(
            version=facts.version,
            store_id=facts.store_id,
            endpoints=self._endpoints(request.avoid),
            registration=_REGISTRATIONS[entrance.registration],
            guests=entrance.guests,
            nodes=self._guide.agents(),
            draining=self._guide.turns_away,
        )

    async def SignIn(self, request: pb.SignInRequest, context: Context) -> pb.SignInResponse:
        """See the contract."""
        agent, address = self._front.agent, caller_address()
        endpoints = self._endpoints()
        match request.WhichOneof("credential"):
            case "token":
                signed_in = await agent.sign_in_token(request.token.token, address)
            case "password":
                proof = request.password
                signed_in = await agent.sign_in_password(proof.handle, proof.password, request.device, address)
            case _:
                signed_in = await agent.sign_in_guest(request.guest.handle, request.device, address=address)
        return pb.SignInResponse(
            token=signed_in.token,
            session=session_to_pb(signed_in.session),
            user=user_to_pb(signed_in.user),
            store_id=self._facts.store_id,
            endpoints=endpoints,
        )

    def _endpoints(self, avoid: Collection[str] = ()) -> pb.Endpoints:
        """Where the services are now. Raises ServiceMissing: who cannot chat had better not sign in."""
        where = self._guide.directions(avoid)
        return pb.Endpoints(heartbeat=where.heartbeat, lobby=where.lobby, channel=where.channel)

    async def SignOut(self, request: pb.SignOutRequest, context: Context) -> pb.SignOutResponse:
        """See the contract."""
        await self._front.agent.sign_out(caller())
        return pb.SignOutResponse()

    async def GetMe(self, request: pb.GetMeRequest, context: Context) -> pb.GetMeResponse:
        """See the contract."""
        session = caller()
        user = await self._front.agent.user(session.user_id)
        return pb.GetMeResponse(user=user_to_pb(user), session=session_to_pb(session))

    async def UpdateMe(self, request: pb.UpdateMeRequest, context: Context) -> pb.UpdateMeResponse:
        """See the contract."""
        user = await self._front.accounts.update(
            actor(),
            request.handle if request.HasField("handle") else None,
            request.display_name if request.HasField("display_name") else None,
            request.status_text if request.HasField("status_text") else None,
        )
        return pb.UpdateMeResponse(user=user_to_pb(user))

    async def Register(self, request: pb.RegisterRequest, context: Context) -> pb.RegisterResponse:
        """See the contract."""
        endpoints = self._endpoints()
        made: SignedIn = await self._front.accounts.register(
            request.handle,
            request.password,
            request.invite_code,
            request.display_name,
            request.device,
            caller_address(),
        )
        return pb.RegisterResponse(
            token=made.token,
            session=session_to_pb(made.session),
            user=user_to_pb(made.user),
            store_id=self._facts.store_id,
            endpoints=endpoints,
        )

    async def ChangePassword(self, request: pb.ChangePasswordRequest, context: Context) -> pb.ChangePasswordResponse:
        """See the contract."""
        await self._front.accounts.change_password(actor(), request.old_password, request.new_password)
        return pb.ChangePasswordResponse()

    async def RedeemPasswordReset(
        self, request: pb.RedeemPasswordResetRequest, context: Context
    ) -> pb.RedeemPasswordResetResponse:
        """See the contract."""
        handle = await self._front.accounts.redeem_reset(request.code, request.new_password, caller_address())
        return pb.RedeemPasswordResetResponse(handle=handle)

    async def ListSessions(self, request: pb.ListSessionsRequest, context: Context) -> pb.ListSessionsResponse:
        """See the contract."""
        found, token = await self._front.agent.list_sessions(
            actor(), request.user_id, request.page_size, request.page_token
        )
        return pb.ListSessionsResponse(sessions=map(session_to_pb, found), next_page_token=token)

    async def RevokeSessions(self, request: pb.RevokeSessionsRequest, context: Context) -> pb.RevokeSessionsResponse:
        """See the contract."""
        agent = self._front.agent
        if request.WhichOneof("which") == "session_id":
            return pb.RevokeSessionsResponse(revoked=await agent.revoke_session(actor(), request.session_id))
        return pb.RevokeSessionsResponse(revoked=await agent.revoke_all(actor(), request.all_of_user_id))

    async def DeleteMe(self, request: pb.DeleteMeRequest, context: Context) -> pb.DeleteMeResponse:
        """See the contract."""
        erase = request.messages == pb.MESSAGE_FATE_ERASE
        await self._front.deletion.delete_me(actor(), request.password, erase)
        return pb.DeleteMeResponse()

    async def ExportMe(  # type: ignore[override]  # a coroutine that writes, as grpc.aio allows
        self, request: pb.ExportMeRequest, context: Context
    ) -> None:
        """See the contract."""

        def end(error: MadangError) -> None:
            """Nothing to do: a piece is soon written, and who does not read is cut off."""

        with ending(self._streams, caller().session_id, end):
            async for piece in self._front.export.export(actor()):
                await context.write(pb.ExportMeResponse(data=piece))
