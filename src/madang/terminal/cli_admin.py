"""The command line of administrators: `madang admin …`."""

from __future__ import annotations

from madang.core.models import ServerRole
from madang.terminal.cli_account import session_or_all
from madang.terminal.parsers import (
    Commands,
    above_zero,
    add_command,
    add_group,
    add_json,
    add_user,
    duration,
    not_empty,
    number,
    one_of,
)

_ROLES = one_of(ServerRole.MEMBER, ServerRole.ADMIN, ServerRole.OWNER)


def add_admin_commands(commands: Commands) -> None:
    """Add them all."""
    admin = add_group(commands, "admin", "administer the server", " For its administrators and owners.")
    more = admin.add_subparsers(title="commands", metavar="COMMAND", dest="action", required=True)
    _add_invites(more)
    _add_people(more)
    _add_sessions(more)
    _add_audit(more)
    _add_reports(more)


def _add_invites(more: Commands) -> None:
    invite = add_command(more, "invite", "make an invite, and print its code", "administration:invite")
    invite.add_argument(
        "--role", metavar="ROLE", type=_ROLES, default=ServerRole.MEMBER, help="member (the default), admin or owner"
    )
    invite.add_argument("--uses", metavar="N", type=above_zero, default=1, help="how many may use it; default: 1")
    invite.add_argument("--expires", metavar="TIME", type=duration, help="as in 12h or 30d; default: 7d")
    invite.add_argument("--note", metavar="TEXT", default="", help="what it is for")
    add_json(invite, "invite")
    add_json(add_command(more, "invites", "list the invites, not their codes", "administration:invites"), "invite")
    revoke = add_command(more, "revoke-invite", "make an invite worthless", "administration:revoke_invite")
    revoke.add_argument("invite", metavar="ID", type=above_zero, help="which")
    revoke.add_argument("--json", action="store_true", help="print its id as JSON")


def _add_people(more: Commands) -> None:
    add_json(add_command(more, "users", "list all accounts", "administration:users"), "user")
    promote = add_command(more, "promote", "give a person a role on the server", "administration:promote")
    add_user(promote)
    promote.add_argument("role", metavar="ROLE", type=_ROLES, help="member, admin or owner")
    add_json(promote, "user")
    reset = add_command(
        more, "reset-password", "make a code with which a person sets a new password", "administration:reset_password"
    )
    add_user(reset, what="whose password")
    add_json(reset, "code")
    ban = add_command(more, "ban", "shut an account out of the server", "administration:ban")
    add_user(ban)
    ban.add_argument("--for", metavar="TIME", type=duration, dest="seconds", help="as in 7d; default: for good")
    ban.add_argument("--reason", metavar="TEXT", default="", help="why; the user is told")
    add_json(ban, "user")
    unban = add_command(more, "unban", "let an account in again", "administration:unban")
    add_user(unban)
    add_json(unban, "user")
    limits = add_command(more, "bot-limits", "set how many messages a bot may send", "administration:bot_limits")
    add_user(limits, "bot", "which bot")
    limits.add_argument("rate", metavar="RATE", type=number, help="a second in the long run; 0: as usual")
    limits.add_argument("burst", metavar="BURST", type=number, help="at once; 0: as usual")
    limits.add_argument("--json", action="store_true", help="print the limits as JSON")


def _add_sessions(more: Commands) -> None:
    sessions = add_command(more, "sessions", "list the sessions of a user", "administration:sessions")
    add_user(sessions, "of", "whose")
    add_json(sessions, "session")
    revoke = add_command(more, "revoke", "end a session, or all of a user", "administration:revoke_sessions")
    revoke.add_argument("session", metavar="ID|all", type=session_or_all, help="which; all: all of the user --of")
    revoke.add_argument("--of", metavar="USER", type=not_empty, help="with all: whose")
    revoke.add_argument("--json", action="store_true", help="print how many as JSON")


def _add_audit(more: Commands) -> None:
    audit = add_command(more, "audit", "who did what to whom, newest first", "administration:audit")
    audit.add_argument("--actor", metavar="USER", type=not_empty, help="only what this user did")
    audit.add_argument("--user", metavar="USER", type=not_empty, help="only what was done to this user")
    audit.add_argument("--channel", metavar="CHANNEL", type=not_empty, help="only in this channel")
    audit.add_argument("--action", metavar="PREFIX", dest="action_prefix", default="", help="as in user. or session.")
    how_many = audit.add_mutually_exclusive_group()
    how_many.add_argument("--limit", "-n", metavar="N", type=above_zero, default=100, help="how many; default: 100")
    how_many.add_argument("--all", action="store_true", help="all there are")
    audit.add_argument("--follow", "-f", action="store_true", help="oldest first, and then what comes, for ever")
    add_json(audit, "audit")


def _add_reports(more: Commands) -> None:
    reports = add_command(more, "reports", "list the reported messages", "administration:reports")
    reports.add_argument("--channel", metavar="CHANNEL", type=not_empty, help="only of this channel")
    reports.add_argument("--all", action="store_true", help="the closed ones too")
    add_json(reports, "report")
    resolve = add_command(more, "resolve", "close a report", "administration:resolve")
    resolve.add_argument("report", metavar="ID", type=above_zero, help="which")
    add_json(resolve, "report")
