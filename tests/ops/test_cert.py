"""`madang cert`: a pair that works, and files that are never overwritten."""

from __future__ import annotations

import datetime
import re
import ssl
from pathlib import Path

import pytest
from certs import Authority, self_signed
from cryptography import x509
from support import names

from madang.ops import certificates
from madang.ops.certificates import CertificateError

from .command import mode, run


def test_what_it_makes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    there = tmp_path / "new" / "there"
    assert run("cert", "--out", there, "--name", "chat.example.org", "--name", "192.0.2.7", "--name", "::1") == 0
    told = capsys.readouterr().out
    cert, key = there / "cert.pem", there / "key.pem"
    assert (mode(there), mode(key)) == (0o700, 0o600)
    pair = certificates.load(cert, key)
    assert pair.names == ("chat.example.org", "192.0.2.7", "::1")
    assert re.search(r"SHA-256: +([0-9a-f]{64})\n", told)[1] == pair.fingerprint  # type: ignore[index]
    days = (pair.not_after - datetime.datetime.now(datetime.UTC)).days
    assert days in (364, 365)
    found = x509.load_pem_x509_certificate(cert.read_bytes())
    assert type(found.public_key()).__name__.startswith("EC")
    assert found.public_key().curve.name == "secp256r1"  # type: ignore[union-attr]
    assert "PRIVATE" not in cert.read_text()
    ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(cert, key)
    assert "PRIVATE" not in told
    assert repr(pair) == f"Pair({pair.fingerprint})"


def test_in_the_data_directory(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("cert", "--data", tmp_path / "data", "--days", "2") == 0
    pair = certificates.load(tmp_path / "data" / "cert.pem", tmp_path / "data" / "key.pem")
    assert {"localhost", "127.0.0.1", "::1"} < set(pair.names)
    assert "good for 2 days" in capsys.readouterr().out


@pytest.mark.parametrize("there", ["cert.pem", "key.pem"])
def test_nothing_is_overwritten(tmp_path: Path, there: str, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / there).write_text("precious")
    assert run("cert", "--out", tmp_path) == 1
    assert f"{there} is there already" in capsys.readouterr().err
    assert names(tmp_path) == [there], "and no half pair is left"
    assert (tmp_path / there).read_text() == "precious"


@pytest.mark.parametrize("name", ["", "a b", "-", "x" * 254, "a..b", "https://chat.example.org", "192.0.2.300:1", "\n"])
def test_names_that_are_none(tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("cert", "--out", tmp_path, f"--name={name}") == 1
    assert "neither a host name nor an IP address" in capsys.readouterr().err
    assert names(tmp_path) == []


def test_names_in_other_scripts(tmp_path: Path) -> None:
    assert run("cert", "--out", tmp_path, "--name", "마당.example") == 0
    assert certificates.load(tmp_path / "cert.pem", tmp_path / "key.pem").names == ("xn--ok1b32k.example",)


@pytest.mark.parametrize("days", ["0", "-1", "x", "1e3", "36501"])
def test_days_that_are_none(tmp_path: Path, days: str) -> None:
    with pytest.raises(SystemExit):
        run("cert", "--out", tmp_path, f"--days={days}")


def test_pairs_that_are_none(tmp_path: Path) -> None:
    one, other = self_signed(tmp_path / "one"), self_signed(tmp_path / "other")
    with pytest.raises(CertificateError, match="does not belong"):
        certificates.load(one.cert, other.key)
    with pytest.raises(CertificateError, match="does not hold a certificate"):
        certificates.load(one.key, one.key)
    with pytest.raises(CertificateError, match="does not hold a private key"):
        certificates.load(one.cert, one.cert)
    with pytest.raises(CertificateError, match="cannot read"):
        certificates.load(tmp_path / "nothing", one.key)
    with pytest.raises(CertificateError, match="cannot read"):
        certificates.load(tmp_path, one.key)
    (tmp_path / "large").write_bytes(bytes(certificates.LARGEST + 1))
    with pytest.raises(CertificateError, match="too large"):
        certificates.load(tmp_path / "large", one.key)


def test_a_key_with_a_password(tmp_path: Path) -> None:
    from cryptography.hazmat.primitives import serialization as form

    pair = self_signed(tmp_path / "pair")
    key = form.load_pem_private_key(pair.key.read_bytes(), None)
    locked = form.BestAvailableEncryption(b"hunter2")
    pair.key.write_bytes(key.private_bytes(form.Encoding.PEM, form.PrivateFormat.PKCS8, locked))
    with pytest.raises(CertificateError, match="locked with a password"):
        certificates.load(pair.cert, pair.key)


def test_a_chain(tmp_path: Path) -> None:
    """The server's own certificate comes first; the rest is whoever signed it."""
    authority = Authority(tmp_path / "ca")
    issued = authority.issue("chat.example.org", "chat.example.org")
    issued.cert.write_bytes(issued.cert.read_bytes() + authority.path.read_bytes())
    assert certificates.load(issued.cert, issued.key).fingerprint == issued.fingerprint
    issued.cert.write_bytes(authority.path.read_bytes() + self_signed(tmp_path / "other").cert.read_bytes())
    with pytest.raises(CertificateError, match="does not belong"):
        certificates.load(issued.cert, issued.key)
