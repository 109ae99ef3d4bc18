"""The command `madang`: what can be typed, and how it ends.

Nothing heavy is imported before it is known which command runs, so that the help and a usage error come at once.
"""

from __future__ import annotations

import argparse
import re
import sys
import uuid
from collections.abc import Sequence
from importlib import metadata
from typing import Any, NoReturn

from madang.core.errors import MadangError
from madang.node.command import add_parser as add_serve
from madang.node.operating import add_parsers as add_operating
from madang.terminal.cli_account import add_account_commands
from madang.terminal.cli_admin import add_admin_commands
from madang.terminal.exits import CommandError, Exit, code_of, epilog, explain
from madang.terminal.options import add_common
from madang.terminal.output import give_up_stdout, print_error, set_up
from madang.terminal.parsers import Commands, above_zero, add_command, add_json, not_empty, number

_DESCRIPTION = "Group chat that you host yourself. Start with: madang serve, and in another terminal: madang console"

_ACCESS = re.compile(r"://\S*@")


class Parser(argparse.ArgumentParser):
    """argparse, with errors as one sentence, and options by their whole names: --password is not --password-file."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **{"allow_abbrev": False} | options)

    def error(self, message: str) -> NoReturn:
        """Tell a usage error, and end."""
        if "--password" in message and "--password-file" not in message:  # and do not show it once more
            message = "a password is no argument: it is asked for, or read with --password-file"
        message = _ACCESS.sub("://(secret)@", message)  # nor that of a URL in the wrong place
        print_error(f"{message}; {self.prog} --help explains")
        raise SystemExit(Exit.USAGE)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line (without the program's name; None: that of this process), and return the exit code."""
    arguments = sys.argv[1:] if argv is None else list(argv)
    set_up()
    try:
        namespace = make_parser().parse_args(arguments)
        return int(namespace.func(namespace))
    except KeyboardInterrupt:
        return Exit.INTERRUPTED
    except BrokenPipeError:
        give_up_stdout()
        return Exit.DONE
    except (MadangError, CommandError, TimeoutError, OSError) as error:
        print_error(explain(error))
        return code_of(error)


def make_parser() -> argparse.ArgumentParser:
    """The whole command line."""
    parser: argparse.ArgumentParser = Parser(
        prog="madang",
        description=_DESCRIPTION,
        epilog=epilog(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"madang {metadata.version('madang')}")
    add_common(parser)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", dest="command", required=True)
    add_serve(commands)
    add_operating(commands)
    add_command(commands, "console", "talk, in line mode", "console:console", " /help in it lists what you can type.")
    _add_send(commands)
    _add_tail(commands)
    _add_channels(commands)
    _add_users(commands)
    _add_make(commands)
    add_account_commands(commands)
    add_admin_commands(commands)
    return parser


def _add_send(commands: Commands) -> None:
    parser = add_command(
        commands, "send", "send to a channel", "send:send", " Prints what was stored, when it is on disk."
    )
    _add_channel(parser)
    parser.add_argument("text", metavar="TEXT|-", help="the message; -: each line of standard input is one")
    parser.add_argument("--whole", action="store_true", help="with -: all of standard input is one message")
    parser.add_argument(
        "--request-id",
        metavar="UUID",
        type=uuid.UUID,
        help="the same id again stores nothing twice, for a safe retry; with - each line has one made from it",
    )
    parser.add_argument("--quiet", "-q", action="store_true", help="print nothing")
    _add_join(parser)
    add_json(parser, "sent")


def _add_tail(commands: Commands) -> None:
    parser = add_command(
        commands, "tail", "print what was said in a channel, and what is said from now on", "tail:tail"
    )
    _add_channel(parser)
    start = parser.add_mutually_exclusive_group()
    start.add_argument("--after", metavar="SEQ", type=number, help="begin with the first message after this sequence")
    start.add_argument("--last", "-n", metavar="N", type=number, help="begin with the last N messages; default: 10")
    parser.add_argument("--limit", metavar="N", type=above_zero, help="end after N messages")
    parser.add_argument("--no-follow", dest="follow", action="store_false", help="end with what is stored now")
    _add_join(parser)
    add_json(parser, "message")


def _add_channels(commands: Commands) -> None:
    parser = add_command(commands, "channels", "list the channels", "directory:channels")
    parser.add_argument("--joined", action="store_true", help="only those that you are in")
    parser.add_argument("--archived", action="store_true", help="the archived ones too")
    add_json(parser, "channel")


def _add_users(commands: Commands) -> None:
    parser = add_command(commands, "users", "list the users, and who is here", "directory:users")
    parser.add_argument("--here", action="store_true", help="only those who are here")
    add_json(parser, "user")


def _add_make(commands: Commands) -> None:
    parser = add_command(commands, "make", "make a channel", "directory:make", " You are its owner and first member.")
    parser.add_argument("channel", metavar="NAME", type=not_empty, help="what it is called")
    parser.add_argument("--topic", metavar="TEXT", default="", help="what it is about")
    parser.add_argument("--private", action="store_true", help="only those who are invited see it")
    add_json(parser, "channel")


def _add_channel(parser: argparse.ArgumentParser) -> None:
    help_text = "its name or id; the channel that everyone is in is the lobby"
    parser.add_argument("channel", metavar="CHANNEL", type=not_empty, help=help_text)


def _add_join(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--join", action="store_true", help="join the channel first")
