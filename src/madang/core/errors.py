"""Everything that can go wrong, as one tree.

    MadangError
    ├── InvalidArgument
    │   ├── InvalidField          MalformedRequest      TextNotAllowed
    │   └── NameNotAllowed        PageTokenInvalid
    ├── Unauthenticated
    │   └── TokenMissing          TokenInvalid          SessionExpired       SessionRevoked
    ├── PermissionDenied
    │   └── NotAMember            NotPermitted          ForeignIndex
    ├── NotFound
    │   └── ChannelNotFound       UserNotFound          MessageNotFound
    ├── FailedPrecondition
    │   └── ChannelArchived       LobbyIsFixed
    ├── AlreadyExists
    │   └── HandleTaken           ChannelNameTaken      RequestIdReused
    ├── OutOfRange
    │   └── PositionBeyondHead
    ├── Unavailable
    │   └── StorageUnavailable    ServerDraining        ServerUnreachable
    ├── ResourceExhausted
    │   └── Overloaded
    └── Internal

One class per reason of the contract (`madang.v1.ErrorReason`), the same in the server and in the client. An error holds
facts; its text is made from them. The server turns an error into a gRPC status in `madang.rpc.status`, and the client
turns it back in `madang.client.errors`: no other place knows both sides.
"""

from __future__ import annotations

from typing import ClassVar

Fact = str | int | float


class MadangError(Exception):
    """The root of the tree. `facts` are what the text is made of, and travel with the error."""

    reason: ClassVar[str] = "INTERNAL"
    text: ClassVar[str] = "the server failed; its log has the details"

    def __init__(self, **facts: Fact) -> None:
        super().__init__()
        self.facts = facts

    def __str__(self) -> str:
        try:
            return self.text.format_map(self.facts)
        except (KeyError, ValueError, IndexError):  # facts that came over the wire from a newer server
            return self.text

    def __repr__(self) -> str:
        facts = ", ".join(f"{name}={value!r}" for name, value in self.facts.items())
        return f"{type(self).__name__}({facts})"

    @property
    def retry_after(self) -> float | None:
        """After how many seconds another try makes sense; None where the error does not say."""
        value = self.facts.get("retry_after")
        return None if value is None else float(value)


class InvalidArgument(MadangError):
    """The request can never succeed as it is."""


class InvalidField(InvalidArgument):
    """A field breaks a rule of the contract."""

    reason = "INVALID_FIELD"
    text = "{field}: {rule}"


class MalformedRequest(InvalidArgument):
    """The bytes are not a message of the contract."""

    reason = "MALFORMED_REQUEST"
    text = "the request is not a valid message of this contract: broken protobuf, or text that is not UTF-8"


class TextNotAllowed(InvalidArgument):
    """The text is empty to the eye, too long, or has a control character."""

    reason = "TEXT_NOT_ALLOWED"
    text = "the text {problem}"


class NameNotAllowed(InvalidArgument):
    """The handle or the channel name has a character or shape that is not allowed."""

    reason = "NAME_NOT_ALLOWED"
    text = "the name {name!r} {problem}"


class PageTokenInvalid(InvalidArgument):
    """The page token is not ours, or belongs to another query."""

    reason = "PAGE_TOKEN_INVALID"
    text = "the page token does not belong to this query; begin again without one"


class Unauthenticated(MadangError):
    """The caller has not shown who it is."""


class TokenMissing(Unauthenticated):
    """The call carries no token."""

    reason = "TOKEN_MISSING"
    text = "sign in first: the call carries no token (metadata 'authorization: Bearer TOKEN')"


class TokenInvalid(Unauthenticated):
    """The token is malformed, or no session of this server has it."""

    reason = "TOKEN_INVALID"
    text = "the token is not one of this server's; sign in again"


class SessionExpired(Unauthenticated):
    """The session was not used for too long."""

    reason = "SESSION_EXPIRED"
    text = "the session has expired; sign in again"


class SessionRevoked(Unauthenticated):
    """The session was signed out or revoked."""

    reason = "SESSION_REVOKED"
    text = "the session was signed out; sign in again"


class PermissionDenied(MadangError):
    """The caller may not do this."""


class NotAMember(PermissionDenied):
    """The caller is not in the channel."""

    reason = "NOT_A_MEMBER"
    text = "you are not a member of channel {channel_id}; join it first"


class NotPermitted(PermissionDenied):
    """The caller's role does not allow this."""

    reason = "NOT_PERMITTED"
    text = "only {allowed} may {action}"


class ForeignIndex(PermissionDenied):
    """Classic contract: the index was given to another peer, or is unknown."""

    reason = "FOREIGN_INDEX"
    text = "index {index} was not given to this address; log in first"


class NotFound(MadangError):
    """What the call names does not exist, or the caller cannot see it."""


class ChannelNotFound(NotFound):
    """There is no such channel."""

    reason = "CHANNEL_NOT_FOUND"
    text = "there is no channel {channel}"


class UserNotFound(NotFound):
    """There is no such user."""

    reason = "USER_NOT_FOUND"
    text = "there is no user {user}"


class MessageNotFound(NotFound):
    """There is no such message."""

    reason = "MESSAGE_NOT_FOUND"
    text = "there is no message {sequence} in channel {channel_id}"


class FailedPrecondition(MadangError):
    """The state of things does not allow this now."""


class ChannelArchived(FailedPrecondition):
    """The channel can be read, not written."""

    reason = "CHANNEL_ARCHIVED"
    text = "channel {channel_id} is archived: it can be read, not written"


class LobbyIsFixed(FailedPrecondition):
    """The lobby cannot be left, renamed or archived."""

    reason = "LOBBY_IS_FIXED"
    text = "the lobby cannot be left, renamed or archived"


class AlreadyExists(MadangError):
    """Something else has that name or key."""


class HandleTaken(AlreadyExists):
    """Another user has the handle."""

    reason = "HANDLE_TAKEN"
    text = "the handle {handle!r} is taken"


class ChannelNameTaken(AlreadyExists):
    """Another channel has the name."""

    reason = "CHANNEL_NAME_TAKEN"
    text = "the channel name {name!r} is taken"


class RequestIdReused(AlreadyExists):
    """The caller used the request_id before, for something else."""

    reason = "REQUEST_ID_REUSED"
    text = "request_id {request_id} was used before, for a different request"


class OutOfRange(MadangError):
    """A number lies outside of what exists."""


class PositionBeyondHead(OutOfRange):
    """The sequence lies beyond the channel's head."""

    reason = "POSITION_BEYOND_HEAD"
    text = "sequence {sequence} lies beyond the head of channel {channel_id}, {head}"


class Unavailable(MadangError):
    """Not now; the same call may succeed later."""


class StorageUnavailable(Unavailable):
    """The store could not write or read; nothing was stored."""

    reason = "STORAGE_UNAVAILABLE"
    text = "nothing was stored: {problem}"


class ServerDraining(Unavailable):
    """The server is shutting down."""

    reason = "SERVER_DRAINING"
    text = "the server is shutting down; come back in {retry_after} s"


class ServerUnreachable(Unavailable):
    """Raised by the client alone: there is no connection to the server."""

    reason = "SERVER_UNREACHABLE"
    text = "cannot reach {target}: {problem}"


class ResourceExhausted(MadangError):
    """A limit was reached."""


class Overloaded(ResourceExhausted):
    """More is under way than the server takes."""

    reason = "OVERLOADED"
    text = "too much is under way: {problem}; try again in {retry_after} s"


class Internal(MadangError):
    """A fault of the server's own."""

    reason = "INTERNAL"


def _leaves(root: type[MadangError]) -> list[type[MadangError]]:
    below = root.__subclasses__()
    return [leaf for child in below for leaf in _leaves(child)] if below else [root]


BY_REASON: dict[str, type[MadangError]] = {leaf.reason: leaf for leaf in _leaves(MadangError)}
"""The class of each reason."""
