"""Models to protobuf and back: what goes over the wire is what was meant."""

from __future__ import annotations

import uuid
from dataclasses import replace

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import find, given
from hypothesis import strategies as st

from madang.core.models import (
    AuditEvent,
    Ban,
    Channel,
    ChannelKind,
    ChannelRole,
    Content,
    Invite,
    Member,
    Message,
    Report,
    Scope,
    ServerRole,
    Session,
    User,
    UserKind,
)
from madang.core.presence import Presence, Status
from madang.v1 import agent_service_pb2, heartbeat_service_pb2, lobby_service_pb2, resources_pb2
from madang.wire.administration import (
    audit_event_from_pb,
    audit_event_to_pb,
    ban_from_pb,
    ban_to_pb,
    invite_from_pb,
    invite_to_pb,
    report_from_pb,
    report_to_pb,
)
from madang.wire.channels import channel_from_pb, channel_to_pb, member_from_pb, member_to_pb
from madang.wire.messages import message_from_pb, message_to_pb
from madang.wire.people import (
    STATUSES,
    presence_from_pb,
    presence_to_pb,
    session_from_pb,
    session_to_pb,
    user_from_pb,
    user_to_pb,
)
from madang.wire.values import micros, request_id_bytes, request_id_text, set_time

ID = st.integers(1, 2**63 - 1)
SEQUENCE = st.integers(0, 2**63 - 1)
TIME = st.integers(0, 253_402_300_799_999_999)
"""Microseconds until the end of the year 9999, which is where a Timestamp ends."""
TEXT = st.text()
MAYBE = st.none() | TIME
COUNT = st.integers(0, 2**31 - 1)
ROLE = st.sampled_from(ServerRole)
CHANNEL_ROLE = st.sampled_from(ChannelRole)
USERS = st.builds(User, ID, TEXT, st.sampled_from(UserKind), TIME, ROLE, TEXT, TEXT, SEQUENCE, MAYBE, MAYBE)
CHANNELS = st.builds(
    Channel,
    ID,
    TEXT,
    TEXT,
    st.sampled_from(ChannelKind),
    ID,
    SEQUENCE,
    TIME,
    MAYBE,
    st.booleans(),
    COUNT,
    st.booleans(),
    st.lists(ID, max_size=9).map(tuple),
)
MEMBERS = st.builds(Member, ID, ID, MAYBE, SEQUENCE, CHANNEL_ROLE, MAYBE)
SCOPES = st.none() | st.integers(1, 7).map(Scope)
SESSIONS = st.builds(Session, ID, ID, TEXT, TIME, TIME, TIME, st.none(), TEXT, SCOPES)
BANS = st.builds(Ban, ID, ID, ID, TEXT, TIME, MAYBE)
INVITES = st.builds(Invite, ID, SEQUENCE, ROLE, COUNT, COUNT, TIME, TIME, MAYBE, TEXT)
REPORTS = st.builds(Report, ID, ID, ID, ID, ID, TEXT, TEXT, TIME, MAYBE, SEQUENCE)
AUDIT = st.builds(
    AuditEvent, ID, TIME, SEQUENCE, TEXT, TEXT, SEQUENCE, SEQUENCE, st.dictionaries(TEXT, TEXT, max_size=4)
)
PRESENCES = st.builds(Presence, ID, st.sampled_from(Status), st.none() | TIME)
WORDS: dict[Content, st.SearchStrategy[str]] = {
    Content.TEXT: TEXT,
    Content.RENAMED: TEXT,
    Content.TOPIC_CHANGED: TEXT,
    Content.MEMBER_REMOVED: st.builds("{} {}".format, ID, TEXT),
    Content.MEMBER_BANNED: st.builds("{} {}".format, ID, TEXT),
    Content.ROLE_CHANGED: st.builds("{} {}".format, ID, st.integers(1, 3)),
    Content.READ_ONLY_CHANGED: st.sampled_from(["0", "1"]),
    Content.SLOW_MODE_CHANGED: COUNT.map(str),
    Content.GUESTS_CHANGED: st.sampled_from(["0", "1"]),
}
"""What the text of each kind is like; the others have none."""


@st.composite
def messages(draw: st.DrawFn) -> Message:
    """A message as the store has it; only some kinds have words."""
    content = draw(st.sampled_from(Content))
    sequence = draw(ID)
    text = draw(WORDS.get(content, st.just("")))
    return Message(draw(ID), sequence, sequence, draw(ID), draw(TIME), content, text)


@given(USERS)
def test_users(user: User) -> None:
    sent = user_to_pb(user).SerializeToString()
    assert user_from_pb(resources_pb2.User.FromString(sent)) == user


@given(CHANNELS)
def test_channels(channel: Channel) -> None:
    sent = channel_to_pb(channel).SerializeToString()
    assert channel_from_pb(resources_pb2.Channel.FromString(sent)) == channel


@given(MEMBERS)
def test_members(member: Member) -> None:
    sent = member_to_pb(member).SerializeToString()
    assert member_from_pb(resources_pb2.Member.FromString(sent)) == member


@given(SESSIONS)
def test_sessions(session: Session) -> None:
    sent = session_to_pb(session).SerializeToString()
    assert session_from_pb(resources_pb2.Session.FromString(sent)) == session


@given(BANS, USERS)
def test_bans(ban: Ban, user: User) -> None:
    user = replace(user, user_id=ban.user_id)
    sent = ban_to_pb(ban, user).SerializeToString()
    assert ban_from_pb(ban.channel_id, lobby_service_pb2.Ban.FromString(sent)) == ban


@given(INVITES)
def test_invites(invite: Invite) -> None:
    sent = invite_to_pb(invite).SerializeToString()
    assert invite_from_pb(agent_service_pb2.Invite.FromString(sent)) == invite


@given(REPORTS)
def test_reports(report: Report) -> None:
    sent = report_to_pb(report).SerializeToString()
    assert report_from_pb(lobby_service_pb2.Report.FromString(sent)) == report


@given(AUDIT)
def test_audit_events(event: AuditEvent) -> None:
    sent = audit_event_to_pb(event).SerializeToString()
    assert audit_event_from_pb(agent_service_pb2.AuditEvent.FromString(sent)) == event


@given(PRESENCES)
def test_presences(presence: Presence) -> None:
    sent = presence_to_pb(presence).SerializeToString()
    assert presence_from_pb(heartbeat_service_pb2.Presence.FromString(sent)) == presence


@given(messages())
def test_messages(message: Message) -> None:
    sent = message_to_pb(message).SerializeToString()
    assert message_from_pb(resources_pb2.Message.FromString(sent)) == message


@pytest.mark.parametrize("content", Content)
def test_every_content_has_a_field_of_its_own(content: Content) -> None:
    text = find(WORDS.get(content, st.just("")), lambda _: True)
    sent = message_to_pb(Message(1, 1, 1, 1, 0, content, text))
    assert sent.WhichOneof("content") is not None
    assert message_from_pb(sent).content is content


def test_a_topic_that_was_taken_away_is_a_change_too() -> None:
    sent = message_to_pb(Message(1, 1, 1, 1, 0, Content.TOPIC_CHANGED, ""))
    assert sent.channel_updated.HasField("topic")
    assert message_from_pb(sent).content is Content.TOPIC_CHANGED


@given(TIME)
def test_times_keep_their_microseconds(moment: int) -> None:
    stamp = Timestamp()
    set_time(stamp, moment)
    assert 0 <= stamp.nanos < 10**9
    assert stamp.ToMicroseconds() == moment
    assert micros(stamp) == moment


@given(st.uuids())
def test_request_ids(request_id: uuid.UUID) -> None:
    for text in (str(request_id), str(request_id).upper()):
        assert request_id_bytes(text) == request_id.bytes
    assert request_id_text(request_id.bytes) == str(request_id)


def test_no_request_id_is_none() -> None:
    assert request_id_bytes("") is None


def test_what_a_newer_server_says_is_understood_as_far_as_it_goes() -> None:
    user = resources_pb2.User.FromString(b"\x18\x63")  # kind = 99
    assert user_from_pb(user).kind is UserKind.GUEST
    channel = resources_pb2.Channel.FromString(b"\x20\x63")
    assert channel_from_pb(channel).kind is ChannelKind.PUBLIC
    presence = heartbeat_service_pb2.Presence.FromString(b"\x10\x63")
    assert presence_from_pb(presence).status is Status.ONLINE


@pytest.mark.parametrize("kind", [*UserKind, *ChannelKind, *Status], ids=str)
def test_every_kind_has_a_value_in_the_contract(kind: UserKind | ChannelKind | Status) -> None:
    """None of them is the contract's 'not said'."""
    if isinstance(kind, UserKind):
        assert user_to_pb(User(1, "x", kind, 0)).kind != resources_pb2.USER_KIND_UNSPECIFIED
    elif isinstance(kind, ChannelKind):
        channel = Channel(1, "x", "", kind, 0, 0, 0)
        assert channel_to_pb(channel).kind != resources_pb2.CHANNEL_KIND_UNSPECIFIED
    else:
        assert STATUSES.contract(kind) != heartbeat_service_pb2.PRESENCE_STATUS_UNSPECIFIED
        assert STATUSES.core(STATUSES.contract(kind)) is kind
