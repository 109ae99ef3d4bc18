"""`madang serve`: the parser, which is cheap to load, and the run, which loads the server when it is needed."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from madang.node.settings import Settings

EPILOG = """\
exit codes:
  0  shut down in order
  1  could not start: the reason is printed
  2  wrong usage
"""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `serve` to the command line."""
    parser = subparsers.add_parser(
        "serve",
        help="run a server",
        description="Run a Madang server on this machine. Everything that it keeps is in one directory.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--data", metavar="DIR", default="madang-data", help="where the data is kept (default: ./madang-data)"
    )
    parser.add_argument(
        "--listen",
        metavar="HOST:PORT",
        default="localhost:50050",
        help="where to listen, for every service without an address of its own (default: localhost:50050)",
    )
    for name in ("heartbeat", "lobby", "channel"):
        parser.add_argument(f"--{name}", metavar="HOST:PORT", help=f"an address of its own for the {name} service")
    parser.add_argument(
        "--classic-ports",
        metavar="FIRST-LAST",
        default="50054-50117",
        help="ports for the channels of the classic contract (default: 50054-50117)",
    )
    parser.add_argument("--no-classic", action="store_true", help="do not serve the classic contract")
    parser.add_argument(
        "--limits",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="limit how much anybody may do (default: yes); --no-limits is for benchmarks and private networks",
    )
    parser.add_argument(
        "--trusted-proxy",
        metavar="NETWORK",
        action="append",
        default=[],
        help="believe the x-forwarded-for of this proxy, or of this network of proxies; may be given again",
    )
    parser.add_argument("--verbose", action="store_true", help="log more")
    parser.set_defaults(func=run)


def settings_of(arguments: argparse.Namespace) -> Settings:
    """The settings that the command line asks for. Raises SettingError."""
    from pathlib import Path

    from madang.core.limits import Limits
    from madang.node.settings import Address, PortRange, Settings, networks

    def address(text: str | None) -> Address | None:
        return None if text is None else Address.parse(text)

    return Settings(
        data=Path(arguments.data),
        listen=Address.parse(arguments.listen),
        heartbeat=address(arguments.heartbeat),
        lobby=address(arguments.lobby),
        channel=address(arguments.channel),
        classic=not arguments.no_classic,
        classic_ports=PortRange.parse(arguments.classic_ports),
        limits=Limits() if arguments.limits else None,
        trusted_proxies=networks(arguments.trusted_proxy),
    )


def run(arguments: argparse.Namespace) -> int:
    """Run until SIGTERM or SIGINT; the exit code."""
    from madang.node.main import serve
    from madang.node.settings import SettingError

    try:
        settings = settings_of(arguments)
    except SettingError as error:
        import sys

        print(f"madang: {error}", file=sys.stderr)
        return 2
    return serve(settings, verbose=arguments.verbose)
