"""Whether TLS is why a server cannot be reached. gRPC hides the reason, and sometimes has none; so after a failure one
looks once more, with handshakes alone: nothing is sent to anybody, and the client's own certificate is shown to nobody
who is not trusted.
"""

from __future__ import annotations

import asyncio
import datetime
import hashlib
import re
import ssl
from contextlib import suppress

from cryptography import x509

from madang.client.nodes import split_address, split_targets
from madang.client.tls import Tls, believing, names_of, normal_pin, unbelieving
from madang.core.errors import ServerUnreachable

_PATIENCE = 1.0
"""For how many seconds an address is looked at."""
_LISTENING = 0.3
"""For how many seconds a server that is content with the handshake so far may still say that it wants more."""
_HANGS_UP, _FAILS = "hangs-up", "fails"
_PLAIN = ("WRONG_VERSION_NUMBER", "HTTP_REQUEST")
"""What OpenSSL makes of an answer in plain text, as gRPC's servers and others give it."""
_OF_CERTIFICATES = ("certificate", "unknown ca", "handshake failure")
"""What is in the names of the alerts that are about the client's certificate."""
_AROUND = re.compile(r"^\[[^\]]*\] ?| ?\([^()]*\)$")
_NAMES_SHOWN = 4
_OTHER_NAME = (62, 64)
"""OpenSSL's codes for a certificate of another host, and of another IP address."""


async def obstacles(target: str, tls: Tls | None) -> list[ServerUnreachable | None]:
    """What is wrong with TLS at each of the addresses in `target`; None where nothing is known to be.

    The errors have a fact more: `cause`, one of `untrusted`, `name`, `dates`, `wants-plain`, `wants-tls`,
    `wants-certificate`, `refuses-certificate`, `hangs-up`, `fails`. Only the last two may pass by themselves, see
    `stays`.
    """
    return list(await asyncio.gather(*(_look_at(address, tls) for address in split_targets(target))))


def stays(error: ServerUnreachable | None) -> bool:
    """Whether one that `obstacles` gave is there until somebody does something about it."""
    return error is not None and error.facts["cause"] not in (_HANGS_UP, _FAILS)


async def _look_at(address: str, tls: Tls | None) -> ServerUnreachable | None:
    found = None
    with suppress(OSError, ValueError, OverflowError):  # it is not there, or no address at all: that has been said
        async with asyncio.timeout(_PATIENCE):
            host, port = split_address(address)
            found = await (_in_plain_text(host, port) if tls is None else _with_tls(host, port, tls))
    return None if found is None else ServerUnreachable(target=address, cause=found[0], problem=found[1])


async def _in_plain_text(host: str, port: int) -> tuple[str, str] | None:
    try:
        await _shake_hands(host, port, unbelieving())
    except ssl.SSLError as error:
        if not _is_alert(error):
            return None
    return "wants-tls", "it takes TLS alone"


async def _with_tls(host: str, port: int, tls: Tls) -> tuple[str, str] | None:
    der = b""
    try:
        der = await _shake_hands(host, port, unbelieving())
    except ssl.SSLError as error:
        if tls.cert is None or not _is_about_a_certificate(error):
            return _failed(error, shown=False)
        if tls.pin:  # it asks before the handshake is done, so that nobody knows yet whether it is the pinned one
            return _FAILS, "it asks for your certificate before it is known to be the pinned one, as TLS 1.2 has it"
    if der and (wrong := _out_of_date(x509.load_der_x509_certificate(der))):
        return "dates", wrong
    if tls.pin and hashlib.sha256(der).hexdigest() != normal_pin(tls.pin):
        return None  # that is told where the pin is looked at
    return await _believing(host, port, tls, der)


async def _believing(host: str, port: int, tls: Tls, der: bytes) -> tuple[str, str] | None:
    """What goes wrong with a server that has to be trusted; only if it is, it sees the client's certificate.

    `der`: the certificate that it has shown; empty where it has shown none to a client without one.
    """
    context = believing(tls, der if tls.pin else b"")
    try:
        await _shake_hands(host, port, context, listen=True)
    except EOFError:
        shown = "" if tls.cert is None else ", which has shown it your certificate"
        return _HANGS_UP, f"it ends the connection after the handshake{shown}"
    except ssl.SSLCertVerificationError as error:
        return None if tls.pin else _unbelieved(host, error, der)
    except ssl.SSLError as error:
        return _failed(error, shown=tls.cert is not None)
    return None


def _unbelieved(host: str, error: ssl.SSLCertVerificationError, der: bytes) -> tuple[str, str]:
    if not der:
        return "untrusted", f"its certificate is not trusted ({error.verify_message})"
    sha = hashlib.sha256(der).hexdigest()
    if error.verify_code not in _OTHER_NAME:
        return "untrusted", f"its certificate is not trusted (SHA-256 {sha})"
    names = names_of(x509.load_der_x509_certificate(der))
    told = ", ".join([*names[:_NAMES_SHOWN], *(["…"] if len(names) > _NAMES_SHOWN else [])]) or "nobody"
    return "name", f"its certificate is for {told}, not for {host} (SHA-256 {sha})"


def _failed(error: ssl.SSLError, *, shown: bool) -> tuple[str, str]:
    """What a handshake that has failed tells. `shown`: whether the client had a certificate to show in it."""
    if error.reason in _PLAIN:
        return "wants-plain", "it does not speak TLS"
    if not _is_about_a_certificate(error):
        return _FAILS, f"the TLS handshake fails ({_words(error)})"
    if not shown:
        return "wants-certificate", "it asks for a certificate of yours"
    return "refuses-certificate", "it does not take your certificate"


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
    words = _words(error)
    return "alert" in words or words.startswith("tlsv1")  # some of them are named without the word


def _is_about_a_certificate(error: ssl.SSLError) -> bool:
    """Whether what it does not like is the client's certificate, or that there is none."""
    return _is_alert(error) and any(part in _words(error) for part in _OF_CERTIFICATES)


def _words(error: ssl.SSLError) -> str:
    """What OpenSSL says, in small letters: `tlsv1 alert internal error`."""
    text = error.reason or _AROUND.sub("", str(error))  # Python has no names for some
    return text.replace("_", " ").lower()


def _out_of_date(certificate: x509.Certificate) -> str:
    first, last = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    now = datetime.datetime.now(datetime.UTC)
    if now > last:
        return f"its certificate has expired, on {last:%Y-%m-%d %H:%M} UTC"
    return f"its certificate is good from {first:%Y-%m-%d %H:%M} UTC on" if now < first else ""
