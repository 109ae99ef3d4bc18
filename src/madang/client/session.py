"""Signing in: which session to go on with, and when to come as someone new."""

from __future__ import annotations

from dataclasses import dataclass, field

from madang.client.home import Credentials, StateError
from madang.client.nodes import split_targets
from madang.client.transport import ServerInfo, Transport
from madang.core.errors import (
    CodeInvalid,
    CredentialsWrong,
    HandleTaken,
    MadangError,
    NotPermitted,
    TokenInvalid,
    TokenMissing,
    Unauthenticated,
)
from madang.core.models import Session, User, UserKind
from madang.v1 import agent_service_pb2 as pb
from madang.wire.people import session_from_pb, user_from_pb


@dataclass(frozen=True, slots=True)
class Guest:
    """Come as a new guest that wants to be called `handle`."""

    handle: str


@dataclass(frozen=True, slots=True)
class Token:
    """Go on with the session of a token."""

    token: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Password:
    """Come as a person with an account."""

    handle: str
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class NewAccount:
    """Come as a person whose account is yet to be made."""

    handle: str
    password: str = field(repr=False)
    invite: str = field(repr=False)
    display_name: str


Proof = Guest | Token | Password | NewAccount
"""How to show who one is."""


@dataclass(frozen=True, slots=True)
class SignedIn:
    """The outcome of a sign-in. `address`: the server's, as it was named to the client.

    `stranger`: why what was saved is not for this user to go on with; None when it is.
    """

    address: str
    server: ServerInfo
    session: Session
    user: User
    token: str = field(repr=False)
    stranger: MadangError | None

    def credentials(self, user: User) -> Credentials:
        """What a later sign-in needs, with the user as it is now."""
        kind = user.kind.name.lower()
        return Credentials(self.address, self.server.store_id, user.user_id, user.handle, self.token, kind)


@dataclass(frozen=True, slots=True)
class Wish:
    """As whom to sign in: with what was saved, where that is whom `proof` is about, else with the proof."""

    proof: Proof
    device: str
    saved: Credentials | None


async def sign_in(transport: Transport, wish: Wish, *, again: bool = False) -> SignedIn:
    """Sign in; from here on the transport's calls carry the token.

    A saved session that is not good any more is left behind, where there is a password, or it was a guest's. `again`:
    it was tried before, and nobody knows how that ended: the account that is to be made may be there.

    Raises Unauthenticated when the proof is not good, or a person's saved session is not and there is no other proof;
    StateError when what was saved is another server's, and what the server or the way to it gives.
    """
    server = await transport.arrive()
    _check_saved(server, transport.address, wish.saved)
    match wish.proof:
        case Token(token):
            return await _with_token(transport, server, wish, token)
        case NewAccount() as account:
            return await (_as_new_again if again else _as_new)(transport, server, wish, account)
    refused: Unauthenticated = TokenMissing()
    if wish.saved is not None and wish.saved.token and _is_about(wish.proof, wish.saved):
        try:
            return await _with_token(transport, server, wish, wish.saved.token)
        except Unauthenticated as error:
            refused = error
    if isinstance(wish.proof, Password):
        return await _with_password(transport, server, wish, wish.proof)
    if wish.saved is not None and wish.saved.kind != UserKind.GUEST.name.lower():
        raise refused  # a person does not want to become a guest unasked
    return await _as_guest(transport, server, wish, wish.proof, refused)


def _is_about(proof: Guest | Password, saved: Credentials) -> bool:
    return isinstance(proof, Guest) or proof.handle.casefold() == saved.handle.casefold()


def _check_saved(server: ServerInfo, address: str, saved: Credentials | None) -> None:
    # The token must not be shown to another server, nor the outbox sent to it, where its channel ids mean other rooms.
    if saved is None or saved.store_id == server.store_id:
        return
    if not set(split_targets(saved.target)) & set(split_targets(address)):
        raise StateError(f"the state directory belongs to the server {saved.target}; use another one for {address}")


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


async def _with_password(transport: Transport, server: ServerInfo, wish: Wish, proof: Password) -> SignedIn:
    credential = pb.PasswordCredential(handle=proof.handle, password=proof.password)
    request = pb.SignInRequest(password=credential, device=wish.device)
    answer = await transport.call(transport.agent.SignIn, request)
    stranger = _compare(wish.saved, server.store_id, answer.user.user_id, answer.token)
    return _signed_in(transport, server, answer, answer.token, stranger)


async def _as_new(transport: Transport, server: ServerInfo, wish: Wish, account: NewAccount) -> SignedIn:
    request = pb.RegisterRequest(
        handle=account.handle,
        password=account.password,
        invite_code=account.invite,
        display_name=account.display_name,
        device=wish.device,
    )
    answer = await transport.call(transport.agent.Register, request)
    stranger = _compare(wish.saved, server.store_id, answer.user.user_id, answer.token)
    return _signed_in(transport, server, answer, answer.token, stranger)


async def _as_new_again(transport: Transport, server: ServerInfo, wish: Wish, account: NewAccount) -> SignedIn:
    """Whoever knows the password of an account that is there already is the one who has just made it."""
    try:
        return await _as_new(transport, server, wish, account)
    except (HandleTaken, CodeInvalid) as refusal:
        try:
            return await _with_password(transport, server, wish, Password(account.handle, account.password))
        except CredentialsWrong:
            raise refusal from None


async def _as_guest(
    transport: Transport, server: ServerInfo, wish: Wish, proof: Guest, refused: Unauthenticated
) -> SignedIn:
    request = pb.SignInRequest(guest=pb.GuestCredential(handle=proof.handle), device=wish.device)
    answer = await transport.call(transport.agent.SignIn, request)
    return _signed_in(transport, server, answer, answer.token, refused)


def _signed_in(
    transport: Transport,
    server: ServerInfo,
    answer: pb.SignInResponse | pb.RegisterResponse,
    token: str,
    stranger: MadangError | None,
) -> SignedIn:
    transport.authorize(token)
    return SignedIn(
        transport.address, server, session_from_pb(answer.session), user_from_pb(answer.user), token, stranger
    )
