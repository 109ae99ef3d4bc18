"""Everything that can go wrong, as one tree.

    MadangError
    ├── InvalidArgument
    │   ├── InvalidField          MalformedRequest      TextNotAllowed
    │   └── NameNotAllowed        PageTokenInvalid      PasswordNotAllowed
    ├── Unauthenticated
    │   ├── TokenMissing          TokenInvalid          SessionExpired       SessionRevoked
    │   └── CredentialsWrong
    ├── PermissionDenied
    │   ├── NotAMember            NotPermitted          ForeignIndex         ScopeMissing
    │   ├── AccountBanned         BannedFromChannel     Muted                ChannelReadOnly
    │   └── GuestsNotAllowed      RegistrationClosed    CodeInvalid
    ├── NotFound
    │   ├── ChannelNotFound       UserNotFound          MessageNotFound
    │   └── SessionNotFound       InviteNotFound        ReportNotFound
    ├── FailedPrecondition
    │   └── ChannelArchived       LobbyIsFixed          LastOwner            ChannelIsDirect
    ├── AlreadyExists
    │   └── HandleTaken           ChannelNameTaken      RequestIdReused
    ├── OutOfRange
    │   └── PositionBeyondHead
    ├── Unavailable
    │   └── StorageUnavailable    ServerDraining        ServerUnreachable
    ├── ResourceExhausted
    │   └── Overloaded            RateLimited           SlowMode             LimitReached
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
    def in_full(self) -> str:
        """The text for the server's own log, with what callers are not told."""
        return str(self)

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


class PasswordNotAllowed(InvalidArgument):
    """The password is too short, too long or too easily guessed."""

    reason = "PASSWORD_NOT_ALLOWED"
    text = "the password {problem}"


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


class CredentialsWrong(Unauthenticated):
    """The handle and the password do not go together. Which of the two is wrong is never said."""

    reason = "CREDENTIALS_WRONG"
    text = "the handle or the password is wrong"


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


class ScopeMissing(PermissionDenied):
    """The bot's token is not good for this."""

    reason = "SCOPE_MISSING"
    text = "this token is not good for that: it lacks the scope {scope!r}"


class AccountBanned(PermissionDenied):
    """The account is shut out. `until`: seconds since the epoch, 0 for good; `cause`: as the administrator said it."""

    reason = "ACCOUNT_BANNED"
    text = "this account is banned from the server. {cause}"


class BannedFromChannel(PermissionDenied):
    """The user is kept out of the channel. `until`: seconds since the epoch, 0 for good."""

    reason = "BANNED_FROM_CHANNEL"
    text = "you are banned from channel {channel_id}. {cause}"


class Muted(PermissionDenied):
    """The member may not write for now. `until`: seconds since the epoch."""

    reason = "MUTED"
    text = "a moderator has muted you in channel {channel_id}"


class ChannelReadOnly(PermissionDenied):
    """Only moderators may write."""

    reason = "CHANNEL_READ_ONLY"
    text = "channel {channel_id} is read-only: its moderators and owners may write"


class GuestsNotAllowed(PermissionDenied):
    """Guests are not let in here."""

    reason = "GUESTS_NOT_ALLOWED"
    text = "guests are not allowed {where}; sign in with an account"


class RegistrationClosed(PermissionDenied):
    """Nobody can register, or only with an invite."""

    reason = "REGISTRATION_CLOSED"
    text = "an account here needs {needs}"


class CodeInvalid(PermissionDenied):
    """The invite or reset code is unknown, used up, expired or revoked. Which of them is never said."""

    reason = "CODE_INVALID"
    text = "the code is not good, or not any more; ask for a new one"


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


class SessionNotFound(NotFound):
    """There is no such session, or it is somebody else's."""

    reason = "SESSION_NOT_FOUND"
    text = "there is no session {session_id}"


class InviteNotFound(NotFound):
    """There is no such invite."""

    reason = "INVITE_NOT_FOUND"
    text = "there is no invite {invite_id}"


class ReportNotFound(NotFound):
    """There is no such report, or it is not the caller's to see."""

    reason = "REPORT_NOT_FOUND"
    text = "there is no report {report_id}"


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


class LastOwner(FailedPrecondition):
    """A server, or a channel with others in it, needs an owner."""

    reason = "LAST_OWNER"
    text = "{of} needs an owner: make somebody else one first"


class ChannelIsDirect(FailedPrecondition):
    """A direct channel has its people from the beginning, and no name, roles or moderators."""

    reason = "CHANNEL_IS_DIRECT"
    text = "channel {channel_id} is a direct one: it has no name, roles or moderators, and its people do not change"


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
    """The store could not write or read. `problem` says so too when nobody knows whether something was stored."""

    reason = "STORAGE_UNAVAILABLE"
    text = "{problem}"
    detail: str = ""
    """What the database said. It is for the operator, may name hosts and files, and never travels."""
    is_settled: bool = True
    """Whether it is known that nothing was stored. Known in the server alone."""

    @property
    def in_full(self) -> str:
        """See MadangError."""
        return f"{self} ({self.detail})" if self.detail else str(self)


class ServerDraining(Unavailable):
    """The server is shutting down. `nodes` among its facts: where else to go, `host:port`, with commas between them."""

    reason = "SERVER_DRAINING"
    text = "the server is shutting down; come back in {retry_after} s"

    @property
    def nodes(self) -> tuple[str, ...]:
        """Where else to go; empty where it does not say."""
        return tuple(filter(None, str(self.facts.get("nodes", "")).split(",")))


class ServiceMissing(Unavailable):
    """No node of the cluster serves it now."""

    reason = "SERVICE_MISSING"
    text = "no node serves the {service} service now; try again later"


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


class RateLimited(ResourceExhausted):
    """Too many requests of a kind."""

    reason = "RATE_LIMITED"
    text = "too many {what}; try again in {retry_after} s"


class SlowMode(ResourceExhausted):
    """The channel is in slow mode, and the member's last message was a short while ago."""

    reason = "SLOW_MODE"
    text = "slow mode in channel {channel_id}: {retry_after} s to your next message"


class LimitReached(ResourceExhausted):
    """There are as many of something as there may be. Trying again does not help."""

    reason = "LIMIT_REACHED"
    text = "there may be no more than {limit} {what}"


class Internal(MadangError):
    """A fault of the server's own."""

    reason = "INTERNAL"


def _leaves(root: type[MadangError]) -> list[type[MadangError]]:
    below = root.__subclasses__()
    return [leaf for child in below for leaf in _leaves(child)] if below else [root]


BY_REASON: dict[str, type[MadangError]] = {leaf.reason: leaf for leaf in _leaves(MadangError)}
"""The class of each reason."""
