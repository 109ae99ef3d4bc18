"""Defaults: the server, the handle, the folder, the options and where they come from."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from madang.client.tls import Tls
from madang.terminal.exits import CommandError, Exit
from madang.terminal.options import DEFAULT_TIMEOUT, add_common, read_options
from madang.terminal.places import (
    checked_handle,
    forget_signed_in,
    handle_from,
    is_numbered,
    remember_signed_in,
    server_address,
    signed_in_name,
    state_folder,
)
from madang.terminal.trust import remember_trust


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("localhost", "localhost:50050"),
        ("localhost:1", "localhost:1"),
        ("[::1]:50060", "[::1]:50060"),
        ("chat.example.org", "chat.example.org:50050"),
    ],
)
def test_server(text: str, address: str) -> None:
    assert server_address(text) == address


@pytest.mark.parametrize("text", ["", ":1", "host:", "host:0", "host:65536", "host:x", "a b", "http://host:1", "::1"])
def test_not_a_server(text: str) -> None:
    with pytest.raises(ValueError, match="HOST:PORT"):
        server_address(text)


@pytest.mark.parametrize(
    ("name", "handle"),
    [
        ("mina", "mina"),
        ("Mina Kim", "Mina-Kim"),
        ("DOMAIN\\mina", "DOMAIN-mina"),
        ("", "guest"),
        ("$$$", "guest"),
        ("민아", "민아"),
    ],
)
def test_system_name(name: str, handle: str) -> None:
    assert handle_from(name) == handle


@given(st.text())
def test_any_system_name_gives_a_handle(name: str) -> None:
    assert checked_handle(handle_from(name))


@given(st.text(min_size=1), st.text(min_size=1))
def test_folders(name: str, other: str) -> None:
    base = Path("/base")
    folder = state_folder(base, "localhost:50050", name)
    assert folder.parent == base / "localhost%3A50050"
    assert folder.name not in {"", ".", ".."}
    same = name.casefold() == other.casefold()
    assert (folder == state_folder(base, "localhost:50050", other)) is same


def parsed(*argv: str) -> argparse.Namespace:
    """As the command line does it: common options before the command, and after it."""
    parser = argparse.ArgumentParser()
    add_common(parser)
    add_common(parser.add_subparsers().add_parser("send"))
    return parser.parse_args(argv)


def test_options_before_and_after_the_command() -> None:
    options = read_options(parsed("--server", "one:1", "--name", "mina", "send", "--name", "joon"), {})
    assert (options.server, options.name, options.timeout) == ("one:1", "joon", DEFAULT_TIMEOUT)


def test_the_environment_stands_in() -> None:
    environment = {"MADANG_SERVER": "one", "MADANG_NAME": "mina", "MADANG_STATE": "/state"}
    options = read_options(parsed("send"), environment)
    assert (options.server, options.name) == ("one:50050", "mina")
    assert options.folder == Path("/state/one%3A50050/mina")
    assert read_options(parsed("send", "--name", "joon", "--state", "/x"), environment).folder == Path(
        "/x/one%3A50050/joon"
    )


def test_ephemeral_keeps_nothing() -> None:
    assert read_options(parsed("--ephemeral", "send"), {}).folder is None


def test_a_bad_environment_is_a_usage_error() -> None:
    with pytest.raises(CommandError, match="MADANG_SERVER is not right") as failure:
        read_options(parsed("send"), {"MADANG_SERVER": "::"})
    assert failure.value.code is Exit.USAGE


def test_the_token_and_the_keyring_come_from_the_environment(tmp_path: Path) -> None:
    arguments = argparse.Namespace(state=tmp_path)
    options = read_options(arguments, {"MADANG_TOKEN": "secret", "MADANG_KEYRING": "off"})
    assert (options.token, options.keyring) == ("secret", False)
    assert "secret" not in repr(options)
    plain = read_options(arguments, {"MADANG_TOKEN": ""})
    assert (plain.token, plain.keyring) == (None, True)
    with pytest.raises(CommandError):
        read_options(arguments, {"MADANG_KEYRING": "perhaps"})


def test_who_signed_in_last(tmp_path: Path) -> None:
    assert signed_in_name(tmp_path, "host:1") is None
    remember_signed_in(tmp_path, "host:1", "mina")
    remember_signed_in(tmp_path, "host:2", "sora")
    assert (signed_in_name(tmp_path, "host:1"), signed_in_name(tmp_path, "host:2")) == ("mina", "sora")
    forget_signed_in(tmp_path, "host:1", "joon")
    assert signed_in_name(tmp_path, "host:1") == "mina"
    forget_signed_in(tmp_path, "host:1", "Mina")
    forget_signed_in(tmp_path, "host:1", "mina")
    assert signed_in_name(tmp_path, "host:1") is None
    (tmp_path / "host%3A2" / ".signed-in").write_text("../../etc")
    assert signed_in_name(tmp_path, "host:2") is None


def test_how_servers_are_trusted(tmp_path: Path) -> None:
    def known(server: str, *given: str, **environment: str) -> Tls | bool | None:
        return read_options(parsed("--state", str(tmp_path), "--server", server, *given, "send"), environment).tls

    pinned, private = Tls(pin="ab" * 32), Tls(ca="/etc/ca.pem", cert="/etc/me.pem", key="/etc/me.key")
    for server, tls in (("one:1", pinned), ("two:2", private), ("three:3", True), ("four:4", None)):
        remember_trust(tmp_path, server, tls)
        assert known(server) == tls
        remember_trust(tmp_path, server, None)
        assert known(server) == tls, "a sign-in that says nothing changes nothing"
        assert known(server, "--no-tls") is False
        assert known(server, "--tls-pin", "cd" * 32) == Tls(pin="cd" * 32)
        assert known(server, MADANG_TLS_PIN="cd" * 32) == Tls(pin="cd" * 32)
    remember_trust(tmp_path, "two:2", False)
    assert known("two:2") is None, "plain text is not remembered"
    (tmp_path / "one%3A1" / ".tls").write_text('["nonsense"]')
    with pytest.raises(CommandError, match=r"\.tls does not say"):
        known("one:1")


def test_no_name_has_the_folder_of_who_signed_in(tmp_path: Path) -> None:
    remember_signed_in(tmp_path, "host:1", "mina")
    assert not state_folder(tmp_path, "host:1", ".signed-in").exists()


@pytest.mark.parametrize(
    ("handle", "name", "numbered"),
    [
        ("mina-2", "mina", True),
        ("Mina-12", "mina", True),
        ("mina", "mina", False),
        ("mina-2", "mina-2", False),
        ("mina-two", "mina", False),
        ("joon-2", "mina", False),
        (f"{'m' * 30}-2", "m" * 32, True),
        ("m-2", "mina", False),
    ],
)
def test_names_that_were_taken(handle: str, name: str, numbered: bool) -> None:
    assert is_numbered(handle, name) is numbered
