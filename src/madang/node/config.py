"""What is in force: defaults, then the settings file, then the environment, then the flags; the later one wins."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from madang.core.limits import Limits
from madang.node.kinds import DIRECTORY, FILE
from madang.node.settings import SettingError, Settings
from madang.node.table import BY_NAME, LIMIT, SETTINGS, Setting

FILE_NAME = "madang.toml"
SYSTEM_FILE = Path("/etc/madang/madang.toml")
CONFIG_VARIABLE = "MADANG_CONFIG"
LARGEST_FILE = 1 << 20


@dataclass(frozen=True, slots=True)
class Given:
    """A value, and where it comes from: `default`, a file, an environment variable or a flag."""

    value: Any
    source: str


@dataclass(frozen=True, slots=True)
class Config:
    """What holds: a value for each row of the table, and the settings file that was read, if there was one."""

    values: dict[str, Given]
    file: Path | None

    @property
    def data(self) -> Path:
        """The data directory."""
        path: Path = self.values["data"].value
        return path

    def settings(self) -> Settings:
        """The settings, checked. Raises SettingError when they do not fit together."""
        values = {name: given.value for name, given in self.values.items()}
        limits = {name.removeprefix(LIMIT): values.pop(name) for name in list(values) if name.startswith(LIMIT)}
        try:
            values["limits"] = Limits(**limits) if values["limits"] else None
        except ValueError as error:
            raise SettingError(str(error)) from None
        return Settings(**values)


def load(
    flags: Mapping[str, Any],
    environment: Mapping[str, str],
    config_file: str | None = None,
    system_file: Path | None = None,
) -> Config:
    """Put the layers together.

    `flags`: the given ones only, by the settings' names, as text, or as the value itself for switches. `config_file`:
    the settings file to use; else the one in the data directory, else `system_file` (None: SYSTEM_FILE), where there
    is one. Raises SettingError, which says where the wrong value stands.
    """
    values = {setting.name: Given(setting.default, "default") for setting in SETTINGS}
    above = _from_environment(environment) | _from_flags(flags)
    data = above.get("data", values["data"]).value
    path = _find(config_file or environment.get(CONFIG_VARIABLE), data, system_file or SYSTEM_FILE)
    if path is not None:
        found = _from_file(path)
        if "data" in found and path == data / FILE_NAME:
            raise SettingError(f"{path}: data: a file that is found in the data directory cannot say where that is")
        values |= found
    return Config(values | above, path)


def _find(named: str | None, data: Path, system_file: Path) -> Path | None:
    if named is not None:
        return FILE.read(named)  # type: ignore[no-any-return]
    return next((path for path in (data / FILE_NAME, system_file) if _is_there(path)), None)


def _is_there(path: Path) -> bool:
    """A file that cannot be looked at counts: to pass it over in silence would be to start with other settings."""
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        return True
    return True


def _from_file(path: Path) -> dict[str, Given]:
    try:
        with path.open("rb") as file:
            raw = file.read(LARGEST_FILE + 1)
        if len(raw) > LARGEST_FILE:
            raise SettingError(f"{path} is too large to be a settings file")
        table = tomllib.loads(raw.decode())
    except OSError as error:
        raise SettingError(f"cannot read the settings file {path}: {(error.strerror or str(error)).lower()}") from None
    except UnicodeDecodeError:
        raise SettingError(f"{path} is not UTF-8 text") from None
    except tomllib.TOMLDecodeError as error:
        raise SettingError(f"{path} is not TOML: {error}") from None
    given: dict[str, Given] = {}
    for key, value in table.items():
        setting = BY_NAME.get(key)
        if setting is None:
            raise SettingError(f"{path}: there is no setting {key!r}{_meant(key)}")
        result = _read(setting.kind.from_toml, value, f"{path}: {key}", _hides(setting))
        if setting.kind in (FILE, DIRECTORY):
            result = path.parent / result  # a relative one is relative to the file that says it
        given[key] = Given(result, str(path))
    return given


def _from_environment(environment: Mapping[str, str]) -> dict[str, Given]:
    given = {}
    for setting in SETTINGS:
        text = environment.get(setting.variable, "")
        if text:
            value = _read(setting.kind.read, text, setting.variable, _hides(setting))
            given[setting.name] = Given(value, setting.variable)
    return given


def _from_flags(flags: Mapping[str, Any]) -> dict[str, Given]:
    given = {}
    for name, value in flags.items():
        setting = BY_NAME[name]
        result = _read(setting.kind.read, value, setting.flag, _hides(setting)) if isinstance(value, str) else value
        given[name] = Given(result, setting.flag)
    return given


def _hides(setting: Setting) -> bool:
    """Whether what is wrong with a value must not be told, because that might tell the value."""
    return setting.secret and setting.kind.mask is None


def _read(read: Callable[[Any], Any], value: Any, where: str, secret: bool) -> Any:
    try:
        return read(value)
    except SettingError as error:
        problem = "the value cannot be used" if secret else str(error)
        raise SettingError(f"{where}: {problem}") from None


def _meant(key: str) -> str:
    from difflib import get_close_matches

    near = get_close_matches(key.replace("-", "_").lower(), BY_NAME, 1)
    return f"; is {near[0]!r} meant?" if near else ""
