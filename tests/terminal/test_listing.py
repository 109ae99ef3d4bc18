"""Lists as lines."""

from __future__ import annotations

from madang.core.models import AuditEvent
from madang.terminal.lines import stamp
from madang.terminal.listing import audit_lines


def _banned(**details: str) -> str:
    event = AuditEvent(1, 1_795_000_000_000_000, 1, "127.0.0.1", "user.ban", 2, 0, details)
    [line] = audit_lines([event], {1: "mina", 2: "joon"}, {})
    return line


def test_the_facts_of_an_event_are_for_people() -> None:
    until = 1_795_380_653
    assert _banned(reason="noisy", until=str(until)).endswith(f" reason=noisy until={stamp(until * 1_000_000)}")


def test_what_is_empty_is_left_out() -> None:
    assert _banned(reason="", until="0").endswith("joon")
