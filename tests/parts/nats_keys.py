"""An operator, an account and users of NATS, made on the spot: what `nsc` does, as far as tests need it."""

from __future__ import annotations

import base64
import binascii
import json
import time
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

_PREFIXES = {"operator": 14 << 3, "account": 0, "user": 20 << 3}
_SEED = 18 << 3
_UNLIMITED = {"subs": -1, "data": -1, "payload": -1, "imports": -1, "exports": -1, "wildcards": True, "conn": -1}


class Key:
    """A key pair of NATS ("nkey")."""

    def __init__(self, kind: str) -> None:
        self._kind = kind
        self._private = Ed25519PrivateKey.generate()

    @property
    def public(self) -> str:
        return _encode(bytes([_PREFIXES[self._kind]]) + self._private.public_key().public_bytes_raw())

    @property
    def seed(self) -> str:
        """As in a credentials file: five bits say that it is a seed, the next eight whose."""
        prefix = _PREFIXES[self._kind]
        return _encode(bytes([_SEED | prefix >> 5, (prefix & 31) << 3]) + self._private.private_bytes_raw())

    def sign(self, subject: Key, claims: dict[str, object]) -> str:
        """A JWT in which this key vouches for another one."""
        body = {"jti": "test", "iat": int(time.time()), "iss": self.public, "sub": subject.public, "name": "test"}
        parts = [_part({"typ": "JWT", "alg": "ed25519-nkey"}), _part(body | {"nats": claims | {"version": 2}})]
        signature = self._private.sign(".".join(parts).encode())
        return ".".join([*parts, base64.urlsafe_b64encode(signature).rstrip(b"=").decode()])


class Operator:
    """Whom a server trusts, with one account."""

    def __init__(self) -> None:
        self._key, self._account = Key("operator"), Key("account")

    def config(self) -> str:
        """For nats-server's configuration file."""
        operator = self._key.sign(self._key, {"type": "operator"})
        account = self._key.sign(self._account, {"type": "account", "limits": _UNLIMITED})
        return f"operator: {operator}\nresolver: MEMORY\nresolver_preload: {{ {self._account.public}: {account} }}\n"

    def credentials(self, path: Path) -> Path:
        """The credentials file of a new user."""
        user = Key("user")
        limits = {"subs": -1, "data": -1, "payload": -1}
        jwt = self._account.sign(user, {"type": "user", "pub": {}, "sub": {}, **limits})
        path.write_text(
            f"-----BEGIN NATS USER JWT-----\n{jwt}\n------END NATS USER JWT------\n\n"
            "************************* IMPORTANT *************************\n"
            f"-----BEGIN USER NKEY SEED-----\n{user.seed}\n------END USER NKEY SEED------\n"
        )
        return path


def _encode(raw: bytes) -> str:
    checked = raw + binascii.crc_hqx(raw, 0).to_bytes(2, "little")
    return base64.b32encode(checked).rstrip(b"=").decode()


def _part(value: dict[str, object]) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()
