"""`madang doctor`: each thing that is wrong is found, and what is right is left in peace."""

from __future__ import annotations

import asyncio
import datetime
import json
import os
import shutil
import socket
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from certs import Authority, expired, now, self_signed
from faults.process import ServerProcess, eventually, free_port
from parts.postgres import Databases, execute

from madang.ops import doctor, listening

from .command import madang, run

Run = Callable[..., tuple[int, dict[str, dict[str, str]]]]


@pytest.fixture
def examined(capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs the doctor: the exit code, and the worst finding of each check."""

    def examine(*line: str | Path) -> tuple[int, dict[str, dict[str, str]]]:
        if "--listen" not in line:
            line = (*line, "--listen", f"127.0.0.1:{free_port()}")
        code = run("doctor", "--json", *line)
        findings: dict[str, dict[str, str]] = {}
        for text in capsys.readouterr().out.splitlines():
            finding = json.loads(text)
            assert set(finding) == {"check", "status", "text", "advice"}
            assert bool(finding["advice"]) == (finding["status"] != "OK"), "what to do is said where there is something"
            if finding["check"] not in findings or finding["status"] != "OK":
                findings[finding["check"]] = finding
        assert code == int(any(finding["status"] == "FAIL" for finding in findings.values()))
        return code, findings

    return examine


def ill(findings: dict[str, dict[str, str]]) -> dict[str, str]:
    """What is not OK: the check, and how bad."""
    return {name: finding["status"] for name, finding in findings.items() if finding["status"] != "OK"}


def test_all_is_well(data: Path, tmp_path: Path, examined: Run) -> None:
    pair = self_signed(tmp_path / "pair", days=300)
    before = (data / "madang.db").read_bytes()
    code, findings = examined("--data", data, "--tls-cert", pair.cert, "--tls-key", pair.key)
    assert (code, ill(findings)) == (0, {})
    assert set(findings) == {
        *("settings", "permissions", "certificate", "disk space", "clock", "database", "open files", "port")
    }
    assert "5 messages in 1 channels" in findings["database"]["text"]
    assert pair.fingerprint in findings["certificate"]["text"]
    assert (data / "madang.db").read_bytes() == before, "nothing is changed"


def test_before_the_first_start(tmp_path: Path, examined: Run) -> None:
    code, findings = examined("--data", tmp_path / "new")
    assert (code, ill(findings)) == (0, {})
    assert not (tmp_path / "new").exists()


def test_for_people(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (data / "madang.db").chmod(0o644)
    assert run("doctor", "--data", data, "--listen", f"127.0.0.1:{free_port()}") == 1
    lines = capsys.readouterr().out.splitlines()
    assert f"FAIL permissions: others on this machine can open {data}/madang.db. Chmod 600 {data}/madang.db" in lines
    assert all(line.startswith(("OK   ", "FAIL ")) for line in lines)


def test_settings(tmp_path: Path, data: Path, examined: Run) -> None:
    assert ill(examined("--data", data, "--listen", "192.0.2.1:1")[1]) == {"settings": "FAIL"}
    (tmp_path / "bad.toml").write_text("drain = 'x'")
    code, findings = examined("--config", tmp_path / "bad.toml")
    assert (code, set(findings)) == (1, {"settings"})
    listen = "--listen", f"0.0.0.0:{free_port()}", "--insecure"
    assert ill(examined("--data", data, *listen)[1]) == {"settings": "WARN"}
    assert "classic" in examined("--data", data, *listen, "--classic")[1]["settings"]["text"]


@pytest.mark.parametrize("name", [".", "madang.db"])
def test_what_others_can_open(data: Path, name: str, examined: Run) -> None:
    (data / name).chmod((data / name).stat().st_mode | 0o040)
    code, findings = examined("--data", data)
    assert (code, ill(findings)) == (1, {"permissions": "FAIL"})
    assert findings["permissions"]["advice"].startswith("chmod")


def test_key_that_others_can_open(tmp_path: Path, data: Path, examined: Run) -> None:
    pair = self_signed(tmp_path / "pair")
    pair.key.chmod(0o640)
    code, findings = examined("--data", data, "--tls-cert", pair.cert, "--tls-key", pair.key)
    assert (code, ill(findings)) == (1, {"permissions": "FAIL"})


@pytest.mark.skipif(os.geteuid() != 0, reason="has to give a file away")
def test_files_of_somebody_else(data: Path, examined: Run) -> None:
    os.chown(data / "madang.db", 65534, 65534)
    assert ill(examined("--data", data)[1]) == {"permissions": "WARN"}


def test_certificates(tmp_path: Path, data: Path, examined: Run) -> None:
    soon = self_signed(tmp_path / "soon", days=20)
    good = self_signed(tmp_path / "good", days=22)
    old = expired(tmp_path / "old")
    early = self_signed(tmp_path / "early", made=now() + datetime.timedelta(days=2))
    for cert, key, status, told in (
        (good.cert, good.key, None, "good until"),
        (soon.cert, soon.key, "WARN", "expires on"),
        (old.cert, old.key, "FAIL", "has expired"),
        (early.cert, early.key, "FAIL", "is not good before"),
        (good.cert, old.key, "FAIL", "does not belong"),
        (tmp_path / "nothing", good.key, "FAIL", "cannot read"),
    ):
        code, findings = examined("--data", data, "--tls-cert", cert, "--tls-key", key)
        assert told in findings["certificate"]["text"]
        assert ill(findings) == ({"certificate": status} if status else {})
        assert code == int(status == "FAIL")
    line = "--data", data, "--tls-cert", good.cert, "--tls-key", good.key, "--tls-client-ca", good.key
    assert ill(examined(*line)[1]) == {"certificate": "FAIL"}


def test_space(monkeypatch: pytest.MonkeyPatch, data: Path, examined: Run) -> None:
    """The file system is real; where it begins to be small is moved."""
    free = shutil.disk_usage(data).free
    monkeypatch.setattr(doctor, "LITTLE_SPACE", free * 2)
    assert ill(examined("--data", data)[1]) == {"disk space": "WARN"}
    monkeypatch.setattr(doctor, "NO_SPACE", free * 2)
    assert ill(examined("--data", data)[1]) == {"disk space": "FAIL"}


def test_a_file_from_the_future(data: Path, examined: Run) -> None:
    later = time.time() + 3600
    os.utime(data / "madang.db", (later, later))
    _, findings = examined("--data", data)
    assert ill(findings) == {"clock": "WARN"}
    assert "madang.db is from 60 minutes" in findings["clock"]["text"]


def test_a_message_from_the_future(data: Path, examined: Run) -> None:
    with closing(sqlite3.connect(data / "madang.db")) as connection, connection:
        connection.execute("UPDATE messages SET created_at = created_at + 7200000000")
    _, findings = examined("--data", data)
    assert ill(findings) == {"clock": "WARN"}
    assert "the newest message" in findings["clock"]["text"]


def test_a_damaged_database(data: Path, examined: Run) -> None:
    with (data / "madang.db").open("r+b") as file:
        file.seek(4096 * 3)
        file.write(os.urandom(4096 * 20))
    code, findings = examined("--data", data)
    assert (code, findings["database"]["status"]) == (1, "FAIL")


def test_a_hole(data: Path, examined: Run) -> None:
    with closing(sqlite3.connect(data / "madang.db")) as connection, connection:
        connection.execute("DELETE FROM messages WHERE channel_id = 1 AND sequence = 3")
    assert ill(examined("--data", data)[1]) == {"database": "FAIL"}


def test_data_that_has_moved(data: Path, examined: Run) -> None:
    with closing(sqlite3.connect(data / "madang.db")) as connection, connection:
        connection.execute("INSERT INTO store_info (key, value) VALUES ('moved_to', 'db.example.org/madang')")
    _, findings = examined("--data", data)
    assert ill(findings) == {"database": "FAIL"}
    assert "has moved to db.example.org/madang" in findings["database"]["text"]


def test_another_program_s_database(data: Path, examined: Run) -> None:
    (data / "madang.db").write_bytes(b"notes" * 1000)
    assert ill(examined("--data", data)[1]) == {"database": "FAIL"}


async def test_few_open_files(data: Path) -> None:
    ended = await madang("doctor", "--data", data, "--listen", "localhost:0", limit="-n 512")
    assert ended.code == 0
    assert "WARN open files: at most 512" in ended.out


def test_another_program_on_the_port(monkeypatch: pytest.MonkeyPatch, data: Path, examined: Run) -> None:
    monkeypatch.setattr(listening, "PATIENCE", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as other:
        where = f"127.0.0.1:{other.getsockname()[1]}"
        code, findings = examined("--data", data, "--listen", where)
    assert (code, ill(findings)) == (1, {"port": "FAIL"})
    assert f"another program has {where}" in findings["port"]["text"]


def test_an_address_of_another_machine(data: Path, examined: Run) -> None:
    _, findings = examined("--data", data, "--listen", "192.0.2.1:7", "--insecure")
    assert "cannot be listened on" in findings["port"]["text"]


@pytest.mark.parametrize("tls", [False, True])
async def test_of_a_running_server(server: ServerProcess, tmp_path: Path, tls: bool) -> None:
    """With a certificate for a name by which nobody here calls it."""
    line: list[str | Path] = ["--data", server.data, "--listen", server.target]
    if tls:
        pair = self_signed(tmp_path / "pair", "chat.example.org")
        server.arguments = ["--tls-cert", str(pair.cert), "--tls-key", str(pair.key)]
        server.launch()
        await eventually(lambda: "listening on" in server.output, "it serves")
        line += server.arguments
    else:
        await server.start()
    ended = await madang("doctor", *line)
    assert ended.code == 0, ended.out
    assert f"OK   port: a healthy Madang answers on {server.target}" in ended.out
    if tls:
        other = Authority(tmp_path / "ca").issue("chat.example.org", "chat.example.org")
        ended = await madang("doctor", *line[:4], "--tls-cert", other.cert, "--tls-key", other.key)
        assert "WARN port" in ended.out


def test_data_in_a_database(databases: Databases, tmp_path: Path, examined: Run) -> None:
    there = asyncio.run(databases.new())
    code, findings = examined("--data", tmp_path, "--database", there)
    assert (code, ill(findings)) == (0, {})
    assert "is empty; the server makes its tables" in findings["database"]["text"]
    asyncio.run(execute(there, "CREATE TABLE recipes (name text)"))
    code, findings = examined("--data", tmp_path, "--database", there)
    assert code == 1
    assert "tables of another program (recipes)" in findings["database"]["text"]
    code, findings = examined("--data", tmp_path, "--database", databases.url("nowhere"))
    assert code == 1
    assert 'database "nowhere" does not exist' in findings["database"]["text"]


def test_it_leaves_nothing_beside_what_it_reads(data: Path, examined: Run) -> None:
    before = sorted(path.name for path in data.iterdir())
    code, _ = examined("--data", data)
    assert code == 0
    assert sorted(path.name for path in data.iterdir()) == before
