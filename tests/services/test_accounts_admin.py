"""Roles, bans, invites, sessions of others: who may, who may not any more, and that the last owner stays."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from support import Parts, draft, held, refused, sequences

from madang.core.errors import (
    AccountBanned,
    CodeInvalid,
    CredentialsWrong,
    InvalidField,
    InviteNotFound,
    LastOwner,
    MadangError,
    NotPermitted,
    PageTokenInvalid,
    SessionNotFound,
    SessionRevoked,
    UserNotFound,
)
from madang.core.events import SessionEnded
from madang.core.models import LOBBY_ID, Scope, ServerRole
from madang.services.credentials import Proof
from madang.storage import accounts, server_bans
from madang.storage import sessions as stored

from .conftest import SlowStore
from .people import OTHER, PASSWORD, acts, events, owner, person

ADMIN, OWNER, MEMBER = ServerRole.ADMIN, ServerRole.OWNER, ServerRole.MEMBER


async def refusals(*asked: Any) -> list[str]:
    """What became of what was asked for at once: the reasons of refusals, an empty text for what was done."""
    results = await asyncio.gather(*asked, return_exceptions=True)
    return sorted(result.reason if isinstance(result, MadangError) else "" for result in results)


async def test_a_role_is_followed_by_the_sessions_that_are_in_use(own: Parts) -> None:
    hana = await owner(own)
    mina = await person(own, hana, "mina")
    await own.agent.authenticate(mina.token)
    changed = await own.front.admin.set_role(acts(hana), mina.user.user_id, ADMIN)
    assert changed.role is ADMIN
    known = own.agent.known(mina.token)
    assert known is not None
    assert known.role is ADMIN
    await own.front.admin.set_role(acts(hana), mina.user.user_id, MEMBER)
    known = own.agent.known(mina.token)
    assert known is not None
    assert known.role is MEMBER
    roles = [event.details["role"] for event in await events(own, "user.role")]
    assert roles == ["admin", "member"]


async def test_a_role_that_changes_while_a_session_is_read_is_not_missed(own: Parts, slow: SlowStore) -> None:
    hana = await owner(own)
    mina = await person(own, hana, "mina", ADMIN)
    slow.hold(stored.by_digest)
    reading = asyncio.create_task(own.agent.authenticate(mina.token))
    await slow.is_asked()
    await own.front.admin.set_role(acts(hana), mina.user.user_id, MEMBER)
    slow.answer()
    assert (await reading).role is MEMBER


async def test_what_an_administrator_asked_for_before_it_was_none_is_refused(own: Parts) -> None:
    """The table of rights is asked when a call comes; the role may be another one when its turn to write comes."""
    hana = await owner(own)
    mina, nari = await person(own, hana, "mina", ADMIN), await person(own, hana, "nari")
    before = acts(mina)
    await own.front.admin.set_role(acts(hana), mina.user.user_id, MEMBER)
    admin, user_id = own.front.admin, nari.user.user_id
    asked = [
        admin.ban(before, user_id, "", None),
        admin.unban(before, user_id),
        admin.create_reset(before, user_id),
        admin.create_invite(before, MEMBER, 1, 0, ""),
        admin.revoke_invite(before, 1),
        admin.set_bot_limits(before, user_id, 1, 1),
        own.agent.revoke_all(before, user_id),
    ]
    assert await refusals(*asked) == ["NOT_PERMITTED"] * 7
    assert own.agent.known(nari.token) or await own.agent.authenticate(nari.token)


async def test_owners_alone_make_owners_and_administrators(own: Parts) -> None:
    hana = await owner(own)
    mina, nari = await person(own, hana, "mina", ADMIN), await person(own, hana, "nari")
    admin = own.front.admin
    for role in (ADMIN, OWNER):
        with refused(NotPermitted):
            await admin.set_role(acts(mina), nari.user.user_id, role)
        with refused(NotPermitted):
            await admin.create_invite(acts(mina), role, 1, 0, "")
        await admin.create_invite(acts(hana), role, 1, 0, "")
    await admin.create_invite(acts(mina), MEMBER, 1, 0, "")
    for role in (ServerRole.GUEST, ServerRole.BOT):
        with refused(InvalidField, field="role"):
            await admin.set_role(acts(hana), nari.user.user_id, role)
        with refused(InvalidField, field="role"):
            await admin.create_invite(acts(hana), role, 1, 0, "")
    guest = await own.agent.sign_in_guest("guest", "")
    with refused(InvalidField, field="user_id", rule="guest is not a person with an account"):
        await admin.set_role(acts(hana), guest.user.user_id, ADMIN)
    with refused(UserNotFound):
        await admin.set_role(acts(hana), 999, ADMIN)


async def test_the_last_owner_stays(own: Parts) -> None:
    hana = await owner(own)
    with refused(LastOwner):
        await own.front.admin.set_role(acts(hana), hana.user.user_id, ADMIN)
    with refused(LastOwner):
        await own.front.deletion.delete_me(acts(hana), PASSWORD, False)
    with refused(NotPermitted):
        await own.front.admin.ban(acts(hana), hana.user.user_id, "", None)
    mina = await person(own, hana, "mina", OWNER)
    await own.front.admin.ban(acts(hana), mina.user.user_id, "", own.clock.now + 60_000_000)
    with refused(LastOwner):
        await own.front.admin.set_role(acts(hana), hana.user.user_id, ADMIN)
    own.clock.pass_seconds(60)
    await own.front.admin.set_role(acts(hana), hana.user.user_id, ADMIN)


async def test_of_two_owners_that_go_at_the_same_instant_one_stays(own: Parts) -> None:
    hana = await owner(own)
    mina = await person(own, hana, "mina", OWNER)
    async with held(own.store):
        asked = [
            asyncio.create_task(own.front.admin.set_role(acts(one), one.user.user_id, MEMBER)) for one in (hana, mina)
        ]
        await asyncio.sleep(0)
    assert await refusals(*asked) == ["", "LAST_OWNER"]


async def test_of_two_owners_that_ban_each_other_one_stays(own: Parts) -> None:
    hana = await owner(own)
    mina = await person(own, hana, "mina", OWNER)
    async with held(own.store):
        asked = [
            asyncio.create_task(own.front.admin.ban(acts(one), other.user.user_id, "", None))
            for one, other in ((hana, mina), (mina, hana))
        ]
        await asyncio.sleep(0)
    assert await refusals(*asked) == ["", "NOT_PERMITTED"]


async def test_a_ban_shuts_out_until_it_is_over(own: Parts) -> None:
    hana = await owner(own)
    mina = await person(own, hana, "mina")
    ended: list[SessionEnded] = []
    own.bus.subscribe(SessionEnded, ended.append)
    until = own.clock.now + 3600 * 1_000_000
    await own.front.admin.ban(acts(hana), mina.user.user_id, "noise", until)
    assert [event.session_id for event in ended] == [mina.session.session_id]
    assert own.agent.known(mina.token) is None
    with refused(AccountBanned, until=until // 1_000_000, cause="noise"):
        await own.agent.authenticate(mina.token)
    with refused(AccountBanned, cause="noise"):
        await own.agent.sign_in_password("mina", PASSWORD, "", "")
    with refused(CredentialsWrong):
        await own.agent.sign_in_password("mina", OTHER, "", "")
    (marked,) = await own.store.read(server_bans.marked, [mina.user], own.clock.now)
    assert marked.banned_at == own.clock.now
    own.clock.pass_seconds(3600)
    with refused(SessionRevoked):
        await own.agent.authenticate(mina.token)
    await own.agent.sign_in_password("mina", PASSWORD, "", "")


async def test_a_ban_for_good_is_lifted(own: Parts) -> None:
    hana = await owner(own)
    mina = await person(own, hana, "mina")
    for reason in ("noise", "more noise"):
        await own.front.admin.ban(acts(hana), mina.user.user_id, reason, None)
    with refused(AccountBanned, until=0, cause="more noise"):
        await own.agent.sign_in_password("mina", PASSWORD, "", "")
    for _ in range(2):
        await own.front.admin.unban(acts(hana), mina.user.user_id)
    await own.agent.sign_in_password("mina", PASSWORD, "", "")
    assert [event.action for event in await events(own, "user.")][-3:] == ["user.ban", "user.ban", "user.unban"]


async def test_who_may_ban_whom(own: Parts) -> None:
    hana = await owner(own)
    mina, nari = await person(own, hana, "mina", ADMIN), await person(own, hana, "nari", ADMIN)
    guest = await own.agent.sign_in_guest("guest", "")
    ban = own.front.admin.ban
    for user in (hana.user, nari.user, mina.user):
        with refused(NotPermitted):
            await ban(acts(mina), user.user_id, "", None)
    await ban(acts(mina), guest.user.user_id, "", None)
    with refused(AccountBanned):
        await own.agent.authenticate(guest.token)
    await ban(acts(hana), nari.user.user_id, "", None)
    with refused(NotPermitted):
        await own.front.admin.unban(acts(mina), nari.user.user_id)
    with refused(InvalidField, field="expire_time"):
        await ban(acts(hana), mina.user.user_id, "", own.clock.now)
    with refused(UserNotFound):
        await ban(acts(hana), 999, "", None)


async def test_a_banned_persons_bots_are_out_as_long_as_it_is(own: Parts) -> None:
    hana = await owner(own)
    mina = await person(own, hana, "mina")
    bot = await own.front.bots.create(acts(mina), "robot", "")
    token, session = await own.front.bots.create_token(acts(mina), bot.user_id, Scope.READ, "", None)
    await own.agent.authenticate(token)
    ended: list[SessionEnded] = []
    own.bus.subscribe(SessionEnded, ended.append)
    await own.front.admin.ban(acts(hana), mina.user.user_id, "noise", None)
    assert session.session_id in {event.session_id for event in ended}
    assert own.agent.known(token) is None
    with refused(AccountBanned):
        await own.agent.authenticate(token)
    with refused(NotPermitted):
        await own.front.bots.create_token(acts(mina), bot.user_id, Scope.READ, "", None)
    now = own.clock.now
    out = (session.session_id, bot.user_id)
    assert out in await own.store.read(stored.revoked_since, now - 60_000_000, now), "for nodes that were not told"
    assert out not in await own.store.read(stored.revoked_since, now + 60_000_000, now), "long ago"
    await own.front.admin.unban(acts(hana), mina.user.user_id)
    assert out not in await own.store.read(stored.revoked_since, now - 60_000_000, now)
    assert (await own.agent.authenticate(token)).session_id == session.session_id


@pytest.mark.parametrize("way", ["ban", "demote", "delete"])
async def test_nothing_that_an_owner_prepared_brings_it_back(own: Parts, way: str) -> None:
    hana = await owner(own)
    mina, nari = await person(own, hana, "mina", OWNER), await person(own, hana, "nari", OWNER)
    invite, _ = await own.front.admin.create_invite(acts(mina), OWNER, 1, 0, "")
    reset, _ = await own.front.admin.create_reset(acts(mina), nari.user.user_id)
    match way:
        case "ban":
            await own.front.admin.ban(acts(hana), mina.user.user_id, "", None)
        case "demote":
            await own.front.admin.set_role(acts(hana), mina.user.user_id, ADMIN)
        case _:
            await own.front.deletion.delete_me(acts(mina), PASSWORD, False)
    with refused(CodeInvalid):
        await own.front.accounts.register("again", PASSWORD, invite)
    with refused(CodeInvalid):
        await own.front.accounts.redeem_reset(reset, OTHER, "")


async def test_nobody_takes_over_an_equal_by_a_reset(own: Parts) -> None:
    hana = await owner(own)
    mina, nari = await person(own, hana, "mina", ADMIN), await person(own, hana, "nari", ADMIN)
    for user in (hana.user, nari.user):
        with refused(NotPermitted):
            await own.front.admin.create_reset(acts(mina), user.user_id)
    guest = await own.agent.sign_in_guest("guest", "")
    with refused(InvalidField):
        await own.front.admin.create_reset(acts(hana), guest.user.user_id)


async def test_invites_are_listed_in_pages_without_their_codes(own: Parts) -> None:
    hana = await owner(own)
    made = [await own.front.admin.create_invite(acts(hana), MEMBER, n, 60, f"note {n}") for n in (1, 2, 3)]
    first, token = await own.front.admin.invites(2, "")
    rest, end = await own.front.admin.invites(2, token)
    assert [one.note for one in (*first, *rest)] == ["note 3", "note 2", "note 1", "the first owner"]
    assert end == ""
    assert not [code for code, _ in made if code in repr(first + rest)]
    with refused(PageTokenInvalid):
        await own.front.admin.invites(2, token[:-2])
    with refused(InviteNotFound):
        await own.front.admin.revoke_invite(acts(hana), 999)


async def test_sessions_are_seen_and_ended_by_whose_they_are_and_by_administrators(own: Parts) -> None:
    hana = await owner(own)
    mina, nari = await person(own, hana, "mina"), await person(own, hana, "nari")
    second = await own.agent.sign_in_password("mina", PASSWORD, "tablet", "10.0.0.8")
    listed, token = await own.agent.list_sessions(acts(mina), 0, 1, "")
    assert [(one.device, one.address) for one in listed] == [("tablet", "10.0.0.8")]
    listed, _ = await own.agent.list_sessions(acts(mina), 0, 1, token)
    assert [(one.device, one.address) for one in listed] == [("phone", "10.0.0.9")]
    assert len((await own.agent.list_sessions(acts(hana), mina.user.user_id, 0, ""))[0]) == 2
    for user_id in (mina.user.user_id, 999):
        with refused(NotPermitted):
            await own.agent.list_sessions(acts(nari), user_id, 0, "")
        with refused(NotPermitted):
            await own.agent.revoke_all(acts(nari), user_id)
    for session_id in (mina.session.session_id, 999):
        with refused(SessionNotFound, session_id=session_id):
            await own.agent.revoke_session(acts(nari), session_id)
    assert await own.agent.revoke_session(acts(mina), second.session.session_id) == 1
    assert await own.agent.revoke_session(acts(mina), second.session.session_id) == 0
    with refused(SessionRevoked):
        await own.agent.authenticate(second.token)
    assert await own.agent.revoke_all(acts(mina), 0) == 0, "the one that asks stays"
    assert await own.agent.revoke_all(acts(hana), mina.user.user_id) == 1
    with refused(SessionRevoked):
        await own.agent.authenticate(mina.token)
    assert [event.action for event in await events(own, "session.revoke")] == ["session.revoke"] * 2


async def test_an_administrator_does_not_end_an_owners_sessions(own: Parts) -> None:
    hana = await owner(own)
    mina = await person(own, hana, "mina", ADMIN)
    with refused(SessionNotFound):
        await own.agent.revoke_session(acts(mina), hana.session.session_id)
    with refused(NotPermitted):
        await own.agent.revoke_all(acts(mina), hana.user.user_id)


async def test_the_address_of_the_last_use_is_kept(own: Parts) -> None:
    hana = await owner(own)
    await own.agent.authenticate(hana.token, "10.1.1.1")
    assert own.agent.known(hana.token, "10.2.2.2")
    await own.agent.save_use()
    await own.agent.save_use([hana.session.session_id])
    (session,), _ = await own.agent.list_sessions(acts(hana), 0, 0, "")
    assert session.address == "10.2.2.2"


async def test_a_session_that_ends_with_the_commit_that_made_it_is_not_remembered(own: Parts) -> None:
    hana = await owner(own)
    mina = await person(own, hana, "mina")
    proof_began = asyncio.Event()
    prove = own.front.credentials.prove

    async def proving(handle: str, password: str, address: str) -> Proof:
        proof = await prove(handle, password, address)
        proof_began.set()
        return proof

    own.front.credentials.prove = proving  # type: ignore[method-assign]
    async with held(own.store):
        signing = asyncio.create_task(own.agent.sign_in_password("mina", PASSWORD, "", ""))
        await proof_began.wait()
        await asyncio.sleep(0)
        ending = asyncio.create_task(own.agent.revoke_all(acts(hana), mina.user.user_id))
        await asyncio.sleep(0)
    assert await ending == 2
    token = (await signing).token
    assert own.agent.known(token) is None
    with refused(SessionRevoked):
        await own.agent.authenticate(token)


async def test_whoever_is_shut_out_writes_nothing_more_of_what_is_on_its_way(own: Parts) -> None:
    """Also within one commit, and wherever: in the lobby, where everyone is, and in its own channel. So do its bots."""
    hana = await owner(own)
    mina = await person(own, hana, "mina")
    robot = await own.front.bots.create(acts(mina), "robot", "")
    kitchen = await own.room(mina.user.user_id)
    authors = (mina.user.user_id, robot.user_id)
    once = bytes(range(16))
    async with held(own.store):
        before = [own.store.append([draft(LOBBY_ID, author, "before")]) for author in authors]
        first = own.store.append([draft(kitchen, mina.user.user_id, "once", once)])
        ban = asyncio.create_task(
            own.front.admin.ban(acts(hana), mina.user.user_id, "spam", own.clock.now + 60 * 1_000_000)
        )
        await asyncio.sleep(0)
        after = [own.store.append([draft(LOBBY_ID, author, "after")]) for author in authors]
        inside = own.store.append([draft(kitchen, mina.user.user_id, "after")])
        again = own.store.append([draft(kitchen, mina.user.user_id, "once", once)])
        others = own.store.append([draft(LOBBY_ID, hana.user.user_id, "still here")])
    await ban
    assert [sequences(await one) for one in before] == [[1], [2]]
    assert [sequences(await one) for one in (*after, inside)] == [["ACCOUNT_BANNED"]] * 3
    assert sequences(await again) == sequences(await first), "what was stored before is told again"
    assert sequences(await others) == [3]
    own.clock.pass_seconds(60)
    assert sequences(await own.store.append([draft(LOBBY_ID, robot.user_id, "the ban is over")])) == [4]


async def test_a_deleted_account_writes_nothing_more_of_what_is_on_its_way(own: Parts) -> None:
    hana = await owner(own)
    robot = await own.front.bots.create(acts(hana), "robot", "")
    async with held(own.store):
        before = own.store.append([draft(LOBBY_ID, robot.user_id, "before")])
        end = asyncio.create_task(own.front.bots.delete(acts(hana), robot.user_id))
        await asyncio.sleep(0)
        after = own.store.append([draft(LOBBY_ID, robot.user_id, "after")])
    await end
    assert (sequences(await before), sequences(await after)) == ([1], ["SESSION_REVOKED"])


async def test_limits_of_bots_are_stored(own: Parts) -> None:
    hana = await owner(own)
    bot = await own.front.bots.create(acts(hana), "robot", "")
    await own.front.admin.set_bot_limits(acts(hana), bot.user_id, 50, 0)
    assert await own.store.read(accounts.limits, bot.user_id) == (50, None)
    with refused(UserNotFound):
        await own.front.admin.set_bot_limits(acts(hana), hana.user.user_id, 50, 0)


async def test_the_audit_log_is_read_in_pages_and_by_filters(own: Parts) -> None:
    hana = await owner(own)
    mina = await person(own, hana, "mina")
    everything: dict[str, Any] = {"actor_id": 0, "user_id": 0, "channel_id": 0, "action_prefix": ""}
    first, token = await own.front.admin.audit_events(3, "", **everything)
    rest, _ = await own.front.admin.audit_events(100, token, **everything)
    ids = [event.event_id for event in (*first, *rest)]
    assert ids == sorted(ids, reverse=True)
    assert len(ids) == len(await events(own))
    with refused(PageTokenInvalid):
        await own.front.admin.audit_events(3, token, **(everything | {"actor_id": 1}))
    found, _ = await own.front.admin.audit_events(
        9, "", **(everything | {"user_id": mina.user.user_id, "action_prefix": "user."})
    )
    assert [(event.action, event.address) for event in found] == [("user.register", "10.0.0.9")]
