"""Where a call comes from."""

from __future__ import annotations

from dataclasses import fields

import pytest
from hypothesis import given
from hypothesis import strategies as st

from madang.core.budget import Allowance, Rate
from madang.core.hosts import limit_key
from madang.core.limits import Limits
from madang.node.command import settings_of
from madang.node.kinds import NETWORKS
from madang.node.settings import SettingError
from madang.node.table import BY_NAME
from madang.rpc.address import address_of, forwarded

from .test_settings import parsed

PROXIES = NETWORKS.read("10.0.0.0/8, ::1, 127.0.0.1")


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
        ("unix:/run/madang.sock", ["203.0.113.5"], ""),
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
    settings = settings_of(parsed("--trusted-proxies", "10.0.0.0/8,::1", "--limit-messages", "50+0.5/s"), {})
    assert [str(network) for network in settings.trusted_proxies] == ["10.0.0.0/8", "::1/128"]
    assert settings.limits == Limits(messages=Rate(50, 2_000_000))
    assert settings_of(parsed("--limit-sign-in-failures", "3/60s"), {}).limits == Limits(
        sign_in_failures=Allowance(3, 60_000_000)
    )
    assert settings_of(parsed("--no-limits"), {}).limits is None
    for flags in (
        ("--trusted-proxies", "example.org"),
        ("--limit-messages", "5"),
        ("--limit-messages", "0+1/s"),
        ("--limit-messages", "5+0/s"),
        ("--limit-sign-in-failures", "5/m"),
        ("--limit-bots-per-person", "0"),
    ):
        with pytest.raises(SettingError):
            settings_of(parsed(*flags), {})


def test_every_limit_is_a_setting() -> None:
    rows = {name.removeprefix("limit_") for name in BY_NAME if name.startswith("limit_")}
    assert rows == {field.name for field in fields(Limits)}


@given(st.builds(Rate, st.integers(1, 10**6), st.integers(1, 10**7)))
def test_a_rate_is_read_as_it_is_shown(rate: Rate) -> None:
    assert Rate.parse(str(rate)) == rate
