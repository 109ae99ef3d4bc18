"""Accounts from the command line: prompts in a real terminal, everything else as a shell runs it."""

from __future__ import annotations

import json
import stat
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest
from certs import self_signed

from madang.terminal.trust import remember_trust

from .conftest import PASSWORD, Person, ServerProcess

Maker = Callable[[str], Person]
ENTER, CTRL_C, CTRL_D = "\r", "\x03", "\x04"
OTHER = "quite another password"


@pytest.fixture
def handle() -> str:
    """A handle that no other test uses."""
    return f"u{uuid.uuid4().hex[:10]}"


def nobody(server: ServerProcess, tmp_path: Path, handle: str) -> Person:
    """Somebody at a computer where nobody has signed in yet, who gives no name."""
    person = Person(handle, tmp_path / "state", server.target)
    del person.environment["MADANG_NAME"]
    return person


def test_how_a_server_is_trusted_is_remembered(tmp_path: Path, handle: str) -> None:
    pair = self_signed(tmp_path / "tls")
    server = ServerProcess(tmp_path / "data", more=("--tls-cert", str(pair.cert), "--tls-key", str(pair.key)))
    server.start()
    try:
        mina = Person(handle, tmp_path / "state", server.target)
        (tmp_path / "tls" / "copy.pem").write_bytes(pair.cert.read_bytes())
        for trust in (("--tls-pin", pair.fingerprint), ("--tls-ca", str(tmp_path / "tls" / "copy.pem"))):
            done = mina.run(
                "signin" if mina.folder.exists() else "register", "--password-file", "-", *trust, stdin=PASSWORD
            )
            assert done.code == 0, done.err
            assert mina.run("send", "lobby", f"known by {trust[0]}").code == 0
        assert stat.S_IMODE((mina.folder.parent / ".tls").stat().st_mode) == 0o600
        refused = mina.run("send", "lobby", "to somebody else", "--tls-pin", "0" * 64)
        assert (refused.code, "another certificate" in refused.err) == (1, True), "what is said this time counts"
    finally:
        server.kill()


def test_nobody_is_told_to_go_without_the_tls_that_was_there(
    server: ServerProcess, tmp_path: Path, handle: str
) -> None:
    """Whoever is in between can answer in plain text, too."""
    send = "send", "lobby", "hello"
    mina = Person(handle, tmp_path, server.target)
    told = mina.run(*send, "--tls")
    assert (told.code, "it does not speak TLS: --no-tls talks to it" in told.err) == (3, True)
    remember_trust(tmp_path, server.target, True)
    for arguments in (send, (*send, "--tls"), ("send", "--ephemeral", "lobby", "hello")):
        told = mina.run(*arguments)
        assert (told.code, "does not speak TLS now, as it did when" in told.err) == (3, True), told.err
        assert "--no-tls" not in told.err


# In a terminal


def test_register_asks_without_an_echo(server: ServerProcess, tmp_path: Path, handle: str) -> None:
    person = nobody(server, tmp_path, handle)
    with person.terminal("register", "--handle", handle) as window:
        window.sees(f"A password for {handle}:")
        window.type(f"{PASSWORD}{ENTER}")
        window.sees("The same once more:")
        window.type(f"{OTHER}{ENTER}")
        window.sees("These two are not the same.")
        window.waits(lambda: window.count(f"A password for {handle}:") == 2, "it is asked again")
        window.type(f"{PASSWORD}{ENTER}")
        window.waits(lambda: window.count("The same once more:") == 2, "twice")
        window.type(f"{PASSWORD}{ENTER}")
        window.sees(f"You are {handle} at {server.target}")
        assert window.leaves() == 0
        assert PASSWORD not in window.text
        assert OTHER not in window.text
    assert json.loads(person.run("send", "lobby", "hello", "--json").out)["author"] == handle, "who signed in last"
    for path in tmp_path.rglob("*"):
        if path.is_file():
            assert PASSWORD.encode() not in path.read_bytes()


def test_signin_asks_without_an_echo(person: Maker, handle: str) -> None:
    someone = person(handle)
    with someone.terminal("signin") as window:
        window.sees(f"The password of {handle}:")
        window.type(f"{OTHER}{ENTER}")
        window.sees("madang: the handle or the password is wrong")
        assert window.leaves() == 4
        assert OTHER not in window.text
    assert someone.run("send", "lobby", "still signed in").code == 0
    with someone.terminal("signin") as window:
        window.sees(f"The password of {handle}:")
        window.type(CTRL_C)
        assert window.leaves() == 130
    with someone.terminal("signin") as window:
        window.sees(f"The password of {handle}:")
        window.type(CTRL_D)
        window.sees("madang: no password was given")
        assert window.leaves() == 2


def test_register_in_the_console(server: ServerProcess, tmp_path: Path, handle: str) -> None:
    guest = Person("passing-by", tmp_path / "state", server.target)
    with guest.console() as window:
        window.type(f"/register {handle}{ENTER}")
        window.sees(f"A password for {handle}:")
        window.type(f"{PASSWORD}{ENTER}")
        window.sees("The same once more:")
        window.type(f"{PASSWORD}{ENTER}")
        window.sees(f"You are {handle}.", "#lobby>", "connected")
        window.type(f"it is me{ENTER}")
        window.sees(f"{handle} ✓ it is me")
        window.type(f"/quit{ENTER}")
        assert window.leaves() == 0
        assert PASSWORD not in window.text


def test_signin_in_the_console(server: ServerProcess, tmp_path: Path, handle: str) -> None:
    Person(handle, tmp_path / "elsewhere", server.target).has_account()
    guest = Person("passing-by", tmp_path / "state", server.target)
    with guest.console() as window:
        window.type(f"/signin {handle} {PASSWORD}{ENTER}")
        window.sees("write /signin HANDLE alone")
        window.type(f"/signin {handle}{ENTER}")
        window.sees(f"The password of {handle}:")
        window.type(f"{OTHER}{ENTER}")
        window.sees("the handle or the password is wrong", "You are passing-by", "#lobby>", "connected")
        window.type(f"still a guest{ENTER}")
        window.sees("✓ still a guest")
        window.type(f"/signin {handle}{ENTER}")
        window.waits(lambda: window.count(f"The password of {handle}:") == 2, "it is asked again")
        window.type(f"{PASSWORD}{ENTER}")
        window.sees(f"You are {handle}.")
        window.type(f"it is me{ENTER}")
        window.sees(f"{handle} ✓ it is me")
        assert OTHER not in window.text
    done = guest.run("console", stdin="/signin mina\n")
    assert "a password is asked for at a terminal only" in done.out


# From a file


def test_the_password_is_no_argument(person: Maker, handle: str) -> None:
    for command in (["signin", "--password", PASSWORD], ["register", handle, PASSWORD], ["passwd", PASSWORD]):
        done = person("mina").run(*command)
        assert done.code == 2
        assert done.err.count("\n") == 1
    asked = person("mina").run("signin", "--password", PASSWORD)
    assert PASSWORD not in asked.err
    assert "--password-file" in asked.err


def test_without_a_terminal_it_takes_a_file(server: ServerProcess, tmp_path: Path, handle: str) -> None:
    someone = Person(handle, tmp_path / "state", server.target)
    done = someone.run("register")
    assert done.code == 2
    assert "--password-file" in done.err
    file = tmp_path / "password"
    file.write_text(f"{PASSWORD}\n")
    done = someone.run("register", "--password-file", str(file), "--json", "--display-name", "Some One")
    record = json.loads(done.out)
    assert (record["handle"], record["kind"], record["role"]) == (handle, "person", "member")
    assert record["display_name"] == "Some One"
    again = someone.run("register", "--password-file", str(file))
    assert (again.code, again.err) == (7, f"madang: the handle '{handle}' is taken\n")
    assert someone.run("send", "lobby", "as before").code == 0
    assert someone.run("signin", "--password-file", str(tmp_path / "none")).code == 1
    (tmp_path / "empty").touch()
    assert someone.run("signin", "--password-file", str(tmp_path / "empty")).code == 2
    short = Person(f"{handle}2", tmp_path / "state", server.target)
    refused = short.run("register", "--password-file", "-", stdin="short")
    assert refused.code == 7
    assert "is not 10 to 256 characters long" in refused.err
    assert not (short.folder / "credentials.json").exists()


def test_signout(person: Maker, handle: str) -> None:
    someone = person(handle)
    assert someone.run("signout").out == f"{handle} is signed out at {someone.target}.\n"
    assert someone.run("signout").code == 4
    assert not (someone.folder / "credentials.json").exists()


def test_a_session_that_was_ended_elsewhere_makes_no_guest_of_a_person(person: Maker, handle: str) -> None:
    someone = person(handle)
    other = Person(handle, someone.folder.parent.parent / "other", someone.target)
    assert other.run("signin", "--password-file", "-", stdin=PASSWORD).code == 0
    assert other.run("sessions", "revoke", "all").out == "1 session was ended.\n"
    for command in (["send", "lobby", "hi"], ["console"]):
        done = someone.run(*command)
        assert done.code == 4
        assert done.err.endswith(f"sign in again: madang signin --handle {handle}\n")
    assert someone.run("signout").code == 0


def test_a_console_of_that_name_is_open(person: Maker, handle: str) -> None:
    someone = person(handle)
    with someone.console():
        for command in (["signin", "--password-file", "-"], ["signout"]):
            done = someone.run(*command, stdin=PASSWORD)
            assert (done.code, done.err) == (1, f"madang: a console of {handle} is open; leave it first\n")
        assert len(someone.run("sessions", "--json").lines) == 1, "the session that was begun for it has ended"


def test_passwd(person: Maker, handle: str) -> None:
    someone = person(handle)
    wrong = someone.run("passwd", "--password-file", "-", stdin=f"{OTHER}\n{OTHER}\n")
    assert wrong.code == 4
    assert someone.run("passwd", "--password-file", "-", stdin=PASSWORD).code == 2
    assert someone.run("passwd", "--password-file", "-", stdin=f"{PASSWORD}\n{OTHER}\n").code == 0
    assert someone.run("signin", "--password-file", "-", stdin=PASSWORD).code == 4
    assert someone.run("signin", "--password-file", "-", stdin=OTHER).code == 0


def test_sessions(person: Maker, handle: str) -> None:
    someone = person(handle)
    other = Person(handle, someone.folder.parent.parent / "other", someone.target)
    other.run("signin", "--password-file", "-", stdin=PASSWORD)
    records = [json.loads(line) for line in someone.run("sessions", "--json").lines]
    assert [record["current"] for record in records] == [False, True]
    assert records[0]["device"].startswith("madang on ")
    assert records[0]["address"] == "127.0.0.1"
    listed = someone.run("sessions").lines
    assert listed[1].endswith("this one")
    assert someone.run("sessions", "revoke", str(records[0]["session_id"])).code == 0
    assert other.run("send", "lobby", "hi").code == 4
    assert someone.run("sessions", "revoke", "999999").code == 6
    assert someone.run("sessions", "revoke", "some").code == 2


def test_export(person: Maker, handle: str, tmp_path: Path) -> None:
    someone = person(handle)
    someone.run("send", "lobby", "remember this")
    file = tmp_path / "me.jsonl"
    assert someone.run("export", str(file)).code == 0
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert "remember this" in file.read_text()
    assert someone.run("export", "-").out != ""
    again = someone.run("export", str(file))
    assert again.code == 1
    assert again.err == f"madang: {file}: file exists\n"


def test_delete_account(person: Maker, handle: str) -> None:
    someone = person(handle)
    assert someone.run("delete-account").code == 2
    with someone.terminal("delete-account", "--messages", "erase") as window:
        window.sees(f"The password of {handle}:")
        window.type(f"{PASSWORD}{ENTER}")
        window.sees("This cannot be undone.")
        window.type(f"no{ENTER}")
        window.sees("madang: nothing w")
        assert window.leaves() == 1
    wrong = someone.run("delete-account", "--messages", "erase", "--yes", "--password-file", "-", stdin=OTHER)
    assert wrong.code == 4
    assert someone.run("send", "lobby", "still here").code == 0
    done = someone.run("delete-account", "--messages", "anonymize", "--yes", "--password-file", "-", stdin=PASSWORD)
    assert (done.code, done.err) == (0, "")
    assert not (someone.folder / "credentials.json").exists()
    assert someone.run("signin", "--password-file", "-", stdin=PASSWORD).code == 4


# Bots


def test_bots_and_their_tokens(person: Maker, handle: str, tmp_path: Path) -> None:
    someone, bot = person(handle), f"{handle}-bot"
    made = json.loads(someone.run("bot", "create", bot, "--display-name", "A bot", "--json").out)
    assert (made["kind"], made["display_name"]) == ("bot", "A bot")
    assert bot in someone.run("bot", "list").out
    done = someone.run("bot", "token", bot, "--scopes", "send,read", "--note", "cellar", "--expires", "30d")
    [token] = done.lines
    machine = Person("nobody-in-particular", tmp_path / "state", someone.target)
    sent = machine.run("send", "lobby", "beep", "--json", MADANG_TOKEN=token)
    assert json.loads(sent.out)["author"] == bot
    assert not (tmp_path / "state").exists(), "a token of the environment is kept nowhere"
    piped = machine.run("console", stdin="boop\n", MADANG_TOKEN=token)
    assert f"{bot} ✓ boop" in piped.out
    refused = machine.run("bot", "list", MADANG_TOKEN=token)
    assert refused.code == 5
    assert "call" not in refused.err
    [session] = [json.loads(line) for line in someone.run("sessions", "--of", bot, "--json").lines]
    assert (session["device"], session["scopes"]) == ("cellar", ["send", "read"])
    assert someone.run("sessions", "revoke", str(session["session_id"])).code == 0
    ended = machine.run("send", "lobby", "beep", MADANG_TOKEN=token)
    assert ended.code == 4
    assert ended.err.startswith("madang: the token in MADANG_TOKEN is not good: ")
    assert token not in ended.err
    assert someone.run("bot", "token", bot, "--scopes", "everything").code == 2
    assert someone.run("bot", "delete", bot).code == 0
    assert someone.run("bot", "list").out == ""


# The administrator


def test_administration(own_server: ServerProcess, tmp_path: Path) -> None:
    invite = own_server.first_invite()
    root = Person("root", tmp_path / "state", own_server.target)
    done = root.run("register", "--invite", invite, "--password-file", "-", stdin=PASSWORD)
    assert done.code == 0, done.err
    code, *how = root.run("admin", "invite", "--uses", "1", "--expires", "2h", "--note", "for mina").lines
    assert f"madang register --server {own_server.target} --invite {code}" in how[-1]
    mina = Person("mina", tmp_path / "state", own_server.target)
    assert mina.run("register", "--invite", code, "--password-file", "-", stdin=PASSWORD).code == 0
    joon = Person("joon", tmp_path / "state", own_server.target)
    used = joon.run("register", "--invite", code, "--password-file", "-", stdin=PASSWORD)
    assert (used.code, used.err) == (5, "madang: the code is not good, or not any more; ask for a new one\n")
    listed = [json.loads(line) for line in root.run("admin", "invites", "--json").lines]
    assert (listed[0]["note"], listed[0]["uses"]) == ("for mina", 1)
    assert "1 of 1 used" in root.run("admin", "invites").out
    assert root.run("admin", "revoke-invite", str(listed[0]["invite_id"])).code == 0
    assert root.run("admin", "revoke-invite", "9999").code == 6
    refused = mina.run("admin", "invites")
    assert (refused.code, refused.err) == (5, "madang: only administrators may do that\n")
    assert root.run("admin", "promote", "mina", "admin").out == "mina is an admin now.\n"
    assert mina.run("admin", "invites").code == 0
    last = root.run("admin", "promote", "root", "member")
    assert last.code == 7
    assert "needs an owner" in last.err
    assert root.run("admin", "promote", "nobody-here", "admin").code == 6
    assert root.run("admin", "promote", "mina", "king").code == 2


def test_administration_of_people(own_server: ServerProcess, tmp_path: Path) -> None:
    root = Person("root", tmp_path / "state", own_server.target).has_account(own_server.first_invite())
    mina = Person("mina", tmp_path / "state", own_server.target).has_account()
    [session] = [json.loads(line) for line in root.run("admin", "sessions", "mina", "--json").lines]
    assert root.run("admin", "revoke", str(session["session_id"])).code == 0
    assert mina.run("send", "lobby", "hi").code == 4
    code = root.run("admin", "reset-password", "mina").lines[0]
    reset = mina.run("passwd", "--reset-code", code, "--password-file", "-", stdin=OTHER)
    assert reset.out == "The password of mina is set. Sign in with it: madang signin --handle mina\n"
    assert mina.run("passwd", "--reset-code", code, "--password-file", "-", stdin=PASSWORD).code == 5
    assert mina.run("signin", "--password-file", "-", stdin=OTHER).code == 0
    banned = root.run("admin", "ban", "mina", "--for", "7d", "--reason", "spam")
    assert banned.out == "mina is banned from the server for 7 days.\n"
    assert "member, banned" in root.run("admin", "users").out
    shut = mina.run("signin", "--password-file", "-", stdin=OTHER)
    assert shut.code == 5
    assert shut.err.startswith("madang: this account is banned from the server until 20")
    assert shut.err.endswith(": spam\n")
    assert root.run("admin", "unban", "mina").code == 0
    assert mina.run("signin", "--password-file", "-", stdin=OTHER).code == 0
    root.run("bot", "create", "weather")
    assert root.run("admin", "bot-limits", "weather", "100", "500").code == 0
    events = [json.loads(line) for line in root.run("admin", "audit", "--user", "mina", "--json").lines]
    actions = [event["action"] for event in events]
    assert actions.index("user.unban") < actions.index("user.ban")
    assert events[actions.index("user.ban")]["actor"] == "root"
    assert events[actions.index("user.ban")]["details"]["reason"] == "spam"
    [line] = root.run("admin", "audit", "--action", "user.ban").lines
    assert "root" in line
    assert "mina" in line
    everything = root.run("admin", "audit", "--all").out
    for secret in (PASSWORD, OTHER, code):
        assert secret not in everything
    assert len(root.run("admin", "audit", "--limit", "2").lines) == 2


def test_the_audit_log_is_followed(own_server: ServerProcess, tmp_path: Path) -> None:
    root = Person("root", tmp_path / "state", own_server.target).has_account(own_server.first_invite())
    arguments = ("admin", "audit", "--action", "invite.", "--json", "--follow")
    with root.start(*arguments) as following:
        seen = [json.loads(following.read_line())["action"] for _ in range(2)]
        assert seen == ["invite.create", "invite.use"], "what there was, oldest first"
        for note in ("first", "second"):
            made = json.loads(root.run("admin", "invite", "--json").out)
            event = json.loads(following.read_line())
            assert (event["action"], event["details"]["invite"]) == ("invite.create", str(made["invite_id"])), note
        own_server.kill()
        own_server.start()
        root.run("admin", "revoke-invite", str(made["invite_id"]))
        assert json.loads(following.read_line())["action"] == "invite.revoke"
        assert following.end_unread().code == 0


def test_reports(own_server: ServerProcess, tmp_path: Path) -> None:
    root = Person("root", tmp_path / "state", own_server.target).has_account(own_server.first_invite())
    mina = Person("mina", tmp_path / "state", own_server.target).has_account()
    joon = Person("joon", tmp_path / "state", own_server.target).has_account()
    joon.run("send", "lobby", "something nasty")
    done = mina.run("console", stdin="/report joon it is nasty\n")
    assert "is reported" in done.out
    [report] = [json.loads(line) for line in root.run("admin", "reports", "--json").lines]
    assert (report["text"], report["reason"]) == ("something nasty", "it is nasty")
    assert "by joon" in root.run("admin", "reports").out
    assert root.run("admin", "resolve", str(report["report_id"])).code == 0
    assert root.run("admin", "reports").out == ""
    assert len(root.run("admin", "reports", "--all").lines) == 1
