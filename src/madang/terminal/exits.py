"""The exit codes of the command `madang`, and which error ends in which."""

from __future__ import annotations

from datetime import UTC, datetime
from enum import IntEnum

from madang.core import errors
from madang.terminal.durations import say_duration
from madang.terminal.safe import safe_line
from madang.terminal.titles import shown


class Exit(IntEnum):
    """How a command ended."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    NOT_NOW = 3
    NOT_SIGNED_IN = 4
    NOT_PERMITTED = 5
    NOT_FOUND = 6
    REFUSED = 7
    INTERRUPTED = 130


MEANINGS: dict[Exit, str] = {
    Exit.DONE: "done",
    Exit.FAILED: "failed for another reason",
    Exit.USAGE: "the command line is not right",
    Exit.NOT_NOW: "the server cannot be reached, is busy, or did not answer in time; a message may still be stored",
    Exit.NOT_SIGNED_IN: "not signed in: the session has ended, or the password is wrong",
    Exit.NOT_PERMITTED: "not permitted, or not a member of the channel",
    Exit.NOT_FOUND: "no such channel, user, message, session, invite or report",
    Exit.REFUSED: "refused: it would never be accepted as it is",
    Exit.INTERRUPTED: "interrupted (Ctrl-C)",
}
"""What each code means, for the help."""

_CODES: tuple[tuple[type[BaseException], Exit], ...] = (
    (errors.Unavailable, Exit.NOT_NOW),
    (errors.ResourceExhausted, Exit.NOT_NOW),
    (TimeoutError, Exit.NOT_NOW),
    (errors.Unauthenticated, Exit.NOT_SIGNED_IN),
    (errors.PermissionDenied, Exit.NOT_PERMITTED),
    (errors.NotFound, Exit.NOT_FOUND),
    (errors.InvalidArgument, Exit.REFUSED),
    (errors.FailedPrecondition, Exit.REFUSED),
    (errors.AlreadyExists, Exit.REFUSED),
    (errors.OutOfRange, Exit.REFUSED),
)


class CommandError(Exception):
    """A command cannot go on: one plain sentence for the user, and the exit code."""

    def __init__(self, text: str, code: Exit) -> None:
        super().__init__(text)
        self.code = code


def code_of(error: BaseException) -> Exit:
    """The exit code of an error."""
    if isinstance(error, CommandError):
        return error.code
    return next((code for kind, code in _CODES if isinstance(error, kind)), Exit.FAILED)


def explain(error: BaseException, *, channel: str = "", to_join: str = "") -> str:
    """The error as one plain sentence, safe to print. `channel` is the name to use for a channel that the error tells
    by its id; `to_join` says how to become a member of it.
    """
    place = shown(channel) if channel else "this channel"
    match error:
        case errors.NotAMember():
            text = f"you are not in {place}" + (f"; {to_join}" if to_join else "")
        case errors.MadangError() if told := _spoken(error, place):
            text = told
        case errors.InvalidField(facts={"field": str(field), "rule": str(rule)}):
            text = _rule(field, rule)
        case errors.ServerDraining():
            text = "the server is shutting down"
        case errors.StorageUnavailable() | errors.ServerUnreachable() if told := _store(error):
            text = told
        case errors.ServerUnreachable(facts={"problem": "the client has gone elsewhere"}):  # see client.transport
            text = "its node was left for another one"
        case errors.ServerUnreachable():
            text = f"cannot reach {error.facts.get('target', 'the server')}: {_obstacle(error) or _way(error)}"
        case TimeoutError() if not str(error):
            text = "the server did not answer in time"
        case OSError():
            text = _os_error(error)
        case _:
            text = str(error) or type(error).__name__
    return safe_line(text)


_SPOKEN: dict[type[errors.MadangError], str] = {
    errors.ChannelArchived: "{place} is archived: it can be read, not written",
    errors.ChannelReadOnly: "{place} is read-only: its moderators and owners may write",
    errors.ChannelIsDirect: "{place} is a direct channel: it has no name, roles or moderators, and its people stay",
    errors.SlowMode: "slow mode in {place}: {wait} to your next message",
    errors.Muted: "a moderator has muted you in {place}{until}",
    errors.BannedFromChannel: "you are banned from {place}{until}{cause}",
    errors.MessageNotFound: "there is no message {sequence} in {place}",
    errors.TokenMissing: "you are not signed in",
    errors.AccountBanned: "this account is banned from the server{until}{cause}",
    errors.RateLimited: "too many {what}; try again in {wait}",
    errors.Overloaded: "too much is under way: {problem}; try again in {wait}",
}
"""How errors are told that the tree tells by numbers: with the channel's name, and times as people say them."""


def _spoken(error: errors.MadangError, place: str) -> str:
    """The sentence for a reader at a terminal; empty where the error's own text will do."""
    if isinstance(error, errors.NotPermitted) and str(error.facts.get("action", "")).startswith("call "):
        return f"only {error.facts.get('allowed', 'others')} may do that"
    template = _SPOKEN.get(type(error), "")
    told = {"place": place, "wait": _wait(error), "until": _until(error), "cause": _cause(error)}
    try:
        return template.format_map(error.facts | told)
    except KeyError:  # a fact that the server did not give
        return ""


_STORE_SAYS = ("nothing was stored", "nothing was read")


def _store(error: errors.MadangError) -> str:
    """The sentence for a server that is there, while its database is not; empty where it is something else."""
    what, _, why = str(error.facts.get("problem", "")).partition(": ")
    return f"the server cannot use its store now: {what} ({why})" if what in _STORE_SAYS else ""


_FIELDS = {"expire_time": "the time", "max_uses": "the number of uses", "user_ids": "a direct channel"}
"""What fields of the contract are called where their own names say little."""
_VERBS = ("must", "has", "is", "lies", "names")


def _rule(field: str, rule: str) -> str:
    """A rule of the contract that is broken, as a sentence: some rules are one, to others the field is the subject."""
    name = field.rpartition(".")[2]
    subject = _FIELDS.get(name, f"the {name.replace('_', ' ')}")
    return f"{subject} {rule}" if rule.partition(" ")[0] in _VERBS else rule


def _wait(error: errors.MadangError) -> str:
    return say_duration(error.retry_after or 1.0)


def _until(error: errors.MadangError) -> str:
    """When it ends, for a reader in this computer's time zone; nothing where it does not."""
    until = error.facts.get("until", 0)
    if not isinstance(until, int | float) or until <= 0:
        return ""
    return f" until {datetime.fromtimestamp(until, UTC).astimezone():%Y-%m-%d %H:%M}"


def _cause(error: errors.MadangError) -> str:
    cause = str(error.facts.get("cause", ""))
    return f": {cause}" if cause else ""


_WAYS: tuple[tuple[str, str], ...] = (
    ("connection refused", "nothing listens there (connection refused)"),
    ("dns resolution failed", "its name is not known"),
    ("domain name not found", "its name is not known"),
    ("no route to host", "there is no way to it"),
    ("network is unreachable", "there is no network"),
    ("timeout occurred", "no answer in time"),
    ("deadline exceeded", "no answer in time"),
    ("certificate has expired", "its certificate has expired"),
    ("certificate verify failed", "its certificate is not trusted: see --tls-ca and --tls-pin"),
    ("hostname verification", "its certificate is for another name: see --tls-pin"),
    ("wrong version number", "it does not speak this protocol, or wants TLS"),
    ("trying to connect an http1.x server", "it is not a madang server"),
    ("received http2 header with status", "it is not a madang server"),
    ("unimplemented", "it is not a madang server"),
    ("socket closed", "the connection was closed"),
    ("connection reset", "the connection was closed"),
    ("goaway", "the connection was closed"),
)


_SAME_SHA = "--tls-pin with this SHA-256 trusts it, if whoever runs the server gave you the same one"
_OBSTACLES: dict[str, str] = {
    "untrusted": f"{_SAME_SHA}; --tls-ca FILE trusts an authority, or the certificate in a file",
    "name": f"call it by that name, or {_SAME_SHA}",
    "dates": "whoever runs the server has to renew it, or a clock is wrong",
    "wants-plain": "--no-tls talks to it in plain text, which anybody on the way can read",
    "no-tls-now": "somebody in between may want your words in plain text; ask whoever runs the server",
    "wants-tls": "--tls talks to it so, with --tls-pin SHA256 or --tls-ca FILE where no authority vouches for it",
    "wants-certificate": "--client-cert FILE with --client-key FILE shows it",
    "hangs-up": "it may ask for a certificate of yours; --client-cert FILE with --client-key FILE shows one",
    "fails": "",
    "refuses-certificate": "whoever runs the server says which authority has to have signed it",
}
"""How to go on where TLS is why a server cannot be reached, by the cause that the client found; empty where nobody
knows.
"""


def _obstacle(error: errors.MadangError) -> str:
    way, problem = _OBSTACLES.get(str(error.facts.get("cause", ""))), str(error.facts.get("problem", ""))
    if way is None:
        return ""
    return f"{problem}: {way}" if way else problem


def _way(error: errors.MadangError) -> str:
    """What gRPC says of a connection, in plain words where they are known."""
    problem = str(error.facts.get("problem", ""))
    told = problem.casefold().replace("_", " ")
    return next((plain for part, plain in _WAYS if part in told), problem or "no answer")


def _os_error(error: OSError) -> str:
    reason = (error.strerror or "").lower() or str(error)
    return f"{error.filename}: {reason}" if error.filename else reason


def epilog() -> str:
    """The exit codes as the help shows them."""
    return "exit codes:\n" + "\n".join(f"  {code.value:>3}  {text}" for code, text in MEANINGS.items())
