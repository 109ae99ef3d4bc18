"""What a server can be told."""

from __future__ import annotations

import argparse
import gc
import warnings
from pathlib import Path

import pytest

from madang.node.command import add_parser, run, settings_of
from madang.node.embed import Server
from madang.node.settings import DEFAULT_PORT, Address, PortRange, SettingError, Settings


def parsed(*line: str) -> argparse.Namespace:
    """What the command line holds."""
    parser = argparse.ArgumentParser()
    add_parser(parser.add_subparsers())
    return parser.parse_args(["serve", *line])


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("localhost:1", Address("localhost", 1)),
        ("127.0.0.1:0", Address("127.0.0.1", 0)),
        ("127.0.0.1", Address("127.0.0.1", DEFAULT_PORT)),
        (":65535", Address("localhost", 65535)),
        ("[::1]:50", Address("::1", 50)),
        ("[::1]", Address("::1", DEFAULT_PORT)),
    ],
)
def test_addresses(text: str, address: Address) -> None:
    assert Address.parse(text) == address
    assert Address.parse(str(address)) == address


@pytest.mark.parametrize("text", ["localhost:", "localhost:x", "localhost:65536", "localhost:-1", "localhost:1.5"])
def test_addresses_that_are_none(text: str) -> None:
    with pytest.raises(SettingError, match="is not an address"):
        Address.parse(text)


def test_port_ranges() -> None:
    assert PortRange.parse("1-65535") == PortRange(1, 65535)
    assert PortRange.parse("50") == PortRange(50, 50)


@pytest.mark.parametrize("text", ["", "-", "2-1", "0-5", "1-65536", "a-b", "1-2-3"])
def test_port_ranges_that_are_none(text: str) -> None:
    with pytest.raises(SettingError, match="is not a range of ports"):
        PortRange.parse(text)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.0.1", "example.org", "*", "localhost.example.org", "0"])
@pytest.mark.parametrize("name", ["listen", "heartbeat", "lobby", "channel"])
def test_loopback_only(name: str, host: str) -> None:
    settings: dict[str, Address] = {name: Address(host, 1)}
    with pytest.raises(SettingError, match="is not a loopback address"):
        Settings(**settings)  # type: ignore[arg-type]


def test_names_that_only_begin_like_loopback() -> None:
    """127.example.org is a name that anyone may own; so is what a resolver makes of it."""
    for host in ("127.example.org", "127.0.0.1.example.org", "127."):
        with pytest.raises(SettingError, match="is not a loopback address"):
            Settings(listen=Address(host, 1))


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.1.2.3", "::1"])
def test_loopback(host: str) -> None:
    assert Settings(listen=Address(host, 1)).listen.host == host


def test_two_services_on_one_address() -> None:
    there = Address("localhost", 1)
    with pytest.raises(SettingError, match="the same address"):
        Settings(lobby=there, channel=there)
    with pytest.raises(SettingError, match="the same address"):
        Settings(listen=there, heartbeat=there)
    Settings(listen=Address("localhost", 0), lobby=Address("localhost", 0))  # the system finds two


@pytest.mark.parametrize("name", ["pace", "drain", "keepalive", "keepalive_timeout"])
def test_times_that_are_negative(name: str) -> None:
    settings: dict[str, float] = {name: -0.1}
    with pytest.raises(SettingError, match=f"{name} must not be negative"):
        Settings(**settings)  # type: ignore[arg-type]


def test_defaults_of_the_command_line_are_those_of_the_settings() -> None:
    assert settings_of(parsed()) == Settings()


def test_command_line() -> None:
    line = ["--data", "there", "--listen", ":1", "--heartbeat", ":2", "--lobby", "[::1]:3", "--channel", "127.0.0.1:4"]
    settings = settings_of(parsed(*line, "--classic-ports", "7-9", "--no-classic"))
    assert settings == Settings(
        data=Path("there"),
        listen=Address("localhost", 1),
        heartbeat=Address("localhost", 2),
        lobby=Address("::1", 3),
        channel=Address("127.0.0.1", 4),
        classic=False,
        classic_ports=PortRange(7, 9),
    )


@pytest.mark.parametrize(
    "line",
    [["--listen", "0.0.0.0:1"], ["--lobby", "x:y"], ["--classic-ports", "9-7"], ["--channel", "localhost:50050"]],
)
def test_wrong_usage(line: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(parsed(*line)) == 2
    output = capsys.readouterr()
    assert output.err.startswith("madang: ")
    assert output.err.count("\n") == 1
    assert not output.out


def test_embedded_servers_are_held_to_the_same() -> None:
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        with pytest.raises(SettingError, match="is not a loopback address"):
            Server(listen="0.0.0.0:0")
        gc.collect()
    assert not [str(warning.message) for warning in told], "nothing is left of a server that was refused"


def test_guests_are_let_in_on_loopback_unless_they_are_switched_off() -> None:
    assert Settings().lets_guests_in
    assert Settings(guests=True).lets_guests_in
    assert not Settings(guests=False).lets_guests_in


@pytest.mark.parametrize(("field", "value"), [("password_time", 0), ("password_lanes", 0), ("password_memory", 31)])
def test_a_password_costs_something(field: str, value: int) -> None:
    settings: dict[str, int] = {field: value}
    with pytest.raises(SettingError, match="password_memory"):
        Settings(**settings)  # type: ignore[arg-type]
