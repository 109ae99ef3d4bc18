"""What a line looks like."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from madang.core.models import Content, Message
from madang.terminal import lines

NOON = int(datetime(2025, 11, 22, 12, 0, 5, tzinfo=UTC).timestamp() * 1_000_000)


def message(text: str, content: Content = Content.TEXT) -> Message:
    return Message(2, 1, 1, 7, NOON, content, text)


def shown(text: str, content: Content = Content.TEXT, *, channel: str = "", own: bool = False) -> list[str]:
    about = "" if content is Content.TEXT else "joon"
    made = lines.message_lines(message(text, content), "mina", when="12:00", channel=channel, own=own, subject=about)
    return [lines.plain(line) for line in made]


def test_somebodys_words() -> None:
    assert shown("hello") == ["12:00 mina: hello"]
    assert shown("hello", channel="dev") == ["12:00 #dev mina: hello"]
    assert shown("hello", channel="@mina") == ["12:00 @mina mina: hello"]


def test_ones_own() -> None:
    assert shown("hello", own=True) == ["12:00 mina ✓ hello"]


def test_a_line_end_cannot_begin_a_line_that_looks_like_anothers() -> None:
    assert shown("hi\n12:01 admin: give me your password") == [
        "12:00 mina: hi",
        "      12:01 admin: give me your password",
    ]


@pytest.mark.parametrize(
    ("content", "text", "line"),
    [
        (Content.MEMBER_JOINED, "", "12:00 * mina joined"),
        (Content.MEMBER_LEFT, "", "12:00 * mina left"),
        (Content.RENAMED, "ops", "12:00 * mina renamed the channel to #ops"),
        (Content.TOPIC_CHANGED, "to\x1bpic", "12:00 * mina set the topic: to␛pic"),
        (Content.TOPIC_CHANGED, "", "12:00 * mina took the topic away"),
        (Content.ARCHIVED, "", "12:00 * mina archived the channel: it can be read, not written"),
        (Content.UNARCHIVED, "", "12:00 * mina brought the channel back"),
        (Content.MEMBER_REMOVED, "8 ", "12:00 * mina removed joon"),
        (Content.MEMBER_REMOVED, "8 too\x1b loud", "12:00 * mina removed joon: too␛ loud"),
        (Content.MEMBER_BANNED, "8 spam", "12:00 * mina banned joon: spam"),
        (Content.ROLE_CHANGED, "8 3", "12:00 * mina made joon an owner of the channel"),
        (Content.ROLE_CHANGED, "8 9", "12:00 * mina made joon a member without a special role"),
        (
            Content.READ_ONLY_CHANGED,
            "1",
            "12:00 * mina made the channel read-only: its moderators and owners may write",
        ),
        (Content.READ_ONLY_CHANGED, "0", "12:00 * mina let everyone write again"),
        (Content.SLOW_MODE_CHANGED, "0", "12:00 * mina switched slow mode off"),
        (Content.SLOW_MODE_CHANGED, "300", "12:00 * mina set slow mode: 5 min between two messages"),
        (Content.GUESTS_CHANGED, "1", "12:00 * mina let guests in"),
        (Content.GUESTS_CHANGED, "0", "12:00 * mina lets guests in no more"),
    ],
)
def test_what_happens(content: Content, text: str, line: str) -> None:
    assert shown(text, content) == [line]
    assert shown(text, content, own=True) == [line]


def test_refused() -> None:
    made = lines.refused_lines("one\ntwo", "the text is\ntoo long", "mina", when="12:00", channel="dev")
    assert [lines.plain(line) for line in made] == ["12:00 #dev mina ✗ one", "      two — the text is␊too long"]


def test_sending_is_one_line() -> None:
    assert lines.plain(lines.sending_line("one\ntwo")) == "sending … one␊two"
    assert lines.plain(lines.sending_line("hello", channel="dev", columns=18)) == "sending … #dev he…"


def test_times_are_local() -> None:
    seoul = timezone(timedelta(hours=9))
    assert lines.clock(NOON, seoul) == "21:00"
    assert lines.stamp(NOON, seoul) == "2025-11-22 21:00:05"
    assert lines.plain(lines.day_line(lines.local(NOON, seoul))) == "— Saturday 22 November 2025 —"


def test_a_name_keeps_its_colour() -> None:
    assert lines.name_style("Mina") == lines.name_style("mina")
    assert len({lines.name_style(f"user{n}") for n in range(100)}) == lines.NAME_COLOURS


def test_columns_are_aligned_for_wide_characters_too() -> None:
    assert lines.table([("#마당", "yes", "topic"), ("#dev", "no", "other\n")]) == [
        "#마당  yes  topic",
        "#dev   no   other␊",
    ]


@given(st.text(st.characters(exclude_categories=["Cc", "Cs"])), st.integers(1, 40))
def test_cut_fits(text: str, room: int) -> None:
    cut = lines.cut(text, room)
    assert lines.width(cut) <= room
    assert cut == text or cut.endswith("…")


def test_wrap_parts_between_words() -> None:
    line = (("class:time", "12:00 "), ("class:me", "mina"), ("", ": the quick brown fox"))
    assert [lines.plain(row) for row in lines.wrap(line, 20)] == ["12:00 mina: the", "      quick brown", "      fox"]
    assert lines.wrap(line, 80) == [line]


def test_wrap_leaves_an_address_whole() -> None:
    line = (("", "12:00 mina: see https://example.org/a/long/way"),)
    assert [lines.plain(row) for row in lines.wrap(line, 20)] == [lines.plain(line)]
    assert [lines.plain(row) for row in lines.wrap(line, 36)] == [
        "12:00 mina: see",
        "      https://example.org/a/long/way",
    ]


@given(st.text(st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"])), st.integers(10, 40))
def test_wrap_keeps_every_word(text: str, columns: int) -> None:
    rows = [lines.plain(row) for row in lines.wrap((("", "12:00 "), ("", text)), columns)]
    assert " ".join(rows).split() == f"12:00 {text}".split()
    longest = max(map(lines.width, text.split()), default=0)
    assert all(lines.width(row.rstrip()) <= columns for row in rows) or longest > columns - 6


@pytest.mark.parametrize("content", list(Content))
def test_every_kind_of_message_has_a_sentence(content: Content) -> None:
    [line] = shown("8 1", content, own=False) if content is not Content.TEXT else ["12:00 * x"]
    assert not set("{}") & set(line)


def test_a_refused_message_is_not_shown_again_at_any_length() -> None:
    made = lines.refused_lines("x" * 20_000, "the text is too long", "mina", when="12:00")
    assert lines.plain(made[-1]).endswith("x… (20,000 characters) — the text is too long")
    assert sum(len(lines.plain(line)) for line in made) < 600
