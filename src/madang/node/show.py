"""The settings as people and scripts read them: what is in force, and the page of all of them."""

from __future__ import annotations

import json

from madang.node.config import Config
from madang.node.kinds import SWITCH
from madang.node.table import BY_NAME, SETTINGS, Setting

_PAGE = """\
# Settings

*Made from `madang.node.table` by `scripts/settings_page.py`; `make check` holds it to be current.*

What holds is put together in this order, and the later one wins:

1. the defaults;
2. the settings file, in TOML: `--config FILE`, else `MADANG_CONFIG`, else `madang.toml` in the data directory, else
   `/etc/madang/madang.toml`. Only the first one that there is is read. A relative path in it is relative to the file;
3. the environment;
4. the flags of `madang serve`.

An unknown key in the file, and a value of the wrong type anywhere, keeps the server from starting, and the message says
where it stands. `madang config` prints what is in force and where each value comes from; `madang doctor` looks at the
rest.

"""


def as_text(config: Config) -> str:
    """What is in force, a line for each setting: its name, its value, and where it comes from."""
    shown = {name: _shown(BY_NAME[name], given.value) for name, given in config.values.items()}
    if config.values["database"].value is not None:
        shown["data"] += " (no data there: `database` is set)"
    rows = [(name, shown[name], given.source) for name, given in config.values.items()]
    wide = [max(len(row[column]) for row in rows) for column in (0, 1)]
    lines = [f"# settings file: {config.file or 'none'}"]
    lines += [f"{name:<{wide[0]}} = {value:<{wide[1]}}  # {source}" for name, value, source in rows]
    return "\n".join(lines)


def as_json(config: Config) -> str:
    """The same as one JSON object; a value that is not set is null."""
    settings = {
        name: {"value": _plain(BY_NAME[name], given.value), "source": given.source}
        for name, given in config.values.items()
    }
    return json.dumps({"file": None if config.file is None else str(config.file), "settings": settings}, indent=2)


def page() -> str:
    """docs/settings.md."""
    rows = ["| setting | in the file | flag | environment | default |", "| --- | --- | --- | --- | --- |"]
    for setting in SETTINGS:
        cells = (setting.help, f"`{setting.name}` = {_wanted(setting)}", f"`{_flag(setting)}`", f"`{setting.variable}`")
        rows.append(f"| {' | '.join((*cells, setting.default_text))} |")
    return _PAGE + "\n".join(rows) + "\n"


def _flag(setting: Setting) -> str:
    flag = setting.flag
    return f"{flag}`, `--no-{flag[2:]}" if setting.kind is SWITCH else flag


def _wanted(setting: Setting) -> str:
    return setting.kind.wanted


def _shown(setting: Setting, value: object) -> str:
    return f"({setting.when_unset})" if value is None or (value == "" and setting.when_unset) else setting.show(value)


def _plain(setting: Setting, value: object) -> bool | float | str | None:
    if value is None or (isinstance(value, bool | int | float) and not setting.secret):
        return value
    return setting.show(value)
