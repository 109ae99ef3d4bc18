"""The first start hands the server to its administrator: by an invite that it prints, never by a default password."""

from __future__ import annotations

import re

import grpc
import pytest

from madang.v1 import agent_service_pb2 as pb
from madang.v1.agent_service_pb2_grpc import AgentServiceStub
from madang.v1.resources_pb2 import SERVER_ROLE_OWNER

from .people import LOCAL_OPTIONS
from .process import PATIENCE, ServerProcess, eventually

PASSWORD = "nine lives and a tail"  # noqa: S105
INVITE = re.compile(r"become the owner: .* register --server (\S+) --invite ([a-z2-7]{32})$", re.MULTILINE)


async def greets(server: ServerProcess, number: int) -> None:
    """Start the server (it is its start of this number), and wait until it has said what it has to say."""
    await server.start()
    await eventually(lambda: server.output.count("stop with Ctrl-C") == number, "it greets")


async def register(target: str, code: str, handle: str) -> pb.RegisterResponse:
    """Register by the code."""
    async with grpc.aio.insecure_channel(target, options=LOCAL_OPTIONS) as connection:
        request = pb.RegisterRequest(handle=handle, password=PASSWORD, invite_code=code)
        return await AgentServiceStub(connection).Register(request)


async def test_each_start_prints_an_invite_until_there_is_an_owner(server: ServerProcess) -> None:
    for number in (1, 2, 3):
        await greets(server, number)
        if number < 3:
            await server.terminate(PATIENCE)
    told = INVITE.findall(server.output)
    assert [target for target, _ in told] == [server.target] * 3
    codes = [code for _, code in told]
    for code in codes[:-1]:
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await register(server.target, code, "mina")
        assert refused.value.code() is grpc.StatusCode.PERMISSION_DENIED
    answer = await register(server.target, codes[-1], "hana")
    assert answer.user.role == SERVER_ROLE_OWNER
    await server.terminate(PATIENCE)
    await greets(server, 4)
    assert len(INVITE.findall(server.output)) == 3, "there is an owner"
    assert PASSWORD not in server.output
    assert answer.token not in server.output
