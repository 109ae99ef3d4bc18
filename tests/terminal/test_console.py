"""The console as people use it: real terminals, real pipes, a real server."""

from __future__ import annotations

import json
import re
import signal
import sqlite3
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest

from .conftest import Person, ServerProcess, eventually

Maker = Callable[[str], Person]
ENTER = "\r"
CTRL_C, CTRL_D, TAB = "\x03", "\x04", "\t"


@pytest.fixture
def channel() -> str:
    """A name for a channel that no other test uses."""
    return f"room-{uuid.uuid4().hex[:8]}"


# In a terminal


def test_two_people_chat(person: Maker) -> None:
    with person("mina").console() as mina, person("joon").console() as joon:
        mina.type(f"hello joon{ENTER}")
        mina.sees("mina ✓ hello joon")
        joon.sees("mina: hello joon")
        joon.type(f"hello mina{ENTER}")
        joon.sees("joon ✓ hello mina")
        mina.sees("joon: hello mina")
        for window, mine in ((mina, "mina ✓ hello joon"), (joon, "joon ✓ hello mina")):
            window.sends_nothing()
            assert window.count(mine) == 1
            assert window.count("hello") == 2, "the typed line is erased when it is taken"


def test_the_start_says_where_who_and_how(person: Maker) -> None:
    with person("mina").console() as mina:
        mina.sees("You are mina.", "/help lists the commands", "#lobby>", "connected")
        assert mina.lines[-1].split("  ·  ") == ["#lobby", "mina", "connected"]


def test_an_incoming_line_does_not_tear_the_line_being_typed(person: Maker) -> None:
    with person("mina").console() as mina, person("joon").console() as joon:
        mina.type("half a sen")
        mina.sees("#lobby> half a sen")
        joon.type(f"an interruption{ENTER}")
        mina.sees("joon: an interruption", "#lobby> half a sen")
        mina.waits(lambda: mina.count("half a sen") == 1, "the line is there once")
        mina.type(f"tence{ENTER}")
        mina.sees("mina ✓ half a sentence")
        joon.sees("mina: half a sentence")


def test_a_burst_while_typing(person: Maker, channel: str) -> None:
    with person("mina").console() as mina:
        mina.type(f"/make {channel}{ENTER}")
        mina.sees(f"#{channel}>")
        mina.type("typing all the while")
        burst = "".join(f"line {n:03}\n" for n in range(300))
        assert person("joon").run("send", channel, "-", "--join", "-q", stdin=burst).code == 0
        mina.sees("joon: line 299", f"#{channel}> typing all the while")
        shown = re.findall(r"joon: line (\d+)", "\n".join(mina.lines))
        assert shown == [f"{n:03}" for n in range(300)]
        mina.type(f"!{ENTER}")
        mina.sees("mina ✓ typing all the while!")


def test_the_terminal_stays_raw_while_lines_are_printed(person: Maker, channel: str) -> None:
    """The window takes nothing for a while, so that the console has to wait in the middle of printing. Were the
    terminal out of raw mode then, as prompt_toolkit's `run_in_terminal` has it, Ctrl-C would end the console.
    """
    with person("mina").console() as mina:
        mina.type(f"/make {channel}{ENTER}")
        mina.sees(f"#{channel}>")
        burst = "".join(f"line {n} {'x' * 100}\n" for n in range(1000))
        assert person("joon").run("send", channel, "-", "--join", "-q", stdin=burst).code == 0
        eventually(lambda: mina.untaken() > 2_000, "it prints, and the window takes nothing")
        assert mina.is_raw()
        mina.type(f"never said{CTRL_C}")
        mina.type(f"said at last{ENTER}")
        mina.sees("joon: line 999", "mina ✓ said at last")
        assert "never said" not in mina.text


def test_escape_sequences_of_others_do_nothing(person: Maker) -> None:
    """The server refuses control characters; a bidirectional override is not one, and is shown as a sign."""
    with person("mina").console() as mina:
        assert person("joon").run("send", "lobby", "a\u202etxt.exe\nmina ✓ I agree").code == 0
        mina.sees("joon: a\ufffdtxt.exe")
        mina.sees("\n      mina ✓ I agree")


def test_make_join_list_switch_leave(person: Maker, channel: str) -> None:
    with person("bora").console() as bora, person("duri").console() as duri:
        bora.type(f"/make {channel} Build and release{ENTER}")
        bora.sees(f"— #{channel}: Build and release —", f"#{channel}>", "* bora joined")
        bora.type(f"first{ENTER}")
        bora.sees("bora ✓ first")
        duri.type(f"/list{ENTER}")
        duri.sees(f"#{channel}", "Build and release", "you talk here")
        duri.type(f"/join {channel}{ENTER}")
        duri.sees(f"— #{channel}: Build and release —", "bora: first", f"#{channel}>", "* duri joined")
        assert duri.count("bora: first") == 1
        assert duri.count("* duri joined") == 1
        duri.type(f"/all to the lobby{ENTER}")
        duri.sees("#lobby duri ✓ to the lobby")
        bora.sees("#lobby duri: to the lobby", "#lobby 1 new")
        bora.type(f"/switch lobby{ENTER}")
        bora.sees("#lobby>")
        duri.type(f"in the room{ENTER}")
        bora.sees(f"#{channel} duri: in the room", f"#{channel} 1 new")
        duri.type(f"/leave{ENTER}")
        duri.sees(f"You are no longer in #{channel}.", "#lobby>")
        bora.sees(f"#{channel} * duri left")


def test_people(person: Maker, channel: str) -> None:
    with person("mina").console() as mina, person("joon").console() as joon:
        joon.type(f"/away{ENTER}")
        joon.sees("The others see you as away.")
        mina.type(f"/user{ENTER}")
        mina.sees("Here now:", "mina (you)", "joon", "away")
        joon.type(f"/back{ENTER}")
        joon.sees("The others see you as here.")
        mina.type(f"/who{ENTER}")
        mina.sees("in #lobby are here:")
        new = f"june-{channel[-8:]}"
        joon.type(f"/nick {new}{ENTER}")
        joon.sees(f"You are {new} now.")
        joon.type(f"it is me{ENTER}")
        mina.sees(f"{new}: it is me")


def test_topic_and_history(person: Maker, channel: str) -> None:
    with person("mina").console() as mina:
        mina.type(f"/make {channel}{ENTER}/topic{ENTER}")
        mina.sees("has no topic; /topic TEXT sets one.")
        mina.type(f"/topic What we build{ENTER}")
        mina.sees("* mina set the topic: What we build")
        mina.type(f"/topic{ENTER}")
        mina.sees("is about: What we build")
        mina.type(f"said{ENTER}")
        mina.sees("mina ✓ said")
        mina.type(f"/history 2{ENTER}")
        mina.sees(f"— the last 2 messages of #{channel} —", "— end of the history —")
        assert mina.count("mina ✓ said") == 2


def test_hints(person: Maker) -> None:
    with person("mina").console() as mina:
        mina.type(f"/jion dev{ENTER}")
        mina.sees("Did you mean /join?")
        mina.type(f"/join no-such-room{ENTER}")
        mina.sees("there is no channel #no-such-room; /make no-such-room makes it")
        mina.type(f"/leave{ENTER}")
        mina.sees("the lobby cannot be left")
        mina.type(f"//usr/bin is a path{ENTER}")
        mina.sees("Not sent: /leave did not work, and you are in #lobby; send it again")
        mina.type(f"//usr/bin is a path{ENTER}")
        mina.sees("mina ✓ /usr/bin is a path")
        mina.type(f"/switch no-such-room{ENTER}")
        mina.waits(lambda: mina.count("there is no channel #no-such-room; /make") == 2, "it is not there to be joined")
        mina.type(f"/who garden{ENTER}")
        mina.sees("write /who: who of the current channel is here")
        mina.type(f"/?{ENTER}")
        mina.sees("What you can type:", "/history [N]")


def test_keys(person: Maker, channel: str) -> None:
    with person("mina").console() as mina:
        mina.type("/mak" + TAB)
        mina.sees("#lobby> /make")
        mina.type(f"{channel}{ENTER}")
        mina.sees(f"#{channel}>")
        mina.type("to be taken back")
        mina.sees("> to be taken back")
        mina.type(CTRL_C)
        mina.waits(lambda: mina.count("taken back") == 0, "Ctrl-C clears the line")
        mina.type(CTRL_C)
        mina.sees("Ctrl-D or /quit leaves.")
        mina.type(f"/switch lo{TAB}{ENTER}")
        mina.sees("#lobby>")
        mina.type(f"two\x1b\rlines{ENTER}")
        mina.sees("mina ✓ two", "\n      lines")
        mina.type(CTRL_D)
        assert mina.leaves() == 0
        assert not any("#lobby>" in line for line in mina.lines), "the prompt is taken away"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_signal_ends_it_and_puts_the_terminal_back(person: Maker, number: int) -> None:
    with person("mina").console() as mina:
        mina.signal(number)
        assert mina.leaves() == 0


def test_a_refused_message_stays_visible_with_its_reason(person: Maker) -> None:
    with person("mina").console() as mina:
        mina.type("x" * 20 + f"\u0085{ENTER}")
        mina.sees("mina ✗ " + "x" * 20, "— the text")


# Connection lost


def test_the_connection_comes_back(own_server: ServerProcess, tmp_path: Path) -> None:
    mina = Person("mina", tmp_path / "state", own_server.target)
    joon = Person("joon", tmp_path / "state", own_server.target)
    with mina.console() as window:
        own_server.kill()
        window.sees("The connection is lost", "reconnecting")
        window.type(f"into the void{ENTER}")
        window.sees("sending … into the void", "1 unsent")
        window.type(f"/list{ENTER}")
        window.sees("This needs the connection")
        own_server.start()
        assert joon.run("send", "lobby", "did you miss me?").code == 0
        window.sees("Connected again.", "mina ✓ into the void", "joon: did you miss me?", "connected")
        assert window.count("The connection is lost") == 1
        assert window.count("Connected again.") == 1
        assert window.count("into the void") == 1


def test_a_store_that_takes_nothing(own_server: ServerProcess, tmp_path: Path) -> None:
    mina = Person("mina", tmp_path / "state", own_server.target)
    with mina.console() as window:
        other = sqlite3.connect(own_server.data / "madang.db", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        window.type(f"first{ENTER}second{ENTER}")
        window.sees("! The server cannot use its store now: nothing was stored", "connected, cannot store now")
        window.sees("2 unsent")
        other.execute("ROLLBACK")
        other.close()
        window.sees("mina ✓ first", "mina ✓ second")
        window.waits(lambda: "cannot store now" not in window.text, "all is well again")
        assert window.count("The server cannot use its store now") == 1


def test_another_channel_while_there_is_no_connection(own_server: ServerProcess, tmp_path: Path) -> None:
    mina = Person("mina", tmp_path / "state", own_server.target).has_account()
    assert mina.run("make", "dev").code == 0
    with mina.console() as window:
        own_server.kill()
        window.sees("The connection is lost")
        window.type(f"/switch dev{ENTER}")
        window.sees("— #dev —", "There is no connection now", "#dev>")
        window.type(f"for the team{ENTER}")
        window.type(f"/join elsewhere{ENTER}")
        window.sees("This needs the connection")
        window.type(f"for elsewhere{ENTER}")
        window.sees("Not sent: /join did not work, and you are in #dev; send it again")
        own_server.start()
        window.sees("Connected again.", "mina ✓ for the team")
    assert "for the team" in mina.run("tail", "dev", "--no-follow").out
    for place in ("dev", "lobby"):
        assert "for elsewhere" not in mina.run("tail", place, "--no-follow").out


def test_what_one_said_oneself_is_not_new(own_server: ServerProcess, tmp_path: Path) -> None:
    mina = Person("mina", tmp_path / "state", own_server.target).has_account()
    joon = Person("joon", tmp_path / "state", own_server.target)
    for name in ("dev", "ops"):
        assert mina.run("make", name).code == 0
        assert mina.run("send", name, "-", "-q", stdin="one\ntwo\n").code == 0
    joon.run("send", "ops", "three", "--join", "-q")
    with mina.console() as window:
        window.sees("#ops: 1 new; /switch ops goes there.")
        assert window.count("#dev") == 0


def test_the_server_has_other_data(own_server: ServerProcess, tmp_path: Path) -> None:
    mina = Person("mina", tmp_path / "state", own_server.target).has_account()
    own_server.kill()
    own_server.data = tmp_path / "new"
    own_server.start()
    with mina.terminal("console") as window:
        assert window.leaves() == 4
        told = "has other data now than when mina came there"
        assert told in window.text.replace("\n", "")
    done = mina.run("send", "lobby", "hello")
    assert (done.code, told in done.err, "madang register" in done.err) == (4, True, True)


def test_an_unsent_message_survives_the_console(own_server: ServerProcess, tmp_path: Path) -> None:
    mina = Person("mina", tmp_path / "state", own_server.target)
    with mina.console() as window:
        own_server.kill()
        window.sees("The connection is lost")
        window.type(f"remember me{ENTER}")
        window.sees("sending … remember me")
        window.type(f"/quit{ENTER}")
        assert window.leaves() == 3
        assert "1 message is not sent yet. The next console sends what is left." in window.lines
    own_server.start()
    with mina.console() as window:
        window.sees("mina ✓ remember me")
        window.sends_nothing()


def test_what_was_missed_is_told_at_the_start(own_server: ServerProcess, tmp_path: Path) -> None:
    mina = Person("mina", tmp_path / "state", own_server.target).has_account()
    joon = Person("joon", tmp_path / "state", own_server.target)
    with mina.console() as window:
        window.type(f"/make dev{ENTER}here{ENTER}")
        window.sees("mina ✓ here")
        window.type(f"/quit{ENTER}")
        assert window.leaves() == 0
    joon.run("send", "lobby", "-", "-q", stdin="".join(f"m{n}\n" for n in range(30)))
    joon.run("send", "dev", "deployed", "--join", "-q")
    with mina.console() as window:
        window.sees("joon: m20", "joon: m29", "20 more since you were last here", "new; /switch dev goes there.")
        assert window.count("joon: m19") == 0
        assert window.count("joon: m29") == 1
        window.type(f"/switch dev{ENTER}")
        window.sees("mina ✓ here", "joon: deployed")
        assert window.count("joon: deployed") == 1


def test_the_server_drains(own_server: ServerProcess, tmp_path: Path) -> None:
    with Person("mina", tmp_path / "state", own_server.target).console() as window:
        own_server.stop()
        window.sees("The connection is lost", "reconnecting")
        own_server.start()
        window.sees("Connected again.")


def test_a_session_that_is_ended_elsewhere(person: Maker) -> None:
    gone = person("gone")
    with gone.console() as window:
        [session] = map(json.loads, gone.run("sessions", "--json").lines)
        assert gone.run("sessions", "revoke", str(session["session_id"])).code == 0
        assert window.leaves() == 4
        window_text = " ".join(window.lines)
        assert "madang: the session was signed out; sign in again: madang signin --handle gone" in window_text


# Another command of the same user beside it


def test_one_shot_commands_beside_a_console(person: Maker) -> None:
    mina = person("mina")
    with mina.console() as window:
        assert mina.run("send", "lobby", "from a script").code == 0
        window.sees("mina ✓ from a script")


def test_a_second_console_of_the_same_user(person: Maker) -> None:
    mina = person("mina")
    with mina.console() as first, mina.console() as second:
        second.sees("Another console of mina is open here")
        second.type(f"from the second{ENTER}")
        first.sees("mina ✓ from the second")


# Without a terminal


def test_piped(person: Maker, channel: str) -> None:
    done = person("mina").run("console", stdin=f"/make {channel} About\nhello\n/leave\n/list\n/hlep\nlast")
    assert (done.code, done.err) == (0, "")
    times = re.compile(r"^\d\d:\d\d ")
    said = [times.sub("", line) for line in done.lines]
    start = said.index(f"— #{channel}: About —")
    assert said[start : start + 3] == [f"— #{channel}: About —", "* mina joined", "sending … hello"]
    assert said.index("mina ✓ hello") < said.index(f"You are no longer in #{channel}.") < said.index("Channels:")
    assert any(line.startswith("! There is no command /hlep.") for line in said)
    assert said[-2:] == ["sending … last", "mina ✓ last"]
    assert "\x1b" not in done.out


def test_piped_into_a_channel_that_is_not_there(person: Maker, channel: str) -> None:
    """A script whose channel has another name now does not talk in the lobby instead."""
    typed = f"/join {channel}x\nsecret one\n/who\nsecret two\n/make {channel}\nhere\n/swich {channel}\nsecret three\n"
    done = person("mina").run("console", stdin=typed)
    assert done.code == 7
    refused = [line for line in done.lines if line.startswith("! Not sent")]
    assert refused == [
        *["! Not sent: /join did not work, and you are in #lobby."] * 2,
        f"! Not sent: /swich did not work, and you are in #{channel}.",
    ]
    assert any(line.endswith("mina ✓ here") for line in done.lines)
    for place in ("lobby", channel):
        assert "secret" not in person("mina").run("tail", place, "--no-follow", "--last", "5").out


def test_piped_and_refused(person: Maker) -> None:
    done = person("mina").run("console", stdin="bell \x07\nfine\n")
    assert done.code == 0
    assert any("mina ✗ bell ␇ — the text" in line for line in done.lines)
    assert any("mina ✓ fine" in line for line in done.lines)


def test_piped_and_its_reader_goes(person: Maker) -> None:
    with person("mina").start("console") as command:
        while "Type to talk" not in command.read_line():
            pass
        command.stdout.close()
        command.write("/help\n")
        command.stdin.close()
        done = command.end_unread()
    assert (done.code, done.err) == (0, "")
