"""Where a call comes from."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from madang.node.command import settings_of
from madang.node.settings import SettingError, networks
from madang.rpc.address import address_of, forwarded, limit_key

from .test_settings import parsed

PROXIES = networks(["10.0.0.0/8", "::1", "127.0.0.1"])


class Call:
    """What is asked of grpc's context."""

    def __init__(self, peer: str, *hops: str | bytes) -> None:
        self._peer = peer
        self._hops = hops

    def peer(self) -> str:
        return self._peer

    def invocation_metadata(self) -> tuple[tuple[str, str | bytes], ...]:
        return tuple(("x-forwarded-for", hop) for hop in self._hops)


@pytest.mark.parametrize(
    ("peer", "hops", "address"),
    [
        ("ipv4:203.0.113.5:1234", [], "203.0.113.5"),
        ("ipv6:%5B2001:db8::1%5D:1234", [], "2001:db8::1"),
        ("ipv6:%5B::ffff:203.0.113.5%5D:1234", [], "203.0.113.5"),
        ("unix:/run/madang.sock", ["203.0.113.5"], "unix:/run/madang.sock"),
        ("ipv4:203.0.113.5:1234", ["198.51.100.7"], "203.0.113.5"),  # anyone can write that
        ("ipv4:10.1.2.3:1234", ["198.51.100.7"], "198.51.100.7"),
        ("ipv6:%5B::1%5D:1", ["198.51.100.7"], "198.51.100.7"),
        ("ipv4:10.1.2.3:1234", ["192.0.2.1, 198.51.100.7"], "198.51.100.7"),  # the first was written by the caller
        ("ipv4:10.1.2.3:1234", ["192.0.2.1", "198.51.100.7 ,10.9.9.9"], "198.51.100.7"),
        ("ipv4:10.1.2.3:1234", ["192.0.2.1, 10.9.9.9"], "192.0.2.1"),
        ("ipv4:10.1.2.3:1234", ["192.0.2.1, unknown, 10.9.9.9"], "10.9.9.9"),
        ("ipv4:10.1.2.3:1234", [""], "10.1.2.3"),
        ("ipv4:10.1.2.3:1234", ["198.51.100.7:8080"], "198.51.100.7"),
        ("ipv4:10.1.2.3:1234", ["[2001:db8::7]:80"], "2001:db8::7"),
        ("ipv4:10.1.2.3:1234", ["2001:db8::7"], "2001:db8::7"),
        ("ipv4:10.1.2.3:1234", ["198.51.100.7, [["], "10.1.2.3"),
        ("ipv4:10.1.2.3:1234", [b"198.51.100.7"], "10.1.2.3"),
    ],
)
def test_where_a_call_comes_from(peer: str, hops: list[str | bytes], address: str) -> None:
    assert address_of(Call(peer, *hops), PROXIES) == address


def test_nobody_is_trusted_unless_it_was_said() -> None:
    assert address_of(Call("ipv4:127.0.0.1:1", "198.51.100.7")) == "127.0.0.1"


@given(st.lists(st.text(max_size=40), max_size=8))
def test_whatever_a_proxy_says(hops: list[str]) -> None:
    found = forwarded("10.0.0.1", hops, PROXIES)
    assert found == "10.0.0.1" or limit_key(found)


@given(st.lists(st.ip_addresses(v=4).map(str), max_size=5))
def test_a_caller_cannot_choose_its_address(claims: list[str]) -> None:
    """Whatever stands before what the trusted proxy has written."""
    assert forwarded("10.0.0.1", [*claims, "203.0.113.5"], PROXIES) == "203.0.113.5"


def test_what_counts_as_one_caller() -> None:
    assert limit_key("203.0.113.5") == "203.0.113.5"
    assert limit_key("2001:db8:1:2:3:4:5:6") == limit_key("2001:db8:1:2::1") == "2001:db8:1:2::/64"
    assert limit_key("2001:db8:1:3::1") != limit_key("2001:db8:1:2::1")
    assert limit_key("::ffff:203.0.113.5") == "203.0.113.5"
    assert limit_key("fe80::1%eth0") == "fe80::/64"
    assert limit_key("unix:/run/madang.sock") == "unix:/run/madang.sock"


def test_settings() -> None:
    settings = settings_of(parsed("--trusted-proxy", "10.0.0.0/8", "--trusted-proxy", "::1"))
    assert [str(network) for network in settings.trusted_proxies] == ["10.0.0.0/8", "::1/128"]
    assert settings.limits is not None
    assert settings_of(parsed("--no-limits")).limits is None
    with pytest.raises(SettingError, match="NETWORK/BITS"):
        settings_of(parsed("--trusted-proxy", "example.org"))
