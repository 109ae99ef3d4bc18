"""Which failures are told: the first, one a minute, and the end."""

from __future__ import annotations

import pytest

from madang.core.outages import Outage, lasted


def test_the_first_is_told_then_one_a_minute_then_the_end() -> None:
    outage = Outage()
    told = {second: said for second in range(200) if (said := outage.failed(1000.0 + second)) is not None}
    assert told == {0: "", 60: " (for 60 s now)", 120: " (for 2 min now)", 180: " (for 3 min now)"}
    assert outage.worked(1200.5) == "for 3 min"
    assert outage.worked(1201.0) is None, "it is told once"
    assert outage.failed(1202.0) == "", "another one begins anew"


def test_what_works_and_fails_by_turns_is_told_now_and_then() -> None:
    outage = Outage()
    lines = 0
    for second in range(60):
        lines += outage.failed(float(second)) is not None
        lines += outage.worked(second + 0.5) is not None
    assert lines == 12, "six times that it failed, six times that it worked"


def test_an_outage_soon_after_another_is_told_when_it_lasts() -> None:
    outage = Outage()
    assert outage.failed(0.0) == ""
    assert outage.worked(1.0) == "for 1 s"
    assert [outage.failed(second) for second in (2.0, 9.0, 11.0, 12.0)] == [None, None, " (for 9 s now)", None]
    assert outage.worked(13.0) == "for 11 s"


def test_what_always_worked_is_not_told() -> None:
    assert Outage().worked(0.0) is None


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.2, "for 0 s"), (119.4, "for 119 s"), (120, "for 2 min"), (19_259, "for 5 h 20 min")]
)
def test_a_span_is_easily_read(seconds: float, text: str) -> None:
    assert lasted(seconds) == text
