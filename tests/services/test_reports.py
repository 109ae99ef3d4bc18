"""Reports: of what one can read, once, and for those whom they concern."""

from __future__ import annotations

import asyncio

from support import Parts, refused

from madang.core.errors import (
    ChannelNotFound,
    MessageNotFound,
    NotAMember,
    NotPermitted,
    PageTokenInvalid,
    ReportNotFound,
)
from madang.core.models import Actor, ChannelKind, ChannelRole, ServerRole

PERSON, ADMIN = ServerRole.MEMBER, ServerRole.ADMIN


async def reported(own: Parts) -> tuple[int, int, list[Actor]]:
    """A channel, the sequence of a bad message in it; its owner, a moderator, its author, a member, a stranger."""
    people = await own.people(*[PERSON] * 5)
    mina, hana, jun, sumi, _ = people
    kitchen = await own.room(mina.user_id, hana.user_id, jun.user_id, sumi.user_id)
    await own.moderation.set_role(mina, kitchen, hana.user_id, ChannelRole.MODERATOR)
    (message,) = await own.say(jun.user_id, kitchen, "buy my soup")
    return kitchen, message.sequence, people


async def test_a_report_is_made_once_and_keeps_the_words(own: Parts) -> None:
    kitchen, sequence, (mina, _, jun, sumi, _) = await reported(own)
    first, *others = await asyncio.gather(
        *(own.reports.report(sumi, kitchen, sequence, f"reason {number}") for number in range(5))
    )
    assert others == [first] * 4
    assert (first.text, first.reason, first.author_id, first.reporter_id) == (
        "buy my soup",
        "reason 0",
        jun.user_id,
        sumi.user_id,
    )
    other = await own.reports.report(mina, kitchen, sequence, "")
    assert other.report_id != first.report_id
    told = [event for event in await own.audited() if event[0] == "message.report"]
    assert told == [("message.report", one.user_id, jun.user_id, kitchen) for one in (sumi, mina)]


async def test_one_reports_what_one_can_read(own: Parts) -> None:
    kitchen, sequence, (mina, _, _, _, stranger) = await reported(own)
    with refused(NotAMember, channel_id=kitchen):
        await own.reports.report(stranger, kitchen, sequence, "")
    with refused(MessageNotFound, sequence=999, channel_id=kitchen):
        await own.reports.report(mina, kitchen, 999, "")
    secret = await own.lobby.create(mina, "secret", "", None, ChannelKind.PRIVATE)
    for number in (1, 999):
        with refused(ChannelNotFound, channel=secret.channel_id):
            await own.reports.report(stranger, secret.channel_id, number, "")


async def test_whom_reports_are_shown(own: Parts) -> None:
    kitchen, sequence, (mina, hana, jun, sumi, stranger) = await reported(own)
    (admin,) = await own.people(ADMIN)
    report = await own.reports.report(sumi, kitchen, sequence, "")
    for who in (mina, hana, admin):
        assert await own.reports.page(who, kitchen, False, 0, "") == ([report], "")
    for who in (jun, sumi, stranger):
        with refused(NotPermitted):
            await own.reports.page(who, kitchen, False, 0, "")
        with refused(ReportNotFound, report_id=report.report_id):
            await own.reports.resolve(who, report.report_id)
    for who in (mina, hana, stranger):
        with refused(NotPermitted):
            await own.reports.page(who, 0, False, 0, "")
    assert await own.reports.page(admin, 0, False, 0, "") == ([report], "")


async def test_a_report_is_closed_once(own: Parts) -> None:
    kitchen, sequence, (mina, hana, _, sumi, _) = await reported(own)
    report = await own.reports.report(sumi, kitchen, sequence, "")
    closed = await own.reports.resolve(hana, report.report_id)
    assert (closed.resolver_id, closed.resolved_at) == (hana.user_id, own.clock.now)
    own.clock.pass_seconds(5)
    assert await own.reports.resolve(mina, report.report_id) == closed
    assert await own.reports.report(sumi, kitchen, sequence, "again") == closed
    assert await own.reports.page(mina, kitchen, False, 0, "") == ([], "")
    assert await own.reports.page(mina, kitchen, True, 0, "") == ([closed], "")
    assert [event[0] for event in await own.audited()].count("report.resolve") == 1
    with refused(ReportNotFound, report_id=99):
        await own.reports.resolve(mina, 99)


async def test_a_moderator_that_is_one_no_more_sees_no_more(own: Parts) -> None:
    kitchen, sequence, (mina, hana, _, sumi, _) = await reported(own)
    report = await own.reports.report(sumi, kitchen, sequence, "")
    await own.moderation.remove(mina, kitchen, hana.user_id, "")
    with refused(NotPermitted):
        await own.reports.page(hana, kitchen, False, 0, "")
    with refused(ReportNotFound):
        await own.reports.resolve(hana, report.report_id)


async def test_from_a_direct_channel_they_go_to_the_administrators(own: Parts) -> None:
    mina, hana, admin, other = await own.people(PERSON, PERSON, ADMIN, PERSON)
    it = (await own.lobby.open_direct(mina, [hana.user_id]))[0].channel_id
    (message,) = await own.say(hana.user_id, it, "unpleasant")
    report = await own.reports.report(mina, it, message.sequence, "")
    assert await own.reports.page(admin, 0, False, 0, "") == ([report], "")
    assert await own.reports.page(admin, it, False, 0, "") == ([report], "")
    for who in (mina, hana, other):
        with refused(ReportNotFound):
            await own.reports.resolve(who, report.report_id)
    assert (await own.reports.resolve(admin, report.report_id)).resolver_id == admin.user_id


async def test_reports_page_by_page_newest_first(own: Parts) -> None:
    kitchen, sequence, (mina, hana, jun, sumi, _) = await reported(own)
    made = [await own.reports.report(one, kitchen, sequence, "") for one in (sumi, jun, hana)]
    (first,), token = await own.reports.page(mina, kitchen, False, 1, "")
    rest, end = await own.reports.page(mina, kitchen, False, 2, token)
    assert [first, *rest] == made[::-1]
    assert end == ""
    for attempt in (
        own.reports.page(hana, kitchen, False, 1, token),
        own.reports.page(mina, kitchen, True, 1, token),
    ):
        with refused(PageTokenInvalid):
            await attempt
