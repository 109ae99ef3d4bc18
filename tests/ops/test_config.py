"""The order of the settings' sources, and what is told of those that are wrong."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from madang.core.budget import Allowance, Rate
from madang.core.limits import Limits
from madang.core.models import Registration
from madang.node import config, kinds, show, table
from madang.node.config import load
from madang.node.kinds import NETWORKS, SWITCH, Kind
from madang.node.settings import Address, PortRange, SettingError, Settings
from madang.node.table import BY_NAME, LIMIT, NOT_SETTABLE, SETTINGS

from .command import parse, run

SAMPLES: dict[str, tuple[str, str, Any]] = {
    "data": ("there", '"there"', Path("there")),
    "database": ("postgresql://me@db/chat", '"postgresql://me@db/chat"', "postgresql://me@db/chat"),
    "database_connections": ("4", "4", 4),
    "bus": ("nats://a:1,tls://b:2", '["nats://a:1", "tls://b:2"]', ("nats://a:1", "tls://b:2")),
    "bus_credentials": ("bus.creds", '"bus.creds"', Path("bus.creds")),
    "bus_ca": ("ca.pem", '"ca.pem"', Path("ca.pem")),
    "bus_cert": ("cert.pem", '"cert.pem"', Path("cert.pem")),
    "bus_key": ("key.pem", '"key.pem"', Path("key.pem")),
    "cluster": ("yard", '"yard"', "yard"),
    "name": ("one", '"one"', "one"),
    "services": ("lobby, agent", '["lobby", "agent"]', ("agent", "lobby")),
    "advertise": ("chat.example.org:443", '"chat.example.org:443"', Address("chat.example.org", 443)),
    "wait": ("5", "5", 5.0),
    "handover": ("20", "20", 20.0),
    "listen": ("127.0.0.1:7", '"127.0.0.1:7"', Address("127.0.0.1", 7)),
    "heartbeat": ("[::1]:8", '"[::1]:8"', Address("::1", 8)),
    "lobby": ("localhost:9", '"localhost:9"', Address("localhost", 9)),
    "channel": ("localhost:10", '"localhost:10"', Address("localhost", 10)),
    "tls_cert": ("cert.pem", '"cert.pem"', Path("cert.pem")),
    "tls_key": ("key.pem", '"key.pem"', Path("key.pem")),
    "tls_client_ca": ("ca.pem", '"ca.pem"', Path("ca.pem")),
    "insecure": ("true", "true", True),
    "guests": ("no", "false", False),
    "registration": ("open", '"open"', Registration.OPEN),
    "password_time": ("4", "4", 4),
    "password_memory": ("1024", "1024", 1024),
    "password_lanes": ("2", "2", 2),
    "classic": ("0", "false", False),
    "classic_ports": ("7-9", '"7-9"', PortRange(7, 9)),
    "pace": ("0.5", "0.5", 0.5),
    "drain": ("2", "2", 2.0),
    "keepalive": ("3.5", "3.5", 3.5),
    "keepalive_timeout": ("4", "4", 4.0),
    "limits": ("off", "false", False),
    "limit_messages": ("9+0.5/s", '"9+0.5/s"', Rate(9, 2_000_000)),
    "limit_sign_in_failures": ("3/60s", '"3/60s"', Allowance(3, 60_000_000)),
    "limit_bots_per_person": ("3", "3", 3),
    "trusted_proxies": ("10.0.0.0/8,::1", '["10.0.0.0/8", "::1"]', NETWORKS.read("10.0.0.0/8,::1/128")),
    "log_format": ("json", '"json"', "json"),
    "verbose": ("on", "true", True),
}
"""Of settings: a text, the same in TOML, and what it means."""


def test_the_table_has_every_setting() -> None:
    fields = {field.name for field in dataclasses.fields(Settings)}
    limits = {f"{LIMIT}{field.name}" for field in dataclasses.fields(Limits)}
    assert set(BY_NAME) == (fields - NOT_SETTABLE) | limits
    assert len(BY_NAME) == len(SETTINGS)
    assert all(setting.default_text for setting in SETTINGS)
    assert load({}, {}).settings() == Settings()


@pytest.mark.parametrize("name", SAMPLES)
def test_each_in_each_place(name: str, tmp_path: Path) -> None:
    setting = BY_NAME[name]
    text, toml, value = SAMPLES[name]
    assert load({}, {setting.variable: text}).values[name] == config.Given(value, setting.variable)
    path = tmp_path / "settings.toml"
    path.write_text(f"{name} = {toml}\n")
    found = load({}, {}, str(path)).values[name]
    assert found == config.Given(tmp_path / value if isinstance(value, Path) else value, str(path))
    if setting.kind is SWITCH:
        for flag, on in ((setting.flag, True), (f"--no-{setting.flag[2:]}", False)):
            assert vars(parse("serve", flag))[name] is on
        assert load({name: True}, {}).values[name] == config.Given(True, setting.flag)
    else:
        assert load({name: vars(parse("serve", setting.flag, text))[name]}, {}).values[name].value == value
        assert setting.kind.read(setting.kind.show(value)) == value


def test_the_order(tmp_path: Path) -> None:
    file = tmp_path / "madang.toml"
    file.write_text("drain = 2\nkeepalive = 2\npace = 2\n")
    environment = {"MADANG_DATA": str(tmp_path), "MADANG_KEEPALIVE": "3", "MADANG_PACE": "3"}
    values = load({"pace": "4"}, environment).values
    assert [
        (values[name].value, values[name].source) for name in ("keepalive_timeout", "drain", "keepalive", "pace")
    ] == [
        (10.0, "default"),
        (2, str(file)),
        (3.0, "MADANG_KEEPALIVE"),
        (4.0, "--pace"),
    ]


def test_the_first_file_that_there_is(tmp_path: Path) -> None:
    named, in_data, of_system = (tmp_path / name for name in ("named.toml", "data/madang.toml", "system.toml"))
    in_data.parent.mkdir()
    flags, variables = {"data": str(in_data.parent)}, {"MADANG_CONFIG": str(named)}
    assert load(flags, {}, system_file=of_system).file is None
    for path in (of_system, in_data, named):
        path.write_text("")
    assert load(flags, {}, system_file=of_system).file == in_data
    assert load(flags, variables, system_file=of_system).file == named
    assert load(flags, variables, str(of_system), named).file == of_system
    in_data.unlink()
    assert load(flags, {}, system_file=of_system).file == of_system


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("listen = 50050", r"listen: an address such as .* is needed, not 50050"),
        ('listen = "localhost:x"', r"listen: 'localhost:x' is not an address"),
        ("drain = true", r"drain: a number of seconds is needed, not True"),
        ("drain = [1]", r"drain: a number of seconds is needed"),
        ('insecure = "false"', r"insecure: true or false is needed, not 'false'"),
        ("insecure = 1", r"insecure: true or false is needed"),
        ('registration = "everybody"', r"registration: 'everybody' is none of invite, open, closed"),
        ('classic_ports = "9-7"', r"classic_ports: '9-7' is not a range of ports"),
        ('data = ""', r"data: the name of a directory is needed|data: the name of a file is needed"),
        ('lissten = "x"', r"there is no setting 'lissten'; is 'listen' meant\?"),
        ('tls-cert = "x"', r"there is no setting 'tls-cert'; is 'tls_cert' meant\?"),
        ("[server]\ndrain = 1", r"there is no setting 'server'"),
        ("classic_times = 1", r"there is no setting 'classic_times'"),
        ("drain = ", r"is not TOML"),
        ("drain = 1\ndrain = 2", r"is not TOML"),
        ("\udcff", r"is not UTF-8"),
    ],
)
def test_what_is_wrong_in_a_file(text: str, told: str, tmp_path: Path) -> None:
    """The message names the file and the key."""
    path = tmp_path / "settings.toml"
    path.write_text(text, errors="surrogateescape")
    with pytest.raises(SettingError, match=told) as caught:
        load({}, {}, str(path))
    assert str(path) in str(caught.value)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="no such file"):
        load({}, {}, str(tmp_path / "nothing.toml"))
    with pytest.raises(SettingError, match="is a directory"):
        load({}, {}, str(tmp_path))
    (tmp_path / "large.toml").write_bytes(b"#" * (config.LARGEST_FILE + 1))
    with pytest.raises(SettingError, match="too large"):
        load({}, {}, str(tmp_path / "large.toml"))
    loop = tmp_path / "madang.toml"
    loop.symlink_to(loop)
    with pytest.raises(SettingError, match="cannot read the settings file"):
        load({"data": str(tmp_path)}, {})


@pytest.mark.skipif(os.geteuid() != 0, reason="has to become somebody else")
def test_a_file_that_one_may_not_read(tmp_path: Path) -> None:
    """It is not passed over in silence: the server would start with other settings than the administrator's."""
    tmp_path.chmod(0o755)
    path = tmp_path / "madang.toml"
    path.write_text("drain = 1")
    path.chmod(0o600)
    code = (
        "import os, sys; from madang.node.config import load; from madang.node.settings import SettingError\n"
        "os.seteuid(65534)\n"
        f"try: load({{'data': {str(tmp_path)!r}}}, {{}})\n"
        "except SettingError as error: sys.exit(str(error))"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert ended.returncode == 1
    assert "cannot read the settings file" in ended.stderr or "permission denied" in ended.stderr.lower()


def test_a_file_does_not_say_where_it_was_found(tmp_path: Path) -> None:
    (tmp_path / "madang.toml").write_text('data = "elsewhere"')
    with pytest.raises(SettingError, match="cannot say where that is"):
        load({"data": str(tmp_path)}, {})


@pytest.mark.parametrize(("variable", "text"), [("MADANG_DRAIN", "soon"), ("MADANG_GUESTS", "perhaps")])
def test_what_is_wrong_in_the_environment(variable: str, text: str) -> None:
    with pytest.raises(SettingError, match=f"^{variable}: '{text}' is"):
        load({}, {variable: text})


def test_what_is_wrong_on_the_command_line(capsys: pytest.CaptureFixture[str]) -> None:
    for line, told in (
        (["--drain", "x"], "--drain: 'x' is not a number"),
        (["--drain", "nan"], "drain must not be negative"),
        (["--listen", "192.0.2.1:1"], "is not a loopback address"),
        (["--tls-cert", "f"], "belong together"),
        (["--tls-client-ca", "f"], "needs tls_cert"),
        (["--insecure", "--channel", "0.0.0.0:5"], "one that they can reach"),
    ):
        assert run("serve", *line) == 2
        assert re.fullmatch(rf"madang: .*{re.escape(told)}.*\n", capsys.readouterr().err)


def test_what_follows_from_the_addresses() -> None:
    here, there = Settings(), Settings(listen=Address("192.0.2.1", 1), insecure=True)
    partly = Settings(lobby=Address("192.0.2.1", 1), insecure=True)
    assert (here.serves_classic, here.lets_guests_in) == (True, True)
    for settings in (there, partly):
        assert (settings.serves_classic, settings.lets_guests_in) == (False, False)
        asked = dataclasses.replace(settings, classic=True, guests=True)
        assert (asked.serves_classic, asked.lets_guests_in) == (True, True)
    shut = Settings(classic=False, guests=False)
    assert (shut.serves_classic, shut.lets_guests_in) == (False, False)


def test_a_cluster_hands_its_streams_over_without_being_told() -> None:
    cluster = {"bus": "nats://b", "database": "postgresql://d/c"}
    assert load({}, {}).settings().hands_over_within == 0
    assert load(cluster, {}).settings().hands_over_within == 20
    for said in ("0", "3"):
        assert load(cluster | {"handover": said}, {}).settings().hands_over_within == float(said)


def test_config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "madang.toml"
    file.write_text("drain = 2.5")
    monkeypatch.setenv("MADANG_GUESTS", "off")
    assert run("config", "--data", tmp_path, "--listen", ":7") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"# settings file: {file}"
    told = {line.split(" = ")[0].strip(): re.split(r" = | +# ", line)[1:] for line in lines[1:]}
    assert told["listen"] == ["localhost:7", "--listen"]
    assert told["drain"] == ["2.5", str(file)]
    assert told["guests"] == ["false", "MADANG_GUESTS"]
    assert told["pace"] == ["0.00008", "default"]
    assert told["classic"] == ["(on when every address is loopback, off otherwise)", "default"]

    assert run("config", "--data", tmp_path, "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["file"] == str(file)
    assert set(found["settings"]) == set(BY_NAME)
    assert found["settings"]["drain"] == {"value": 2.5, "source": str(file)}
    assert found["settings"]["classic"] == {"value": None, "source": "default"}

    assert run("config", "--data", tmp_path, "--listen", "192.0.2.1:1") == 2
    assert "is not a loopback address" in capsys.readouterr().err


def test_secrets_are_masked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A setting that is one as a whole; none of today's is."""
    hidden = dataclasses.replace(BY_NAME["log_format"], secret=True)
    monkeypatch.setitem(table.BY_NAME, "log_format", hidden)
    values = load({"log_format": "json"}, {})
    for text in (show.as_text(values), show.as_json(values)):
        assert kinds.MASK in text
        assert not re.search(r"log_format.*\bjson\b", text.replace("--log-format", ""))
    path = tmp_path / "settings.toml"
    path.write_text('log_format = "hunter2"')
    with pytest.raises(SettingError, match="log_format: the value cannot be used") as caught:
        load({}, {}, str(path))
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "url", "shown"),
    [
        ("database", "postgresql://me:hunter2@db:5/chat", "postgresql://me:(secret)@db:5/chat"),
        ("database", "postgresql://me@db/chat", "postgresql://me@db/chat"),
        ("database", "postgres:///chat?host=/run", "postgres:///chat?host=/run"),
        (
            "database",
            "postgresql://db/chat?user=me&password=hunter2&x=y",
            "postgresql://db/chat?user=me&password=(secret)&x=y",
        ),
        ("database", "postgresql://me:hun%40ter2@db/chat", "postgresql://me:(secret)@db/chat"),
        ("database", "postgresql://me:hun,hunter2@db/chat", "postgresql://me:(secret)@db/chat"),
        ("bus", "nats://me:hunter2@a:1,tls://b:2", "nats://me:(secret)@a:1,tls://b:2"),
        ("bus", "nats://hunter2token@a:1", "nats://(secret)@a:1"),
    ],
)
def test_of_a_url_only_the_password_is_masked(name: str, url: str, shown: str) -> None:
    values = load({name: url}, {})
    assert json.loads(show.as_json(values))["settings"][name]["value"] == shown
    assert shown in show.as_text(values)
    assert "hunter2" not in show.as_text(values) + show.as_json(values)


@pytest.mark.parametrize(
    ("name", "url", "told"),
    [
        ("database", "db/hunter2", "does not begin with postgresql://"),
        ("database", "mysql://me:hunter2@db/chat", "does not begin with postgresql://"),
        ("database", "postgresql+asyncpg://me:hunter2@db/chat", "does not begin with postgresql://"),
        ("database", "postgresql:/db/hunter2", "does not begin with postgresql://"),
        ("database", "host=db password=hunter2", "does not begin with postgresql://"),
        ("database", " ", "does not begin with postgresql://"),
        ("database", "sqlite:///hunter2.db", "SQLite takes none: without a database the data is a file in --data"),
        ("database", "postgresql://", "the host is missing, or the port is no number up to 65535"),
        ("database", "postgresql://hunter2:port/chat", "the host is missing, or the port is no number"),
        ("database", "postgresql://hunter2:99999/chat", "the port is no number up to 65535"),
        ("database", "postgresql://db-1,db-2:port/hunter2", "the port is no number up to 65535"),
        ("database", "postgresql://me:hun@ter2@db/chat", "special characters are written as their codes: %40 for @"),
        ("database", "postgresql://me:hun/ter2@db/chat", "%2F for /"),
        ("database", "postgresql://me:hun#ter2@db/chat", "%23 for #"),
        ("database", "postgresql://me:hun?ter2@db/chat", "%3F for [?]"),
        ("database", "postgresql://me:hun ter2@db/chat", "%20 for a space"),
        ("bus", "hunter2:4222", "One of these does not begin with nats:// or tls://"),
        ("bus", "http://hunter2:4222", "One of these does not begin with nats:// or tls://"),
        ("bus", "nats://a:1,hunter2:1", "One of these does not begin with nats:// or tls://"),
        ("bus", "nats://", "In one of these the host is missing"),
        ("bus", "nats://hunter2@", "In one of these the host is missing"),
        ("bus", "nats://hunter2:port", "the port is no number up to 65535"),
        ("bus", "nats://hunter2 b:4222", "In one of these the host is missing"),
    ],
)
def test_what_is_wrong_with_a_url_is_told_and_nothing_of_it_is(name: str, url: str, told: str, tmp_path: Path) -> None:
    """It may hold a password, and where that ends is the question."""
    path = tmp_path / "settings.toml"
    path.write_text(f"{name} = {json.dumps(url)}")
    variable = BY_NAME[name].variable
    sources: list[Any] = [({name: url}, {}), ({}, {variable: url}), ({}, {}, str(path))]
    for given in sources:
        with pytest.raises(SettingError, match=told) as caught:
            load(*given)
        said = str(caught.value).replace(str(path), "")
        assert not re.search("hun|ter2", said)
        assert " needed" in said


@pytest.mark.parametrize("value", ["5", '["postgresql://me:hunter2@db/chat"]'])
def test_of_a_value_of_a_wrong_kind_nothing_is_told_either(value: str, tmp_path: Path) -> None:
    path = tmp_path / "settings.toml"
    path.write_text(f"database = {value}")
    with pytest.raises(SettingError, match=r"the URL of a database such as .* is needed, not a (int|list)") as caught:
        load({}, {}, str(path))
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://db/chat",
        "postgres://me:hun%40ter2@db:5432/chat?sslmode=verify-full&sslrootcert=/etc/ca.pem",
        "postgresql://me@db-1,db-2:5433/chat?target_session_attrs=primary",
        "postgresql://me@[::1]:5432/chat",
        "postgresql:///chat?host=/run/postgresql",
        "postgresql://me@%2Frun%2Fpostgresql/chat",
        "postgresql://db",
    ],
)
def test_what_postgresqls_own_tools_take_is_taken(url: str) -> None:
    assert load({"database": f" {url}\n"}, {}).values["database"].value == url


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"bus": "nats://b"}, "several nodes need one PostgreSQL"),
        ({"services": "agent"}, "over a bus"),
        ({"services": "agent", "database": "postgresql://d/c"}, "over a bus"),
        ({"bus_cert": "f"}, "belong together"),
        ({"bus_ca": "f"}, "are for a bus"),
        ({"cluster": "a b"}, "a cluster's name"),
        ({"cluster": "a.b"}, "a cluster's name"),
        ({"database_connections": "1"}, "at least 2"),
        ({"handover": "-1"}, "must not be negative"),
        ({"advertise": "0.0.0.0:1"}, "one that they can reach"),
        ({"bus": "nats://b", "database": "postgresql://d/c", "listen": "0.0.0.0:1", "insecure": True}, "anywhere"),
        (
            {"bus": "nats://b", "database": "postgresql://d/c", "services": "agent", "lobby": "localhost:1"},
            "does not serve it",
        ),
    ],
)
def test_what_does_not_fit_together(given: dict[str, Any], told: str) -> None:
    with pytest.raises(SettingError, match=told):
        load(given, {}).settings()


def test_what_is_listened_on() -> None:
    cluster = {"bus": ("nats://b",), "database": "postgresql://d/c"}
    one, two = Address("localhost", 1), Address("localhost", 2)
    apart = Settings(services=("lobby", "channel"), listen=Address("192.0.2.1", 1), lobby=one, channel=two, **cluster)  # type: ignore[arg-type]
    assert apart.addresses == [one, two]
    assert apart.is_loopback, "the address that nobody listens on does not count"
    partly = Settings(services=("lobby", "channel"), listen=one, lobby=two, **cluster)  # type: ignore[arg-type]
    assert partly.addresses == [one, two]
    Settings(listen=Address("0.0.0.0", 1), advertise=Address("192.0.2.1", 1), insecure=True, **cluster)  # type: ignore[arg-type]


def test_the_page_is_current() -> None:
    page = Path(__file__).parents[2] / "docs" / "settings.md"
    assert page.read_text("utf-8") == show.page(), "run scripts/settings_page.py"
    for setting in SETTINGS:
        assert all(f"`{name}`" in show.page() for name in (setting.name, setting.flag, setting.variable))


def test_numbers_are_told_plainly() -> None:
    kind = Kind("N", int)
    assert [kind.show(value) for value in (0.00008, 5.0, 0.0, 1e6, True, None)] == [
        "0.00008",
        "5",
        "0",
        "1000000",
        "true",
        "",
    ]


def test_lists() -> None:
    """In the file a list of texts, elsewhere with commas."""
    kind = Kind("A,…", lambda text: tuple(map(Address.parse, text.split(","))), (str, list), "a list of addresses")
    both = Address("localhost", 1), Address("::1", 2)
    assert kind.read("localhost:1,[::1]:2") == kind.from_toml(["localhost:1", "[::1]:2"]) == both
    assert kind.read(kind.show(both)) == both
    wrongs: list[object] = [[1], [["x"]], 1, {}]
    for wrong in wrongs:
        with pytest.raises(SettingError, match="a list of addresses is needed"):
            kind.from_toml(wrong)


def test_what_does_not_count_is_said() -> None:
    lines = show.as_text(load({"database": "postgresql://db/madang"}, {})).splitlines()
    [data] = [line for line in lines if line.startswith("data ")]
    assert "(no data there: `database` is set)" in data
    [name] = [line for line in lines if line.startswith("name ")]
    assert "= (the host and the port) " in name
    assert "no data there" not in show.as_text(load({}, {}))


def test_a_nodes_name_fits_into_a_line_of_the_log() -> None:
    for name in ("a\nb", "\x1b[2J", "n" * 256):
        with pytest.raises(SettingError, match="a node's name is at most 255 printable characters"):
            Settings(name=name)
    assert Settings(name="kitchen node, 1st floor").name == "kitchen node, 1st floor"
