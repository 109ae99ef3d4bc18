"""AgentService on the wire: bots and their tokens."""

from __future__ import annotations

from madang.rpc.interceptor import Context, actor
from madang.services.front import Front
from madang.v1 import agent_service_pb2 as pb
from madang.v1.agent_service_pb2_grpc import AgentServiceServicer
from madang.wire.people import scopes_from_pb, session_to_pb, user_to_pb
from madang.wire.values import micros


class BotServicer(AgentServiceServicer):
    """Decode, call, encode; what each method does is said in the contract."""

    def __init__(self, front: Front) -> None:
        self._bots = front.bots

    async def CreateBot(self, request: pb.CreateBotRequest, context: Context) -> pb.CreateBotResponse:
        """See the contract."""
        bot = await self._bots.create(actor(), request.handle, request.display_name)
        return pb.CreateBotResponse(bot=user_to_pb(bot))

    async def ListBots(self, request: pb.ListBotsRequest, context: Context) -> pb.ListBotsResponse:
        """See the contract."""
        found, token = await self._bots.page(actor(), request.page_size, request.page_token)
        return pb.ListBotsResponse(bots=map(user_to_pb, found), next_page_token=token)

    async def DeleteBot(self, request: pb.DeleteBotRequest, context: Context) -> pb.DeleteBotResponse:
        """See the contract."""
        await self._bots.delete(actor(), request.bot_id)
        return pb.DeleteBotResponse()

    async def CreateBotToken(self, request: pb.CreateBotTokenRequest, context: Context) -> pb.CreateBotTokenResponse:
        """See the contract."""
        expires_at = micros(request.expire_time) if request.HasField("expire_time") else None
        token, session = await self._bots.create_token(
            actor(), request.bot_id, scopes_from_pb(request.scopes), request.name, expires_at
        )
        return pb.CreateBotTokenResponse(token=token, session=session_to_pb(session))
