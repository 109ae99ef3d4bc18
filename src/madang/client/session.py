"""Signing in: which session to go on with, and when to come as someone new."""

from __future__ import annotations

from dataclasses import dataclass

from madang.client.home import Credentials, StateError
from madang.client.transport import ServerInfo, Transport
from madang.core.errors import Unauthenticated
from madang.core.models import Session, User
from madang.v1 import agent_service_pb2 as pb
from madang.wire.convert import session_from_pb, user_from_pb


@dataclass(frozen=True, slots=True)
class SignedIn:
    """The outcome of a sign-in. `same_server`: what was saved of an earlier session is good here."""

    server: ServerInfo
    session: Session
    user: User
    token: str
    same_server: bool

    def credentials(self, user: User) -> Credentials:
        """What a later sign-in needs, with the user as it is now."""
        return Credentials(self.server.target, self.server.store_id, user.user_id, user.handle, self.token)


@dataclass(frozen=True, slots=True)
class Wish:
    """As whom to sign in: with `token`; or with what was saved; or as a new guest that wants to be called `handle`."""

    handle: str
    token: str | None
    device: str
    saved: Credentials | None


async def sign_in(transport: Transport, wish: Wish) -> SignedIn:
    """Sign in; from here on the transport's calls carry the token.

    Raises Unauthenticated when `wish.token` is not good (a saved one that is not good any more is left behind),
    StateError when what was saved is another server's, and what the server or the way to it gives.
    """
    server = await transport.get_server()
    _check_saved(server, wish.saved)
    if wish.token is not None:
        return await _with_token(transport, server, wish, wish.token)
    if wish.saved is not None:
        try:
            return await _with_token(transport, server, wish, wish.saved.token)
        except Unauthenticated:
            pass
    return await _as_guest(transport, server, wish)


def _check_saved(server: ServerInfo, saved: Credentials | None) -> None:
    # The token must not be shown to another server, nor the outbox sent to it, where its channel ids mean other rooms.
    if saved is not None and saved.store_id != server.store_id and saved.target != server.target:
        raise StateError(
            f"the state directory belongs to the server {saved.target}; use another one for {server.target}"
        )


async def _with_token(transport: Transport, server: ServerInfo, wish: Wish, token: str) -> SignedIn:
    request = pb.SignInRequest(token=pb.TokenCredential(token=token), device=wish.device)
    answer = await transport.call(transport.agent.SignIn, request)
    return _signed_in(transport, server, answer, wish, answer.token or token)


async def _as_guest(transport: Transport, server: ServerInfo, wish: Wish) -> SignedIn:
    request = pb.SignInRequest(guest=pb.GuestCredential(handle=wish.handle), device=wish.device)
    answer = await transport.call(transport.agent.SignIn, request)
    return _signed_in(transport, server, answer, wish, answer.token)


def _signed_in(transport: Transport, server: ServerInfo, answer: pb.SignInResponse, wish: Wish, token: str) -> SignedIn:
    transport.authorize(token)
    saved = wish.saved
    same_server = saved is None or saved.store_id == server.store_id or saved.token == token
    return SignedIn(server, session_from_pb(answer.session), user_from_pb(answer.user), token, same_server)
