"""Talking alone, and keeping order, in the console."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Callable

import pytest

from .conftest import Person

Maker = Callable[[str], Person]
ENTER = "\r"


@pytest.fixture
def channel() -> str:
    """A name for a channel that no other test uses."""
    return f"room-{uuid.uuid4().hex[:8]}"


@pytest.fixture
def names() -> tuple[str, str]:
    """Handles that no other test uses."""
    mark = uuid.uuid4().hex[:6]
    return f"mina{mark}", f"joon{mark}"


def said(out: str) -> list[str]:
    """What a console printed, without the times."""
    return [re.sub(r"^\d\d:\d\d ", "", line) for line in out.splitlines()]


def test_direct_messages(person: Maker, names: tuple[str, str]) -> None:
    mina_name, joon_name = names
    with person(mina_name).console() as mina, person(joon_name).console() as joon:
        mina.type(f"/msg {joon_name} psst{ENTER}")
        mina.sees(f"@{joon_name} {mina_name} ✓ psst", "#lobby>")
        joon.sees(f"@{mina_name} {mina_name}: psst", f"@{mina_name} 1 new")
        joon.type(f"/switch @{mina_name}{ENTER}")
        joon.sees(f"— @{mina_name} —", f"@{mina_name}>")
        joon.type(f"what is it?{ENTER}")
        mina.sees(f"@{joon_name} {joon_name}: what is it?")
        mina.type(f"/msg {joon_name}{ENTER}")
        mina.sees(f"— @{joon_name} —", f"@{joon_name}>")
        mina.type(f"/kick {joon_name}{ENTER}")
        mina.sees(f"! @{joon_name} is a direct channel")
    sent = person(mina_name).run("send", f"@{joon_name}", "from a script", "--json")
    assert json.loads(sent.out)["channel"] == f"@{joon_name}"
    read = person(joon_name).run("tail", f"@{mina_name}", "--no-follow", "--last", "2").lines
    assert [line.rpartition(": ")[2] for line in read] == ["what is it?", "from a script"]
    listed = person(joon_name).run("channels").out
    assert f"@{mina_name}" in listed
    assert person(mina_name).run("send", "@nobody-of-that-name", "hi").code == 6


def test_a_direct_channel_is_followed(person: Maker, names: tuple[str, str]) -> None:
    mina_name, joon_name = names
    mina, joon = person(mina_name), person(joon_name)
    mina.run("send", f"@{joon_name}", "one")
    with joon.start("tail", f"@{mina_name}", "--limit", "2") as command:
        assert command.read_line().endswith(f"{mina_name}: one")
        mina.run("send", f"@{joon_name}", "two")
        assert command.end().out.endswith(f"{mina_name}: two\n")


def test_a_private_channel(person: Maker, names: tuple[str, str], channel: str) -> None:
    mina_name, joon_name = names
    with person(mina_name).console() as mina, person(joon_name).console() as joon:
        mina.type(f"/private {channel} Secrets{ENTER}")
        mina.sees(f"— #{channel}: Secrets —", f"* {mina_name} joined")
        joon.type(f"/join {channel}{ENTER}")
        joon.sees(f"there is no channel #{channel}")
        mina.type(f"/invite {joon_name}{ENTER}")
        mina.sees(f"* {joon_name} joined", f"{joon_name} is in #{channel}.")
        joon.type(f"/switch {channel}{ENTER}")
        joon.sees(f"— #{channel}: Secrets —", f"#{channel}>")


def test_keeping_order(person: Maker, names: tuple[str, str], channel: str) -> None:
    mina_name, joon_name = names
    with person(mina_name).console() as mina, person(joon_name).console() as joon:
        mina.type(f"/make {channel}{ENTER}")
        mina.sees(f"#{channel}>")
        joon.type(f"/join {channel}{ENTER}")
        joon.sees(f"#{channel}>")
        joon.type(f"/kick {mina_name}{ENTER}")
        joon.sees("! only ")
        mina.type(f"/mute {joon_name} 5m{ENTER}")
        mina.sees(f"{joon_name} cannot write in #{channel} for 5 min.")
        joon.type(f"but I{ENTER}")
        joon.sees(f"✗ but I — a moderator has muted you in #{channel} until")
        mina.type(f"/mute {joon_name} off{ENTER}")
        mina.sees(f"{joon_name} may write in #{channel} again.")
        mina.type(f"/readonly on{ENTER}")
        joon.sees(f"* {mina_name} made the channel read-only:")
        joon.type(f"hm{ENTER}")
        joon.sees(f"✗ hm — #{channel} is read-only")
        mina.type(f"/role {joon_name} moderator{ENTER}")
        joon.sees(f"* {mina_name} made {joon_name} a moderator of the channel")
        joon.type(f"thank you{ENTER}")
        mina.sees(f"{joon_name}: thank you")
        mina.type(f"/readonly off{ENTER}/slow 30{ENTER}/guests off{ENTER}")
        joon.sees("let everyone write again", "set slow mode: 30 s between two messages", "lets guests in no more")
        mina.type(f"/slow off{ENTER}/role {joon_name} member{ENTER}")
        joon.sees("switched slow mode off", f"made {joon_name} a member without a special role")
        mina.type(f"/kick {joon_name} enough for today{ENTER}")
        joon.sees(f"You are no longer in #{channel}.", "#lobby>")
        mina.sees(f"* {mina_name} removed {joon_name}: enough for today")


def test_bans(person: Maker, names: tuple[str, str], channel: str) -> None:
    mina_name, joon_name = names
    mina, joon = person(mina_name), person(joon_name)
    out = said(mina.run("console", stdin=f"/make {channel}\n/ban {joon_name} 7d spam and more spam\n/bans\n").out)
    assert f"{joon_name} is banned from #{channel} for 7 days." in out
    [listed] = [line for line in out if line.startswith(f"  {joon_name}")]
    assert listed.endswith("spam and more spam")
    refused = joon.run("console", stdin=f"/join {channel}\n").out
    told = next(line for line in said(refused) if line.startswith(f"! you are banned from #{channel} "))
    uninvited = joon.run("console", stdin=f"/invite {mina_name} {channel}\n").out
    assert f"! you are not in #{channel}" in said(uninvited)
    assert re.search(r"until \d{4}-\d\d-\d\d \d\d:\d\d: spam and more spam$", told)
    out = said(mina.run("console", stdin=f"/join {channel}\n/unban {joon_name}\n/bans\n").out)
    assert f"{joon_name} may come to #{channel} again." in out
    assert "Nobody is banned here." in out
    assert "! you are banned" not in joon.run("console", stdin=f"/join {channel}\n").out


def test_reports(person: Maker, names: tuple[str, str]) -> None:
    mina_name, joon_name = names
    mina = person(mina_name)
    sequence = json.loads(person(joon_name).run("send", "lobby", "something nasty", "--json").out)["sequence"]
    out = said(mina.run("console", stdin=f"/report {joon_name} nasty\n/report 999999\n/report {mina_name}\n").out)
    assert f"Message {sequence} of #lobby is reported to those who keep order here." in out
    assert "! there is no message 999999 in #lobby" in out
    assert f"! {mina_name} has said nothing in #lobby lately" in out


def test_oneself(person: Maker, names: tuple[str, str]) -> None:
    mina_name, _ = names
    typed = f"/name Mina Kim\n/status in the garden\n/user {mina_name}\n/status -\n/name -\n"
    out = said(person(mina_name).run("console", stdin=typed).out)
    assert "The name beside your handle is Mina Kim now." in out
    assert "Your status is: in the garden" in out
    assert any(line.startswith(f"{mina_name} (Mina Kim): here; says: in the garden") for line in out)


@pytest.mark.parametrize(
    ("line", "hint"),
    [
        ("/role mina king", "! write /role USER, and after it owner, moderator or member"),
        ("/readonly maybe", "! write /readonly on, or /readonly off"),
        ("/slow down", "! write /slow, and after it a number of seconds, or off"),
        ("/mute mina soon", "! a time is written with its unit, as in 30s, 10m, 2h, 7d or 1w"),
        ("/kick", "! write /kick USER [REASON]: remove somebody from the channel"),
        ("/invite no-such-user", "! there is no user no-such-user"),
        ("/switch @nobody", "! you are not in @nobody; /msg nobody opens it"),
    ],
)
def test_hints(person: Maker, line: str, hint: str) -> None:
    assert hint in said(person("mina").run("console", stdin=f"{line}\n").out)


def test_a_guest_reads_why_it_may_not(guest: Maker) -> None:
    done = guest("passing-by").run("bot", "create", "mine")
    assert (done.code, done.err) == (5, "madang: only people with an account may do that\n")


def test_slow_mode_is_waited_for(person: Maker, names: tuple[str, str], channel: str) -> None:
    mina_name, joon_name = names
    mina, joon = person(mina_name), person(joon_name)
    mina.run("console", stdin=f"/make {channel}\n/slow 3\n")
    with joon.console() as window:
        window.type(f"/join {channel}{ENTER}")
        window.sees(f"#{channel}>")
        window.type(f"one{ENTER}two{ENTER}")
        window.sees(f"{joon_name} ✓ one", " s … two")
        assert window.count("waiting") == 1
        window.sees(f"{joon_name} ✓ two")
        window.sends_nothing()
        assert window.count("waiting") == 0
    piped = said(joon.run("console", stdin=f"/switch {channel}\nthree\nfour\nfive\n").out)
    assert [line for line in piped if "✓" in line][-3:] == [
        f"{joon_name} ✓ {text}" for text in ("three", "four", "five")
    ]
