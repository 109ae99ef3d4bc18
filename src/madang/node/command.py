"""`madang serve` and `madang config`: the parsers, which are cheap to load, and what runs, loaded when it is needed."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, TypeAlias

from madang.node.table import BY_NAME, SETTINGS, Setting

if TYPE_CHECKING:
    from madang.node.config import Config
    from madang.node.settings import Settings

Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"  # argparse has no public name for it

EPILOG = """\
Each setting can also stand in the environment, or in a settings file: see `madang config --help`.
SIGHUP: reads the certificate again.

exit codes:
  0  shut down in order
  1  could not start: the reason is printed
  2  wrong usage
"""

CONFIG_EPILOG = """\
What holds is, the later one wins:
  1. the defaults
  2. the settings file: --config FILE, else MADANG_CONFIG, else madang.toml in the data directory, else
     /etc/madang/madang.toml; only the first one that there is
  3. the environment: MADANG_LISTEN and so on
  4. the flags

exit codes:
  0  the settings are good
  2  they are not: the reason is printed
"""


def add_parser(subparsers: Commands) -> None:
    """Add `serve` and `config` to the command line."""
    serve = subparsers.add_parser(
        "serve",
        help="run a server",
        description="Run a Madang server on this machine. Everything that it keeps is in one directory.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_settings(serve)
    serve.set_defaults(func=run)
    config = subparsers.add_parser(
        "config",
        help="print a server's settings, and where each comes from",
        description="Print the settings that `madang serve` would run with, and where each comes from.",
        epilog=CONFIG_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_settings(config)
    config.add_argument("--json", action="store_true", help="print one JSON object")
    config.set_defaults(func=show)


def add_settings(parser: argparse.ArgumentParser, *names: str) -> None:
    """Add `--config`, and a flag for each of these settings; for all of them when none is named."""
    parser.add_argument("--config", metavar="FILE", help="the settings file")
    for setting in [BY_NAME[name] for name in names] or SETTINGS:
        _add_setting(parser, setting)


def _add_setting(parser: argparse.ArgumentParser, setting: Setting) -> None:
    text = f"{setting.help} (default: {setting.default_text})".replace("%", "%%")
    if setting.kind.metavar:
        parser.add_argument(setting.flag, metavar=setting.kind.metavar, default=argparse.SUPPRESS, help=text)
    else:
        parser.add_argument(setting.flag, action=argparse.BooleanOptionalAction, default=argparse.SUPPRESS, help=text)


def config_of(arguments: argparse.Namespace, environment: Mapping[str, str] = os.environ) -> Config:
    """What the command line, the environment and the settings file say. Raises SettingError."""
    from madang.node.config import load

    flags = {name: value for name, value in vars(arguments).items() if name in BY_NAME}
    return load(flags, environment, arguments.config)


def settings_of(arguments: argparse.Namespace, environment: Mapping[str, str] = os.environ) -> Settings:
    """The same as settings. Raises SettingError."""
    return config_of(arguments, environment).settings()


def run(arguments: argparse.Namespace) -> int:
    """Run until SIGTERM or SIGINT; the exit code."""
    # gRPC tells each handshake that fails: on the internet that is all day long. Ours are told by our own log.
    os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
    from madang.node.main import serve
    from madang.node.settings import SettingError

    try:
        settings = settings_of(arguments)
    except SettingError as error:
        return usage_error(error)
    return serve(settings)


def show(arguments: argparse.Namespace) -> int:
    """Print what is in force; the exit code."""
    from madang.node.settings import SettingError
    from madang.node.show import as_json, as_text

    try:
        config = config_of(arguments)
        print(as_json(config) if arguments.json else as_text(config))
        config.settings()
    except SettingError as error:
        return usage_error(error)
    return 0


def usage_error(error: Exception) -> int:
    """Tell a setting that cannot be used; the exit code."""
    print(f"madang: {error}", file=sys.stderr)
    return 2
