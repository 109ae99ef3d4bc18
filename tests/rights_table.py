"""Who may call what, written by hand: what the rights walk expects. A method that is not here fails the walk.

`role`: the least role on the server; None: nobody needs a session for it. `scope`: what a bot's token needs, of
several any one; None: not for bots. `there`: for methods of a channel, who may do it there.
"""

from __future__ import annotations

from typing import NamedTuple

from madang.core.models import Scope, ServerRole

GUEST, BOT, MEMBER, ADMIN, OWNER = ServerRole
SEND, READ, MANAGE = Scope


class There(NamedTuple):
    """The standings that are enough: stranger, member, moderator, owner, by their first letters (moderator: d).

    In a public and a private channel, for everyone and for the server's administrators; and in a direct channel, where
    there are strangers and members alone.
    """

    public: str
    private: str
    admin_public: str
    admin_private: str
    direct: str
    admin_direct: str


SEES = There("smdo", "mdo", "smdo", "smdo", "m", "m")
READS = There("mdo", "mdo", "mdo", "mdo", "m", "m")
JOINS = There("smdo", "mdo", "smdo", "smdo", "m", "m")
LEAVES = There("smdo", "mdo", "smdo", "mdo", "", "")  # who is not in a public channel has left it
TALKS_OF_IT = There("mdo", "mdo", "smdo", "smdo", "m", "m")
BRINGS_IN = There("mdo", "mdo", "smdo", "smdo", "", "")
MODERATES = There("do", "do", "smdo", "smdo", "", "")
OWNS = There("o", "o", "smdo", "smdo", "", "")
SEES_TO = There("do", "do", "smdo", "smdo", "", "sm")  # reports of a direct channel are the administrators'


class Expected(NamedTuple):
    """One row."""

    role: ServerRole | None
    scope: Scope | None = None
    there: dict[str, There] = {}  # noqa: RUF012  # by what is asked, where a method does several things


def there(who: There) -> dict[str, There]:
    """A method that does one thing."""
    return {"": who}


EXPECTED: dict[str, Expected] = {
    "AgentService/GetServer": Expected(None),
    "AgentService/SignIn": Expected(None),
    "AgentService/Register": Expected(None),
    "AgentService/RedeemPasswordReset": Expected(None),
    "AgentService/SignOut": Expected(GUEST, READ),
    "AgentService/GetMe": Expected(GUEST, READ),
    "AgentService/UpdateMe": Expected(GUEST, MANAGE),
    "AgentService/ChangePassword": Expected(MEMBER),
    "AgentService/ListSessions": Expected(GUEST),
    "AgentService/RevokeSessions": Expected(GUEST),
    "AgentService/DeleteMe": Expected(GUEST),
    "AgentService/ExportMe": Expected(GUEST),
    "AgentService/CreateBot": Expected(MEMBER),
    "AgentService/ListBots": Expected(MEMBER),
    "AgentService/DeleteBot": Expected(MEMBER),
    "AgentService/CreateBotToken": Expected(MEMBER),
    "AgentService/CreateInvite": Expected(ADMIN),
    "AgentService/ListInvites": Expected(ADMIN),
    "AgentService/RevokeInvite": Expected(ADMIN),
    "AgentService/CreatePasswordReset": Expected(ADMIN),
    "AgentService/SetServerRole": Expected(OWNER),
    "AgentService/SetBotLimits": Expected(ADMIN),
    "AgentService/BanUser": Expected(ADMIN),
    "AgentService/UnbanUser": Expected(ADMIN),
    "AgentService/ListAuditEvents": Expected(ADMIN),
    "HeartbeatService/Beat": Expected(GUEST, SEND),
    "HeartbeatService/SetStatus": Expected(GUEST, SEND),
    "HeartbeatService/ListPresences": Expected(GUEST, READ),
    "HeartbeatService/WatchPresence": Expected(GUEST, READ),
    "LobbyService/CreateChannel": Expected(GUEST, MANAGE),
    "LobbyService/GetChannel": Expected(GUEST, SEND | READ, {"by id": SEES, "by name": SEES}),
    "LobbyService/ListChannels": Expected(GUEST, READ),
    "LobbyService/UpdateChannel": Expected(
        GUEST,
        MANAGE,
        {"topic": TALKS_OF_IT, "name": OWNS, "read_only": OWNS, "slow_mode_seconds": OWNS, "guests": OWNS},
    ),
    "LobbyService/ArchiveChannel": Expected(GUEST, MANAGE, there(OWNS)),
    "LobbyService/UnarchiveChannel": Expected(GUEST, MANAGE, there(OWNS)),
    "LobbyService/JoinChannel": Expected(GUEST, SEND, there(JOINS)),
    "LobbyService/LeaveChannel": Expected(GUEST, SEND, there(LEAVES)),
    "LobbyService/ListMembers": Expected(GUEST, READ, there(SEES)),
    "LobbyService/GetUser": Expected(GUEST, READ),
    "LobbyService/BatchGetUsers": Expected(GUEST, READ),
    "LobbyService/ListUsers": Expected(GUEST, READ),
    "LobbyService/OpenDirectChannel": Expected(GUEST, SEND),
    "LobbyService/AddMember": Expected(GUEST, MANAGE, there(BRINGS_IN)),
    "LobbyService/RemoveMember": Expected(GUEST, MANAGE, there(MODERATES)),
    "LobbyService/BanMember": Expected(GUEST, MANAGE, there(MODERATES)),
    "LobbyService/UnbanMember": Expected(GUEST, MANAGE, there(MODERATES)),
    "LobbyService/ListBans": Expected(GUEST, MANAGE, there(MODERATES)),
    "LobbyService/MuteMember": Expected(GUEST, MANAGE, there(MODERATES)),
    "LobbyService/SetMemberRole": Expected(GUEST, MANAGE, there(OWNS)),
    "LobbyService/ReportMessage": Expected(GUEST, SEND, there(READS)),
    "LobbyService/ListReports": Expected(GUEST, MANAGE, there(SEES_TO)),
    "LobbyService/ResolveReport": Expected(GUEST, MANAGE, there(SEES_TO)),
    "ChannelService/Send": Expected(GUEST, SEND, there(READS)),
    "ChannelService/Post": Expected(GUEST, SEND, there(READS)),
    "ChannelService/GetMessage": Expected(GUEST, READ, there(READS)),
    "ChannelService/ListMessages": Expected(GUEST, READ, there(READS)),
    "ChannelService/MarkRead": Expected(GUEST, READ, there(READS)),
    "ChannelService/SetTyping": Expected(GUEST, SEND, there(READS)),
    "ChannelService/Subscribe": Expected(GUEST, READ, there(READS)),
}
