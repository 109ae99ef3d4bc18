"""Who may call what, as one table: every method of the contract, and the least that a caller has to be for it.

The table is asked once for each call, before anything else is looked at. What depends on a channel (is the caller in
it, is it a moderator there) follows in `madang.core.policy`, and what depends on an account (is it the caller's own
bot) in the service. A method without a row is refused to everyone, and a test walks all methods and all roles.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from madang.core.errors import NotPermitted, ScopeMissing
from madang.core.models import Scope, ServerRole


@dataclass(frozen=True, slots=True)
class Rule:
    """What a caller has to be. `role` None: nobody, the call needs no session. `scope` None: not for bots; of several
    any one will do.
    """

    role: ServerRole | None
    scope: Scope | None = None


_OPEN = Rule(None)
_ANYONE = Rule(ServerRole.GUEST)
_READER = Rule(ServerRole.GUEST, Scope.READ)
_SENDER = Rule(ServerRole.GUEST, Scope.SEND)
_FINDER = Rule(ServerRole.GUEST, Scope.SEND | Scope.READ)  # who is told to send to a name has to find what it is of
# Where guests are let in they make channels too, own them, and see to them: a server on loopback needs no account to be
# of use. In other people's channels it is their standing there that counts.
_MANAGER = Rule(ServerRole.GUEST, Scope.MANAGE)
_PERSON = Rule(ServerRole.MEMBER)
_ADMIN = Rule(ServerRole.ADMIN)
_OWNER = Rule(ServerRole.OWNER)

RULES: dict[str, Rule] = {
    "AgentService/GetServer": _OPEN,
    "AgentService/SignIn": _OPEN,
    "AgentService/Register": _OPEN,
    "AgentService/RedeemPasswordReset": _OPEN,
    "AgentService/SignOut": Rule(ServerRole.GUEST, Scope.READ),
    "AgentService/GetMe": Rule(ServerRole.GUEST, Scope.READ),
    "AgentService/UpdateMe": _MANAGER,
    "AgentService/ChangePassword": _PERSON,
    "AgentService/ListSessions": _ANYONE,
    "AgentService/RevokeSessions": _ANYONE,
    "AgentService/DeleteMe": _ANYONE,
    "AgentService/ExportMe": _ANYONE,
    "AgentService/CreateBot": _PERSON,
    "AgentService/ListBots": _PERSON,
    "AgentService/DeleteBot": _PERSON,
    "AgentService/CreateBotToken": _PERSON,
    "AgentService/CreateInvite": _ADMIN,
    "AgentService/ListInvites": _ADMIN,
    "AgentService/RevokeInvite": _ADMIN,
    "AgentService/CreatePasswordReset": _ADMIN,
    "AgentService/SetServerRole": _OWNER,
    "AgentService/SetBotLimits": _ADMIN,
    "AgentService/BanUser": _ADMIN,
    "AgentService/UnbanUser": _ADMIN,
    "AgentService/ListAuditEvents": _ADMIN,
    "HeartbeatService/Beat": Rule(ServerRole.GUEST, Scope.SEND),
    "HeartbeatService/SetStatus": Rule(ServerRole.GUEST, Scope.SEND),
    "HeartbeatService/ListPresences": _READER,
    "HeartbeatService/WatchPresence": _READER,
    "LobbyService/CreateChannel": _MANAGER,
    "LobbyService/GetChannel": _FINDER,
    "LobbyService/ListChannels": _READER,
    "LobbyService/UpdateChannel": _MANAGER,
    "LobbyService/ArchiveChannel": _MANAGER,
    "LobbyService/UnarchiveChannel": _MANAGER,
    "LobbyService/JoinChannel": _SENDER,
    "LobbyService/LeaveChannel": _SENDER,
    "LobbyService/ListMembers": _READER,
    "LobbyService/GetUser": _READER,
    "LobbyService/BatchGetUsers": _READER,
    "LobbyService/ListUsers": _READER,
    "LobbyService/OpenDirectChannel": _SENDER,
    "LobbyService/AddMember": _MANAGER,
    "LobbyService/RemoveMember": _MANAGER,
    "LobbyService/BanMember": _MANAGER,
    "LobbyService/UnbanMember": _MANAGER,
    "LobbyService/ListBans": _MANAGER,
    "LobbyService/MuteMember": _MANAGER,
    "LobbyService/SetMemberRole": _MANAGER,
    "LobbyService/ReportMessage": _SENDER,
    "LobbyService/ListReports": _MANAGER,
    "LobbyService/ResolveReport": _MANAGER,
    "ChannelService/Send": _SENDER,
    "ChannelService/Post": _SENDER,
    "ChannelService/GetMessage": _READER,
    "ChannelService/ListMessages": _READER,
    "ChannelService/MarkRead": _READER,
    "ChannelService/SetTyping": _SENDER,
    "ChannelService/Subscribe": _READER,
}
"""By `Service/Method`, all of the package `madang.v1`."""

_ALLOWED = {
    ServerRole.MEMBER: "people with an account",
    ServerRole.ADMIN: "administrators",
    ServerRole.OWNER: "owners of this server",
}


def require(method: str, role: ServerRole, scopes: Scope | Collection[Scope] | None) -> None:
    """Raise NotPermitted or ScopeMissing unless a session may call the method.

    `scopes`: what the session's token is good for; None for everything.
    """
    rule = RULES.get(method)
    if rule is None:
        raise NotPermitted(allowed="nobody", action=f"call {method}")
    if rule.role is not None and role < rule.role:
        raise NotPermitted(allowed=_ALLOWED[rule.role], action=f"call {method}")
    if scopes is not None:
        if rule.scope is None:
            raise NotPermitted(allowed="people", action=f"call {method}")
        if not any(one in scopes for one in rule.scope):
            raise ScopeMissing(scope=" or ".join(str(one.name).lower() for one in rule.scope))
