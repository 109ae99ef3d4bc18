"""The access log: a line for each call, with facts alone."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from madang.node.embed import Server
from madang.rpc.access_log import numbers_of
from madang.v1 import agent_service_pb2, channel_service_pb2, lobby_service_pb2

from .calls import Caller, connect, sign_in


def facts(caplog: pytest.LogCaptureFixture, method: str) -> list[dict[str, Any]]:
    """What was logged of the calls of a method, but for how long they took."""
    found = [vars(record)["facts"] for record in caplog.records if record.name == "madang.access"]
    assert all(each["seconds"] >= 0 for each in found)
    return [
        {name: value for name, value in each.items() if name not in ("seconds", "session_id")}
        for each in found
        if each["method"].endswith(f"/{method}")
    ]


async def test_every_call_is_logged_when_it_ends(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "madang.access")
    async with Server(access_log=True) as server, connect(server.target) as channel:
        mina = await sign_in(channel, "mina")
        sent = {"method": "ChannelService/Send", "user_id": mina.user_id, "address": "127.0.0.1"}
        await mina.say(1, "not for the log")
        await mina.refused("Send", channel_id=77, text="nor this")
        await Caller(channel, "madang_" + "A" * 43).refused("Send", channel_id=1, text="nor this")
        live = await mina.subscribe()
        assert facts(caplog, "Subscribe") == [], "a stream is logged at its end"
        await mina.call("SignOut")
        await live.stream.ending()
    assert facts(caplog, "SignIn") == [{"method": "AgentService/SignIn", "status": "OK", "address": "127.0.0.1"}]
    assert facts(caplog, "Send") == [
        sent | {"status": "OK", "request": {"channel_id": 1}},
        sent | {"status": "NOT_FOUND", "reason": "CHANNEL_NOT_FOUND", "request": {"channel_id": 77}},
        {
            "method": "ChannelService/Send",
            "status": "UNAUTHENTICATED",
            "reason": "TOKEN_INVALID",
            "address": "127.0.0.1",
        },
    ]
    (ended,) = facts(caplog, "Subscribe")
    assert (ended["status"], ended["reason"]) == ("UNAUTHENTICATED", "SESSION_REVOKED")
    assert "for the log" not in caplog.text
    assert "mina" not in caplog.text


async def test_it_is_off_by_default(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "madang.access")
    async with Server() as server, connect(server.target) as channel:
        await sign_in(channel, "mina")
    assert [record for record in caplog.records if record.name == "madang.access"] == []


def test_numbers_and_switches_alone() -> None:
    listing = lobby_service_pb2.ListChannelsRequest(page_size=7, page_token="word", joined_only=True)  # noqa: S106
    assert numbers_of(listing) == {"page_size": 7, "joined_only": True}
    update = lobby_service_pb2.UpdateChannelRequest(channel_id=3, topic="words", read_only=False)
    assert numbers_of(update) == {"channel_id": 3, "read_only": False}, "what is set, and to what"
    credential = agent_service_pb2.PasswordCredential(handle="mina", password="secret")  # noqa: S106
    assert numbers_of(agent_service_pb2.SignInRequest(password=credential, device="word")) == {}
    assert numbers_of(channel_service_pb2.PostRequest()) == {}
    assert numbers_of(object()) == {}
