"""Where the session is kept: in a keyring that works, else in a file."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

from .conftest import PASSWORD, Person, ServerProcess

WAITING = "madang: waiting for the system's keyring, perhaps to be unlocked … (with MADANG_KEYRING=off a session that "


@pytest.fixture
def mina(server: ServerProcess, tmp_path: Path) -> Person:
    """Somebody with a keyring that works."""
    person = Person(f"mina-{tmp_path.name[-6:].strip('_-')}"[:20], tmp_path / "state", server.target)
    use(person, "Working", tmp_path)
    return person


def use(person: Person, backend: str, tmp_path: Path) -> None:
    """Give somebody another keyring; what is in it stays."""
    person.environment |= {
        "MADANG_KEYRING": "on",
        "PYTHON_KEYRING_BACKEND": f"terminal.keyrings.{backend}",
        "KEYRING_FILE": str(tmp_path / "keyring.json"),
        "PYTHONPATH": f"{Path(__file__).parents[1]}:{person.environment.get('PYTHONPATH', '')}",
    }


def credentials(person: Person) -> dict[str, object]:
    """What is in the file, which nobody else can read."""
    path = person.folder / "credentials.json"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(person.folder.stat().st_mode) == 0o700
    return dict(json.loads(path.read_text()))


def entries(tmp_path: Path) -> dict[str, str]:
    """What is in the keyring."""
    path = tmp_path / "keyring.json"
    return dict(json.loads(path.read_text())) if path.exists() else {}


def register(person: Person) -> str:
    """Make the account, and return what was told beside the output."""
    done = person.run("register", "--password-file", "-", stdin=f"{PASSWORD}\n")
    assert done.code == 0, done.err
    return done.err


def test_a_keyring_that_works(mina: Person, tmp_path: Path) -> None:
    assert register(mina) == ""
    kept = credentials(mina)
    assert "token" not in kept
    [(entry, token)] = entries(tmp_path).items()
    assert entry == f"madang/{kept['keyring']}"
    assert mina.name in entry
    everything = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file() and "state" in str(path))
    assert token.encode() not in everything
    assert PASSWORD not in "".join([*entries(tmp_path), *entries(tmp_path).values()])
    for _ in range(2):
        done = mina.run("send", "lobby", "hello")
        assert (done.code, done.err) == (0, "")
    assert mina.run("console", stdin="/nick\n").code == 0
    assert list(entries(tmp_path).values()) == [token]
    assert mina.run("signout").code == 0
    assert entries(tmp_path) == {}
    assert not (mina.folder / "credentials.json").exists()


def test_signing_in_again_leaves_one_entry(mina: Person, tmp_path: Path) -> None:
    register(mina)
    before = entries(tmp_path)
    assert mina.run("signin", "--password-file", "-", stdin=PASSWORD).code == 0
    after = entries(tmp_path)
    assert len(after) == 1
    assert after != before
    sessions = mina.run("sessions", "--json").lines
    assert len(sessions) == 1, "the session that was kept before has ended"


def test_a_file_from_before_moves_into_the_keyring(mina: Person, tmp_path: Path) -> None:
    mina.environment["MADANG_KEYRING"] = "off"
    register(mina)
    token = credentials(mina)["token"]
    mina.environment["MADANG_KEYRING"] = "on"
    assert mina.run("console", stdin="hello\n").code == 0
    assert "token" not in credentials(mina)
    assert list(entries(tmp_path).values()) == [token]


@pytest.mark.parametrize(
    ("backend", "problem"),
    [("Failing", "does not work (PasswordSetError)"), ("Hanging", "does not answer")],
)
def test_a_keyring_that_does_not_work(mina: Person, tmp_path: Path, backend: str, problem: str) -> None:
    use(mina, backend, tmp_path)
    told = register(mina)
    line = f"madang: the system's keyring {problem}; the session is kept in a file that only you can read\n"
    assert told.endswith(line)
    assert (WAITING in told) == (backend == "Hanging")
    assert credentials(mina)["token"]
    done = mina.run("send", "lobby", "hello")
    assert (done.code, done.err) == (0, "")


@pytest.mark.parametrize("backend", ["Failing", "Hanging"])
def test_a_keyring_that_holds_the_session_and_does_not_give_it(mina: Person, tmp_path: Path, backend: str) -> None:
    register(mina)
    use(mina, backend, tmp_path)
    done = mina.run("send", "lobby", "hello")
    assert done.code == 1
    assert "madang: the system's keyring does not " in done.err
    assert (WAITING in done.err) == (backend == "Hanging")
    assert done.err.endswith(f"and it holds the session of {mina.name}; unlock it, or sign in again\n")
    signed_in = mina.run("signin", "--password-file", "-", stdin=PASSWORD)
    assert signed_in.code == 0
    assert "Traceback" not in signed_in.err
    assert credentials(mina)["token"]
    assert mina.run("send", "lobby", "hello").code == 0


def test_an_entry_that_was_taken_out(mina: Person, tmp_path: Path) -> None:
    register(mina)
    (tmp_path / "keyring.json").write_text("{}")
    done = mina.run("send", "lobby", "hello")
    assert (done.code, done.err) == (4, f"madang: you are not signed in: madang signin --handle {mina.name}\n")


def test_a_guests_token_goes_into_the_keyring_too(server: ServerProcess, tmp_path: Path) -> None:
    guest = Person("passing-by", tmp_path / "state", server.target)
    use(guest, "Working", tmp_path)
    for _ in range(2):
        assert guest.run("send", "lobby", "hello").code == 0
    assert "token" not in credentials(guest)
    assert len(entries(tmp_path)) == 1


def test_no_keyring_at_all(server: ServerProcess, tmp_path: Path) -> None:
    guest = Person("passing-by-too", tmp_path / "state", server.target)
    guest.environment["PYTHON_KEYRING_BACKEND"] = "keyring.backends.fail.Keyring"
    guest.environment["MADANG_KEYRING"] = "on"
    done = guest.run("send", "lobby", "hello")
    assert (done.code, done.err) == (0, "")
    assert credentials(guest)["token"]


def test_a_keyring_that_cannot_be_loaded(server: ServerProcess, tmp_path: Path) -> None:
    guest = Person("passing-by-again", tmp_path / "state", server.target)
    guest.environment["PYTHON_KEYRING_BACKEND"] = "no.such.Keyring"
    guest.environment["MADANG_KEYRING"] = "on"
    done = guest.run("send", "lobby", "hello")
    assert done.code == 0
    assert done.err.count("\n") == 1
    assert credentials(guest)["token"]
