"""Who makes the calls: real sessions of every kind, made anew when one of the inputs has ended them."""

from __future__ import annotations

import re
from contextlib import suppress
from itertools import count
from typing import Any

import grpc
from google.protobuf.message import Message

from madang.v1 import agent_service_pb2 as pb
from madang.v1 import resources_pb2

SIGNED_IN = ("guest", "other", "member", "owner", "bot")
PASSWORD = "the cat sat on the mat"  # noqa: S105
_SCOPES = tuple(resources_pb2.TokenScope.values()[1:])


class People:
    """`tokens` by who it is. Nobody has none, a stranger has another server's, noise has no token at all."""

    def __init__(self, channel: grpc.aio.Channel, server_said: str) -> None:
        """`server_said`: what the server has printed; it names the invite of the first owner."""
        found = re.search(r"--invite (\S+)", server_said)
        self.tokens = dict.fromkeys((*SIGNED_IN, "nobody"), "") | {"stranger": "madang_" + "A" * 43, "noise": "x"}
        self._invite = found.group(1) if found else ""
        self._channel = channel
        self._numbers = count()
        self._handles: dict[str, str] = {}

    async def sign_in(self) -> None:
        """See that everyone is signed in."""
        for who in SIGNED_IN:
            if not self.tokens[who]:
                self.tokens[who] = await self._token(who)

    async def _token(self, who: str) -> str:
        if who in ("guest", "other"):
            request = pb.SignInRequest(guest=pb.GuestCredential(handle=who))
            return str((await self._call("SignIn", request, pb.SignInResponse)).token)
        if who == "bot":
            return await self._bot()
        if who in self._handles:
            with suppress(grpc.aio.AioRpcError):  # it is called something else now, or is banned, or deleted
                proof = pb.PasswordCredential(handle=self._handles[who], password=PASSWORD)
                return str((await self._call("SignIn", pb.SignInRequest(password=proof), pb.SignInResponse)).token)
        self._handles[who] = f"{who}-{next(self._numbers)}"
        invite, self._invite = (self._invite, "") if who == "owner" else ("", self._invite)
        register = pb.RegisterRequest(handle=self._handles[who], password=PASSWORD, invite_code=invite)
        return str((await self._call("Register", register, pb.RegisterResponse)).token)

    async def _bot(self) -> str:
        """A bot of the member's; nothing while the member is somebody else than we think."""
        with suppress(grpc.aio.AioRpcError):
            create = pb.CreateBotRequest(handle=f"bot-{next(self._numbers)}")
            bot = (await self._call("CreateBot", create, pb.CreateBotResponse, "member")).bot
            wish = pb.CreateBotTokenRequest(bot_id=bot.user_id, scopes=_SCOPES)
            return str((await self._call("CreateBotToken", wish, pb.CreateBotTokenResponse, "member")).token)
        return ""

    async def _call(self, method: str, request: Message, response: type[Message], who: str = "nobody") -> Any:
        made: Any = self._channel.unary_unary(f"/madang.v1.AgentService/{method}", None, response.FromString)
        token = self.tokens[who]
        return await made(
            request.SerializeToString(), metadata=(("authorization", f"Bearer {token}"),) if token else ()
        )
