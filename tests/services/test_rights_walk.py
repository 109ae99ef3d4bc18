"""The rights walk: every method of the contract × every role on the server × every standing in every kind of channel,
against the one table that was written by hand.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from itertools import product
from typing import NamedTuple

import pytest
from rights_table import ADMIN, EXPECTED, Expected, There
from support import Parts, draft

from madang.core import rights
from madang.core.errors import ChannelNotFound, MadangError, NotPermitted, ReportNotFound, ScopeMissing
from madang.core.models import Actor, ChannelKind, ChannelRole, Content, Draft, Scope, ServerRole
from madang.services import posting
from madang.services.making import ChannelUpdate
from madang.services.subscription import Wanted
from madang.storage import directory, memberships, reports
from madang.storage.transaction import Transaction
from madang.v1 import agent_service_pb2, channel_service_pb2, heartbeat_service_pb2, lobby_service_pb2

FILES = (agent_service_pb2, heartbeat_service_pb2, lobby_service_pb2, channel_service_pb2)
METHODS = sorted(
    f"{service.name}/{method.name}"
    for file in FILES
    for service in file.DESCRIPTOR.services_by_name.values()
    for method in service.methods
)
ALL = Scope.SEND | Scope.READ | Scope.MANAGE
STANDINGS: dict[str, ChannelRole | None] = {
    "s": None,
    "m": ChannelRole.MEMBER,
    "d": ChannelRole.MODERATOR,
    "o": ChannelRole.OWNER,
}
KINDS = {"public": ChannelKind.PUBLIC, "private": ChannelKind.PRIVATE, "direct": ChannelKind.DIRECT}


def test_every_method_has_an_expectation_and_a_rule() -> None:
    assert set(METHODS) == set(EXPECTED)
    assert set(METHODS) == set(rights.RULES)
    assert all(not who.there or method.split("/")[0] != "AgentService" for method, who in EXPECTED.items())


def test_every_method_with_a_channel_in_its_request_is_walked_through_channels() -> None:
    named = {
        f"{service.name}/{method.name}"
        for file in FILES
        for service in file.DESCRIPTOR.services_by_name.values()
        for method in service.methods
        if {"channel_id", "channel_ids", "report_id"} & set(method.input_type.fields_by_name)
    }
    assert named - {"AgentService/ListAuditEvents"} <= {method for method, who in EXPECTED.items() if who.there}


@pytest.mark.parametrize("method", METHODS)
def test_who_may_call_it_at_all(method: str) -> None:
    expected = EXPECTED[method]
    for role in ServerRole:
        assert calls(method, role, None) is (expected.role is None or role >= expected.role), role
    for scopes in map(Scope, range(ALL + 1)):
        allowed = expected.scope is not None and bool(expected.scope & scopes)
        if expected.role is not None and expected.role > ServerRole.BOT:
            allowed = False
        assert calls(method, ServerRole.BOT, scopes) is allowed, scopes


def test_a_method_without_a_rule_is_nobodys() -> None:
    for role in ServerRole:
        assert not calls("LobbyService/NotThere", role, None)
        assert not calls("LobbyService/NotThere", role, ALL)


def calls(method: str, role: ServerRole, scopes: Scope | None) -> bool:
    """Whether somebody may call the method at all."""
    try:
        rights.require(method, role, None if scopes is None else [one for one in Scope if one in scopes])
    except (NotPermitted, ScopeMissing):
        return False
    return True


class Scene(NamedTuple):
    """A channel, somebody in it (or not) who tries, a plain member, and someone who never was there; a report of the
    plain member's message.
    """

    own: Parts
    channel_id: int
    name: str
    me: Actor
    victim: int
    newcomer: int
    report_id: int


async def _subscribe(scene: Scene) -> None:
    wanted = Wanted(channel_ids=frozenset({scene.channel_id}))
    subscription = scene.own.channel.subscribe(scene.me.user_id, wanted)
    try:
        await subscription.next()
    finally:
        subscription.close()


async def _post(scene: Scene) -> None:
    (outcome,) = await scene.own.channel.post([draft(scene.channel_id, scene.me.user_id)])
    if isinstance(outcome, MadangError):
        raise outcome


def _update(**wanted: object) -> Callable[[Scene], Awaitable[object]]:
    return lambda at: at.own.lobby.update(at.me, at.channel_id, ChannelUpdate(**wanted))  # type: ignore[arg-type]


TRY: dict[tuple[str, str], Callable[[Scene], Awaitable[object]]] = {
    ("GetChannel", "by id"): lambda at: at.own.lobby.get(at.me, at.channel_id),
    ("GetChannel", "by name"): lambda at: at.own.lobby.get_by_name(at.me, at.name),
    ("UpdateChannel", "topic"): _update(topic="new"),
    ("UpdateChannel", "name"): lambda at: _update(name=f"new-{at.me.user_id}")(at),
    ("UpdateChannel", "read_only"): _update(read_only=True),
    ("UpdateChannel", "slow_mode_seconds"): _update(slow_mode=1),
    ("UpdateChannel", "guests"): _update(guests=False),
    ("ArchiveChannel", ""): lambda at: at.own.lobby.set_archived(at.me, at.channel_id, True),
    ("UnarchiveChannel", ""): lambda at: at.own.lobby.set_archived(at.me, at.channel_id, False),
    ("JoinChannel", ""): lambda at: at.own.lobby.join(at.me, at.channel_id),
    ("LeaveChannel", ""): lambda at: at.own.lobby.leave(at.me, at.channel_id),
    ("ListMembers", ""): lambda at: at.own.lobby.members(at.me, at.channel_id, 0, ""),
    ("AddMember", ""): lambda at: at.own.lobby.add(at.me, at.channel_id, at.newcomer),
    ("RemoveMember", ""): lambda at: at.own.moderation.remove(at.me, at.channel_id, at.victim, ""),
    ("BanMember", ""): lambda at: at.own.moderation.ban(at.me, at.channel_id, at.victim, "", None),
    ("UnbanMember", ""): lambda at: at.own.moderation.unban(at.me, at.channel_id, at.newcomer),
    ("ListBans", ""): lambda at: at.own.moderation.bans(at.me, at.channel_id, 0, ""),
    ("MuteMember", ""): lambda at: at.own.moderation.mute(at.me, at.channel_id, at.victim, 60),
    ("SetMemberRole", ""): lambda at: at.own.moderation.set_role(
        at.me, at.channel_id, at.victim, ChannelRole.MODERATOR
    ),
    ("ReportMessage", ""): lambda at: at.own.reports.report(at.me, at.channel_id, 1, ""),
    ("ListReports", ""): lambda at: at.own.reports.page(at.me, at.channel_id, False, 0, ""),
    ("ResolveReport", ""): lambda at: at.own.reports.resolve(at.me, at.report_id),
    ("Send", ""): lambda at: at.own.channel.send(at.me.user_id, at.channel_id, "hello", None),
    ("Post", ""): _post,
    ("GetMessage", ""): lambda at: at.own.channel.get(at.me.user_id, at.channel_id, 1),
    ("ListMessages", ""): lambda at: at.own.channel.page(at.me.user_id, at.channel_id, 0, "", True, 0, 0),
    ("MarkRead", ""): lambda at: at.own.channel.mark_read(at.me.user_id, at.channel_id, 1),
    ("SetTyping", ""): lambda at: at.own.channel.set_typing(at.me.user_id, at.channel_id),
    ("Subscribe", ""): _subscribe,
}
"""How each is tried, through the services."""

OF_CHANNELS = [(method, what) for method, expected in EXPECTED.items() for what in expected.there]


def test_everything_that_is_expected_is_tried() -> None:
    assert {(method.split("/")[1], what) for method, what in OF_CHANNELS} == set(TRY)


@pytest.mark.parametrize(("method", "what"), OF_CHANNELS)
async def test_who_may_do_it_in_a_channel(own: Parts, method: str, what: str) -> None:
    expected = EXPECTED[method]
    attempt = TRY[method.split("/")[1], what]
    for kind, role, standing in product(KINDS, ServerRole, STANDINGS):
        if (kind, what) == ("direct", "by name") or (kind == "direct" and standing in "do"):
            continue  # there is no such thing
        scene = await staged(own, KINDS[kind], role, STANDINGS[standing])
        refusal = await refusal_of(method, attempt, scene)
        case = f"{method} {what}: {role.name} as {standing} in a {kind} channel: {refusal!r}"
        assert (refusal is None) is may(expected, expected.there[what], kind, role, standing), case
        if standing == "s" and kind != "public" and role < ADMIN and not is_of_the_method(refusal):
            assert type(refusal) in (ChannelNotFound, ReportNotFound), case


def may(expected: Expected, there: There, kind: str, role: ServerRole, standing: str) -> bool:
    """What the table says."""
    if expected.role is not None and role < expected.role:
        return False
    column = f"admin_{kind}" if role >= ADMIN else kind
    return standing in getattr(there, column)


def is_of_the_method(refusal: MadangError | None) -> bool:
    """Whether it was refused before any channel was looked at."""
    return refusal is not None and str(refusal.facts.get("action", "")).startswith("call ")


async def refusal_of(method: str, attempt: Callable[[Scene], Awaitable[object]], scene: Scene) -> MadangError | None:
    """Why it was refused, by whichever of the two tables; None when it was done."""
    try:
        rights.require(method, scene.me.role, None)
        await attempt(scene)
    except MadangError as error:
        return error
    return None


async def staged(own: Parts, kind: ChannelKind, role: ServerRole, standing: ChannelRole | None) -> Scene:
    """A channel with an owner, a plain member and (unless a stranger) the one who tries, all of them new."""
    keeper, victim, newcomer, me = await own.people(*[ServerRole.MEMBER] * 3, role)
    return await own.store.write(_stage, own, kind, standing, (keeper, victim, newcomer, me))


def _stage(
    transaction: Transaction, own: Parts, kind: ChannelKind, standing: ChannelRole | None, people: tuple[Actor, ...]
) -> Scene:
    keeper, victim, newcomer, me = people
    name = f"room-{me.user_id}"
    if kind is ChannelKind.DIRECT:
        ids = {keeper.user_id, victim.user_id} | ({me.user_id} if standing else set())
        channel = directory.create_direct(transaction, ids)
    else:
        channel = directory.create(transaction, name, "", keeper.user_id, None, kind)
    owner = None if kind is ChannelKind.DIRECT else ChannelRole.OWNER
    memberships.add(transaction, channel.channel_id, keeper.user_id, owner)
    memberships.add(transaction, channel.channel_id, victim.user_id)
    if standing is not None:
        memberships.add(transaction, channel.channel_id, me.user_id, standing)
    words = Draft(channel.channel_id, victim.user_id, Content.TEXT, "words")
    (message,) = posting.append(transaction, [words])
    assert not isinstance(message, MadangError)
    report = reports.add(transaction, message, keeper.user_id, "")
    return Scene(own, channel.channel_id, name, me, victim.user_id, newcomer.user_id, report.report_id)
