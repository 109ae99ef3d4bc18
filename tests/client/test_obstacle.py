"""Why TLS keeps a client from a server, and who sees the client's own certificate meanwhile."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
from certs import Authority, Files, self_signed
from support import PATIENCE, eventually

import madang
from madang.client.obstacle import obstacles, stays
from madang.client.tls import Tls

VERSIONS = [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]
ALERT = b"\x15\x03\x03\x00\x02\x02"
"""A fatal alert, but for its number."""


@pytest.fixture
def pair(tmp_path: Path) -> Files:
    """The server's."""
    return self_signed(tmp_path / "pair")


@pytest.fixture
def ours(tmp_path: Path) -> Authority:
    """Whose certificates the server takes of clients."""
    return Authority(tmp_path / "ours")


@asynccontextmanager
async def asking(
    pair: Files, ours: Authority, newest: ssl.TLSVersion, mode: ssl.VerifyMode = ssl.CERT_REQUIRED
) -> AsyncIterator[tuple[str, list[bytes | None]]]:
    """A server that asks for certificates: its address, and what each client has shown when the handshake was done.

    In threads, because asyncio's servers do not send the alert when they refuse a handshake.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair.cert, pair.key)
    context.load_verify_locations(ours.path)
    context.verify_mode = mode
    context.maximum_version = newest
    shown: list[bytes | None] = []

    def talk(plain: socket.socket) -> None:
        with suppress(OSError), context.wrap_socket(plain, server_side=True, do_handshake_on_connect=False) as client:
            try:
                client.do_handshake()
                shown.append(client.getpeercert(binary_form=True))
                client.recv(1)
            finally:  # what is sent must not be lost because of what is not read
                client.shutdown(socket.SHUT_WR)
                while socket.socket.recv(client, 4096):
                    pass

    async def take() -> None:
        loop = asyncio.get_running_loop()
        while True:
            plain, _ = await loop.sock_accept(listening)
            plain.settimeout(PATIENCE)
            talks.create_task(asyncio.to_thread(talk, plain))

    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.setblocking(False)
        async with asyncio.TaskGroup() as talks:
            taking = talks.create_task(take())
            yield "127.0.0.1:{1}".format(*listening.getsockname()), shown
            taking.cancel()


@asynccontextmanager
async def answering(answer: bytes) -> AsyncIterator[str]:
    """Something that answers whatever it is told with these bytes."""

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(100)
        writer.write(answer)
        await reader.read()
        writer.close()

    server = await asyncio.start_server(take, "127.0.0.1", 0)
    async with server:
        yield "127.0.0.1:{1}".format(*server.sockets[0].getsockname())


async def found(target: str, tls: Tls | None) -> tuple[str, str, bool]:
    """The cause, the problem, and whether it stays."""
    (error,) = await obstacles(target, tls)
    return ("", "", False) if error is None else (str(error.facts["cause"]), str(error.facts["problem"]), stays(error))


@pytest.mark.parametrize("newest", VERSIONS)
async def test_who_is_not_trusted_sees_no_certificate_of_ours(
    pair: Files, ours: Authority, newest: ssl.TLSVersion, tmp_path: Path
) -> None:
    mine, other = ours.issue("mina"), self_signed(tmp_path / "other")
    async with asking(pair, ours, newest, ssl.CERT_OPTIONAL) as (target, shown):
        cause, problem, stay = await found(target, Tls(ca=other.cert, cert=mine.cert, key=mine.key))
        assert (cause, stay) == ("untrusted", True)
        assert pair.fingerprint in problem
        pinned = Tls(pin=other.fingerprint, cert=mine.cert, key=mine.key)
        assert await found(target, pinned) == ("", "", False)
        with pytest.raises(madang.ServerNotTrusted):
            await madang.connect(target, tls=pinned)
        await eventually(lambda: shown, "a handshake is done")
        assert not any(shown)
        assert await found(target, Tls(ca=pair.cert, cert=mine.cert, key=mine.key)) == ("", "", False)
        await eventually(lambda: any(shown), "who is trusted sees it")


async def test_who_asks_before_it_is_trusted_sees_none_either(pair: Files, ours: Authority, tmp_path: Path) -> None:
    """A server of TLS 1.2 that does not go on without one, so that it cannot be looked at first."""
    mine, other = ours.issue("mina"), self_signed(tmp_path / "other")
    async with asking(pair, ours, ssl.TLSVersion.TLSv1_2) as (target, shown):
        cause, _, stay = await found(target, Tls(ca=other.cert, cert=mine.cert, key=mine.key))
        assert (cause, stay) == ("untrusted", True)
        cause, problem, stay = await found(target, Tls(pin=pair.fingerprint, cert=mine.cert, key=mine.key))
        assert (cause, stay) == ("fails", False)
        assert "before it is known to be the pinned one" in problem
        assert not shown, "no handshake was ever done"


@pytest.mark.parametrize("newest", VERSIONS)
async def test_a_server_that_asks(pair: Files, ours: Authority, newest: ssl.TLSVersion, tmp_path: Path) -> None:
    mine, strange = ours.issue("mina"), self_signed(tmp_path / "strange")
    async with asking(pair, ours, newest) as (target, _):
        assert (await found(target, Tls(ca=pair.cert)))[::2] == ("wants-certificate", True)
        refused = await found(target, Tls(ca=pair.cert, cert=strange.cert, key=strange.key))
        assert refused[::2] == ("refuses-certificate", True)
        assert await found(target, Tls(ca=pair.cert, cert=mine.cert, key=mine.key)) == ("", "", False)


@pytest.mark.parametrize(
    ("number", "told"),
    [(70, "protocol version"), (80, "internal error"), (112, "unrecognized name"), (120, "no application protocol")],
)
async def test_alerts_that_are_about_no_certificate(pair: Files, ours: Authority, number: int, told: str) -> None:
    mine = ours.issue("mina")
    async with answering(ALERT + bytes([number])) as target:
        for tls in (Tls(), Tls(ca=pair.cert, cert=mine.cert, key=mine.key)):
            cause, problem, stay = await found(target, tls)
            assert (cause, stay) == ("fails", False), "it may pass, and nobody knows what to do"
            assert told in problem
        assert (await found(target, None))[0] == "wants-tls"


@pytest.mark.parametrize("number", [40, 42, 46, 48, 116])
async def test_alerts_that_are(number: int) -> None:
    async with answering(ALERT + bytes([number])) as target:
        assert (await found(target, Tls()))[::2] == ("wants-certificate", True)


@pytest.mark.parametrize(
    ("answer", "cause"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "wants-plain"),
        (b"GET / HTTP/1.1\r\n\r\n", "wants-plain"),
        (b"\x00\x00\x00\x04\x00\x00\x00\x00\x00", "wants-plain"),
        (b"\x16\x03\x03\x00\x10" + b"x" * 16, "fails"),
        (b"\x16\x03\x03\xff\xff" + b"x" * 70_000, "fails"),
        (b"\x16\x03\x03\x00\x2e\x02\x00\x00\x2a\x03\x02" + bytes(32) + b"\x00\xc0\x13\x00\x00\x02\x00\x00", "fails"),
    ],
    ids=["http", "request", "http2", "garbage", "long-garbage", "tls-1.1"],
)
async def test_only_plain_text_is_called_so(answer: bytes, cause: str) -> None:
    async with answering(answer) as target:
        assert (await found(target, Tls()))[::2] == (cause, cause == "wants-plain")
