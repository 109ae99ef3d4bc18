"""The one-shot commands as a shell runs them, against a real server."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import uuid
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest
from parts.ports import free_port

from .conftest import Person, ServerProcess, stored

Maker = Callable[[str], Person]


def make(person: Person, channel: str) -> None:
    """Let somebody make a channel."""
    assert person.run("console", stdin=f"/make {channel} a topic\n").code == 0


# send


def test_send_prints_what_was_stored(person: Maker) -> None:
    mina = person("mina")
    done = mina.run("send", "lobby", "hello, everyone")
    assert (done.code, done.err) == (0, "")
    assert done.out.endswith("#lobby mina ✓ hello, everyone\n")
    assert "hello, everyone" in stored(mina, "lobby")


def test_send_json(person: Maker) -> None:
    request_id = str(uuid.uuid4())
    done = person("nari").run("send", "#lobby", "hello", "--json", "--request-id", request_id)
    record = json.loads(done.out)
    assert record["channel"] == "lobby"
    assert record["author"] == "nari"
    assert record["text"] == "hello"
    assert record["request_id"] == request_id
    assert record["time"].endswith("Z")


def test_the_same_name_is_the_same_user(guest: Maker) -> None:
    sora = guest("sora")
    first, second = (json.loads(sora.run("send", "lobby", "hi", "--json").out) for _ in range(2))
    assert first["author_id"] == second["author_id"]
    assert second["sequence"] > first["sequence"]


def test_two_first_commands_at_once_are_one_user(guest: Maker) -> None:
    dana = guest("dana")
    with ExitStack() as stack:
        commands = [stack.enter_context(dana.start("send", "lobby", f"at once {n}", "--json")) for n in range(3)]
        records = [json.loads(command.end().out) for command in commands]
    assert len({record["author_id"] for record in records}) == 1


def test_ephemeral_is_somebody_new(server: ServerProcess, tmp_path: Path) -> None:
    hana = Person("hana", tmp_path / "state", server.target)
    records = [json.loads(hana.run("send", "lobby", "hi", "--json", "--ephemeral").out) for _ in range(2)]
    assert records[0]["author_id"] != records[1]["author_id"]
    assert not (tmp_path / "state").exists()


def test_the_same_request_id_stores_once(person: Maker, channel: str) -> None:
    mina = person("mina")
    make(mina, channel)
    request_id = str(uuid.uuid4())
    outs = [mina.run("send", channel, "once", "--request-id", request_id, "--json").out for _ in range(2)]
    assert outs[0] == outs[1]
    assert stored(mina, channel) == ["once"]
    other = mina.run("send", channel, "something else", "--request-id", request_id)
    assert other.code == 7
    assert "was used before" in other.err


def test_lines_of_standard_input(person: Maker, channel: str) -> None:
    mina = person("mina")
    make(mina, channel)
    text = "one\n\n  two  \r\nthree 마당"
    done = mina.run("send", channel, "-", stdin=text)
    assert done.code == 0
    assert [line.partition("✓ ")[2] for line in done.lines] == ["one", "  two  ", "three 마당"]
    assert stored(mina, channel) == ["one", "  two  ", "three 마당"]


def test_lines_of_a_file_again_with_the_same_request_id_store_once(person: Maker, channel: str, tmp_path: Path) -> None:
    mina = person("mina")
    make(mina, channel)
    file = tmp_path / "lines"
    texts = [f"line {n}" for n in range(700)]
    file.write_text("\n".join(texts))
    request_id = str(uuid.uuid4())
    for _ in range(2):
        with file.open() as opened:
            command = [sys.executable, "-m", "madang", "send", channel, "-", "--quiet", "--request-id", request_id]
            done = subprocess.run(command, stdin=opened, capture_output=True, env=mina.environment, timeout=60)
        assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    assert stored(mina, channel) == texts


def test_a_line_goes_out_when_it_is_there(person: Maker, channel: str) -> None:
    mina = person("mina")
    make(mina, channel)
    with mina.start("send", channel, "-") as command:
        for text in ("first", "second"):
            command.write(f"{text}\n")
            assert command.read_line().endswith(f"✓ {text}")
        assert command.end().code == 0


def test_whole(person: Maker, channel: str) -> None:
    mina = person("mina")
    make(mina, channel)
    done = mina.run("send", channel, "-", "--whole", stdin="one\ntwo\n")
    assert done.code == 0
    assert stored(mina, channel) == ["one\ntwo"]


def test_a_refused_line_is_told_and_the_others_go_on(person: Maker, channel: str) -> None:
    mina = person("mina")
    make(mina, channel)
    done = mina.run("send", channel, "-", stdin=b"one\nbell \x07\nnot \xff utf-8\n" + b"x" * 20_000 + b"\nlast\n")
    assert done.code == 7
    assert stored(mina, channel) == ["one", "last"]
    told = done.err.splitlines()
    assert [line.partition(":")[2].split(":")[0].strip() for line in told] == ["line 2", "line 3", "line 4"]
    assert "UTF-8" in told[1]


@pytest.mark.parametrize("text", ["", "   ", "bell \x07", "x" * 16_385])
def test_texts_that_are_refused(person: Maker, text: str) -> None:
    done = person("mina").run("send", "lobby", text)
    assert done.code == 7
    assert one_sentence(done.err)
    assert done.out == ""


def test_a_line_without_an_end_is_refused_and_those_before_it_are_stored(person: Maker, channel: str) -> None:
    mina = person("mina")
    make(mina, channel)
    done = mina.run("send", channel, "-", "-q", stdin=b"one\ntwo\n" + b"x" * 3_000_000)
    assert (done.code, done.err) == (7, "madang: line 3: the text is longer than a megabyte\n")
    assert stored(mina, channel) == ["one", "two"]


def test_a_flood_of_standard_input_is_refused_at_once(person: Maker) -> None:
    with Path("/dev/zero").open("rb") as zero:
        command = [sys.executable, "-m", "madang", "send", "lobby", "-", "--whole"]
        done = subprocess.run(command, stdin=zero, capture_output=True, env=person("mina").environment, timeout=60)
    assert done.returncode == 7
    assert one_sentence(done.stderr.decode())


# Membership


def test_a_channel_that_one_is_not_in(person: Maker, channel: str) -> None:
    mina, joon = person("mina"), person("joon")
    make(mina, channel)
    for command in (["send", channel, "hi"], ["tail", channel, "--no-follow"], ["send", channel, "-"]):
        done = joon.run(*command)
        assert done.code == 5
        assert done.err == f"madang: you are not in #{channel}; the option --join joins it first\n"
    assert joon.run("send", channel, "hi", "--join").code == 0
    assert joon.run("send", channel, "again").code == 0
    assert stored(mina, channel) == ["hi", "again"]


def test_no_such_channel(person: Maker) -> None:
    done = person("mina").run("send", "no-such-room", "hi")
    assert (done.code, done.err) == (6, "madang: there is no channel no-such-room\n")


# tail


def test_tail_begins_where_it_is_told(person: Maker, channel: str) -> None:
    mina = person("mina")
    make(mina, channel)
    mina.run("send", channel, "-", "-q", stdin="".join(f"m{n}\n" for n in range(15)))

    def texts(*options: str) -> list[str]:
        return [line.rpartition(" ")[2] for line in mina.run("tail", channel, "--no-follow", *options).lines]

    last = int(json.loads(mina.run("tail", channel, "--no-follow", "--last", "1", "--json").out)["sequence"])
    assert texts() == [f"m{n}" for n in range(5, 15)]
    assert texts("--last", "2") == ["m13", "m14"]
    assert texts("--last", "0") == []
    assert texts("--limit", "3") == ["m12", "m13", "m14"]
    assert texts("--last", "5", "--limit", "2") == ["m10", "m11"]
    assert texts("--after", str(last - 2)) == ["m13", "m14"]
    assert texts("--after", str(last - 5), "--limit", "1") == ["m10"]
    assert texts("--after", str(last)) == []
    beyond = mina.run("tail", channel, "--after", str(last + 1))
    assert beyond.code == 7
    assert "lies beyond the end" in beyond.err


def test_tail_follows(person: Maker, channel: str) -> None:
    mina, joon = person("mina"), person("joon")
    make(mina, channel)
    mina.run("send", channel, "before")
    with mina.start("tail", channel, "--last", "1", "--limit", "3", "--json") as command:
        assert json.loads(command.read_line())["text"] == "before"
        joon.run("send", channel, "one", "--join")
        done = command.end()
    assert [json.loads(line)["content"] for line in done.lines] == ["member_joined", "text"]
    assert (done.code, done.err) == (0, "")


def test_tail_ends_with_its_reader(person: Maker, channel: str) -> None:
    """`| head -1`, with nothing more to print: the command must notice by itself."""
    mina = person("mina")
    make(mina, channel)
    with mina.start("tail", channel) as command:
        assert command.read_line().endswith("* mina joined")
        done = command.end_unread()
    assert (done.code, done.err) == (0, "")


def test_head_ends_it_quietly(person: Maker, channel: str) -> None:
    mina = person("mina")
    make(mina, channel)
    mina.run("send", channel, "-", "-q", stdin="".join(f"m{n}\n" for n in range(3000)))
    script = (
        f"{sys.executable} -m madang tail {channel} --no-follow --json --after 0 | head -3; echo ${{PIPESTATUS[0]}}"
    )
    done = subprocess.run(["bash", "-c", script], capture_output=True, env=mina.environment, text=True, timeout=60)
    *records, code = done.stdout.splitlines()
    assert len([json.loads(record) for record in records]) == 3
    assert (code, done.stderr) == ("0", "")


def test_interrupt(person: Maker) -> None:
    mina = person("mina")
    mina.run("send", "lobby", "hi")
    with mina.start("tail", "lobby", "--last", "1") as command:
        assert command.read_line().endswith("mina: hi")
        command.process.send_signal(signal.SIGINT)
        done = command.end()
    assert (done.code, done.out, done.err) == (130, "", "")


def test_tail_follows_across_a_restart(tmp_path: Path) -> None:
    server = ServerProcess(tmp_path / "data")
    server.start()
    try:
        mina = Person("mina", tmp_path / "state", server.target)
        mina.run("send", "lobby", "one")
        with mina.start("tail", "lobby", "--limit", "3") as command:
            assert command.read_line().endswith("mina: one")
            server.kill()
            assert "the connection is lost" in command.stderr.readline().decode()
            server.start()
            for text in ("two", "three"):
                assert mina.run("send", "lobby", text).code == 0
            done = command.end()
        assert [line.rpartition(" ")[2] for line in done.lines] == ["two", "three"]
        assert (done.code, done.err) == (0, "")
    finally:
        server.kill()


# channels, users


def test_channels(person: Maker, channel: str) -> None:
    mina, joon = person("mina"), person("joon")
    make(mina, channel)
    assert f"#{channel}  joined  a topic" in [" ".join(line.split(" ")) for line in mina.run("channels").lines]
    records = {record["channel"]: record for record in map(json.loads, joon.run("channels", "--json").lines)}
    assert records["lobby"]["kind"] == "lobby"
    assert records[channel]["topic"] == "a topic"
    assert records[channel]["joined"] is False
    assert channel not in joon.run("channels", "--joined").out


def test_make(person: Maker, channel: str) -> None:
    mina = person("mina")
    assert (
        mina.run("make", f"#{channel}", "--topic", "What we build").out == f"#{channel} is there; you are its owner.\n"
    )
    again = mina.run("make", channel)
    assert (again.code, "is taken" in again.err) == (7, True)
    assert mina.run("make", "no spaces").code == 7
    assert mina.run("make").code == 2
    made = json.loads(mina.run("make", f"{channel}-2", "--private", "--json").out)
    assert (made["channel"], made["kind"], made["joined"]) == (f"{channel}-2", "private", True)
    assert mina.run("send", f"{channel}-2", "hello").code == 0


def test_users(person: Maker) -> None:
    mina, joon = person("mina"), person("joon")
    joon.run("send", "lobby", "hi")
    with mina.console():
        records = {record["handle"]: record for record in map(json.loads, joon.run("users", "--json").lines)}
        assert records["mina"]["status"] == "online"
        assert records["joon"]["status"] == "offline"
        here = joon.run("users", "--here").out
        assert "mina" in here
        assert "joon" not in here


# What goes wrong


def test_nobody_listens(tmp_path: Path) -> None:
    target = f"127.0.0.1:{free_port()}"
    mina = Person("mina", tmp_path / "state", target)
    for command in (["send", "lobby", "hi"], ["tail", "lobby"], ["channels"], ["users"], ["console"]):
        done = mina.run(*command, "--timeout", "0.5")
        expected = f"madang: cannot reach {target}: nothing listens there (connection refused)\n"
        assert (done.code, done.out, done.err) == (3, "", expected)


def test_it_says_that_it_is_trying(tmp_path: Path) -> None:
    mina = Person("mina", tmp_path / "state", f"127.0.0.1:{free_port()}")
    with mina.terminal("send", "lobby", "hello", "--timeout", "60") as window:
        window.sees(f"madang: waiting for {mina.target}")


def test_a_session_that_has_ended_gets_a_new_guest(tmp_path: Path) -> None:
    """The server's data was taken away: the saved token is nobody's."""
    server = ServerProcess(tmp_path / "data")
    server.start()
    mina = Person("mina", tmp_path / "state", server.target)
    assert mina.run("send", "lobby", "hi").code == 0
    server.kill()
    other = ServerProcess(tmp_path / "other", port=server.port)
    other.start()
    try:
        done = mina.run("send", "lobby", "hi")
        assert done.code == 0
        assert done.err == "madang: the saved session has ended; you are a new guest, mina\n"
        assert mina.run("send", "lobby", "hi").err == ""
    finally:
        other.kill()


def test_a_state_that_cannot_be_used(person: Maker, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    done = person("mina").run("send", "lobby", "hi", "--state", str(file))
    assert done.code == 1
    assert one_sentence(done.err)


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["sned"],
        ["send", "lobby"],
        ["send", "lobby", "x", "--request-id", "x"],
        ["tail", "lobby", "--limit", "0"],
        ["tail", "lobby", "--after", "1", "--last", "1"],
        ["channels", "--server", "::"],
        ["channels", "--name", "two words"],
        ["channels", "--timeout", "soon"],
    ],
)
def test_usage(person: Maker, arguments: list[str]) -> None:
    done = person("mina").run(*arguments)
    assert done.code == 2
    assert one_sentence(done.err)


@pytest.mark.parametrize("password", ["hunter2", "hunter2@home/x", "hunter2:3@"])
def test_what_is_out_of_place_is_shown_without_its_password(person: Maker, password: str) -> None:
    done = person("mina").run("restore", "backup", f"postgresql://madang:{password}@db:5432/chat")
    assert done.code == 2
    assert "db:5432/chat" in done.err, "which argument it is"
    assert "hunter2" not in done.err


def test_version_and_help_are_quick(person: Maker) -> None:
    mina = person("mina")
    assert mina.run("--version").out.startswith("madang ")
    shown = mina.run("send", "--help")
    assert "exit codes:" in shown.out
    assert "request_id" in shown.out
    script = "import sys; from madang.terminal import cli; cli.make_parser(); sys.exit('grpc' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], env=mina.environment).returncode == 0


def test_an_output_that_cannot_show_everything(person: Maker) -> None:
    done = person("mina").run("send", "lobby", "마당", PYTHONIOENCODING="latin-1")
    assert done.code == 0
    assert done.out.endswith("mina \\u2713 \\ub9c8\\ub2f9\n")


def one_sentence(error: str) -> bool:
    """Whether an error is told as it should be."""
    return error.startswith("madang: ") and error.count("\n") == 1 and "Traceback" not in error
