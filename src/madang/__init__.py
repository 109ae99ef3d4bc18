"""Madang: group chat that you host yourself, script, and build on.

The public names are loaded when they are first used (PEP 562), so that `import madang` costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from madang.client.admin import NewInvite, ResetCode
    from madang.client.bots import BotToken
    from madang.client.client import Client
    from madang.client.connect import Connecting, connect, register, reset_password
    from madang.client.directory import ChannelInfo
    from madang.client.errors import ClientClosed
    from madang.client.events import (
        ChannelClosed,
        ChannelOpened,
        ChannelReset,
        Connected,
        Disconnected,
        Event,
        MessageEvent,
        PresenceChanged,
        ReadMarkMoved,
        SendDelayed,
        Sent,
        TypingEvent,
        UserChanged,
    )
    from madang.client.home import StateError, StateInUse
    from madang.client.keyring import Keyring
    from madang.client.moderation import BanInfo
    from madang.client.outgoing import Outgoing, Receipt, SendState
    from madang.client.tls import ServerNotTrusted, Tls
    from madang.client.transport import ServerInfo
    from madang.core.errors import (
        AccountBanned,
        AlreadyExists,
        BannedFromChannel,
        ChannelArchived,
        ChannelIsDirect,
        ChannelNameTaken,
        ChannelNotFound,
        ChannelReadOnly,
        CodeInvalid,
        CredentialsWrong,
        FailedPrecondition,
        ForeignIndex,
        GuestsNotAllowed,
        HandleTaken,
        Internal,
        InvalidArgument,
        InvalidField,
        InviteNotFound,
        LastOwner,
        LimitReached,
        LobbyIsFixed,
        MadangError,
        MalformedRequest,
        MessageNotFound,
        Muted,
        NameNotAllowed,
        NotAMember,
        NotFound,
        NotPermitted,
        OutOfRange,
        Overloaded,
        PageTokenInvalid,
        PasswordNotAllowed,
        PermissionDenied,
        PositionBeyondHead,
        RateLimited,
        RegistrationClosed,
        ReportNotFound,
        RequestIdReused,
        ResourceExhausted,
        ScopeMissing,
        ServerDraining,
        ServerUnreachable,
        ServiceMissing,
        SessionExpired,
        SessionNotFound,
        SessionRevoked,
        SlowMode,
        StorageUnavailable,
        TextNotAllowed,
        TokenInvalid,
        TokenMissing,
        Unauthenticated,
        Unavailable,
        UserNotFound,
    )
    from madang.core.models import (
        AuditEvent,
        Ban,
        Channel,
        ChannelKind,
        ChannelRole,
        Content,
        Invite,
        Member,
        Message,
        Registration,
        Report,
        Scope,
        ServerRole,
        Session,
        User,
        UserKind,
    )
    from madang.core.presence import Presence, Status
    from madang.node.embed import Server

_HOMES = {
    "madang.client.admin": "NewInvite ResetCode",
    "madang.client.bots": "BotToken",
    "madang.client.connect": "Connecting connect register reset_password",
    "madang.client.client": "Client",
    "madang.client.directory": "ChannelInfo",
    "madang.client.errors": "ClientClosed",
    "madang.client.events": "ChannelClosed ChannelOpened ChannelReset Connected Disconnected Event MessageEvent "
    "PresenceChanged ReadMarkMoved SendDelayed Sent TypingEvent UserChanged",
    "madang.client.home": "StateError StateInUse",
    "madang.client.keyring": "Keyring",
    "madang.client.moderation": "BanInfo",
    "madang.client.outgoing": "Outgoing Receipt SendState",
    "madang.client.transport": "ServerInfo",
    "madang.core.models": "AuditEvent Ban Channel ChannelKind ChannelRole Content "
    "Invite Member Message Registration Report Scope ServerRole Session User UserKind",
    "madang.core.presence": "Presence Status",
    "madang.client.tls": "ServerNotTrusted Tls",
    "madang.node.embed": "Server",
}
"""Where the names are; all others are errors."""
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names.split()}

__all__ = [
    "AccountBanned",
    "AlreadyExists",
    "AuditEvent",
    "Ban",
    "BanInfo",
    "BannedFromChannel",
    "BotToken",
    "Channel",
    "ChannelArchived",
    "ChannelClosed",
    "ChannelInfo",
    "ChannelIsDirect",
    "ChannelKind",
    "ChannelNameTaken",
    "ChannelNotFound",
    "ChannelOpened",
    "ChannelReadOnly",
    "ChannelReset",
    "ChannelRole",
    "Client",
    "ClientClosed",
    "CodeInvalid",
    "Connected",
    "Connecting",
    "Content",
    "CredentialsWrong",
    "Disconnected",
    "Event",
    "FailedPrecondition",
    "ForeignIndex",
    "GuestsNotAllowed",
    "HandleTaken",
    "Internal",
    "InvalidArgument",
    "InvalidField",
    "Invite",
    "InviteNotFound",
    "Keyring",
    "LastOwner",
    "LimitReached",
    "LobbyIsFixed",
    "MadangError",
    "MalformedRequest",
    "Member",
    "Message",
    "MessageEvent",
    "MessageNotFound",
    "Muted",
    "NameNotAllowed",
    "NewInvite",
    "NotAMember",
    "NotFound",
    "NotPermitted",
    "OutOfRange",
    "Outgoing",
    "Overloaded",
    "PageTokenInvalid",
    "PasswordNotAllowed",
    "PermissionDenied",
    "PositionBeyondHead",
    "Presence",
    "PresenceChanged",
    "RateLimited",
    "ReadMarkMoved",
    "Receipt",
    "Registration",
    "RegistrationClosed",
    "Report",
    "ReportNotFound",
    "RequestIdReused",
    "ResetCode",
    "ResourceExhausted",
    "Scope",
    "ScopeMissing",
    "SendDelayed",
    "SendState",
    "Sent",
    "Server",
    "ServerDraining",
    "ServerInfo",
    "ServerNotTrusted",
    "ServerRole",
    "ServerUnreachable",
    "ServiceMissing",
    "Session",
    "SessionExpired",
    "SessionNotFound",
    "SessionRevoked",
    "SlowMode",
    "StateError",
    "StateInUse",
    "Status",
    "StorageUnavailable",
    "TextNotAllowed",
    "Tls",
    "TokenInvalid",
    "TokenMissing",
    "TypingEvent",
    "Unauthenticated",
    "Unavailable",
    "User",
    "UserChanged",
    "UserKind",
    "UserNotFound",
    "connect",
    "register",
    "reset_password",
]


def __getattr__(name: str) -> Any:
    """Load a public name from its home."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(_HOME_OF.get(name, "madang.core.errors")), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
