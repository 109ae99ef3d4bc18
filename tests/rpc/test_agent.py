"""AgentService: the front door."""

from __future__ import annotations

from importlib.metadata import version

import pytest

from madang.node.embed import Server
from madang.v1 import agent_service_pb2 as pb
from madang.v1 import resources_pb2

from .calls import Caller

NAME_NOT_ALLOWED = ("INVALID_ARGUMENT", "NAME_NOT_ALLOWED")
BAD_NAMES = ["a b", "a\x07", "a\n", "-mina", "a/b", "a\u202e", "\u200b", " ", "a\U0001f600"]


async def test_get_server(nobody: Caller) -> None:
    facts = await nobody.call("GetServer")
    assert facts.version == version("madang")
    assert facts.store_id
    assert facts.endpoints == pb.Endpoints(), "everything is where the Agent is"
    assert await nobody.call("GetServer") == facts


async def test_sign_in_as_a_guest(nobody: Caller) -> None:
    answer = await nobody.call("SignIn", guest={"handle": "Mina"}, device="a test")
    assert answer.token.startswith("madang_")
    assert (answer.user.handle, answer.user.kind) == ("Mina", resources_pb2.USER_KIND_GUEST)
    assert answer.session.user_id == answer.user.user_id > 0
    assert answer.session.device == "a test"
    assert answer.session.expire_time.seconds - answer.session.create_time.seconds == 30 * 24 * 3600
    assert answer.store_id == (await nobody.call("GetServer")).store_id


async def test_a_handle_that_is_taken_gets_a_number(nobody: Caller, mina: Caller) -> None:
    handles = [(await nobody.call("SignIn", guest={"handle": "MINA"})).user.handle for _ in range(2)]
    assert handles == ["MINA-2", "MINA-3"]
    longest = "m" * 32
    cut = [(await nobody.call("SignIn", guest={"handle": longest})).user.handle for _ in range(2)]
    assert cut == [longest, "m" * 30 + "-2"]


async def test_a_handle_is_made_up(nobody: Caller) -> None:
    handles = {(await nobody.call("SignIn", guest={})).user.handle for _ in range(3)}
    assert len(handles) == 3
    assert all(handles)


@pytest.mark.parametrize("handle", BAD_NAMES)
async def test_handles_that_are_not_allowed(mina: Caller, handle: str) -> None:
    assert (await mina.refused("SignIn", guest={"handle": handle})).what == NAME_NOT_ALLOWED
    assert (await mina.refused("UpdateMe", handle=handle)).what == NAME_NOT_ALLOWED
    assert (await mina.call("GetMe")).user.handle == "mina"


async def test_go_on_with_a_session(mina: Caller, nobody: Caller) -> None:
    answer = await nobody.call("SignIn", token={"token": mina.token})
    me = await mina.call("GetMe")
    assert (answer.token, answer.user) == ("", me.user)
    assert answer.session.session_id == me.session.session_id


@pytest.mark.parametrize("token", ["x", "madang_" + "A" * 43, "나"])
async def test_go_on_with_a_session_that_never_was(nobody: Caller, token: str) -> None:
    refusal = await nobody.refused("SignIn", token={"token": token})
    assert refusal.what == ("UNAUTHENTICATED", "TOKEN_INVALID")


async def test_sign_in_without_a_credential(nobody: Caller) -> None:
    refusal = await nobody.refused("SignIn")
    assert refusal.what == ("INVALID_ARGUMENT", "INVALID_FIELD")
    assert refusal.field == "credential"


async def test_get_me(mina: Caller) -> None:
    me = await mina.call("GetMe")
    assert (me.user.user_id, me.user.handle, me.session.user_id) == (mina.user_id, "mina", mina.user_id)


async def test_update_me(mina: Caller, nari: Caller) -> None:
    assert (await mina.call("UpdateMe")).user.handle == "mina", "what is not set stays"
    assert (await mina.call("UpdateMe", handle="Mina")).user.handle == "Mina", "one's own handle in another case"
    assert (await mina.call("UpdateMe", handle="mina.kim")).user.handle == "mina.kim"
    assert (await nari.call("GetUser", handle="MINA.KIM")).user.user_id == mina.user_id
    assert (await nari.refused("GetUser", handle="mina")).what == ("NOT_FOUND", "USER_NOT_FOUND")


async def test_update_me_to_a_handle_of_another(mina: Caller, nari: Caller) -> None:
    refusal = await mina.refused("UpdateMe", handle="NARI")
    assert refusal.what == ("ALREADY_EXISTS", "HANDLE_TAKEN")
    assert refusal.facts["handle"] == "NARI"
    assert (await mina.call("GetMe")).user.handle == "mina"


async def test_handles_are_kept_in_normal_form(nobody: Caller) -> None:
    answer = await nobody.call("SignIn", guest={"handle": "Ame\u0301lie"})
    assert answer.user.handle == "Am\u00e9lie"
    twin = await nobody.call("SignIn", guest={"handle": "AM\u00c9LIE"})
    assert twin.user.handle == "AM\u00c9LIE-2"


async def test_sign_out_says_nothing(mina: Caller) -> None:
    assert await mina.call("SignOut") == pb.SignOutResponse()


async def test_target_of_a_server(server: Server) -> None:
    host, _, port = server.target.rpartition(":")
    assert host == "127.0.0.1"
    assert int(port) > 0
