"""Accounts on the wire: who may call what, what a revocation ends, what bots' tokens are good for."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from madang.core.models import Registration, Scope, ServerRole
from madang.core.rights import RULES
from madang.node import node
from madang.node.embed import Server
from madang.rpc.address import _address
from madang.v1 import agent_service_pb2 as pb
from madang.v1 import resources_pb2

from .calls import METHODS, Caller, connect, path_of, sign_in

PASSWORD = "nine lives and a tail"  # noqa: S105
OTHER = "a tail and nine lives"
CHEAP: dict[str, Any] = {"password_time": 1, "password_memory": 8, "password_lanes": 1}
DENIED, NOT_PERMITTED = "PERMISSION_DENIED", ("PERMISSION_DENIED", "NOT_PERMITTED")
REVOKED = ("UNAUTHENTICATED", "SESSION_REVOKED")


@pytest.fixture
async def server(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Server]:
    """A server whose passwords cost little."""
    async with Server(drain=0.5, limits=None, **CHEAP) as running:
        yield running
        monkeypatch.setattr(node, "HAND_OVER", 0.0)


def signed_in(channel: grpc.aio.Channel, answer: pb.RegisterResponse | pb.SignInResponse) -> Caller:
    return Caller(channel, answer.token, answer.user.user_id, answer.user.handle)


@pytest.fixture
async def hana(server: Server, nobody: Caller) -> Caller:
    """The server's owner."""
    code = await server.first_invite()
    answer = await nobody.call("Register", handle="hana", password=PASSWORD, invite_code=code, device="laptop")
    assert answer.user.role == resources_pb2.SERVER_ROLE_OWNER
    return signed_in(nobody.channel, answer)


@pytest.fixture
async def jisu(hana: Caller) -> Caller:
    """A member."""
    return await joined(hana, "jisu")


async def joined(hana: Caller, handle: str, role: str = "SERVER_ROLE_MEMBER") -> Caller:
    made = await hana.call("CreateInvite", role=role)
    answer = await Caller(hana.channel).call("Register", handle=handle, password=PASSWORD, invite_code=made.code)
    return signed_in(hana.channel, answer)


async def bot(owner: Caller, *scopes: str) -> Caller:
    made = await owner.call("CreateBot", handle=f"robot-{time.monotonic_ns()}")
    token = await owner.call("CreateBotToken", bot_id=made.bot.user_id, scopes=[f"TOKEN_SCOPE_{s}" for s in scopes])
    assert not token.session.HasField("expire_time")
    return Caller(owner.channel, token.token, made.bot.user_id, made.bot.handle)


async def test_what_the_server_says_of_itself(nobody: Caller, tmp_path: Path) -> None:
    facts = await nobody.call("GetServer")
    assert (facts.registration, facts.guests) == (pb.REGISTRATION_INVITE, True)
    async with (
        Server(tmp_path / "b", registration=Registration.OPEN, guests=False, **CHEAP) as server,
        connect(server.target) as channel,
    ):
        stranger = Caller(channel)
        facts = await stranger.call("GetServer")
        assert (facts.registration, facts.guests) == (pb.REGISTRATION_OPEN, False)
        assert (await stranger.refused("SignIn", guest={"handle": "mina"})).what == (DENIED, "GUESTS_NOT_ALLOWED")
        answer = await stranger.call("Register", handle="mina", password=PASSWORD)
        assert answer.user.role == resources_pb2.SERVER_ROLE_MEMBER


async def test_a_person_registers_signs_in_and_changes_its_password(hana: Caller, nobody: Caller) -> None:
    answer = await nobody.call("SignIn", password={"handle": "Hana", "password": PASSWORD}, device="phone")
    again = signed_in(nobody.channel, answer)
    live = await again.subscribe()
    assert answer.session.address in ("127.0.0.1", "::1")
    await hana.call("ChangePassword", old_password=PASSWORD, new_password=OTHER)
    assert (await live.ending()).what == REVOKED
    assert (await again.refused("GetMe")).what == REVOKED
    wrong = await nobody.refused("SignIn", password={"handle": "hana", "password": PASSWORD})
    unknown = await nobody.refused("SignIn", password={"handle": "nobody", "password": PASSWORD})
    assert wrong == unknown
    assert wrong.what == ("UNAUTHENTICATED", "CREDENTIALS_WRONG")
    assert (await hana.call("GetMe")).user.handle == "hana"


async def test_every_call_asks_the_table_of_rights(hana: Caller, jisu: Caller, mina: Caller) -> None:
    """Everything that a role, or a token, is not enough for is refused, whatever is in the request."""
    assert {path_of(method).removeprefix("/madang.v1.") for method in METHODS} == RULES.keys()
    callers = {
        mina: (ServerRole.GUEST, None),
        jisu: (ServerRole.MEMBER, None),
        await joined(hana, "admin", "SERVER_ROLE_ADMIN"): (ServerRole.ADMIN, None),
        await bot(jisu, "READ"): (ServerRole.BOT, Scope.READ),
        await bot(jisu, "SEND"): (ServerRole.BOT, Scope.SEND),
        await bot(jisu, "MANAGE"): (ServerRole.BOT, Scope.MANAGE),
    }
    refused = 0
    for caller, (role, scopes) in callers.items():
        for method in METHODS:
            rule = RULES[path_of(method).removeprefix("/madang.v1.")]
            if rule.role is None:
                continue
            if role < rule.role or (scopes is not None and rule.scope is None):
                assert (await caller.refused(method)).what == NOT_PERMITTED, (caller.handle, method)
                refused += 1
            elif scopes is not None and rule.scope is not None and not rule.scope & scopes:
                refusal = await caller.refused(method)
                assert refusal.what == (DENIED, "SCOPE_MISSING"), (caller.handle, method)
                assert refusal.facts["scope"] == " or ".join(str(one.name).lower() for one in rule.scope)
                refused += 1
    assert refused > 100


async def test_a_role_is_in_force_at_the_next_call(hana: Caller, jisu: Caller) -> None:
    assert (await jisu.refused("ListAuditEvents")).what == NOT_PERMITTED
    await hana.call("SetServerRole", user_id=jisu.user_id, role="SERVER_ROLE_ADMIN")
    events = (await jisu.call("ListAuditEvents", action_prefix="user.role")).events
    assert [(event.actor_id, event.user_id, event.details["role"]) for event in events] == [
        (hana.user_id, jisu.user_id, "admin")
    ]
    assert events[0].address in ("127.0.0.1", "::1")
    await hana.call("SetServerRole", user_id=jisu.user_id, role="SERVER_ROLE_MEMBER")
    assert (await jisu.refused("ListAuditEvents")).what == NOT_PERMITTED
    last = await hana.refused("SetServerRole", user_id=hana.user_id, role="SERVER_ROLE_MEMBER")
    assert last.what == ("FAILED_PRECONDITION", "LAST_OWNER")


@pytest.mark.parametrize("way", ["ban", "revoke one", "revoke all", "delete", "reset"])
async def test_what_ends_a_session_ends_its_streams_within_a_second(
    hana: Caller, jisu: Caller, nobody: Caller, way: str
) -> None:
    lives = [await jisu.subscribe() for _ in range(3)]
    watch = jisu.stream("WatchPresence")
    await watch.read()
    post = jisu.post()
    await post.write(sends=[{"channel_id": 1, "text": "no request_id"}])
    await post.read()
    bystander = await hana.subscribe()
    code = (await hana.call("CreatePasswordReset", user_id=jisu.user_id)).code
    session_id = (await jisu.call("GetMe")).session.session_id
    began = time.monotonic()
    match way:
        case "ban":
            await hana.call("BanUser", user_id=jisu.user_id, reason="noise")
        case "revoke one":
            assert (await hana.call("RevokeSessions", session_id=session_id)).revoked == 1
        case "revoke all":
            assert (await hana.call("RevokeSessions", all_of_user_id=jisu.user_id)).revoked == 1
        case "delete":
            await jisu.call("DeleteMe", password=PASSWORD, messages="MESSAGE_FATE_ANONYMIZE")
        case _:
            assert (await nobody.call("RedeemPasswordReset", code=code, new_password=OTHER)).handle == "jisu"
    endings = await asyncio.gather(*(stream.ending() for stream in (*(live.stream for live in lives), watch, post)))
    assert [ending.what for ending in endings] == [REVOKED] * 5
    assert time.monotonic() - began < 1.0
    refusal = await jisu.refused("GetMe")
    assert refusal.what == (REVOKED if way != "ban" else (DENIED, "ACCOUNT_BANNED"))
    assert refusal.facts.get("cause", "noise") == "noise"
    await bystander.reaches(1, await hana.say(1, "still here"))


async def test_two_at_the_same_instant(hana: Caller, nobody: Caller) -> None:
    code = (await hana.call("CreateInvite")).code
    asked = [nobody.call("Register", handle=f"twin{n}", password=PASSWORD, invite_code=code) for n in range(4)]
    results = await asyncio.gather(*asked, return_exceptions=True)
    assert sum(isinstance(result, pb.RegisterResponse) for result in results) == 1
    code = (await hana.call("CreateInvite", max_uses=10)).code
    asked = [nobody.call("Register", handle=h, password=PASSWORD, invite_code=code) for h in ("SORA", "sora", "Sora")]
    results = await asyncio.gather(*asked, return_exceptions=True)
    assert sum(isinstance(result, pb.RegisterResponse) for result in results) == 1
    invites = (await hana.call("ListInvites")).invites
    assert [(invite.uses, invite.max_uses) for invite in invites[:2]] == [(1, 10), (1, 1)]
    assert code not in str(invites)


async def test_sessions_of_ones_own(hana: Caller, jisu: Caller, nobody: Caller) -> None:
    await nobody.call("SignIn", password={"handle": "jisu", "password": PASSWORD}, device="tablet")
    sessions = (await jisu.call("ListSessions")).sessions
    assert [session.device for session in sessions] == ["tablet", ""]
    assert (await jisu.refused("ListSessions", user_id=hana.user_id)).what == NOT_PERMITTED
    assert (await jisu.refused("RevokeSessions", session_id=10**9)).what == ("NOT_FOUND", "SESSION_NOT_FOUND")
    assert (await jisu.call("RevokeSessions", all_of_user_id=0)).revoked == 1
    assert len((await jisu.call("ListSessions")).sessions) == 1


async def test_a_bots_token_is_good_for_its_scopes(jisu: Caller) -> None:
    reader, sender = await bot(jisu, "READ"), await bot(jisu, "SEND", "READ")
    live = await reader.subscribe()
    await live.reaches(1, await sender.say(1, "beep"))
    assert (await reader.refused("Send", channel_id=1, text="beep")).what == (DENIED, "SCOPE_MISSING")
    assert (await reader.stream_raw("Post", b"").ending()).what == (DENIED, "SCOPE_MISSING")
    me = await sender.call("GetMe")
    assert list(me.session.scopes) == [resources_pb2.TOKEN_SCOPE_SEND, resources_pb2.TOKEN_SCOPE_READ]
    assert (me.user.kind, me.user.owner_id) == (resources_pb2.USER_KIND_BOT, jisu.user_id)
    listed = (await jisu.call("ListBots")).bots
    assert [one.user_id for one in listed] == [reader.user_id, sender.user_id]
    await jisu.call("DeleteBot", bot_id=reader.user_id)
    assert (await live.ending()).what == REVOKED
    assert (await reader.refused("GetMe")).what == REVOKED
    assert (await jisu.refused("DeleteBot", bot_id=reader.user_id)).what == ("NOT_FOUND", "USER_NOT_FOUND")


async def test_the_export_is_a_stream_of_lines(jisu: Caller) -> None:
    await jisu.say(1, *(f"line {n}" for n in range(20)))
    stream = jisu.stream("ExportMe")
    data = b""
    while (response := await stream.call.read()) is not grpc.aio.EOF:
        data += response.data
    lines = [json.loads(line) for line in data.decode().splitlines()]
    assert [line["text"] for line in lines if line["type"] == "message"] == [f"line {n}" for n in range(20)]
    assert lines[0]["handle"] == "jisu"


async def test_an_export_ends_with_its_session_though_nobody_reads(hana: Caller, jisu: Caller) -> None:
    await jisu.say(1, *("x" * 16_000 for _ in range(300)))
    stream = jisu.stream("ExportMe")
    await stream.read()
    await hana.call("RevokeSessions", all_of_user_id=jisu.user_id)
    assert (await stream.ending()).what in (REVOKED, ("OK", ""))  # what was written already may be all of it


async def test_a_deleted_account_is_nobodys(hana: Caller, jisu: Caller, nobody: Caller) -> None:
    await jisu.say(1, "goodbye")
    assert (await jisu.refused("DeleteMe", password=PASSWORD)).field == "messages"
    wrong = await jisu.refused("DeleteMe", password=OTHER, messages="MESSAGE_FATE_ERASE")
    assert wrong.what == ("UNAUTHENTICATED", "CREDENTIALS_WRONG")
    await jisu.call("DeleteMe", password=PASSWORD, messages="MESSAGE_FATE_ERASE")
    assert await hana.texts(1) == [""]
    user = (await hana.call("GetUser", user_id=jisu.user_id)).user
    assert user.HasField("delete_time")
    assert (await hana.refused("GetUser", handle="jisu")).what == ("NOT_FOUND", "USER_NOT_FOUND")
    assert (await joined(hana, "jisu")).user_id != jisu.user_id


@pytest.mark.parametrize("code", ["", "a", "a" * 64, "가" * 20, "'; DROP TABLE codes; --"])
async def test_codes_that_are_none(hana: Caller, nobody: Caller, code: str) -> None:
    refusal = await nobody.refused("Register", handle="sora", password=PASSWORD, invite_code=code)
    assert refusal.what == (DENIED, "CODE_INVALID" if code else "REGISTRATION_CLOSED")


async def test_errors_tell_no_secret(hana: Caller, nobody: Caller) -> None:
    code = (await hana.call("CreateInvite")).code
    for fields in (
        {"handle": "hana", "password": PASSWORD, "invite_code": code},
        {"handle": "sora", "password": "qwertyuiop", "invite_code": code},
        {"handle": "sora", "password": PASSWORD, "invite_code": "x" + code},
        {"handle": "sora", "password": "z" * 300, "invite_code": code},
    ):
        told = str(await nobody.refused("Register", **fields))
        assert fields["password"] not in told
        assert code not in told


async def test_what_is_wrong_in_a_request_is_told_only_to_who_may_call(jisu: Caller, nobody: Caller) -> None:
    assert (await nobody.refused("BanUser", user_id=-1)).what == ("UNAUTHENTICATED", "TOKEN_MISSING")
    assert (await jisu.refused("BanUser", user_id=-1)).what == NOT_PERMITTED
    assert (await jisu.refused_raw("BanUser", b"\xff")).what == NOT_PERMITTED


@pytest.mark.parametrize(
    ("peer", "address"),
    [
        ("ipv4:10.1.2.3:456", "10.1.2.3"),
        ("ipv6:%5B2001:db8::1%5D:456", "2001:db8::1"),
        ("ipv6:[::ffff:10.1.2.3]:456", "10.1.2.3"),
        ("unix:/tmp/x", ""),
        ("", ""),
    ],
)
def test_addresses_of_peers(peer: str, address: str) -> None:
    assert _address(peer) == address


async def test_sign_in_of_guests_goes_on(nobody: Caller) -> None:
    guest = await sign_in(nobody.channel, "mina")
    me = (await guest.call("GetMe")).user
    assert (me.role, me.kind) == (resources_pb2.SERVER_ROLE_GUEST, resources_pb2.USER_KIND_GUEST)
    updated = (await guest.call("UpdateMe", display_name="Mina", status_text="here")).user
    assert (updated.display_name, updated.status_text) == ("Mina", "here")
