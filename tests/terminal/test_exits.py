"""Which error ends in which exit code, and how it is told."""

from __future__ import annotations

import pytest

from madang.client.transport import GONE_ELSEWHERE
from madang.core import errors
from madang.terminal.exits import MEANINGS, CommandError, Exit, code_of, epilog, explain


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.ServerUnreachable(target="x", problem="y"), Exit.NOT_NOW),
        (errors.Overloaded(problem="x", retry_after=1), Exit.NOT_NOW),
        (TimeoutError(), Exit.NOT_NOW),
        (errors.SessionRevoked(), Exit.NOT_SIGNED_IN),
        (errors.NotAMember(channel_id=2), Exit.NOT_PERMITTED),
        (errors.ChannelNotFound(channel="dev"), Exit.NOT_FOUND),
        (errors.TextNotAllowed(problem="is empty"), Exit.REFUSED),
        (errors.ChannelArchived(channel_id=2), Exit.REFUSED),
        (errors.RequestIdReused(request_id="x"), Exit.REFUSED),
        (errors.PositionBeyondHead(sequence=2, channel_id=2, head=1), Exit.REFUSED),
        (errors.Internal(), Exit.FAILED),
        (OSError(28, "No space left on device"), Exit.FAILED),
        (CommandError("no", Exit.USAGE), Exit.USAGE),
    ],
)
def test_codes(error: BaseException, code: Exit) -> None:
    assert code_of(error) is code


def test_every_error_of_the_tree_has_a_code_of_its_own_kind() -> None:
    unexplained = [leaf for leaf in errors.BY_REASON.values() if code_of(leaf()) is Exit.FAILED]
    assert unexplained == [errors.Internal]


FACTS: dict[str, str | int | float] = {
    "action": "call AgentService/BanUser",
    "allowed": "administrators",
    "cause": "spam",
    "channel": "dev",
    "field": "text",
    "handle": "mina",
    "limit": 10,
    "name": "dev",
    "needs": "an invite",
    "of": "the channel",
    "problem": "is empty",
    "request_id": "0198",
    "retry_after": 12.5,
    "rule": "must be short",
    "scope": "read",
    "service": "lobby",
    "target": "host:1",
    "until": 1_800_000_000,
    "user": "mina",
    "what": "bots",
    "where": "here",
    **dict.fromkeys(("channel_id", "sequence", "head", "index", "session_id", "invite_id", "report_id"), 7),
}


@pytest.mark.parametrize("error", errors.BY_REASON.values())
def test_every_error_reads_as_a_sentence(error: type[errors.MadangError]) -> None:
    told = explain(error(**FACTS), channel="dev")
    assert not set("{}") & set(told)
    assert "channel 7" not in told or error in (errors.MessageNotFound, errors.PositionBeyondHead)
    assert "Service/" not in told
    assert told == told.strip()
    assert "12.5" not in told


def test_every_code_is_explained() -> None:
    assert set(MEANINGS) == set(Exit)
    assert "130  interrupted" in epilog()


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (errors.NotAMember(channel_id=2), "you are not in #dev; /join dev"),
        (errors.ChannelArchived(channel_id=2), "#dev is archived: it can be read, not written"),
        (errors.HandleTaken(handle="a\x1bb"), "the handle 'a\\x1bb' is taken"),
        (errors.ChannelNotFound(channel="a\x1bb"), "there is no channel a␛b"),
        (errors.ServerDraining(retry_after=1.0), "the server is shutting down"),
        (
            errors.ServerUnreachable(target="host:1", problem="failed to connect … connect: Connection refused (111)"),
            "cannot reach host:1: nothing listens there (connection refused)",
        ),
        (
            errors.ServerUnreachable(
                target="host:1", cause="fails", problem="the TLS handshake fails (timeout occurred)"
            ),
            "cannot reach host:1: the TLS handshake fails (timeout occurred)",
        ),
        (errors.ServerUnreachable(target="host:1", problem="odd\x1b"), "cannot reach host:1: odd␛"),
        (
            errors.InvalidField(field="user_id", rule="kim is not a person with an account"),
            "kim is not a person with an account",
        ),
        (
            errors.StorageUnavailable(problem="nothing was stored: disk full"),
            "the server cannot use its store now: nothing was stored (disk full)",
        ),
        (
            errors.ServerUnreachable(target="host:1", problem="nothing was read: Connection refused"),
            "the server cannot use its store now: nothing was read (Connection refused)",
        ),
        (errors.ServerUnreachable(target="x", problem=GONE_ELSEWHERE), "its node was left for another one"),
        (errors.StorageUnavailable(problem="this computer cannot keep it: x"), "this computer cannot keep it: x"),
        (errors.InvalidField(field="guest.handle", rule="must be short"), "the handle must be short"),
        (errors.InvalidField(field="status_text", rule="must be short"), "the status text must be short"),
        (errors.InvalidField(field="expire_time", rule="has passed"), "the time has passed"),
        (TimeoutError(), "the server did not answer in time"),
        (errors.TokenMissing(), "you are not signed in"),
        (errors.SlowMode(channel_id=2, retry_after=2.4), "slow mode in #dev: 3 s to your next message"),
        (errors.RateLimited(what="sign-ins", retry_after=899.3), "too many sign-ins; try again in 15 min"),
        (errors.Muted(channel_id=2, until=0), "a moderator has muted you in #dev"),
        (errors.BannedFromChannel(channel_id=2, until=0, cause=""), "you are banned from #dev"),
        (errors.AccountBanned(until=0, cause="spam\x1b"), "this account is banned from the server: spam␛"),
        (errors.AccountBanned(), "this account is banned from the server"),
        (
            errors.NotPermitted(allowed="administrators", action="call AgentService/BanUser"),
            "only administrators may do that",
        ),
        (PermissionError(13, "Permission denied", "/state"), "/state: permission denied"),
    ],
)
def test_sentences(error: BaseException, text: str) -> None:
    assert explain(error, channel="dev", to_join="/join dev") == text


@pytest.mark.parametrize(
    ("problem", "told"),
    [
        ("SSL routines:OPENSSL_internal:CERTIFICATE_VERIFY_FAILED: self signed certificate: OK", "is not trusted: see"),
        ("SSL routines:OPENSSL_internal:CERTIFICATE_VERIFY_FAILED: certificate has expired: OK", "has expired"),
        ("UNAUTHENTICATED: Hostname Verification Check failed.", "is for another name"),
        ("SSL routines:OPENSSL_internal:WRONG_VERSION_NUMBER: Invalid certificate", "or wants TLS"),
    ],
)
def test_what_grpc_says_of_tls_in_plain_words(problem: str, told: str) -> None:
    assert told in explain(errors.ServerUnreachable(target="host:1", problem=problem))


def test_no_text_of_an_error_is_made_small() -> None:
    assert explain(ConnectionError("SHA-256 of Kim's")) == "SHA-256 of Kim's"
    assert explain(OSError(28, "No space left on device", "KIM")) == "KIM: no space left on device"
