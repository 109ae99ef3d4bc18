"""Bots: programs with tokens of their own, owned by a person."""

from __future__ import annotations

from dataclasses import dataclass, field

from madang.client.calls import Calls, from_now
from madang.client.known import UserRef
from madang.client.paging import PAGE, pages
from madang.core.models import Scope, Session, User
from madang.v1 import agent_service_pb2 as pb
from madang.wire.people import scopes_to_pb, session_from_pb, user_from_pb


@dataclass(frozen=True, slots=True)
class BotToken:
    """A bot's new token, a secret that the server tells this once, and the session that stands for it."""

    token: str = field(repr=False)
    session: Session


class BotCalls(Calls):
    """The Agent's calls about the caller's bots. For people with an account."""

    async def create_bot(self, handle: str, display_name: str = "") -> User:
        """Make a bot; it can do nothing until it has a token. Raises HandleTaken, NameNotAllowed, LimitReached."""
        request = pb.CreateBotRequest(handle=handle, display_name=display_name)
        answer = await self._transport.call(self._transport.agent.CreateBot, request)
        return self._directory.known.user_is(user_from_pb(answer.bot))

    async def bots(self) -> list[User]:
        """The user's own bots, by id."""

        async def fetch(token: str) -> pb.ListBotsResponse:
            request = pb.ListBotsRequest(page_size=PAGE, page_token=token)
            return await self._transport.call(self._transport.agent.ListBots, request)

        return [user_from_pb(bot) async for page in pages(fetch) for bot in page.bots]

    async def delete_bot(self, bot: UserRef) -> None:
        """Delete a bot: its tokens end, its messages stay. Raises UserNotFound, also for one that is not one's own."""
        request = pb.DeleteBotRequest(bot_id=await self._directory.user_id(bot))
        await self._transport.call(self._transport.agent.DeleteBot, request)

    async def create_bot_token(
        self, bot: UserRef, scopes: Scope = Scope.SEND | Scope.READ, *, name: str = "", seconds: float | None = None
    ) -> BotToken:
        """Make a token for a bot, good for `scopes`. It is listed by `sessions(bot)`, and ended by `revoke_session`.

        `name`: what it is for, up to 64 characters. `seconds`: for how long it is good; None: until it is revoked.

        Raises UserNotFound, InvalidField for no scopes.
        """
        request = pb.CreateBotTokenRequest(
            bot_id=await self._directory.user_id(bot),
            scopes=scopes_to_pb(scopes),
            name=name,
            expire_time=from_now(seconds),
        )
        answer = await self._transport.call(self._transport.agent.CreateBotToken, request)
        return BotToken(answer.token, session_from_pb(answer.session))
