# Says plainly what this machine lacks. $1: the Python to use.
python=$1
missing=0
say() {
    echo "madang: $1" >&2
    missing=1
}
if ! command -v "$python" >/dev/null 2>&1; then
    say "there is no '$python'. Install Python 3.11 or newer, or name one: make PYTHON=/path/to/python3.12 ..."
    exit 1
fi
if ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
    say "$("$python" --version) is too old: Python 3.11 or newer is needed. Name another: make PYTHON=python3.12 ..."
fi
if ! "$python" -c 'import venv, ensurepip' 2>/dev/null; then
    say "'$python' cannot make virtual environments: install its venv module (Debian, Ubuntu: apt install python3-venv)"
fi
if ! "$python" -c 'import sqlite3, sys; sys.exit(sqlite3.sqlite_version_info < (3, 35))' 2>/dev/null; then
    say "'$python' has no SQLite, or one older than 3.35"
fi
if ! command -v cc >/dev/null 2>&1 && ! command -v gcc >/dev/null 2>&1; then
    echo "madang: note: there is no C compiler (cc). It is needed only where a package has no ready-made build." >&2
fi
exit $missing
