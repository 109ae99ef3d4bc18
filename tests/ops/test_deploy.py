"""What is in deploy/: units for systemd, the compose file, the manifests, the dashboard and the alerts.

There is no container engine here: what they say is held against what it is about. `test_compose.py` runs the compose
file's nodes as processes.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import yaml

from madang.node.config import load
from madang.node.metrics import METRICS, Kind
from madang.node.settings import DEFAULT_PORT, Settings
from madang.node.table import SETTINGS

from .command import parse, run
from .haproxy import CONFIG, program

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
OPERATIONS = ROOT / "docs" / "operations.md"
UNITS = sorted(path for path in DEPLOY.iterdir() if path.suffix in (".service", ".timer"))
VARIABLES = {setting.variable for setting in SETTINGS}
OTHERS = ("process_", "up")
"""How the names of metrics begin that are not ours."""


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd here")
def test_systemd_understands_them(tmp_path: Path) -> None:
    for unit in UNITS:
        # The program is not installed where the units look for it.
        (tmp_path / unit.name).write_text(unit.read_text().replace("/opt/madang/bin/madang", "/bin/true"))
    copies = [str(tmp_path / unit.name) for unit in UNITS]
    ended = subprocess.run(["systemd-analyze", "verify", "--man=no", *copies], capture_output=True, text=True)
    told = [line for line in (ended.stdout + ended.stderr).splitlines() if str(tmp_path) in line or "madang" in line]
    assert told == []


def test_their_commands_are_ours() -> None:
    text = "".join(unit.read_text() for unit in UNITS)
    lines = re.findall(r"/opt/madang/bin/madang ([^;\n\\]*)", text)
    assert len(lines) == 4
    for line in lines:
        parse(*line.replace('"', "").split())


def test_the_server_is_shut_in() -> None:
    for name, patience in (("madang.service", 10), ("madang@.service", 30)):
        text = (DEPLOY / name).read_text()
        for line in ("ProtectSystem=strict", "NoNewPrivileges=true", "CapabilityBoundingSet=", "Restart=on-failure"):
            assert f"\n{line}\n" in text
        assert int(re.search(r"TimeoutStopSec=(\d+)", text)[1]) > patience  # type: ignore[index]


def compose() -> dict[str, Any]:
    """The compose file, with anchors and merges resolved."""
    loaded: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
    return loaded


def manifests() -> dict[str, dict[str, Any]]:
    """The Kubernetes objects, by kind."""
    loaded = list(yaml.safe_load_all((DEPLOY / "kubernetes" / "madang.yaml").read_text()))
    found = {each["kind"]: each for each in loaded}
    assert len(found) == len(loaded)
    return found


def nodes() -> dict[str, dict[str, Any]]:
    """The services of the compose file that are nodes."""
    return {name: service for name, service in compose()["services"].items() if service.get("image") == "madang"}


def filled(environment: dict[str, str]) -> dict[str, str]:
    """The environment with something in place of the variables that .env sets."""
    return {name: re.sub(r"\$\{[^}]*}", "x1", value) for name, value in environment.items()}


def settings_of(environment: dict[str, str]) -> Settings:
    """What a server makes of an environment."""
    return load({}, filled(environment), system_file=Path("/nonexistent/madang.toml")).settings()


def test_the_nodes_start_with_settings_that_there_are() -> None:
    found = nodes()
    assert sorted(found) == ["node1", "node2", "node3"]
    names = set()
    for service in found.values():
        environment = service["environment"]
        assert set(environment) <= VARIABLES
        settings = settings_of(environment)
        names.add(settings.name)
        assert settings.database is not None
        assert settings.bus
        assert settings.tls_cert is not None
        assert settings.listen.port == DEFAULT_PORT
        assert settings.metrics is not None
        parse(*service["command"])
        assert int(service["stop_grace_period"].removesuffix("s")) > settings.hands_over_within + settings.drain + 10
    assert names == set(found), "each has a name of its own"


def test_the_nodes_differ_in_their_names_alone() -> None:
    environments = [dict(service["environment"]) for service in nodes().values()]
    for environment in environments:
        del environment["MADANG_NAME"]
    assert environments[1:] == environments[:-1]


def test_the_database_has_connections_for_all() -> None:
    services = compose()["services"]
    most = int(re.search(r"max_connections=(\d+)", " ".join(services["postgres"]["command"]))[1])  # type: ignore[index]
    needed = sum(settings_of(service["environment"]).database_connections for service in nodes().values())
    assert most >= 2 * needed, "while a node is replaced there is one more, and somebody wants to look"


def test_no_secret_is_on_a_command_line() -> None:
    """Whoever lists the processes of a machine reads those."""
    for name, service in compose()["services"].items():
        said = json.dumps([service.get("command"), service.get("healthcheck")])
        assert "PASSWORD" not in said, name
    assert "--from-literal" not in (DEPLOY / "kubernetes" / "madang.yaml").read_text()


def in_words(*lines: str) -> list[list[str]]:
    """Lines of a shell as words, without comments."""
    return [shlex.split(line.lstrip("# "), comments=True) for line in lines]


def steps_of_compose() -> list[str]:
    """What the page says to run before the containers start and when they do."""
    (block,) = re.findall(r"^```sh\n(cd deploy\n.*?)^```$", OPERATIONS.read_text(), re.MULTILINE | re.DOTALL)
    return [" ".join(words) for words in in_words(*str(block).splitlines()) if words]


def test_the_compose_file_says_what_the_page_says() -> None:
    page = steps_of_compose()
    head = (DEPLOY / "compose.yaml").read_text().partition("\nname:")[0]
    for line in re.findall(r"^#   (madang .*|sudo .*)$", head, re.MULTILINE):
        assert line in page, line


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else")
def test_the_containers_user_can_read_the_key_and_nobody_else_can() -> None:
    """After the page's own steps. The containers run as that user and without capabilities: modes hold for them."""
    user = int(re.search(r"^USER (\d+)$", (DEPLOY / "Dockerfile").read_text(), re.MULTILINE)[1])  # type: ignore[index]
    (certs,) = {volume.partition(":")[0] for each in nodes().values() for volume in each["volumes"]}
    with TemporaryDirectory(dir="/tmp") as directory:
        os.chmod(directory, 0o755)  # noqa: S103  # the way there is open, as it is to what Docker mounts
        key = Path(directory, certs, "key.pem")

        def reads(whoever: int) -> bool:
            return subprocess.run(["cat", key], capture_output=True, user=whoever, extra_groups=[]).returncode == 0

        for line in steps_of_compose():
            words = line.removeprefix("sudo ").split()
            if words[0] == "madang":
                assert run(*(words[1:3]), Path(directory, words[3]), *words[4:]) == 0
                assert not reads(user), "it is closed at first"
            elif words[0] == "chown":
                subprocess.run(words, cwd=directory, check=True)
        assert reads(user)
        assert not reads(user + 1)


def test_the_image_has_what_its_settings_may_ask_for() -> None:
    """PostgreSQL, NATS and metrics come with the package; traces (MADANG_TRACES) are an extra."""
    assert re.search(r"pip install .* '\.\[traces\]'$", (DEPLOY / "Dockerfile").read_text(), re.MULTILINE)


def test_the_balancer_asks_anew_where_the_nodes_are() -> None:
    """A container that was made anew has another address; HAProxy alone asks once, at its start."""
    config = CONFIG.read_text()
    assert re.search(r"^resolvers docker\n    nameserver \w+ 127\.0\.0\.11:53$", config, re.MULTILINE)
    (default,) = re.findall(r"^    default-server (.*)$", config, re.MULTILINE)
    assert "resolvers docker" in default
    assert re.search(r"init-addr \S*none\b", default), "it starts before they do"


def test_what_compose_takes_from_outside_is_in_the_example() -> None:
    example = (DEPLOY / "compose" / "env.example").read_text()
    for name in set(re.findall(r"\$\{(\w+)", (DEPLOY / "compose.yaml").read_text())):
        assert re.search(rf"^{name}=", example, re.MULTILINE), name


def test_every_file_that_compose_mounts_is_there() -> None:
    for service in compose()["services"].values():
        for volume in service.get("volumes", []):
            source = volume.partition(":")[0]
            if source.startswith("./") and not source.endswith("/certs"):
                assert (DEPLOY / source).is_file(), source
    build = nodes()["node1"]["build"]
    assert (DEPLOY / build["context"] / build["dockerfile"]).is_file()


def test_the_balancer_knows_every_node() -> None:
    config = CONFIG.read_text()
    servers = re.findall(r"^\s*server (\S+) (\S+):(\d+)$", config, re.MULTILINE)
    assert sorted(name for name, _, _ in servers) == sorted(nodes())
    for name, host, port in servers:
        settings = settings_of(nodes()[name]["environment"])
        assert (host, int(port)) == (name, settings.listen.port)
        assert f"check port {settings.metrics.port} " in config  # type: ignore[union-attr]
    idle = int(re.search(r"timeout client (\d+)m", config)[1]) * 60  # type: ignore[index]
    assert idle > Settings().keepalive + Settings().keepalive_timeout


def test_the_balancer_may_open_what_its_connections_need() -> None:
    """HAProxy refuses to start with less: "Cannot raise FD limit"."""
    most = int(re.search(r"^    maxconn (\d+)$", CONFIG.read_text(), re.MULTILINE)[1])  # type: ignore[index]
    assert compose()["services"]["balancer"]["ulimits"]["nofile"] > 2 * most + 1000


@pytest.mark.skipif(program() is None, reason="no haproxy here")
def test_the_balancer_understands_its_file() -> None:
    subprocess.run([str(program()), "-c", "-f", str(CONFIG)], check=True)


def test_the_image_holds_what_is_built() -> None:
    """Whatever the Dockerfile copies passes .dockerignore, and is there."""
    allowed = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    copied = [
        word
        for line in (DEPLOY / "Dockerfile").read_text().splitlines()
        if line.startswith("COPY") and "--from" not in line
        for word in line.split()[1:-1]
    ]
    assert set(copied) == allowed
    assert all((ROOT / name).exists() for name in copied)


def test_kubernetes_runs_the_same_server() -> None:
    found = manifests()
    assert set(found) == {"ConfigMap", "Deployment", "Service", "PodDisruptionBudget"}
    pod = found["Deployment"]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    said = {each["name"]: "x" for each in container["env"]}
    said |= {"MADANG_DATABASE": "postgresql://x@y/z", "MADANG_BUS": "nats://x"}
    environment = found["ConfigMap"]["data"] | said
    assert set(environment) <= VARIABLES
    settings = settings_of(environment)
    assert pod["terminationGracePeriodSeconds"] > settings.hands_over_within + settings.drain + 10
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    assert ports == {"grpc": settings.listen.port, "metrics": settings.metrics.port}  # type: ignore[union-attr]
    for probe, path in (("startupProbe", "/live"), ("readinessProbe", "/ready"), ("livenessProbe", "/live")):
        assert container[probe]["httpGet"] == {"path": path, "port": "metrics"}
    parse(*container["args"])


def test_kubernetes_keeps_nodes_while_it_moves_them() -> None:
    found = manifests()
    labels = found["Deployment"]["spec"]["template"]["metadata"]["labels"]
    assert found["Deployment"]["spec"]["selector"]["matchLabels"] == labels
    assert found["Service"]["spec"]["selector"] == labels
    assert found["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"] == labels
    assert found["Deployment"]["spec"]["replicas"] - found["PodDisruptionBudget"]["spec"]["maxUnavailable"] >= 2
    assert found["Deployment"]["spec"]["strategy"]["rollingUpdate"]["maxUnavailable"] == 0


def samples() -> set[str]:
    """The names of all samples of ours."""
    names = {row.full_name for row in METRICS}
    return names | {
        f"{row.full_name}{part}"
        for row in METRICS
        if row.kind is Kind.HISTOGRAM
        for part in ("_bucket", "_count", "_sum")
    }


def names_in(expression: str) -> Iterator[str]:
    """The metrics of an expression: what stands before a brace, a bracket or a comparison."""
    without = re.sub(r'"[^"]*"', "", expression)
    yield from re.findall(r"\b((?:madang|process)_\w+|up\b)", without)


def test_the_dashboard_shows_metrics_that_there_are() -> None:
    dashboard = json.loads((DEPLOY / "monitoring" / "grafana.json").read_text())
    panels = [panel for panel in dashboard["panels"] if panel["type"] != "row"]
    shown = {name for panel in panels for target in panel["targets"] for name in names_in(target["expr"])}
    ours = {name for name in shown if not name.startswith(OTHERS)}
    assert ours <= samples()
    missing = {row.full_name for row in METRICS} - {re.sub(r"_(bucket|count|sum)$", "", name) for name in ours}
    assert not missing, "every metric is shown somewhere"
    assert len({panel["id"] for panel in dashboard["panels"]}) == len(dashboard["panels"])


def test_the_alerts_ask_for_metrics_that_there_are_and_have_a_runbook() -> None:
    (group,) = yaml.safe_load((DEPLOY / "monitoring" / "alerts.yml").read_text())["groups"]
    page = OPERATIONS.read_text()
    for rule in group["rules"]:
        names = list(names_in(rule["expr"]))
        assert names
        assert all(name in samples() or name.startswith(OTHERS) for name in names), rule["alert"]
        assert f"`{rule['alert']}`" in page, rule["alert"]
        assert rule["annotations"]["summary"]


def test_prometheus_asks_every_node() -> None:
    (job,) = yaml.safe_load((DEPLOY / "monitoring" / "prometheus.yml").read_text())["scrape_configs"]
    (static,) = job["static_configs"]
    found = {name: settings_of(service["environment"]) for name, service in nodes().items()}
    assert sorted(static["targets"]) == sorted(f"{name}:{each.metrics.port}" for name, each in found.items())  # type: ignore[union-attr]
