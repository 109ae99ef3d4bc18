"""A server process with TLS: signals, the log, and who gets in from the command line."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import re
import signal
import socket
from contextlib import suppress
from pathlib import Path

import grpc
import pytest
from certs import Authority, Files, expired, self_signed
from faults.disks import FileLimit
from faults.process import ServerProcess, eventually

import madang as sdk
from madang.node.logs import JsonFormatter, TextFormatter, masked
from madang.v1 import agent_service_pb2 as pb
from madang.v1.agent_service_pb2_grpc import AgentServiceStub

from .command import madang

UNHEARD = "xylophone-serenade"


@pytest.fixture
def pair(tmp_path: Path) -> Files:
    """The server's."""
    return self_signed(tmp_path / "pair")


async def start(server: ServerProcess, *line: str | Path) -> None:
    """Start it, with more on its command line."""
    server.arguments = [str(part) for part in line]
    server.launch()
    await eventually(lambda: "listening on" in server.output, f"it serves; it said:\n{server.output}")


async def test_hang_up_reads_the_certificate_again(server: ServerProcess, pair: Files, tmp_path: Path) -> None:
    first = pair.fingerprint
    second = self_signed(tmp_path / "second")
    await start(server, "--tls-cert", pair.cert, "--tls-key", pair.key)
    assert f"certificate (SHA-256): {first}" in server.output
    async with sdk.connect(server.target, tls=sdk.Tls(pin=first)) as client:
        pair.replace_with(second)
        os.kill(server.pid, signal.SIGHUP)
        await eventually(lambda: second.fingerprint in server.output, "it says that it took it")
        async with sdk.connect(server.target, tls=sdk.Tls(pin=second.fingerprint), live=False) as other:
            await other.send("lobby", "hello")
        async with asyncio.timeout(10):
            async for event in client.events():
                assert not isinstance(event, sdk.Disconnected)
                if isinstance(event, sdk.MessageEvent):
                    break
        pair.key.write_text("spoilt")
        os.kill(server.pid, signal.SIGHUP)
        await eventually(lambda: "the one before stays" in server.output, "it says that it did not")
        await client.send("lobby", "still here")
    assert (await server.terminate(10))[0] == 0


async def test_hang_up_without_a_certificate(server: ServerProcess) -> None:
    """It would end the process, if nobody looked after it."""
    await server.start()
    os.kill(server.pid, signal.SIGHUP)
    await eventually(lambda: "nothing to read again" in server.output, "it was heard")
    assert await server.serves()


async def test_starts_that_are_refused(server: ServerProcess, pair: Files, tmp_path: Path) -> None:
    """One line that says why, and the exit code; nothing is made."""
    old = expired(tmp_path / "old")
    for line, told, code in (
        (["--tls-cert", old.cert, "--tls-key", old.key], "has expired", 1),
        (["--tls-cert", pair.cert, "--tls-key", old.key], "does not belong to the certificate", 1),
        (["--tls-cert", pair.cert], "belong together", 2),
        (["--listen", "0.0.0.0:1"], "is not a loopback address", 2),
        (["--config", tmp_path / "nothing"], "cannot read the settings file", 2),
    ):
        ended = await madang("serve", "--data", server.data, *line)
        assert (ended.code, ended.out) == (code, "")
        assert ended.err.count("\n") == 1
        assert told in ended.err
    assert not server.data.exists()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        where = f"127.0.0.1:{taken.getsockname()[1]}"
        ended = await madang("serve", "--data", server.data, "--listen", where)
    assert (ended.code, ended.err) == (1, f"madang: cannot listen on {where}: the address is in use\n")
    assert not server.data.exists()


async def test_from_the_command_line(server: ServerProcess, pair: Files) -> None:
    await start(server, "--tls-cert", pair.cert, "--tls-key", pair.key)
    send = "send", "lobby", "hello", "--ephemeral", "--server", server.target
    wrong = "0" * 64
    good, by_variable, other, twice, plain = await asyncio.gather(
        madang(*send, "--tls-ca", pair.cert),
        madang(*send, MADANG_TLS_PIN=pair.fingerprint.upper()),
        madang(*send, "--tls-pin", wrong),
        madang(*send, "--tls-pin", wrong, "--tls-ca", pair.cert),
        madang(*send, "--timeout", "1"),
    )
    assert (good.code, by_variable.code) == (0, 0), good.err + by_variable.err
    assert other.code == 1
    assert "another certificate than the pinned one" in other.err
    assert twice.code == 2
    assert plain.code == 3
    untrusted = await madang(*send, "--tls", "--timeout", "1")
    assert untrusted.code == 3
    assert f"its certificate is not trusted (SHA-256 {pair.fingerprint}): --tls-pin with this" in untrusted.err
    assert "it takes TLS alone: --tls talks to it so" in plain.err
    assert (await madang(*send, "--tls-pin", "nonsense")).code == 2


async def test_client_certificates_from_the_command_line(server: ServerProcess, pair: Files, tmp_path: Path) -> None:
    authority = Authority(tmp_path / "ca")
    mine = authority.issue("mina")
    await start(server, "--tls-cert", pair.cert, "--tls-key", pair.key, "--tls-client-ca", authority.path)
    send = "send", "lobby", "hello", "--ephemeral", "--server", server.target, "--tls-pin", pair.fingerprint
    with_it, without = await asyncio.gather(
        madang(*send, "--client-cert", mine.cert, "--client-key", mine.key), madang(*send, "--timeout", "1")
    )
    assert (with_it.code, without.code) == (0, 3), with_it.err


async def _accounts(server: ServerProcess) -> list[str]:
    """Register, sign in, and fail at both; the secrets that were used."""
    (invite,) = re.findall(r"--invite (\S+)", server.output)
    password, wrong = f"{UNHEARD}-right", f"{UNHEARD}-wrong"
    async with grpc.aio.insecure_channel(server.target) as channel:
        agent = AgentServiceStub(channel)
        for code in (invite[:-1], invite, invite):
            with suppress(grpc.aio.AioRpcError):
                request = pb.RegisterRequest(handle="hana", password=password, invite_code=code)
                registered = await agent.Register(request)
        for tried in (wrong, password):
            with suppress(grpc.aio.AioRpcError):
                credential = pb.PasswordCredential(handle="hana", password=tried)
                signed_in = await agent.SignIn(pb.SignInRequest(password=credential))
    return [invite, registered.token, signed_in.token]


@pytest.mark.parametrize("log_format", ["text", "json"])
async def test_the_log_has_no_words_and_no_tokens(server: ServerProcess, log_format: str) -> None:
    """Everything that may be logged is; people talk, fail and guess meanwhile."""
    await start(server, "--log-format", log_format, "--verbose", "--access-log")
    made_up = "madang_" + "A" * 43
    async with sdk.connect(server.target, handle="mina") as mina, sdk.connect(server.target, live=False) as joon:
        tokens = [mina.token, joon.token, made_up, *await _accounts(server)]
        for number in range(3):
            await mina.send("lobby", f"{UNHEARD} {number}")
        for text in (f"{UNHEARD}\x00", f"{UNHEARD * 2000}"):
            with pytest.raises(sdk.MadangError):
                await mina.send("lobby", text)
        with pytest.raises(sdk.MadangError):
            await mina.create_channel(f"{UNHEARD}\n", UNHEARD)
        with pytest.raises(sdk.Unauthenticated):
            await sdk.connect(server.target, token=made_up)
        disk = FileLimit(server.data)
        disk.fill(server.pid)  # and what a full disk has it say
        sending = asyncio.create_task(mina.send("lobby", UNHEARD))
        await eventually(lambda: "the store cannot be written" in server.output, "it says so")
        disk.free(server.pid)
        await sending
    os.kill(server.pid, signal.SIGHUP)
    await eventually(lambda: "nothing to read again" in server.output, "it logs at all")
    log = re.sub(r"--invite \S+", "", server.output)  # the greeting is for the administrator
    for secret in (UNHEARD, *tokens):
        assert secret not in log
    if log_format == "json":
        lines = [json.loads(line) for line in log.splitlines() if not line.startswith(("madang: ", "        "))]
        assert lines
        assert all({"time", "level", "logger", "message"} <= set(line) for line in lines)
        calls = [line for line in lines if line["logger"] == "madang.access"]
        assert all({"method", "status", "address", "seconds"} <= set(line) for line in calls)
        assert {"OK", "UNAUTHENTICATED", "INVALID_ARGUMENT"} <= {line["status"] for line in calls}
    assert "AgentService/SignIn" in log, "calls are logged"


def test_what_a_library_might_say() -> None:
    token = "madang_" + "Ab1-_" * 8 + "xyz"
    assert masked(f"metadata: authorization=Bearer {token}, x") == "metadata: authorization=(secret) x"
    assert masked(f"token {token!r}") == "token '(secret)'"
    assert masked("a madang_server and a bearer") == "a madang_server and a bearer"
    try:
        raise ValueError(f"cannot parse {token}")
    except ValueError:
        record = logging.getLogger("x").makeRecord(
            "x", 40, "f", 1, "failed with %s", (token,), __import__("sys").exc_info()
        )
    for formatter in (TextFormatter(), JsonFormatter()):
        text = formatter.format(record)
        assert token not in text
        assert "ValueError" in text
    assert "\n" not in JsonFormatter().format(record)


def test_what_others_say_cannot_break_a_line() -> None:
    """Nor move the cursor of whoever reads the log."""
    said = "a\n2026-01-01 ERROR madang: all is lost\x1b[2J\x9b2J\u2028\tb"
    record = logging.getLogger("x").makeRecord("x", 40, "f", 1, "it said: %s", (said,), None)
    text = TextFormatter().format(record)
    assert text.endswith("it said: a\\u000a2026-01-01 ERROR madang: all is lost\\u001b[2J\\u009b2J\\u2028\tb")
    line = JsonFormatter().format(record)
    assert line.isprintable()
    assert json.loads(line)["message"] == f"it said: {said}"


async def test_two_servers_over_one_database(server: ServerProcess, tmp_path: Path, database: str) -> None:
    """What one has stored the other gives out, as if it were its own; so do both when one was killed."""
    with ServerProcess(tmp_path / "second", tmp_path / "second.log") as second:
        await asyncio.gather(*(start(each, "--database", database) for each in (server, second)))
        async with sdk.connect(server.target, handle="mina", live=False) as mina:
            token = mina.token
            await mina.send("lobby", "hello from the first")
        server.kill()
        async with sdk.connect(second.target, token=token, live=False) as mina:
            await mina.send("lobby", "hello from the second")
        await server.start()
        async with sdk.connect(server.target, token=token, live=False) as mina:
            texts = [message.text for message in await mina.history("lobby")]
        assert sorted(texts) == ["hello from the first", "hello from the second"]
        assert not (server.data / "madang.db").exists()
        assert database not in server.output + second.output
