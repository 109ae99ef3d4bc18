"""Whether TLS is why a server cannot be reached. gRPC hides the reason, and sometimes has none; so after a failure one
looks once more, with handshakes alone: nothing is sent to anybody.
"""

from __future__ import annotations

import asyncio
import datetime
import os
import ssl
from contextlib import suppress
from pathlib import Path

import grpc
from cryptography import x509
from cryptography.hazmat.primitives import hashes

from madang.client.nodes import split_address, split_targets
from madang.client.tls import Tls, names_of, unbelieving
from madang.core.errors import ServerUnreachable

_PATIENCE = 1.0
"""For how many seconds an address is looked at."""
_LISTENING = 0.3
"""For how many seconds a server that is content with the handshake so far may still say that it wants more."""
_HANGS_UP = "hangs-up"
_NAMES_SHOWN = 4
_OTHER_NAME = (62, 64)
"""OpenSSL's codes for a certificate of another host, and of another IP address."""


async def obstacles(target: str, tls: Tls | None) -> list[ServerUnreachable | None]:
    """What is wrong with TLS at each of the addresses in `target`; None where nothing is known to be.

    The errors have a fact more: `cause`, one of `untrusted`, `name`, `dates`, `wants-plain`, `wants-tls`,
    `wants-certificate`, `refuses-certificate`, `hangs-up`. None but the last one passes by itself, see `stays`.
    """
    return list(await asyncio.gather(*(_look_at(address, tls) for address in split_targets(target))))


def stays(error: ServerUnreachable | None) -> bool:
    """Whether one that `obstacles` gave is there until somebody does something about it."""
    return error is not None and error.facts["cause"] != _HANGS_UP


async def _look_at(address: str, tls: Tls | None) -> ServerUnreachable | None:
    found = None
    with suppress(OSError, ValueError, OverflowError):  # it is not there, or no address at all: that has been said
        async with asyncio.timeout(_PATIENCE):
            host, port = split_address(address)
            found = await (_in_plain_text(host, port) if tls is None else _with_tls(host, port, tls))
    return None if found is None else ServerUnreachable(target=address, cause=found[0], problem=found[1])


async def _in_plain_text(host: str, port: int) -> tuple[str, str] | None:
    try:
        await _shake_hands(host, port, unbelieving(Tls()))
    except ssl.SSLError as error:
        if not _is_alert(error):
            return None
    return "wants-tls", "it takes TLS alone"


async def _with_tls(host: str, port: int, tls: Tls) -> tuple[str, str] | None:
    try:
        der = await _shake_hands(host, port, unbelieving(tls), listen=True)
    except EOFError:
        shown = "" if tls.cert is None else ", which has shown it your certificate"
        return _HANGS_UP, f"it ends the connection after the handshake{shown}"
    except ssl.SSLError as error:
        if not _is_alert(error):
            return "wants-plain", "it does not speak TLS"
        if tls.cert is None:
            return "wants-certificate", "it asks for a certificate of yours"
        return "refuses-certificate", "it does not take your certificate"
    certificate = x509.load_der_x509_certificate(der)
    if wrong := _out_of_date(certificate):
        return "dates", wrong
    return None if tls.pin else await _unbelieved(host, port, tls, certificate)


async def _unbelieved(host: str, port: int, tls: Tls, certificate: x509.Certificate) -> tuple[str, str] | None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(_roots(tls))
    sha = certificate.fingerprint(hashes.SHA256()).hex()
    try:
        await _shake_hands(host, port, context)
    except ssl.SSLCertVerificationError as error:
        if error.verify_code not in _OTHER_NAME:
            return "untrusted", f"its certificate is not trusted (SHA-256 {sha})"
        names = names_of(certificate)
        told = ", ".join([*names[:_NAMES_SHOWN], *(["…"] if len(names) > _NAMES_SHOWN else [])]) or "nobody"
        return "name", f"its certificate is for {told}, not for {host} (SHA-256 {sha})"
    return None


async def _shake_hands(host: str, port: int, context: ssl.SSLContext, *, listen: bool = False) -> bytes:
    """The certificate that is shown, DER. `listen` to what follows: only then does a server say that it wants one too.

    Raises ssl.SSLError, which is an OSError; EOFError where the connection ends while it listens.
    """
    reader, writer = await asyncio.open_connection(host, port, ssl=context)
    try:
        if listen:
            with suppress(TimeoutError):
                async with asyncio.timeout(_LISTENING):
                    await reader.readexactly(1)
        der: bytes = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
        return der
    finally:
        writer.transport.abort()
        with suppress(OSError):
            await writer.wait_closed()


def _is_alert(error: ssl.SSLError) -> bool:
    """Whether the other side has said in the words of TLS that it does not like something."""
    return "ALERT" in (error.reason or "")


def _out_of_date(certificate: x509.Certificate) -> str:
    first, last = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    now = datetime.datetime.now(datetime.UTC)
    if now > last:
        return f"its certificate has expired, on {last:%Y-%m-%d %H:%M} UTC"
    return f"its certificate is good from {first:%Y-%m-%d %H:%M} UTC on" if now < first else ""


def _roots(tls: Tls) -> Path:
    """The authorities that are trusted: by default those that gRPC knows."""
    if tls.ca is not None:
        return Path(tls.ca).expanduser()
    given = os.environ.get("GRPC_DEFAULT_SSL_ROOTS_FILE_PATH")
    return Path(given) if given else Path(grpc.__file__).parent / "_cython" / "_credentials" / "roots.pem"
