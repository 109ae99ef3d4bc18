"""Real certificates for tests: self-signed ones, expired ones, and those of an authority."""

from __future__ import annotations

import datetime
import os
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from madang.ops import certificates

LOCAL = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True)
class Files:
    """A pair on disk."""

    cert: Path
    key: Path
    fingerprint: str

    def replace_with(self, other: Files) -> None:
        """Put another pair in its place, as renewers do: each file at one moment."""
        for mine, theirs in ((self.cert, other.cert), (self.key, other.key)):
            fresh = mine.with_name(f"{mine.name}.new")
            fresh.write_bytes(theirs.read_bytes())
            os.replace(fresh, mine)


def now() -> datetime.datetime:
    """Now, UTC."""
    return datetime.datetime.now(datetime.UTC)


def self_signed(directory: Path, *names: str, days: float = 30, made: datetime.datetime | None = None) -> Files:
    """A pair as `madang cert` makes it; `made` when, so that it can have expired."""
    return Files(*certificates.make(directory, names or LOCAL, int(days), made or now()))


def expired(directory: Path) -> Files:
    """One that was good until yesterday."""
    return self_signed(directory, days=9, made=now() - datetime.timedelta(days=10))


class Authority:
    """Signs certificates."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        directory.mkdir()
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "An authority")])
        self.path = directory / "ca.pem"
        certificate = self._sign(self._name, self._key, x509.BasicConstraints(ca=True, path_length=0), ())
        self.path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))

    def issue(self, name: str, *alternatives: str) -> Files:
        """A pair for whoever this is."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        certificate = self._sign(subject, key, x509.BasicConstraints(ca=False, path_length=None), alternatives)
        paths = self._directory / f"{name}.pem", self._directory / f"{name}-key.pem"
        paths[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        paths[1].write_bytes(key.private_bytes(*form))
        return Files(*paths, certificates.fingerprint(certificate.public_bytes(serialization.Encoding.DER)))

    def _sign(
        self,
        subject: x509.Name,
        key: ec.EllipticCurvePrivateKey,
        constraints: x509.BasicConstraints,
        alternatives: tuple[str, ...],
    ) -> x509.Certificate:
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now() - datetime.timedelta(days=1))
            .not_valid_after(now() + datetime.timedelta(days=1))
            .add_extension(constraints, critical=True)
        )
        if alternatives:
            names = x509.SubjectAlternativeName([x509.DNSName(each) for each in alternatives])
            builder = builder.add_extension(names, critical=False)
        return builder.sign(self._key, hashes.SHA256())
