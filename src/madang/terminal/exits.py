"""The exit codes of the command `madang`, and which error ends in which."""

from __future__ import annotations

from enum import IntEnum

from madang.core import errors
from madang.terminal.safe import safe_line


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
    Exit.NOT_SIGNED_IN: "not signed in: the session has ended",
    Exit.NOT_PERMITTED: "not permitted, or not a member of the channel",
    Exit.NOT_FOUND: "no such channel, user or message",
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
    place = f"#{channel}" if channel else "this channel"
    match error:
        case errors.NotAMember():
            text = f"you are not in {place}" + (f"; {to_join}" if to_join else "")
        case errors.ChannelArchived():
            text = f"{place} is archived: it can be read, not written"
        case errors.ServerDraining():
            text = "the server is shutting down"
        case errors.ServerUnreachable():
            target, problem = error.facts.get("target", "the server"), str(error.facts.get("problem", ""))
            text = f"cannot reach {target}: {_way(problem)}"
        case TimeoutError() if not str(error):
            text = "the server did not answer in time"
        case OSError():
            text = _os_error(error)
        case _:
            text = str(error) or type(error).__name__
    return safe_line(text)


_WAYS: tuple[tuple[str, str], ...] = (
    ("connection refused", "nothing listens there (connection refused)"),
    ("dns resolution failed", "its name is not known"),
    ("domain name not found", "its name is not known"),
    ("no route to host", "there is no way to it"),
    ("network is unreachable", "there is no network"),
    ("timeout occurred", "no answer in time"),
    ("deadline exceeded", "no answer in time"),
    ("certificate_verify_failed", "its certificate is not trusted: see --tls-ca and --tls-pin"),
    ("certificate has expired", "its certificate has expired"),
    ("wrong version number", "it does not speak this protocol, or wants TLS"),
    ("trying to connect an http1.x server", "it is not a madang server"),
    ("received http2 header with status", "it is not a madang server"),
    ("unimplemented", "it is not a madang server"),
    ("socket closed", "the connection was closed"),
    ("connection reset", "the connection was closed"),
    ("goaway", "the connection was closed"),
)


def _way(problem: str) -> str:
    """What gRPC says of a connection, in plain words where they are known."""
    told = problem.casefold()
    return next((plain for part, plain in _WAYS if part in told), problem or "no answer")


def _os_error(error: OSError) -> str:
    reason = (error.strerror or str(error)).lower()
    return f"{error.filename}: {reason}" if error.filename else reason


def epilog() -> str:
    """The exit codes as the help shows them."""
    return "exit codes:\n" + "\n".join(f"  {code.value:>3}  {text}" for code, text in MEANINGS.items())
