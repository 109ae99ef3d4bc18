"""The command `madang`: what can be typed, and how it ends.

Nothing heavy is imported before it is known which command runs, so that the help and a usage error come at once.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import uuid
from collections.abc import Callable, Coroutine, Sequence
from importlib import import_module, metadata
from typing import NoReturn, TypeAlias

from madang.core.errors import MadangError
from madang.node.command import add_parser as add_serve
from madang.node.operating import add_parsers as add_operating
from madang.terminal.exits import CommandError, Exit, code_of, epilog, explain
from madang.terminal.options import add_common
from madang.terminal.output import give_up_stdout, print_error, set_up
from madang.terminal.records import help_of

_DESCRIPTION = "Group chat that you host yourself. Start with: madang serve, and in another terminal: madang console"


class Parser(argparse.ArgumentParser):
    """argparse, with errors as one sentence."""

    def error(self, message: str) -> NoReturn:
        """Tell a usage error, and end."""
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
    _add(commands, "console", "talk, in line mode", "console:console", " /help in it lists what you can type.")
    _add_send(commands)
    _add_tail(commands)
    _add_channels(commands)
    _add_users(commands)
    return parser


Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"  # argparse has no public name for it


def _add(commands: Commands, name: str, text: str, target: str, more: str = "") -> argparse.ArgumentParser:
    parser = commands.add_parser(
        name,
        help=text,
        description=f"{text[0].upper()}{text[1:]}.{more}",
        epilog=epilog(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_common(parser)
    parser.set_defaults(func=_runner(target))
    return parser


def _add_send(commands: Commands) -> None:
    parser = _add(commands, "send", "send to a channel", "send:send", " Prints what was stored, when it is on disk.")
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
    _add_json(parser, "sent")


def _add_tail(commands: Commands) -> None:
    parser = _add(commands, "tail", "print what was said in a channel, and what is said from now on", "tail:tail")
    _add_channel(parser)
    start = parser.add_mutually_exclusive_group()
    start.add_argument("--after", metavar="SEQ", type=_number, help="begin with the first message after this sequence")
    start.add_argument("--last", "-n", metavar="N", type=_number, help="begin with the last N messages; default: 10")
    parser.add_argument("--limit", metavar="N", type=_above_zero, help="end after N messages")
    parser.add_argument("--no-follow", dest="follow", action="store_false", help="end with what is stored now")
    _add_join(parser)
    _add_json(parser, "message")


def _add_channels(commands: Commands) -> None:
    parser = _add(commands, "channels", "list the channels", "directory:channels")
    parser.add_argument("--joined", action="store_true", help="only those that you are in")
    parser.add_argument("--archived", action="store_true", help="the archived ones too")
    _add_json(parser, "channel")


def _add_users(commands: Commands) -> None:
    parser = _add(commands, "users", "list the users, and who is here", "directory:users")
    parser.add_argument("--here", action="store_true", help="only those who are here")
    _add_json(parser, "user")


def _add_channel(parser: argparse.ArgumentParser) -> None:
    help_text = "its name or id; the channel that everyone is in is the lobby"
    parser.add_argument("channel", metavar="CHANNEL", type=_channel, help=help_text)


def _add_join(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--join", action="store_true", help="join the channel first")


def _add_json(parser: argparse.ArgumentParser, kind: str) -> None:
    parser.add_argument("--json", action="store_true", help="print JSON, one object a line; the fields are below")
    parser.epilog = f"{help_of(kind)}\n\n{parser.epilog}"


def _runner(target: str) -> Callable[[argparse.Namespace], int]:
    """What runs a command: `module:function`, imported when it is needed."""

    def run(arguments: argparse.Namespace) -> int:
        module, _, function = target.partition(":")
        command: Callable[[argparse.Namespace], Coroutine[None, None, int]]
        command = getattr(import_module(f"madang.terminal.{module}"), function)
        return asyncio.run(command(arguments))

    return run


def _channel(text: str) -> str:
    if not text:
        raise argparse.ArgumentTypeError("the name of a channel is needed")
    return text


def _number(text: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise argparse.ArgumentTypeError("a number is needed")
    return int(text)


def _above_zero(text: str) -> int:
    number = _number(text)
    if number == 0:
        raise argparse.ArgumentTypeError("a number above 0 is needed")
    return number
