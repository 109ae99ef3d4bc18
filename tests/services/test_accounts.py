"""Registering, signing in with a password, and the codes: what is wrong, late, used up, or asked for twice at once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from support import CHEAP, Parts, Where, held, names, parts, refused

from madang.core.errors import (
    AccountBanned,
    CodeInvalid,
    CredentialsWrong,
    GuestsNotAllowed,
    HandleTaken,
    LimitReached,
    MadangError,
    NameNotAllowed,
    Overloaded,
    PasswordNotAllowed,
    RegistrationClosed,
    SessionRevoked,
    TextNotAllowed,
)
from madang.core.events import SessionEnded, UserChanged
from madang.core.limits import Limits
from madang.core.models import Registration, ServerRole, UserKind
from madang.services import passwords as passwords_module
from madang.services.accounts import new_code
from madang.services.front import Entrance
from madang.services.passwords import Cost, Passwords
from madang.storage import accounts, codes

from .people import OTHER, PASSWORD, acts, events, owner, person

DAY = 24 * 3600


@pytest.fixture
async def opened(where: Where) -> AsyncIterator[Parts]:
    """A server on which anyone may register."""
    async with parts(where, entrance=Entrance(Registration.OPEN, cost=CHEAP)) as made:
        yield made


async def outcomes(*asked: Awaitable[Any]) -> list[Any]:
    return await asyncio.gather(*asked, return_exceptions=True)


def won(results: list[Any]) -> list[Any]:
    return [result for result in results if not isinstance(result, BaseException)]


async def test_the_first_owner_comes_by_the_servers_own_invite(own: Parts) -> None:
    code = await own.front.accounts.first_invite()
    assert code is not None
    hana = await own.front.accounts.register("hana", PASSWORD, code, "Hana 🏡", "laptop", "10.0.0.1")
    assert (hana.user.role, hana.user.kind, hana.user.display_name) == (ServerRole.OWNER, UserKind.PERSON, "Hana 🏡")
    assert (await own.agent.authenticate(hana.token)).role is ServerRole.OWNER
    assert await own.front.accounts.first_invite() is None
    with refused(CodeInvalid):
        await own.front.accounts.register("mina", PASSWORD, code)
    assert [event.action for event in await events(own)] == ["invite.create", "invite.use", "user.register"]


async def test_each_start_makes_the_earlier_first_invites_worthless(own: Parts) -> None:
    first, second = [await own.front.accounts.first_invite() for _ in range(2)]
    assert first
    assert second
    with refused(CodeInvalid):
        await own.front.accounts.register("mina", PASSWORD, first)
    own.clock.pass_seconds(DAY)
    with refused(CodeInvalid):
        await own.front.accounts.register("mina", PASSWORD, second)


async def test_nodes_that_start_together_leave_each_other_their_first_invites(own: Parts) -> None:
    """Until there is an owner; a node's own earlier one is worthless, as on a server that is alone."""
    old, one, other, third = [await own.front.accounts.first_invite(node) for node in ("one", "one", "other", "third")]
    assert old
    assert one
    assert other
    assert third
    with refused(CodeInvalid):
        await own.front.accounts.register("mina", PASSWORD, old)
    assert (await own.front.accounts.register("hana", PASSWORD, one)).user.role is ServerRole.OWNER
    for code in (one, other, third):
        with refused(CodeInvalid):
            await own.front.accounts.register("mina", PASSWORD, code)
    assert await own.front.accounts.first_invite("other") is None


async def test_a_node_that_starts_later_voids_the_codes_of_all(own: Parts) -> None:
    """Whatever the nodes were called that made them: a container gets another name at each start."""
    seen = [await own.front.accounts.first_invite(f"pod-{number}") for number in range(3)]
    own.clock.pass_seconds(5 * 60 + 1)
    fresh = await own.front.accounts.first_invite("pod-3")
    assert fresh
    for code in seen:
        assert code
        with refused(CodeInvalid):
            await own.front.accounts.register("mina", PASSWORD, code)
    assert (await own.front.accounts.register("hana", PASSWORD, fresh)).user.role is ServerRole.OWNER


async def test_no_code_of_a_server_is_good_once_there_is_an_owner(own: Parts) -> None:
    """Not even one that is still there, whoever left it."""
    await owner(own)
    code, digest = new_code()
    until = own.clock() + int(DAY * 1_000_000)
    await own.store.write(codes.add_invite, digest, 0, ServerRole.OWNER, 1, until, "left")
    with refused(CodeInvalid):
        await own.front.accounts.register("mina", PASSWORD, code)


async def test_two_nodes_codes_at_once_make_one_owner(own: Parts) -> None:
    made = [await own.front.accounts.first_invite(node) for node in ("one", "other", "third")]
    tries = [own.front.accounts.register(f"person-{number}", PASSWORD, code or "") for number, code in enumerate(made)]
    owners = won(await asyncio.gather(*tries, return_exceptions=True))
    assert [each.user.role for each in owners] == [ServerRole.OWNER]


async def test_the_first_owner_gets_in_where_registration_is_closed_and_nobody_else(where: Where) -> None:
    async with parts(where, entrance=Entrance(Registration.CLOSED, cost=CHEAP)) as own:
        hana = await owner(own)
        for role in (ServerRole.MEMBER, ServerRole.OWNER):
            code, _ = await own.front.admin.create_invite(acts(hana), role, 1, 0, "")
            with refused(RegistrationClosed):
                await own.front.accounts.register("mina", PASSWORD, code)
        with refused(RegistrationClosed):
            await own.front.accounts.register("mina", PASSWORD, "")


async def test_an_invite_is_needed(own: Parts) -> None:
    with refused(RegistrationClosed, needs="an invite"):
        await own.front.accounts.register("mina", PASSWORD, "")


async def test_an_invite_is_not_needed_where_the_server_is_open(opened: Parts) -> None:
    mina = await opened.front.accounts.register("mina", PASSWORD, "")
    assert mina.user.role is ServerRole.MEMBER
    with refused(CodeInvalid):
        await opened.front.accounts.register("nari", PASSWORD, "a" * 32)


async def test_of_two_with_one_invite_at_the_same_instant_one_gets_in(own: Parts) -> None:
    hana = await owner(own)
    code, invite = await own.front.admin.create_invite(acts(hana), ServerRole.MEMBER, 1, 0, "")
    results = await outcomes(*(own.front.accounts.register(f"mina{n}", PASSWORD, code) for n in range(6)))
    assert len(won(results)) == 1
    assert sum(isinstance(result, CodeInvalid) for result in results) == 5
    page, _ = await own.front.admin.invites(0, "")
    assert next(one.uses for one in page if one.invite_id == invite.invite_id) == 1


async def test_an_invite_is_good_as_often_as_it_says(own: Parts) -> None:
    hana = await owner(own)
    code, _ = await own.front.admin.create_invite(acts(hana), ServerRole.ADMIN, 3, 0, "friends")
    results = await outcomes(*(own.front.accounts.register(f"mina{n}", PASSWORD, code) for n in range(5)))
    assert [one.user.role for one in won(results)] == [ServerRole.ADMIN] * 3


async def test_of_two_who_want_one_handle_at_the_same_instant_one_gets_it(own: Parts) -> None:
    hana = await owner(own)
    code, invite = await own.front.admin.create_invite(acts(hana), ServerRole.MEMBER, 9, 0, "")
    wishes = ["Straße", "STRASSE", "strasse", "straße"]
    results = await outcomes(*(own.front.accounts.register(wish, PASSWORD, code) for wish in wishes))
    assert len(won(results)) == 1
    assert sum(isinstance(result, HandleTaken) for result in results) == 3
    page, _ = await own.front.admin.invites(0, "")
    assert next(one.uses for one in page if one.invite_id == invite.invite_id) == 1, "a refusal uses nothing"


async def test_a_look_alike_of_somebody_is_taken(opened: Parts) -> None:
    register = opened.front.accounts.register
    await register("Pay", PASSWORD, "")
    with refused(HandleTaken):
        await register("рау", PASSWORD, "")
    guest = await opened.agent.sign_in_guest("рау", "")
    assert guest.user.handle != "рау"
    with refused(HandleTaken):
        await opened.agent.set_handle(guest.user.user_id, "рау")
    assert (await register("Сара", PASSWORD, "")).user.handle == "Сара"


@pytest.mark.parametrize("spoil", [lambda c: c[:-1], lambda c: c + "a", lambda c: "a" * 32, lambda c: "x" * 10_000])
async def test_codes_that_are_none(own: Parts, spoil: Callable[[str], str]) -> None:
    hana = await owner(own)
    code, _ = await own.front.admin.create_invite(acts(hana), ServerRole.MEMBER, 1, 0, "")
    with refused(CodeInvalid):
        await own.front.accounts.register("mina", PASSWORD, spoil(code))
    with refused(CodeInvalid):
        await own.front.accounts.redeem_reset(spoil(code), PASSWORD, "")


async def test_codes_that_were_good_once_and_codes_for_something_else(own: Parts) -> None:
    hana = await owner(own)
    mina = await person(own, hana, "mina")
    admin = own.front.admin
    expired, _ = await admin.create_invite(acts(hana), ServerRole.MEMBER, 1, 60, "")
    revoked, invite = await admin.create_invite(acts(hana), ServerRole.MEMBER, 1, 0, "")
    good, _ = await admin.create_invite(acts(hana), ServerRole.MEMBER, 1, 0, "")
    for _ in range(2):
        await admin.revoke_invite(acts(hana), invite.invite_id)
    reset, _ = await admin.create_reset(acts(hana), mina.user.user_id)
    own.clock.pass_seconds(60)
    for code in (expired, revoked, reset):
        with refused(CodeInvalid):
            await own.front.accounts.register("nari", PASSWORD, code)
    with refused(CodeInvalid):
        await own.front.accounts.redeem_reset(good, OTHER, "")
    await own.front.accounts.register("nari", PASSWORD, good)


@pytest.mark.parametrize(
    ("handle", "password", "display", "kind"),
    [
        ("mi na", PASSWORD, "", NameNotAllowed),
        ("x" * 1_000_000, PASSWORD, "", NameNotAllowed),
        ("minа", PASSWORD, "", NameNotAllowed),
        ("mina", "short", "", PasswordNotAllowed),
        ("mina-the-great", "Mina-The-Great", "", PasswordNotAllowed),
        ("mina", PASSWORD, "a\nb", TextNotAllowed),
    ],
)
async def test_a_refusal_leaves_nothing(
    opened: Parts, handle: str, password: str, display: str, kind: type[MadangError]
) -> None:
    with refused(kind):
        await opened.front.accounts.register(handle, password, "", display)
    assert await opened.store.read(accounts.users_page, 0, 9) == []
    assert await events(opened) == []


async def test_signing_in_with_a_password(own: Parts) -> None:
    hana = await owner(own)
    mina = await own.agent.sign_in_password("HANA", PASSWORD, "phone", "10.0.0.7")
    assert mina.user == hana.user
    assert (mina.session.device, mina.session.address, mina.session.role) == ("phone", "10.0.0.7", ServerRole.OWNER)
    assert own.agent.known(mina.token) == mina.session


async def test_what_is_wrong_is_not_said_and_every_try_is_recorded(own: Parts) -> None:
    hana = await owner(own)
    guest = await own.agent.sign_in_guest("guest", "")
    for handle, password in (("hana", OTHER), ("nobody", PASSWORD), ("guest", ""), ("x" * 5000, "y\x00"), ("hana", "")):
        with refused(CredentialsWrong) as _:
            await own.agent.sign_in_password(handle, password, "", "10.6.6.6")
    failed = await events(own, "session.sign_in_failed")
    assert [event.details["handle"] for event in failed] == ["hana", "nobody", "guest", "x" * 32, "hana"]
    assert [event.user_id for event in failed] == [hana.user.user_id, 0, 0, 0, hana.user.user_id]
    assert {event.address for event in failed} == {"10.6.6.6"}
    assert guest.user.user_id


async def test_an_unknown_name_costs_as_much_as_a_known_one(own: Parts, monkeypatch: pytest.MonkeyPatch) -> None:
    """Counted, not timed: how often a password is held against a hash, and what that costs."""
    await owner(own)
    await own.agent.sign_in_guest("guest", "")
    verified: list[str] = []
    hasher = own.front.passwords._hasher

    class Counting:
        def verify(self, password_hash: str, password: str) -> bool:
            verified.append(password_hash.rsplit("$", 2)[0])
            return hasher.verify(password_hash, password)

    monkeypatch.setattr(own.front.passwords, "_hasher", Counting())
    for handle in ("hana", "nobody", "guest"):
        with refused(CredentialsWrong):
            await own.agent.sign_in_password(handle, OTHER, "", "")
    assert verified == ["$argon2id$v=19$m=8,t=1,p=1"] * 3


async def test_passwords_and_codes_are_nowhere_in_the_store(tmp_path: Path) -> None:
    async with parts(tmp_path) as own:
        hana = await owner(own)
        invite, _ = await own.front.admin.create_invite(acts(hana), ServerRole.MEMBER, 1, 0, "")
        mina = await person(own, hana, "mina")
        reset, _ = await own.front.admin.create_reset(acts(hana), mina.user.user_id)
        with refused(CredentialsWrong):
            await own.agent.sign_in_password("mina", OTHER, "", "")
    kept = b"".join((tmp_path / name).read_bytes() for name in names(tmp_path))
    assert b"argon2id" in kept
    for secret in (PASSWORD, OTHER, invite, reset, hana.token, mina.token):
        assert secret.encode() not in kept


async def test_a_new_cost_is_paid_at_the_next_sign_in(where: Where) -> None:
    async with parts(where) as own:
        await owner(own)
    dearer = Entrance(cost=Cost(2, 16, 1))
    async with parts(where, entrance=dearer) as own:
        for _ in range(2):
            await own.agent.sign_in_password("hana", PASSWORD, "", "")
            found = await own.store.read(accounts.credential_by_handle, "hana")
            assert found is not None
            assert found.password_hash is not None
            assert found.password_hash.startswith("$argon2id$v=19$m=16,t=2,p=1$")


async def test_changing_the_password_ends_the_other_sessions(own: Parts) -> None:
    hana = await owner(own)
    mina = await person(own, hana, "mina")
    other = await own.agent.sign_in_password("mina", PASSWORD, "", "")
    ended: list[SessionEnded] = []
    own.bus.subscribe(SessionEnded, ended.append)
    with refused(CredentialsWrong):
        await own.front.accounts.change_password(acts(mina), OTHER, OTHER)
    with refused(PasswordNotAllowed):
        await own.front.accounts.change_password(acts(mina), PASSWORD, "short")
    assert not ended
    await own.front.accounts.change_password(acts(mina), PASSWORD, OTHER)
    assert [event.session_id for event in ended] == [other.session.session_id]
    assert own.agent.known(other.token) is None
    with refused(SessionRevoked):
        await own.agent.authenticate(other.token)
    assert await own.agent.authenticate(mina.token)
    with refused(CredentialsWrong):
        await own.agent.sign_in_password("mina", PASSWORD, "", "")
    await own.agent.sign_in_password("mina", OTHER, "", "")
    assert len(await events(own, "session.sign_in_failed")) == 2


async def test_a_sign_in_that_began_before_the_password_changed_does_not_get_in(own: Parts) -> None:
    hana = await owner(own)
    proof = await own.front.credentials.prove("hana", PASSWORD, "")
    await own.front.accounts.change_password(acts(hana), PASSWORD, OTHER)
    from madang.services.agent import _sign_in

    with refused(CredentialsWrong):
        await own.store.write(_sign_in, None, proof, b"d" * 32, "", "")


async def test_a_reset_is_good_once_and_ends_every_session(own: Parts) -> None:
    hana = await owner(own)
    mina = await person(own, hana, "mina")
    older, _ = await own.front.admin.create_reset(acts(hana), mina.user.user_id)
    code, expires_at = await own.front.admin.create_reset(acts(hana), mina.user.user_id)
    assert expires_at == own.clock.now + DAY * 1_000_000
    redeem = own.front.accounts.redeem_reset
    with refused(CodeInvalid):
        await redeem(older, OTHER, "")
    with refused(PasswordNotAllowed):
        await redeem(code, "short", "")
    results = await outcomes(*(redeem(code, f"{OTHER} {n}", "10.0.0.3") for n in range(4)))
    assert won(results) == ["mina"]
    assert sum(isinstance(result, CodeInvalid) for result in results) == 3
    with refused(SessionRevoked):
        await own.agent.authenticate(mina.token)
    number = results.index("mina")
    await own.agent.sign_in_password("mina", f"{OTHER} {number}", "", "")
    late, _ = await own.front.admin.create_reset(acts(hana), mina.user.user_id)
    own.clock.pass_seconds(DAY)
    with refused(CodeInvalid):
        await redeem(late, OTHER, "")


async def test_the_profile(own: Parts) -> None:
    hana = await owner(own)
    told: list[UserChanged] = []
    own.bus.subscribe(UserChanged, told.append)
    update = own.front.accounts.update
    user = await update(acts(hana), "Hana2", "하나", "at lunch")
    assert (user.handle, user.display_name, user.status_text) == ("Hana2", "하나", "at lunch")
    assert await update(acts(hana), None, None, None) == user
    cleared = await update(acts(hana), None, "", None)
    assert (cleared.display_name, cleared.status_text) == ("", "at lunch")
    assert [event.user for event in told] == [user, cleared]
    with refused(TextNotAllowed):
        await update(acts(hana), "hana3", None, "x" * 129)
    assert await own.agent.user(hana.user.user_id) == cleared
    changes = await events(own, "user.update")
    assert [event.details.get("former_handle") for event in changes] == ["hana", None]
    assert "lunch" not in str(changes)


async def test_guests_stay_out_when_they_are_switched_off(where: Where) -> None:
    async with parts(where) as own:
        guest = await own.agent.sign_in_guest("mina", "")
    async with parts(where, entrance=Entrance(guests=False, cost=CHEAP)) as own:
        with refused(GuestsNotAllowed):
            await own.agent.sign_in_guest("nari", "")
        with refused(GuestsNotAllowed):
            await own.agent.sign_in_token(guest.token)
        await own.agent.sign_in_guest("classic", "", UserKind.CLASSIC)
        await owner(own)


async def test_few_passwords_are_hashed_at_once_and_a_flood_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passwords_module, "MAX_WAITING", 3)
    passwords = Passwords(CHEAP)
    results = await outcomes(*(passwords.hash(f"{PASSWORD} {n}") for n in range(20)))
    assert sum(isinstance(result, Overloaded) for result in results) == 15
    assert len(won(results)) == 5
    assert (await passwords.verify(won(results)[0], f"{PASSWORD} 0")).right


async def test_a_caller_that_goes_away_does_not_make_room_before_its_hash_is_done() -> None:
    passwords = Passwords(Cost(1, 32 * 1024, 1))
    gone = [asyncio.create_task(passwords.hash(PASSWORD)) for _ in range(2)]
    await asyncio.sleep(0)
    for task in gone:
        task.cancel()
    await asyncio.wait(gone)
    assert passwords._free.locked()
    assert (await passwords.verify(await passwords.hash(PASSWORD), PASSWORD)).right


async def test_a_ban_that_comes_while_a_password_is_verified_is_not_outrun(own: Parts) -> None:
    hana = await owner(own)
    mina = await person(own, hana, "mina")
    async with held(own.store):
        banning = asyncio.create_task(own.front.admin.ban(acts(hana), mina.user.user_id, "noise", None))
        await asyncio.sleep(0)
        signing = asyncio.create_task(own.agent.sign_in_password("mina", PASSWORD, "", ""))
        proof = await own.front.credentials.prove("mina", PASSWORD, "")
        assert proof.user.user_id == mina.user.user_id
    await banning
    with refused(AccountBanned, cause="noise"):
        await signing


async def test_bots_are_bounded(own: Parts, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(own.front.bots, "_limits", Limits(bots_per_person=2))
    hana = await owner(own)
    results = await outcomes(*(own.front.bots.create(acts(hana), f"bot{n}", "") for n in range(4)))
    assert len(won(results)) == 2
    assert sum(isinstance(result, LimitReached) for result in results) == 2
