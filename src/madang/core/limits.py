"""How much anybody may do: every limit of the server, its default, and which budget a call is paid from."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from enum import Enum

from madang.core.budget import SECOND, Allowance, Rate
from madang.core.errors import LimitReached, RateLimited

MAX_BYTES_BEFORE_SIGN_IN = 8 * 1024
"""How large the request of a call without a session may be."""

MAX_SECONDS_BEFORE_SIGN_IN = 10.0
"""How long such a call may take, from its headers to its answer."""


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of a server. Raises ValueError when a count is not positive.

    "A person" is everybody but bots, so guests and classic users too. An "address" is an IPv4 address, or an IPv6
    network of 64 bits: whoever has one has all of it.
    """

    messages: Rate = Rate.of(5, 2)
    """Messages of a person, by whatever way: 5 at once, then 2 a second."""

    bot_messages: Rate = Rate.of(50, 20)
    """Messages of a bot for which an administrator has set nothing else: 50 at once, then 20 a second."""

    sign_in_failures: Allowance = Allowance(5, 900 * SECOND)
    """Wrong passwords for one account: 5 in 15 minutes. The right one begins anew."""

    sign_in_failures_by_address: Allowance = Allowance(30, 900 * SECOND)
    """Wrong passwords, for whatever account, from one address: 30 in 15 minutes. An office has one address."""

    registrations_by_address: Allowance = Allowance(10, 3600 * SECOND)
    """New accounts from one address: 10 in an hour. One that was refused does not count."""

    guests_by_address: Rate = Rate.of(200, 2)
    """New guests and classic users from one address: 200 at once, then 2 a second."""

    open_calls_by_address: Rate = Rate.of(1000, 50)
    """Calls without a session (GetServer, SignIn, Register, …) from one address: 1,000 at once, then 50 a second."""

    reads: Rate = Rate.of(200, 20)
    """Reads of a user's history (ListMessages, GetMessage; ExportMe counts for 50): 200 at once, then 20 a second."""

    subscriptions: Rate = Rate.of(60, 2)
    """New streams (Subscribe, WatchPresence) of a user: 60 at once, then 2 a second."""

    changes: Rate = Rate.of(60, 2)
    """What others are told of (join, leave, create, rename, …), of a user: 60 at once, then 2 a second."""

    requests: Rate = Rate.of(500, 100)
    """Every other call of a session: 500 at once, then 100 a second."""

    requests_under_way: int = 100
    """Calls of one session that wait for their answer."""

    streams_per_session: int = 32
    """Open streams (Subscribe, WatchPresence, Post) of one session."""

    streams_per_address: int = 1000
    """Open streams from one address."""

    sessions_per_user: int = 100
    """Sessions of a person. One more ends the one that was not used for longest."""

    channels_per_user: int = 500
    """Channels that a user is in, direct ones not counted."""

    channels_owned: int = 100
    """Channels that a user owns, archived ones too."""

    direct_channels_per_user: int = 1000
    """Direct channels that a user is in."""

    members_per_channel: int = 10_000
    """Members of a channel. The lobby has everyone."""

    invites_per_user: int = 100
    """Invites that an administrator has made and that are still good."""

    bots_per_person: int = 20
    """Bots of a person."""

    tokens_per_bot: int = 20
    """Tokens of a bot."""

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, int) and value < 1:
                raise ValueError(f"limit_{field.name} must be positive")


class Budget(Enum):
    """What a call is paid from; the value is what a refusal calls it."""

    MESSAGES = "messages"
    READS = "reads of stored messages"
    SUBSCRIPTIONS = "new streams"
    CHANGES = "changes"
    REQUESTS = "requests"


BUDGETS: dict[str, tuple[Budget, int]] = {
    "AgentService/UpdateMe": (Budget.CHANGES, 1),
    "AgentService/ExportMe": (Budget.READS, 50),
    "AgentService/CreateBot": (Budget.CHANGES, 1),
    "AgentService/CreateBotToken": (Budget.CHANGES, 1),
    "AgentService/CreateInvite": (Budget.CHANGES, 1),
    "HeartbeatService/WatchPresence": (Budget.SUBSCRIPTIONS, 1),
    "LobbyService/CreateChannel": (Budget.CHANGES, 1),
    "LobbyService/UpdateChannel": (Budget.CHANGES, 1),
    "LobbyService/ArchiveChannel": (Budget.CHANGES, 1),
    "LobbyService/UnarchiveChannel": (Budget.CHANGES, 1),
    "LobbyService/JoinChannel": (Budget.CHANGES, 1),
    "LobbyService/LeaveChannel": (Budget.CHANGES, 1),
    "LobbyService/OpenDirectChannel": (Budget.CHANGES, 1),
    "LobbyService/AddMember": (Budget.CHANGES, 1),
    "LobbyService/RemoveMember": (Budget.CHANGES, 1),
    "LobbyService/BanMember": (Budget.CHANGES, 1),
    "LobbyService/UnbanMember": (Budget.CHANGES, 1),
    "LobbyService/MuteMember": (Budget.CHANGES, 1),
    "LobbyService/SetMemberRole": (Budget.CHANGES, 1),
    "LobbyService/ReportMessage": (Budget.CHANGES, 1),
    "ChannelService/Send": (Budget.MESSAGES, 1),
    "ChannelService/GetMessage": (Budget.READS, 1),
    "ChannelService/ListMessages": (Budget.READS, 1),
    "ChannelService/Subscribe": (Budget.SUBSCRIPTIONS, 1),
}
"""By `Service/Method`, what a call costs and of which budget. Every other one costs one of REQUESTS.

`Post` opens for one of REQUESTS; the messages in it are paid for one by one.
"""


def cost_of(method: str) -> tuple[Budget, int]:
    """What a call of `Service/Method` costs, and of which budget."""
    return BUDGETS.get(method, (Budget.REQUESTS, 1))


def rate_limited(what: str, wait: int) -> RateLimited:
    """The refusal of what can be had again in `wait` microseconds: never told too short, in whole milliseconds."""
    return RateLimited(what=what, retry_after=max(1, math.ceil(wait / 1000)) / 1000)


def require_room(what: str, count: int, limit: int) -> None:
    """Raise LimitReached when there are `limit` of something already. `what`: in the plural."""
    if count >= limit:
        raise LimitReached(what=what, limit=limit)
