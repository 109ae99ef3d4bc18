"""The command line of accounts and bots."""

from __future__ import annotations

import argparse

from madang.core.models import Scope
from madang.terminal.options import checked
from madang.terminal.parsers import Commands, add_command, add_group, add_json, add_user, duration, not_empty, one_of
from madang.terminal.places import checked_handle
from madang.terminal.secrets import add_password_file


def add_account_commands(commands: Commands) -> None:
    """Add them all."""
    _add_identity(commands)
    _add_passwd(commands)
    _add_sessions(commands)
    _add_bot(commands)
    export = add_command(
        commands, "export", "write everything that the server keeps of you", "account:export", " As JSON lines."
    )
    export.add_argument("file", metavar="FILE|-", type=not_empty, help="a new file; -: standard output")
    delete = add_command(commands, "delete-account", "delete your account for good", "account:delete_account")
    delete.add_argument(
        "--messages",
        choices=("anonymize", "erase"),
        required=True,
        help="anonymize: they stay, by a deleted user without a name; erase: their text goes",
    )
    delete.add_argument("--yes", action="store_true", help="do not ask whether it is meant")
    add_password_file(delete)


def _add_identity(commands: Commands) -> None:
    kept = " The session is kept in the system's keyring, or in a file that only you can read; the password is not."
    register = add_command(commands, "register", "make an account, and sign in with it", "identity:sign_up", kept)
    _add_handle(register)
    register.add_argument("--invite", metavar="CODE", default="", help="the code of an invite")
    register.add_argument("--display-name", metavar="NAME", default="", help="what is shown beside the handle")
    add_password_file(register)
    add_json(register, "user")
    signin = add_command(commands, "signin", "sign in with a password", "identity:sign_in", kept)
    _add_handle(signin)
    add_password_file(signin)
    add_json(signin, "user")
    add_command(commands, "signout", "end the session that is kept here", "identity:sign_out")


def _add_passwd(commands: Commands) -> None:
    passwd = add_command(commands, "passwd", "change your password", "account:change_password")
    passwd.add_argument("--reset-code", metavar="CODE", help="set a new one with a code that an administrator gave you")
    add_password_file(passwd, "the password as it is and the new one, a line each; with --reset-code the new one alone")


def _add_sessions(commands: Commands) -> None:
    sessions = add_command(commands, "sessions", "list your sessions, or end some", "account:sessions")
    sessions.add_argument("--of", metavar="BOT", help="those of a bot of yours: its tokens")
    add_json(sessions, "session")
    more = sessions.add_subparsers(title="commands", metavar="COMMAND", dest="action")
    revoke = add_command(more, "revoke", "end a session, or all but this one", "account:revoke_sessions")
    revoke.add_argument("session", metavar="ID|all", type=session_or_all, help="which; all: all of them but this one")
    revoke.add_argument("--of", metavar="BOT", default=argparse.SUPPRESS, help="of a bot of yours")
    revoke.add_argument("--json", action="store_true", default=argparse.SUPPRESS, help="print how many as JSON")


def _add_bot(commands: Commands) -> None:
    bot = add_group(commands, "bot", "bots: programs with tokens of their own")
    more = bot.add_subparsers(title="commands", metavar="COMMAND", dest="action", required=True)
    create = add_command(more, "create", "make a bot that is yours", "bots:create")
    create.add_argument("bot", metavar="HANDLE", type=checked(checked_handle), help="what it is called")
    create.add_argument("--display-name", metavar="NAME", default="", help="what is shown beside the handle")
    add_json(create, "user")
    add_json(add_command(more, "list", "list your bots", "bots:list_bots"), "user")
    token = add_command(
        more,
        "token",
        "make a token for a bot, and print it",
        "bots:token",
        " It is told this once; MADANG_TOKEN in the environment uses it.",
    )
    add_user(token, "bot", "which bot")
    token.add_argument(
        "--scopes",
        metavar="SCOPE[,SCOPE]",
        type=_scopes,
        default=[Scope.SEND, Scope.READ],
        help="what it is good for: send, read, manage; default: send,read",
    )
    token.add_argument("--note", metavar="TEXT", default="", help="what it is for, in the list of sessions")
    token.add_argument("--expires", metavar="TIME", type=duration, help="as in 90d; default: it does not")
    add_json(token, "token")
    delete = add_command(more, "delete", "delete a bot; its messages stay", "bots:delete")
    add_user(delete, "bot", "which bot")
    delete.add_argument("--json", action="store_true", help="print nothing")


def _add_handle(parser: argparse.ArgumentParser) -> None:
    help_text = "who you are; default: as --name has it"
    parser.add_argument("--handle", metavar="HANDLE", type=checked(checked_handle), help=help_text)


def _scopes(text: str) -> list[Scope]:
    convert = one_of(Scope.SEND, Scope.READ, Scope.MANAGE)
    return [convert(part.strip()) for part in text.split(",")]


def session_or_all(text: str) -> str:
    """The number of a session, or `all`; raises ArgumentTypeError for anything else."""
    if text != "all" and not (text.isascii() and text.isdigit() and int(text)):
        raise argparse.ArgumentTypeError("the number of a session is needed, or the word all")
    return text
