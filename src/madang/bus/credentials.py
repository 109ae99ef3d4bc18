"""The credentials file of NATS: who a node is, and the seed with which it proves that.

nats-py reads such files with a package of its own for the keys, which are plain Ed25519; `cryptography` does as well.
"""

from __future__ import annotations

import base64
import binascii
import re
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from madang.bus.errors import BusError

_BLOCK = r"-+BEGIN {}-+\s*([A-Za-z0-9_.=+/-]+?)\s*-+END {}-+"
_JWT = re.compile(_BLOCK.format("NATS USER JWT", "NATS USER JWT"))
_SEED = re.compile(_BLOCK.format("USER NKEY SEED", "USER NKEY SEED"))
_SEED_PREFIX = 18 << 3
_SEED_BYTES = 36  # two of the prefix, the seed, two of the checksum


class Credentials:
    """What a credentials file holds. `jwt` and `sign` are what nats-py asks for."""

    def __init__(self, path: Path) -> None:
        """Read it. Raises BusError."""
        try:
            text = path.read_text("ascii")
        except (OSError, ValueError) as error:
            raise BusError(f"the credentials {path} cannot be read: {error}") from error
        jwt, seed = _JWT.search(text), _SEED.search(text)
        if jwt is None or seed is None:
            raise BusError(f"{path} is not a credentials file of NATS: it needs a user's JWT and its seed")
        self._jwt = jwt.group(1)
        try:
            self._key = _key(seed.group(1))
        except ValueError as error:
            raise BusError(f"{path} holds no seed of NATS: {error}") from error

    def jwt(self) -> bytes:
        """The user's JWT."""
        return self._jwt.encode()

    def sign(self, nonce: str) -> bytes:
        """The proof for a server that asks with this nonce."""
        return base64.b64encode(self._key.sign(nonce.encode()))


def _key(seed: str) -> Ed25519PrivateKey:
    """Raises ValueError. An nkey is base32 of a prefix, the key, and a CRC-16 (XMODEM), the lower byte first."""
    try:
        raw = base64.b32decode(seed + "=" * (-len(seed) % 8))
    except binascii.Error as error:
        raise ValueError("it is not base32") from error
    if len(raw) != _SEED_BYTES or raw[0] & 0xF8 != _SEED_PREFIX:
        raise ValueError("it does not look like one")
    if binascii.crc_hqx(raw[:-2], 0) != int.from_bytes(raw[-2:], "little"):
        raise ValueError("its checksum is wrong")
    return Ed25519PrivateKey.from_private_bytes(raw[2:-2])
