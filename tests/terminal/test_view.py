"""What the console shows: the state, and the lines that each happening gives."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

import pytest

from madang.core.models import LOBBY_ID, Channel, ChannelKind, Content, Message, User, UserKind
from madang.terminal import lines
from madang.terminal.lines import Line
from madang.terminal.pending import Unsent
from madang.terminal.view import View

NOON = int(datetime(2025, 11, 22, 12, 0, tzinfo=UTC).timestamp() * 1_000_000)
DAY = 24 * 3600 * 1_000_000
MINA = User(7, "mina", UserKind.GUEST, NOON)
JOON = User(8, "joon", UserKind.GUEST, NOON)
LOBBY = Channel(LOBBY_ID, "lobby", "", ChannelKind.LOBBY, 0, 10, NOON)
DEV = Channel(2, "dev", "Build and release", ChannelKind.PUBLIC, 7, 4, NOON)


def text(channel: Channel, sequence: int, author: User, body: str, at: int = NOON) -> Message:
    return Message(channel.channel_id, sequence, sequence, author.user_id, at, Content.TEXT, body)


def plain(made: Sequence[Line]) -> list[str]:
    return [lines.plain(line) for line in made]


def say(view: View, channel: Channel, sequence: int, author: User, body: str, *, at: int = NOON) -> list[str]:
    return plain(view.message(channel, author, text(channel, sequence, author, body, at)))


@pytest.fixture
def view() -> View:
    view = View(MINA, UTC)
    view.enter(LOBBY, LOBBY.sequence)
    view.enter(DEV, DEV.sequence)
    view.days(datetime(2025, 11, 22, tzinfo=UTC))
    return view


def test_chat_in_the_current_channel_and_in_others(view: View) -> None:
    assert say(view, LOBBY, 11, JOON, "hello") == ["12:00 joon: hello"]
    assert say(view, DEV, 5, JOON, "built") == ["12:00 #dev joon: built"]
    assert say(view, DEV, 6, MINA, "thanks") == ["12:00 #dev mina ✓ thanks"]


def test_each_message_is_printed_once(view: View) -> None:
    assert say(view, LOBBY, 10, JOON, "old") == []
    assert say(view, LOBBY, 11, JOON, "new") != []
    assert say(view, LOBBY, 11, JOON, "new") == []


def test_history_counts_as_printed(view: View) -> None:
    past = [(text(LOBBY, n, JOON, f"m{n}"), "joon") for n in (11, 12)]
    assert plain(view.past(LOBBY, past)) == ["12:00 joon: m11", "12:00 joon: m12"]
    assert say(view, LOBBY, 12, JOON, "m12") == []
    assert say(view, LOBBY, 13, JOON, "m13") == ["12:00 joon: m13"]
    assert view.rooms[LOBBY_ID].last == 13


def test_the_day_is_told_when_it_changes(view: View) -> None:
    assert say(view, LOBBY, 11, JOON, "next", at=NOON + DAY) == ["— Sunday 23 November 2025 —", "12:00 joon: next"]
    assert say(view, LOBBY, 12, JOON, "same", at=NOON + DAY) == ["12:00 joon: same"]


def test_unread_is_what_others_write_elsewhere(view: View) -> None:
    say(view, DEV, 5, JOON, "one")
    say(view, DEV, 6, MINA, "mine")
    view.message(DEV, JOON, Message(2, 7, 7, JOON.user_id, NOON, Content.MEMBER_LEFT, ""))
    assert view.rooms[2].unread == 1
    assert plain(view.unread_lines()) == ["#dev: 1 new; /switch dev goes there."]
    assert "#dev 1 new" in lines.plain(view.status(0))
    assert plain(view.switch(DEV)) == ["— #dev: Build and release —"]
    assert view.rooms[2].unread == 0


def test_reading_on_another_device_clears_unread(view: View) -> None:
    say(view, DEV, 5, JOON, "one")
    say(view, DEV, 6, JOON, "two")
    view.read(2, 5)
    assert view.rooms[2].unread == 2
    view.read(2, 6)
    assert view.rooms[2].unread == 0
    view.read(99, 1)


def test_switch_changes_what_is_prefixed(view: View) -> None:
    view.switch(DEV)
    assert say(view, DEV, 5, JOON, "here") == ["12:00 joon: here"]
    assert say(view, LOBBY, 11, JOON, "there") == ["12:00 #lobby joon: there"]


def test_leaving_the_current_channel_goes_to_the_lobby(view: View) -> None:
    view.switch(DEV)
    assert plain(view.leave(2)) == ["You are no longer in #dev.", "— #lobby —"]
    assert view.current == LOBBY
    assert view.leave(2) == []


def test_a_message_of_an_unknown_channel_makes_it_known(view: View) -> None:
    ops = Channel(3, "ops", "", ChannelKind.PUBLIC, 7, 1, NOON)
    assert say(view, ops, 1, JOON, "hi") == ["12:00 #ops joon: hi"]
    assert view.find("#OPS") == view.find("3") == ops
    assert view.find("none") is None


def test_own_message_sending_then_stored(view: View) -> None:
    assert lines.plain(view.sending(Unsent("r1", LOBBY_ID, "hello"))) == "sending … hello"
    assert plain(view.region(80, 0)) == ["sending … hello"]
    assert "1 unsent" in lines.plain(view.status(0))
    assert say(view, LOBBY, 11, MINA, "hello") == ["12:00 mina ✓ hello"]
    assert view.region(80, 0) == []
    view.stored("r1", LOBBY_ID, 11)
    assert not view.pending.any()


def test_the_answer_may_come_before_the_message(view: View) -> None:
    view.sending(Unsent("r1", LOBBY_ID, "hello"))
    view.stored("r1", LOBBY_ID, 11)
    assert view.region(80, 0) == []
    assert view.pending.any()
    assert view.pending.any(LOBBY_ID)
    assert not view.pending.any(2)
    assert say(view, LOBBY, 11, MINA, "hello") == ["12:00 mina ✓ hello"]
    assert not view.pending.any()


def test_nothing_is_waited_for_in_a_channel_that_was_left(view: View) -> None:
    view.sending(Unsent("r1", 2, "bye"))
    view.stored("r1", 2, 5)
    view.leave(2)
    assert not view.pending.any()


def test_the_same_text_twice_settles_one_after_the_other(view: View) -> None:
    view.sending(Unsent("r1", LOBBY_ID, "hello"))
    view.sending(Unsent("r2", LOBBY_ID, "hello"))
    say(view, LOBBY, 11, MINA, "hello")
    assert [u.request_id for u in view.pending] == ["r2"]


def test_somebody_elses_same_text_settles_nothing(view: View) -> None:
    view.sending(Unsent("r1", LOBBY_ID, "hello"))
    say(view, LOBBY, 11, JOON, "hello")
    assert [u.request_id for u in view.pending] == ["r1"]


def test_refused(view: View) -> None:
    message = Unsent("r1", 2, "hello")
    assert lines.plain(view.sending(message)) == "sending … #dev hello"
    assert plain(view.refused(message, "you are not in #dev", NOON)) == [
        "12:00 #dev mina ✗ hello — you are not in #dev"
    ]
    assert not view.pending


def test_the_region_is_small_however_much_is_unsent(view: View) -> None:
    for n in range(20):
        view.sending(Unsent(f"r{n}", LOBBY_ID, f"message {n} " * 10))
    region = plain(view.region(columns=30, now=0, most=3))
    assert region[0] == "sending … 17 more"
    assert len(region) == 4
    assert all(lines.width(line) <= 30 for line in region)


def test_the_connection_is_told_once(view: View) -> None:
    assert "connected" in lines.plain(view.status(100.0))
    assert plain(view.lost("no answer", 103.0)) == [
        "! The connection is lost (no answer). Trying again until it is back."
    ]
    assert view.lost("no answer", 109.0) == []
    assert "reconnecting in 5 s" in lines.plain(view.status(104.0))
    assert "reconnecting  " not in lines.plain(view.status(109.0))
    assert plain(view.back()) == ["Connected again."]
    assert view.back() == []


def test_going_on_at_another_node(view: View) -> None:
    assert view.back("one:1") == []
    assert plain(view.lost("the server is shutting down", 100.0, "two:2")) == [
        "! The connection is lost (the server is shutting down). Going on at two:2."
    ]
    assert view.lost("no answer", 103.0, "one:1") == []
    assert plain(view.back("three:3")) == ["Connected again, at three:3."]
    assert plain(view.lost("no answer", 103.0, "three:3")) == [
        "! The connection is lost (no answer). Trying again until it is back."
    ]
    assert plain(view.back("three:3")) == ["Connected again."]


def test_names_change(view: View) -> None:
    say(view, LOBBY, 11, JOON, "hi")
    assert plain(view.user(User(8, "june", UserKind.GUEST, NOON))) == ["joon is june now."]
    assert view.handles == {7: "mina", 8: "june"}
    assert plain(view.user(User(7, "min", UserKind.GUEST, NOON))) == ["You are min now."]
    assert view.user(User(7, "min", UserKind.GUEST, NOON)) == []
    assert view.user(User(9, "sora", UserKind.GUEST, NOON)) == []
    assert view.me.handle == "min"


def test_reset_goes_on_from_the_position(view: View) -> None:
    say(view, LOBBY, 11, JOON, "lost")
    assert "older state of #lobby" in plain(view.reset(LOBBY, 5))[0]
    assert say(view, LOBBY, 6, JOON, "again") == ["12:00 joon: again"]


def test_what_comes_while_one_goes_in_waits_for_the_history(view: View) -> None:
    ops = Channel(3, "ops", "", ChannelKind.PUBLIC, 7, 2, NOON)
    view.hold()
    view.opened(ops, 0)
    assert [say(view, ops, n, JOON, f"m{n}") for n in (1, 2, 3)] == [[], [], []]
    assert say(view, LOBBY, 11, JOON, "meanwhile") == ["12:00 joon: meanwhile"]
    view.enter(ops, 0)
    assert plain(view.switch(ops)) == ["— #ops —"]
    view.past(ops, [(text(ops, n, JOON, f"m{n}"), "joon") for n in (1, 2)])
    assert plain(view.release()) == ["12:00 joon: m3"]
    assert view.release() == []


def test_a_direct_channel_is_called_by_its_people() -> None:
    pair = Channel(9, "", "", ChannelKind.DIRECT, 7, 4, NOON, direct_user_ids=(7, 8))
    crowd = Channel(10, "", "", ChannelKind.DIRECT, 7, 4, NOON, direct_user_ids=(7, 8, 9))
    alone = Channel(11, "", "", ChannelKind.DIRECT, 7, 4, NOON, direct_user_ids=(7,))
    view = View(MINA, UTC, known={8: "joon", 9: "sora"}.__getitem__)
    view.enter(LOBBY, 10)
    assert say(view, pair, 5, JOON, "psst")[-1] == "12:00 @joon joon: psst"
    assert view.rooms[9].unread == 1
    assert "@joon 1 new" in lines.plain(view.status(0))
    assert view.find("@joon") == view.find("9")
    for channel, name in ((pair, "@joon"), (crowd, "@joon,sora"), (alone, "@mina")):
        view.enter(channel, 4)
        assert view.name(channel.channel_id) == name
        assert plain(view.switch(channel)) == [f"— {name} —"]


def test_whom_it_was_done_to_is_named() -> None:
    view = View(MINA, UTC, known={9: "sora"}.__getitem__)
    view.enter(LOBBY, 10)
    view.enter(DEV, 4)
    view.switch(DEV)
    removed = Message(2, 5, 5, 8, NOON, Content.MEMBER_REMOVED, "9 enough")
    assert plain(view.message(DEV, JOON, removed))[-1] == "12:00 * joon removed sora: enough"


def test_what_was_too_fast_says_how_long_it_waits() -> None:
    view = View(MINA, UTC)
    view.enter(LOBBY, 10)
    view.sending(Unsent("a", LOBBY_ID, "one"))
    view.sending(Unsent("b", LOBBY_ID, "two"))
    view.delayed("a", 103.0)
    view.delayed("gone", 200.0)
    assert plain(view.region(80, 100.2)) == ["waiting 3 s … one", "sending … two"]
    assert plain(view.region(80, 103.0)) == ["sending … one", "sending … two"]
    view.stored("a", LOBBY_ID, 11)
    assert plain(view.region(80, 100.2)) == ["sending … two"]
