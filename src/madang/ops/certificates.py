"""Certificates: made for a private network, read, and looked at before a server uses them."""

from __future__ import annotations

import datetime
import hashlib
import ipaddress
import os
import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

CERT_NAME = "cert.pem"
KEY_NAME = "key.pem"
LARGEST = 1 << 20
"""No certificate chain and no key is larger, bytes."""

_BACKDATE = datetime.timedelta(hours=1)
"""A certificate is good from a little before it was made: not every clock is right."""
_COMMON_NAME_LENGTH = 64
_HOST = re.compile(r"(\*\.)?[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?(\.[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?)*\.?")


class CertificateError(Exception):
    """A certificate, or its key, cannot be made, read or used; the text says which file and why."""


@dataclass(frozen=True, slots=True)
class Pair:
    """A certificate chain and its key, as PEM, and what the server's own certificate (the first) says."""

    chain: bytes
    key: bytes
    fingerprint: str
    """SHA-256 of the certificate, lower case hexadecimal."""
    not_before: datetime.datetime
    not_after: datetime.datetime
    names: tuple[str, ...]
    """Host names and addresses that it is for."""

    def __repr__(self) -> str:  # the key must not get into a log
        return f"Pair({self.fingerprint})"


def make(directory: Path, names: Sequence[str], days: int, now: datetime.datetime) -> tuple[Path, Path, str]:
    """Make a self-signed certificate (ECDSA P-256) for these host names and IP addresses, good for `days` days.

    Gives the paths of the certificate and of its key (0600), and the certificate's SHA-256. Raises CertificateError
    when one of the files is there already, a name is not one, or the directory cannot be written.
    """
    alternatives = [_general_name(name) for name in dict.fromkeys(names)]
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0][:_COMMON_NAME_LENGTH])])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _BACKDATE)
        .not_valid_after(now + datetime.timedelta(days=days))
        .add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    paths = directory / CERT_NAME, directory / KEY_NAME
    _write_both(
        directory, (paths[1], pem, 0o600), (paths[0], certificate.public_bytes(serialization.Encoding.PEM), 0o644)
    )
    return *paths, fingerprint(certificate.public_bytes(serialization.Encoding.DER))


def load(certificate: Path, key: Path) -> Pair:
    """Read a pair, and see that the key is the certificate's. Raises CertificateError; an expired one is loaded."""
    chain, secret = read_file(certificate), read_file(key)
    try:
        first = x509.load_pem_x509_certificates(chain)[0]
    except (ValueError, UnsupportedAlgorithm) as error:
        raise CertificateError(f"{certificate} does not hold a certificate in PEM form: {error}") from None
    try:
        private = serialization.load_pem_private_key(secret, None)
    except TypeError:
        raise CertificateError(f"the key in {key} is locked with a password; the server needs one without") from None
    except (ValueError, UnsupportedAlgorithm):  # its text may quote the file
        raise CertificateError(f"{key} does not hold a private key in PEM form") from None
    if _public_bytes(private.public_key()) != _public_bytes(first.public_key()):
        raise CertificateError(f"the key in {key} does not belong to the certificate in {certificate}")
    return Pair(
        chain,
        secret,
        fingerprint(first.public_bytes(serialization.Encoding.DER)),
        first.not_valid_before_utc,
        first.not_valid_after_utc,
        names_of(first),
    )


def load_authorities(path: Path) -> bytes:
    """The certificates that others are checked against, PEM. Raises CertificateError."""
    raw = read_file(path)
    try:
        x509.load_pem_x509_certificates(raw)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise CertificateError(f"{path} does not hold certificates in PEM form: {error}") from None
    return raw


def fingerprint(der: bytes) -> str:
    """The SHA-256 of a certificate, lower case hexadecimal: what a client pins."""
    return hashlib.sha256(der).hexdigest()


def names_of(certificate: x509.Certificate) -> tuple[str, ...]:
    """The host names and addresses that a certificate is for."""
    try:
        extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, ValueError):
        return ()
    hosts = extension.get_values_for_type(x509.DNSName)
    return (*hosts, *(str(address) for address in extension.get_values_for_type(x509.IPAddress)))


def first_name(chain: bytes) -> str:
    """A name that a certificate is for; empty when it has none, or is none."""
    try:
        names = names_of(x509.load_pem_x509_certificates(chain)[0])
    except (ValueError, UnsupportedAlgorithm):
        return ""
    return next((name.replace("*", "any", 1) for name in names), "")


def read_file(path: Path) -> bytes:
    """A small file's bytes. Raises CertificateError."""
    try:
        with path.open("rb") as file:
            raw = file.read(LARGEST + 1)
    except OSError as error:
        raise CertificateError(f"cannot read {path}: {error.strerror or error}") from None
    if len(raw) > LARGEST:
        raise CertificateError(f"{path} is too large to be a certificate or a key")
    return raw


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name.strip("[]")))
    except ValueError:
        pass
    try:
        host = name if name.isascii() else name.encode("idna").decode()
    except UnicodeError:
        host = ""
    if len(host) > 253 or not _HOST.fullmatch(host):
        raise CertificateError(f"{name!r} is neither a host name nor an IP address")
    return x509.DNSName(host)


def _public_bytes(key: object) -> bytes:
    encoded: bytes = key.public_bytes(  # type: ignore[attr-defined]  # every kind of public key has it
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return encoded


def _write_both(directory: Path, *files: tuple[Path, bytes, int]) -> None:
    """Write new files, all or none of them."""
    written: list[Path] = []
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        for path, content, mode in files:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
            written.append(path)
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
    except OSError as error:
        for path in written:
            with suppress(OSError):
                path.unlink()
        if isinstance(error, FileExistsError):
            raise CertificateError(f"{error.filename} is there already; nothing was written") from None
        raise CertificateError(f"cannot write to {directory}: {error.strerror or error}") from None
