"""The certificate that the listeners show, exchanged under way: connections that are open stay as they are.

gRPC asks for the certificate at every new connection, in a thread of its own. The floor of TLS 1.2 is gRPC's: its SSL
credentials offer 1.2 and 1.3 and nothing older, and have no setting for it; `tests/rpc/test_tls.py` holds that.
"""

from __future__ import annotations

import datetime
import hashlib
import logging
from dataclasses import dataclass
from pathlib import Path

import grpc

from madang.ops import certificates
from madang.ops.certificates import CertificateError

_log = logging.getLogger("madang.node.tls")


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """Where the PEM files are. With `client_ca`, whoever connects has to show a certificate that it vouches for."""

    certificate: Path
    key: Path
    client_ca: Path | None = None


class Certificates:
    """The pair in force. Raises CertificateError when the first one cannot be used; a later one that cannot is logged,
    and the one before stays.
    """

    def __init__(self, files: TlsFiles) -> None:
        self._files = files
        self._seen = self._digest()
        self._in_force, self.fingerprint = self._load()

    def credentials(self) -> grpc.ServerCredentials:
        """What one listener is given: always shows the pair that is in force when a connection begins."""
        first = told = self._in_force

        def fetch() -> grpc.ServerCertificateConfiguration | None:
            """Runs in gRPC's threads. None: no change since the last time."""
            nonlocal told
            now = self._in_force
            if now is told:
                return None
            told = now
            return now

        # Its type leaves out the None that its documentation asks for.
        return grpc.dynamic_ssl_server_credentials(first, fetch, self._files.client_ca is not None)  # type: ignore[arg-type]

    def reload(self, *, asked: bool = False) -> None:
        """Take what the files hold when they have changed. `asked`: say what came of it also when they have not."""
        seen = self._digest()
        if seen == self._seen and not asked:
            return
        self._seen = seen
        before = self.fingerprint
        try:
            self._in_force, self.fingerprint = self._load()
        except CertificateError as error:
            _log.error("the certificate was not exchanged, the one before stays: %s", error)
            return
        if asked or before != self.fingerprint:
            _log.info("new connections get the certificate with SHA-256 %s", self.fingerprint)

    def _load(self) -> tuple[grpc.ServerCertificateConfiguration, str]:
        files = self._files
        pair = certificates.load(files.certificate, files.key)
        authorities = None if files.client_ca is None else certificates.load_authorities(files.client_ca)
        now = datetime.datetime.now(datetime.UTC)
        if pair.not_after <= now:
            raise CertificateError(f"{files.certificate} has expired, on {pair.not_after:%Y-%m-%d %H:%M} UTC")
        if pair.not_before > now:
            raise CertificateError(f"{files.certificate} is not good before {pair.not_before:%Y-%m-%d %H:%M} UTC")
        return grpc.ssl_server_certificate_configuration([(pair.key, pair.chain)], authorities), pair.fingerprint

    def _digest(self) -> bytes:
        """What the files hold, in short; of a file that cannot be read, that it cannot."""
        digest = hashlib.sha256()
        for path in (self._files.certificate, self._files.key, self._files.client_ca):
            if path is not None:
                try:
                    digest.update(hashlib.sha256(certificates.read_file(path)).digest())
                except CertificateError as error:
                    digest.update(str(error).encode())
        return digest.digest()
