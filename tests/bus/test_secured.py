"""Who NATS lets in, and whom a node trusts."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from certs import Authority
from parts.nats import Nats
from parts.nats_keys import Operator

from madang.bus.errors import BusError
from madang.bus.link import NatsOptions
from madang.bus.nats import NatsBus


async def connects(options: NatsOptions) -> None:
    """Fails unless the bus can be used."""
    bus = NatsBus(options)
    await bus.start(5)
    try:
        assert bus.is_connected
        bus.watch(1)
        await bus.settled()
    finally:
        await bus.close()


async def refusal(options: NatsOptions) -> str:
    """Why the bus cannot be used; it is told at once."""
    with pytest.raises(BusError) as caught:
        await NatsBus(options).start(60)
    return str(caught.value)


@contextmanager
def configured(path: Path, config: str) -> Iterator[Nats]:
    (path / "nats.conf").write_text(config)
    with Nats(path / "nats", jetstream=False, options=["-c", str(path / "nats.conf")]) as server:
        yield server


def named(server: Nats) -> str:
    """Its URL with the name that is in its certificate."""
    return server.url.replace("127.0.0.1", "localhost")


async def test_a_credentials_file_lets_a_node_in(tmp_path: Path) -> None:
    operator = Operator()
    credentials = operator.credentials(tmp_path / "node.creds")
    with configured(tmp_path, operator.config()) as server:
        await connects(NatsOptions((server.url,), credentials=credentials))
        strange = Operator().credentials(tmp_path / "strange.creds")
        why = await refusal(NatsOptions((server.url,), credentials=strange))
        assert why == f"{server.url} does not accept the credentials: Authorization Violation"
        assert "Authorization Violation" in await refusal(NatsOptions((server.url,)))


async def test_a_credentials_file_that_is_none_is_named(tmp_path: Path) -> None:
    path = tmp_path / "node.creds"
    good = Operator().credentials(path).read_text()
    seed = good.split("SEED-----\n")[1].split("\n")[0]
    wrong = {
        "": "needs a user's JWT and its seed",
        "\x00": "needs a user's JWT and its seed",
        "ü": "cannot be read",
        good.replace(seed, "S" + seed[1:][::-1]): "holds no seed of NATS",
        good.replace(seed, seed[:10] + ("A" if seed[10] != "A" else "B") + seed[11:]): "holds no seed of NATS",
        good.replace(seed, seed[:20]): "holds no seed of NATS",
        good.replace(seed, "01891"): "holds no seed of NATS",
    }
    for text, problem in wrong.items():
        path.write_text(text)
        why = await refusal(NatsOptions(("nats://127.0.0.1:1",), credentials=path))
        assert problem in why
        assert seed not in why
    path.unlink()
    assert "cannot be read" in await refusal(NatsOptions(("nats://127.0.0.1:1",), credentials=path))


async def test_tls_with_an_authority_of_ones_own(tmp_path: Path) -> None:
    authority = Authority(tmp_path / "ca")
    pair = authority.issue("nats", "localhost")
    with configured(tmp_path, f'tls {{ cert_file: "{pair.cert}", key_file: "{pair.key}" }}\n') as server:
        await connects(NatsOptions((named(server),), ca=authority.path))
        await connects(NatsOptions((named(server).replace("nats://", "tls://"),), ca=authority.path))
        other = Authority(tmp_path / "other")
        assert "a certificate that is not trusted" in await refusal(NatsOptions((named(server),), ca=other.path))
        assert "a certificate that is not trusted" in await refusal(NatsOptions((named(server),)))


async def test_a_server_may_ask_for_a_certificate(tmp_path: Path) -> None:
    authority = Authority(tmp_path / "ca")
    pair, node = authority.issue("nats", "localhost"), authority.issue("node", "localhost")
    tls = f'cert_file: "{pair.cert}", key_file: "{pair.key}", ca_file: "{authority.path}", verify: true'
    with configured(tmp_path, f"tls {{ {tls} }}\n") as server:
        await connects(NatsOptions((named(server),), ca=authority.path, cert=node.cert, key=node.key))
        bus = NatsBus(NatsOptions((named(server),), ca=authority.path))
        with pytest.raises(BusError):
            await bus.start(0)


async def test_a_server_that_does_not_encrypt_is_refused_when_it_should(nats: Nats, tmp_path: Path) -> None:
    authority = Authority(tmp_path / "ca")
    assert "does not encrypt" in await refusal(NatsOptions((nats.url,), ca=authority.path))
    assert "does not encrypt" in await refusal(NatsOptions((nats.url.replace("nats://", "tls://"),)))


async def test_certificates_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    why = await refusal(NatsOptions(("nats://127.0.0.1:1",), ca=tmp_path / "missing.pem"))
    assert why.startswith("the certificates for the bus cannot be used")
