"""TLS: what is accepted, what is not, and certificates that are exchanged while people talk."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import ssl
import warnings
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
from certs import Authority, Files, expired, self_signed
from support import PATIENCE, eventually

import madang
from madang.client.connect import look_at
from madang.node import node
from madang.node.embed import Server
from madang.node.settings import SettingError
from madang.ops.certificates import CertificateError

SOON = 1.0
"""Seconds after which a client that is to be refused gives up."""


@pytest.fixture
def pair(tmp_path: Path) -> Files:
    """The server's."""
    return self_signed(tmp_path / "pair")


@asynccontextmanager
async def serving(files: Files, **more: Any) -> AsyncIterator[Server]:
    """A server with TLS."""
    async with Server(tls_cert=files.cert, tls_key=files.key, drain=0.2, **more) as server:
        yield server


@pytest.fixture(autouse=True)
def nobody_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """These servers have nobody to hand over."""
    monkeypatch.setattr(node, "HAND_OVER", 0.0)


async def shown(server: Server, newest: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3) -> tuple[str | None, str]:
    """The version that is spoken, and the fingerprint of the certificate, for a client that trusts anyone."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(["h2"])
    context.set_ciphers("DEFAULT:@SECLEVEL=0")  # else OpenSSL itself has nothing to do with the old ones
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Python finds them old, too
        context.minimum_version = ssl.TLSVersion.TLSv1
        context.maximum_version = newest
    host, port = server.target.split(":")
    async with asyncio.timeout(PATIENCE):
        _, writer = await asyncio.open_connection(host, int(port), ssl=context)
    connection = writer.get_extra_info("ssl_object")
    try:
        return connection.version(), hashlib.sha256(connection.getpeercert(binary_form=True)).hexdigest()
    finally:
        writer.close()


async def talk(server: Server, tls: madang.Tls | bool | None, timeout: float = PATIENCE) -> int:
    """Connect, and say something; its sequence."""
    async with madang.connect(server.target, tls=tls, timeout=timeout, live=False) as client:
        return (await client.send("lobby", "hello")).sequence


async def stays_out(target: str, tls: madang.Tls | bool, told: str) -> None:
    """Whoever connects is told why not, and that long before it would have given up."""
    async with asyncio.timeout(PATIENCE):
        with pytest.raises(madang.ServerUnreachable, match=told):
            await madang.connect(target, tls=tls, timeout=3600)


async def test_versions(pair: Files) -> None:
    async with serving(pair) as server:
        assert await shown(server) == ("TLSv1.3", pair.fingerprint)
        assert await shown(server, ssl.TLSVersion.TLSv1_2) == ("TLSv1.2", pair.fingerprint)
        for old in (ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1):
            with pytest.raises((ssl.SSLError, ConnectionError)):
                await shown(server, old)


async def test_who_trusts_the_certificate_gets_in(pair: Files) -> None:
    colons = ":".join(pair.fingerprint[at : at + 2] for at in range(0, 64, 2)).upper()
    async with serving(pair) as server:
        for tls in (madang.Tls(ca=pair.cert), madang.Tls(pin=pair.fingerprint), madang.Tls(pin=colons)):
            assert await talk(server, tls) > 0


async def test_who_does_not_stays_out(pair: Files, tmp_path: Path) -> None:
    other = self_signed(tmp_path / "other")
    async with serving(pair) as server:
        untrusted, bare = f"its certificate is not trusted .*{pair.fingerprint}", "it takes TLS alone"
        for tls, told in ((True, untrusted), (madang.Tls(ca=other.cert), untrusted), (False, bare)):
            await stays_out(server.target, tls, told)
            with pytest.raises(madang.ServerUnreachable, match=told):
                await look_at(server.target, tls=tls)
        with pytest.raises(madang.ServerNotTrusted, match=pair.fingerprint):
            await talk(server, madang.Tls(pin=other.fingerprint))
        assert await talk(server, madang.Tls(pin=pair.fingerprint)) == 1, "nobody else has said anything"


async def test_a_pin_needs_no_name_and_no_authority(tmp_path: Path) -> None:
    """A certificate of somebody's authority, for a name that nobody here calls the server by."""
    issued = Authority(tmp_path / "ca").issue("chat.example.org", "*.example.org")
    async with serving(issued) as server:
        assert await talk(server, madang.Tls(pin=issued.fingerprint)) > 0
        authority = madang.Tls(ca=tmp_path / "ca" / "ca.pem")
        await stays_out(server.target, authority, r"is for \*\.example\.org, chat\.example\.org, not for 127\.0\.0\.1")


async def test_plain_text_is_known_when_tls_was_wanted(tmp_path: Path) -> None:
    async with Server(listen="127.0.0.1:0", guests=True, drain=0.2) as server:
        for tls in (True, madang.Tls(pin="0" * 64)):
            await stays_out(server.target, tls, "it does not speak TLS")


async def test_one_good_node_is_enough(pair: Files) -> None:
    """What is wrong with TLS at one address keeps nobody from another one; at all of them, nobody waits."""
    trust = madang.Tls(ca=pair.cert)
    async with serving(pair) as good, Server(listen="127.0.0.1:0", guests=True, drain=0.2) as bare:
        both = f"{bare.target},{good.target}"
        for _ in range(4):  # the first one is any of them
            async with madang.connect(both, tls=trust) as client:
                assert client.server.target == good.target
        await stays_out(both, True, "not trusted|not speak TLS")


async def test_no_pin_makes_an_expired_certificate_good(tmp_path: Path) -> None:
    """Our own server does not even start with one; another one might show it."""
    old = expired(tmp_path / "old")
    other = grpc.aio.server()
    credentials = grpc.ssl_server_credentials([(old.key.read_bytes(), old.cert.read_bytes())])
    target = f"127.0.0.1:{other.add_secure_port('127.0.0.1:0', credentials)}"
    await other.start()
    try:
        for tls in (madang.Tls(pin=old.fingerprint), madang.Tls(ca=old.cert)):
            await stays_out(target, tls, "has expired, on ")
    finally:
        await other.stop(None)


@pytest.mark.parametrize("tls", [{"pin": "x"}, {"pin": "0" * 63}, {"pin": "0" * 64, "ca": "f"}, {"cert": "f"}])
def test_what_makes_no_sense(tls: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=r"pin|belong together"):
        madang.Tls(**tls)


async def test_client_certificates(pair: Files, tmp_path: Path) -> None:
    ours, theirs = Authority(tmp_path / "ours"), Authority(tmp_path / "theirs")
    friend, stranger = ours.issue("friend"), theirs.issue("stranger")
    async with serving(pair, tls_client_ca=ours.path) as server:
        assert await talk(server, madang.Tls(ca=pair.cert, cert=friend.cert, key=friend.key)) == 1
        pinned = madang.Tls(pin=pair.fingerprint, cert=friend.cert, key=friend.key)
        assert await talk(server, pinned) == 2
        for tls in (
            madang.Tls(ca=pair.cert),
            madang.Tls(ca=pair.cert, cert=stranger.cert, key=stranger.key),
            madang.Tls(pin=pair.fingerprint, cert=stranger.cert, key=stranger.key),
        ):
            with pytest.raises(madang.ServerUnreachable, match="ends the connection after the handshake"):
                await talk(server, tls, SOON)


async def test_exchanged_under_open_streams(pair: Files, tmp_path: Path) -> None:
    """Whoever is connected notices nothing; whoever connects later sees the new one."""
    first = pair.fingerprint
    second = self_signed(tmp_path / "second")
    async with serving(pair) as server, madang.connect(server.target, tls=madang.Tls(pin=first)) as reader:
        events: list[madang.Event] = []
        reading = asyncio.create_task(_collect(reader, events))
        pair.replace_with(second)
        await server._node.reload()
        assert (await shown(server))[1] == second.fingerprint
        with pytest.raises(madang.ServerNotTrusted):
            await talk(server, madang.Tls(pin=first))
        sequence = await talk(server, madang.Tls(pin=second.fingerprint))
        await eventually(lambda: sequence in _said(events), "the stream lives on")
        assert not [each for each in events if isinstance(each, madang.Disconnected)]
        assert (await reader.send("lobby", "I am still here")).sequence > sequence
        reading.cancel()


def _said(events: list[madang.Event]) -> list[int]:
    return [event.message.sequence for event in events if isinstance(event, madang.MessageEvent)]


async def _collect(client: madang.Client, events: list[madang.Event]) -> None:
    async for event in client.events():
        events.append(event)


async def test_taken_anew_without_being_asked(pair: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(node, "CERTIFICATE_EVERY", 0.02)
    second = self_signed(tmp_path / "second")
    async with serving(pair) as server:
        assert (await shown(server))[1] == pair.fingerprint
        pair.replace_with(second)
        await eventually(lambda: server._node.fingerprint == second.fingerprint, "it looks by itself")
        assert (await shown(server))[1] == second.fingerprint


def _other_key(files: Files, directory: Path) -> None:
    files.key.write_bytes(self_signed(directory).key.read_bytes())


def _expired(files: Files, directory: Path) -> None:
    files.replace_with(expired(directory))


def _half(files: Files, _: Path) -> None:
    files.cert.write_bytes(files.cert.read_bytes()[:200])


def _gone(files: Files, _: Path) -> None:
    files.key.unlink()


def _nonsense(files: Files, _: Path) -> None:
    files.key.write_text("my secret notes")


BAD: list[tuple[Callable[[Files, Path], None], str]] = [
    (_other_key, "does not belong to the certificate"),
    (_expired, "has expired"),
    (_half, "does not hold a certificate"),
    (_gone, "No such file"),
    (_nonsense, "does not hold a private key"),
]


@pytest.mark.parametrize(("spoil", "told"), BAD)
async def test_a_bad_pair_is_not_taken(
    pair: Files, tmp_path: Path, spoil: Callable[[Files, Path], None], told: str, caplog: pytest.LogCaptureFixture
) -> None:
    good = pair.fingerprint
    async with serving(pair) as server:
        spoil(pair, tmp_path / "bad")
        await server._node._watch_certificate()
        await server._node._watch_certificate()
        assert (await shown(server))[1] == good
        assert await talk(server, madang.Tls(pin=good)) > 0
        errors = [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR]
        assert len(errors) == 1, "told once, not every ten seconds"
        assert told in errors[0]
        assert "secret notes" not in errors[0]
        better = self_signed(tmp_path / "better")
        pair.replace_with(better)
        await server._node._watch_certificate()
        assert (await shown(server))[1] == better.fingerprint
    caplog.clear()


@pytest.mark.parametrize(("spoil", "told"), BAD)
async def test_a_bad_pair_keeps_the_server_from_starting(
    pair: Files, tmp_path: Path, spoil: Callable[[Files, Path], None], told: str
) -> None:
    spoil(pair, tmp_path / "bad")
    with pytest.raises(CertificateError, match=told):
        async with serving(pair):
            pass


async def test_off_loopback() -> None:
    with pytest.raises(SettingError, match="is not a loopback address"):
        Server(listen="0.0.0.0:0")
    async with Server(listen="0.0.0.0:0", insecure=True, guests=True, drain=0.2) as server:
        assert await talk(server, False) > 0


def test_clients_use_tls_off_loopback_unless_told_otherwise() -> None:
    from madang.client.tls import wanted

    for here in ("localhost:1", "127.0.0.1", "[::1]:1", "localhost"):
        assert wanted(None, here) is None
        assert wanted(True, here) is not None
    for there in (
        "chat.example.org:50050",
        "10.0.0.1",
        "[2001:db8::1]:1",
        "localhost.example.org",
        "127.example.org:1",
    ):
        assert wanted(None, there) is not None
        assert wanted(False, there) is None
