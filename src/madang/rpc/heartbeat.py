"""HeartbeatService on the wire."""

from __future__ import annotations

from contextlib import aclosing

from madang.rpc.interceptor import Context, caller
from madang.rpc.streaming import ending
from madang.services.heartbeat import LEASE, HeartbeatService
from madang.services.streams import Streams
from madang.v1 import heartbeat_service_pb2 as pb
from madang.v1.heartbeat_service_pb2_grpc import HeartbeatServiceServicer
from madang.wire.people import STATUSES, presence_to_pb


class HeartbeatServicer(HeartbeatServiceServicer):
    """Decode, call, encode; what each method does is said in the contract."""

    def __init__(self, heartbeat: HeartbeatService, streams: Streams) -> None:
        self._heartbeat = heartbeat
        self._streams = streams

    async def Beat(self, request: pb.BeatRequest, context: Context) -> pb.BeatResponse:
        """See the contract."""
        self._heartbeat.beat(caller().user_id, caller().session_id)
        response = pb.BeatResponse()
        response.lease.FromMilliseconds(round(LEASE * 1000))
        return response

    async def SetStatus(self, request: pb.SetStatusRequest, context: Context) -> pb.SetStatusResponse:
        """See the contract."""
        presence = self._heartbeat.set_status(caller().user_id, STATUSES.core(request.status))
        return pb.SetStatusResponse(presence=presence_to_pb(presence))

    async def ListPresences(self, request: pb.ListPresencesRequest, context: Context) -> pb.ListPresencesResponse:
        """See the contract."""
        found, token = self._heartbeat.page(request.user_ids, request.page_size, request.page_token)
        return pb.ListPresencesResponse(presences=map(presence_to_pb, found), next_page_token=token)

    async def WatchPresence(  # type: ignore[override]  # a coroutine that writes, as grpc.aio allows
        self, request: pb.WatchPresenceRequest, context: Context
    ) -> None:
        """See the contract."""
        watch = self._heartbeat.watch(caller().user_id, caller().session_id)
        with ending(self._streams, caller().session_id, watch.end):
            async with aclosing(watch.updates()) as updates:
                async for presences in updates:
                    await context.write(pb.WatchPresenceResponse(presences=map(presence_to_pb, presences)))
