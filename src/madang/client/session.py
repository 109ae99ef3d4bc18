"""Signing in: which session to go on with, and when to come as someone new."""

from __future__ import annotations

from dataclasses import dataclass

from madang.client.home import Credentials, StateError
from madang.client.transport import ServerInfo, Transport
from madang.core.errors import MadangError, NotPermitted, TokenInvalid, TokenMissing, Unauthenticated
from madang.core.models import Session, User
from madang.v1 import agent_service_pb2 as pb
from madang.wire.convert import session_from_pb, user_from_pb


@dataclass(frozen=True, slots=True)
class SignedIn:
    """The outcome of a sign-in. `stranger`: why what was saved is not for this user to go on with; None when it is."""

    server: ServerInfo
    session: Session
    user: User
    token: str
    stranger: MadangError | None

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
        except Unauthenticated as error:
            return await _as_guest(transport, server, wish, error)
    return await _as_guest(transport, server, wish, TokenMissing())


def _check_saved(server: ServerInfo, saved: Credentials | None) -> None:
    # The token must not be shown to another server, nor the outbox sent to it, where its channel ids mean other rooms.
    if saved is not None and saved.store_id != server.store_id and saved.target != server.target:
        raise StateError(
            f"the state directory belongs to the server {saved.target}; use another one for {server.target}"
        )


async def _with_token(transport: Transport, server: ServerInfo, wish: Wish, token: str) -> SignedIn:
    request = pb.SignInRequest(token=pb.TokenCredential(token=token), device=wish.device)
    answer = await transport.call(transport.agent.SignIn, request)
    good = answer.token or token
    stranger = _compare(wish.saved, server.store_id, answer.user.user_id, token)
    return _signed_in(transport, server, answer, good, stranger)


def _compare(saved: Credentials | None, store_id: str, user_id: int, token: str) -> MadangError | None:
    """Why the user of a token is not the one who was saved; None when it is."""
    if saved is None:
        return TokenMissing()
    if saved.token == token:
        return None
    if saved.store_id != store_id:  # ids of users mean nothing there
        return TokenInvalid()
    if saved.user_id != user_id:
        return NotPermitted(allowed=saved.handle, action="send what is in their outbox")
    return None


async def _as_guest(transport: Transport, server: ServerInfo, wish: Wish, refused: Unauthenticated) -> SignedIn:
    request = pb.SignInRequest(guest=pb.GuestCredential(handle=wish.handle), device=wish.device)
    answer = await transport.call(transport.agent.SignIn, request)
    return _signed_in(transport, server, answer, answer.token, refused)


def _signed_in(
    transport: Transport, server: ServerInfo, answer: pb.SignInResponse, token: str, stranger: MadangError | None
) -> SignedIn:
    transport.authorize(token)
    return SignedIn(server, session_from_pb(answer.session), user_from_pb(answer.user), token, stranger)
