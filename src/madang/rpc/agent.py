"""AgentService on the wire."""

from __future__ import annotations

from dataclasses import dataclass

from madang.rpc.interceptor import Context, caller
from madang.services.agent import AgentService
from madang.v1 import agent_service_pb2 as pb
from madang.v1.agent_service_pb2_grpc import AgentServiceServicer
from madang.wire.convert import session_to_pb, user_to_pb


@dataclass(frozen=True, slots=True)
class ServerFacts:
    """What the Agent tells of its server. Addresses are `host:port`; empty means: where the Agent was found."""

    version: str
    store_id: str
    heartbeat: str = ""
    lobby: str = ""
    channel: str = ""

    def endpoints(self) -> pb.Endpoints:
        """The addresses as the contract has them."""
        return pb.Endpoints(heartbeat=self.heartbeat, lobby=self.lobby, channel=self.channel)


class AgentServicer(AgentServiceServicer):
    """Decode, call, encode; what each method does is said in the contract."""

    def __init__(self, agent: AgentService, facts: ServerFacts) -> None:
        self._agent = agent
        self._facts = facts

    async def GetServer(self, request: pb.GetServerRequest, context: Context) -> pb.GetServerResponse:
        """See the contract."""
        facts = self._facts
        return pb.GetServerResponse(version=facts.version, store_id=facts.store_id, endpoints=facts.endpoints())

    async def SignIn(self, request: pb.SignInRequest, context: Context) -> pb.SignInResponse:
        """See the contract."""
        if request.WhichOneof("credential") == "token":
            signed_in = await self._agent.sign_in_token(request.token.token)
        else:
            signed_in = await self._agent.sign_in_guest(request.guest.handle, request.device)
        return pb.SignInResponse(
            token=signed_in.token,
            session=session_to_pb(signed_in.session),
            user=user_to_pb(signed_in.user),
            store_id=self._facts.store_id,
            endpoints=self._facts.endpoints(),
        )

    async def SignOut(self, request: pb.SignOutRequest, context: Context) -> pb.SignOutResponse:
        """See the contract."""
        await self._agent.sign_out(caller())
        return pb.SignOutResponse()

    async def GetMe(self, request: pb.GetMeRequest, context: Context) -> pb.GetMeResponse:
        """See the contract."""
        session = caller()
        user = await self._agent.user(session.user_id)
        return pb.GetMeResponse(user=user_to_pb(user), session=session_to_pb(session))

    async def UpdateMe(self, request: pb.UpdateMeRequest, context: Context) -> pb.UpdateMeResponse:
        """See the contract."""
        user_id = caller().user_id
        if request.HasField("handle"):
            user = await self._agent.set_handle(user_id, request.handle)
        else:
            user = await self._agent.user(user_id)
        return pb.UpdateMeResponse(user=user_to_pb(user))
