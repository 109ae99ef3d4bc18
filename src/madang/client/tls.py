"""TLS to the server: with the system's authorities, with others, or with one certificate that is known (a pin)."""

from __future__ import annotations

import asyncio
import hashlib
import os
import ssl
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import grpc
from cryptography import x509
from cryptography.x509.oid import NameOID

from madang.client.backoff import Backoff
from madang.client.nodes import split_address, split_targets
from madang.core.errors import ServerUnreachable
from madang.core.hosts import is_loopback

_PIN_LENGTH = 64
_PATIENCE = 2.0
"""For how many seconds a node is waited for that there are others beside."""


class ServerNotTrusted(ConnectionError):
    """The server shows another certificate than the pinned one. Nothing was sent to it."""


@dataclass(frozen=True, slots=True)
class Tls:
    """By what the server is known, and the client to it."""

    ca: str | os.PathLike[str] | None = None
    """A file of authorities, or of the server's own certificate, PEM. Default: those that gRPC comes with."""

    pin: str = ""
    """The SHA-256 of the server's certificate, hexadecimal, with or without colons: this one and no other. Its names do
    not matter then, its dates do."""

    cert: str | os.PathLike[str] | None = None
    """The client's own certificate, PEM, for a server that asks for one; with `key`."""

    key: str | os.PathLike[str] | None = None
    """Its key, PEM."""

    def __post_init__(self) -> None:
        if self.pin:
            normal_pin(self.pin)
        if self.pin and self.ca is not None:
            raise ValueError("a pin and authorities exclude each other: a pinned certificate needs nobody's word")
        if (self.cert is None) != (self.key is None):
            raise ValueError("a client's certificate and its key belong together")


@dataclass(frozen=True, slots=True)
class Secure:
    """What gRPC's channels are made with."""

    credentials: grpc.ChannelCredentials
    options: tuple[tuple[str, str], ...] = ()


def normal_pin(text: str) -> str:
    """A pin as 64 lower case hexadecimal digits. Raises ValueError for what is none."""
    pin = text.replace(":", "").strip().lower()
    if len(pin) != _PIN_LENGTH or set(pin) - set("0123456789abcdef"):
        raise ValueError("a pin is the SHA-256 of a certificate: 64 hexadecimal digits")
    return pin


def wanted(tls: Tls | bool | None, target: str) -> Tls | None:
    """What is meant by `tls`: None is TLS unless the server is on this machine, so that no password leaves it bare."""
    if isinstance(tls, Tls):
        return tls
    if tls is None:
        tls = not all(is_loopback(split_address(each)[0]) for each in split_targets(target))
    return Tls() if tls else None


async def secure(tls: Tls | None, target: str, deadline: float) -> Secure | None:
    """What the channels are made with; None for plain text. For a pin it asks the server for its certificate: the first
    of its nodes that answers.

    `target`: one address, or several with commas between them. `deadline`: on the clock of `time.monotonic`. Raises
    ServerNotTrusted, ServerUnreachable; OSError for files that cannot be read.
    """
    if tls is None:
        return None
    roots = _read(tls.ca)
    options: tuple[tuple[str, str], ...] = ()
    if tls.pin:
        der = await _certificate(target, deadline)
        found = hashlib.sha256(der).hexdigest()
        if found != normal_pin(tls.pin):
            raise ServerNotTrusted(
                f"{target} shows another certificate than the pinned one (SHA-256 {found}): if it was not renewed, "
                "somebody is in between"
            )
        roots = ssl.DER_cert_to_PEM_cert(der).encode()
        options = (("grpc.ssl_target_name_override", _name_of(der)),)
    return Secure(grpc.ssl_channel_credentials(roots, _read(tls.key), _read(tls.cert)), options)


async def _certificate(target: str, deadline: float) -> bytes:
    """The certificate that the server shows, DER. Nothing is believed of it yet, and nothing is sent: no certificate of
    the client's either, which gRPC shows to the pinned one.
    """
    context = unbelieving()
    addresses = [split_address(each) for each in split_targets(target)]
    backoff = Backoff()
    problem = "no answer in time"
    try:
        async with asyncio.timeout(deadline - time.monotonic()):
            while True:
                speaking = 0
                for host, port in addresses:
                    try:
                        async with asyncio.timeout(_PATIENCE if len(addresses) > 1 else None):
                            return await _shown(host, port, context)
                    except OSError as error:
                        problem = error.strerror or str(error)
                        speaking += isinstance(error, ssl.SSLError)
                if speaking == len(addresses):  # all are there, and none of them will show one the next time
                    raise ServerUnreachable(target=target, problem=problem)
                await asyncio.sleep(backoff.next(None))
    except TimeoutError:
        raise ServerUnreachable(target=target, problem=problem) from None


def unbelieving() -> ssl.SSLContext:
    """For looking at a server's certificate whatever it is. It knows none of the client's own: whoever answers may be
    anybody.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(["h2"])
    return context


def believing(tls: Tls, pinned: bytes = b"") -> ssl.SSLContext:
    """For a handshake with a server that is trusted, or with `pinned`, a certificate in DER; as gRPC has it. Only when
    the server was believed, it is shown the client's own certificate.

    Raises OSError for files that cannot be read.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.set_alpn_protocols(["h2"])
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN  # what is trusted needs nobody above it
    if pinned:
        context.check_hostname = False
        context.load_verify_locations(cadata=pinned)
    else:
        context.load_verify_locations(_roots(tls))
    if tls.cert is not None and tls.key is not None:
        context.load_cert_chain(Path(tls.cert).expanduser(), Path(tls.key).expanduser())
    return context


def _roots(tls: Tls) -> Path:
    """The authorities that are trusted: by default those that gRPC knows."""
    if tls.ca is not None:
        return Path(tls.ca).expanduser()
    given = os.environ.get("GRPC_DEFAULT_SSL_ROOTS_FILE_PATH")
    return Path(given) if given else Path(grpc.__file__).parent / "_cython" / "_credentials" / "roots.pem"


async def _shown(host: str, port: int, context: ssl.SSLContext) -> bytes:
    _, writer = await asyncio.open_connection(host, port, ssl=context)
    try:
        der: bytes | None = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    finally:
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()
    if der is None:
        raise OSError("the server shows no certificate")
    return der


def _name_of(der: bytes) -> str:
    """A name that the certificate is for. gRPC insists on one; which, does not matter for a pinned certificate."""
    names = names_of(x509.load_der_x509_certificate(der))
    return names[0].replace("*", "any", 1) if names else "localhost"


def names_of(certificate: x509.Certificate) -> list[str]:
    """What the certificate is for: hosts, IP addresses; at the end whom it is called after."""
    names: list[str] = []
    with suppress(x509.ExtensionNotFound):
        extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        names += extension.get_values_for_type(x509.DNSName)
        names += [str(address) for address in extension.get_values_for_type(x509.IPAddress)]
    names += [str(attribute.value) for attribute in certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
    return list(dict.fromkeys(names))


def _read(path: str | os.PathLike[str] | None) -> bytes | None:
    return None if path is None else Path(path).expanduser().read_bytes()
