"""The outbox's way to the server: in order, each message once, each with its own verdict."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Sequence
from pathlib import Path

import pytest
from support import eventually

import madang
from madang.client import sender
from madang.client.transport import Transport
from madang.core.errors import Internal, Overloaded, StorageUnavailable
from madang.core.models import Draft, Message
from madang.services.channel import ChannelService

from .conftest import PATIENCE, Restartable, person, stored_texts, upto

Stored = asyncio.Future[list[Message | madang.MadangError]]


async def all_stored(posted: list[madang.Outgoing]) -> list[madang.Receipt]:
    async with asyncio.timeout(PATIENCE):
        return [await outgoing.stored() for outgoing in posted]


@pytest.fixture(params=["memory", "disk"])
def state(request: pytest.FixtureRequest, tmp_path: Path) -> Path | None:
    return tmp_path / "state" if request.param == "disk" else None


async def test_in_order(server: Restartable, state: Path | None) -> None:
    async with madang.connect(server.target, state=state) as mina:
        posted = [mina.post("lobby", f"message {n}") for n in range(3000)]
        assert mina.pending == posted
        receipts = await all_stored(posted)
        assert [receipt.sequence for receipt in receipts] == list(range(1, 3001))
        assert [receipt.request_id for receipt in receipts] == [outgoing.request_id for outgoing in posted]
        assert {outgoing.state for outgoing in posted} == {madang.SendState.STORED}
        assert mina.pending == []
        assert await stored_texts(mina, "lobby") == [f"message {n}" for n in range(3000)]


async def test_a_refusal_in_the_middle_stops_nobody(server: Restartable, state: Path | None) -> None:
    async with (
        person(server, "joon") as joon,
        madang.connect(server.target, state=state) as mina,
    ):
        await joon.create_channel("private")
        bad = ["", " \n ", "bell \a", "x" * 16385, "half of a pair \ud83d"]
        posted = [mina.post("lobby", text) for text in ["first", *bad, "last"]]
        posted += [mina.post("private", "let me in"), mina.post("nowhere", "hello"), mina.post(99, "hello")]
        posted += [mina.post("lobby", "after all")]
        errors = [await _error(outgoing) for outgoing in posted]
        kinds = [type(error).__name__ for error in errors]
        assert kinds == [
            *("NoneType", "InvalidField", "TextNotAllowed", "TextNotAllowed", "InvalidField", "TextNotAllowed"),
            *("NoneType", "NotAMember", "ChannelNotFound", "ChannelNotFound", "NoneType"),
        ]
        assert [outgoing.state is madang.SendState.FAILED for outgoing in posted] == [
            error is not None for error in errors
        ]
        assert await stored_texts(mina, "lobby") == ["first", "last", "after all"]
        sent = [event.outgoing for event in await _sent(mina, len(posted))]
        assert sorted(map(id, sent)) == sorted(map(id, posted))


async def _error(outgoing: madang.Outgoing) -> madang.MadangError | None:
    try:
        await asyncio.wait_for(outgoing.stored(), PATIENCE)
    except madang.MadangError as error:
        return error
    return None


async def _sent(client: madang.Client, count: int) -> list[madang.Sent]:
    found: list[madang.Sent] = []
    while len(found) < count:
        found += [event for event in await upto(client, madang.Sent) if isinstance(event, madang.Sent)]
    return found


async def test_request_ids(server: Restartable) -> None:
    async with madang.connect(server.target) as mina:
        mine = str(uuid.uuid4())
        first = await mina.send("lobby", "once", request_id=mine)
        assert await mina.send("lobby", "once", request_id=mine.upper()) == first
        with pytest.raises(madang.RequestIdReused):
            await mina.send("lobby", "something else", request_id=mine)
        with pytest.raises(madang.InvalidField, match="request_id"):
            mina.post("lobby", "hello", request_id="not a uuid")
        other = str(uuid.uuid4())
        pending = mina.post("lobby", "pending", request_id=other)
        assert mina.post(1, "pending", request_id=other) is pending
        with pytest.raises(madang.RequestIdReused):
            mina.post("lobby", "different", request_id=other)
        await pending.stored()
        assert await stored_texts(mina, "lobby") == ["once", "pending"]


async def test_a_stream_that_is_refused_as_a_whole(server: Restartable, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sender, "LIST_LENGTH", 1001)  # one more than the contract allows
    monkeypatch.setattr(sender, "WINDOW", 1001)
    async with madang.connect(server.target) as mina:
        posted = [mina.post("lobby", f"{n}" if n != 500 else "\a") for n in range(1001)]
        errors = [await _error(outgoing) for outgoing in posted]
        assert [n for n, error in enumerate(errors) if error is not None] == [500]
        assert await stored_texts(mina, "lobby") == [str(n) for n in range(1001) if n != 500]


async def test_restarts_in_the_middle(server: Restartable, state: Path | None) -> None:
    async with madang.connect(server.target, state=state, handle="mina") as mina:
        posted: list[madang.Outgoing] = []
        posting = asyncio.create_task(_post_on(mina, posted, 1500))
        for number in (300, 600, 900):
            await eventually(lambda number=number: len(posted) - len(mina.pending) > number, "it goes on")  # type: ignore[misc]
            await server.restart()
        await posting
        await all_stored(posted)
        assert await stored_texts(mina, "lobby") == [f"message {n}" for n in range(1500)]


async def _post_on(client: madang.Client, posted: list[madang.Outgoing], count: int) -> None:
    """Post so many messages, a hundred of which are on their way at the most."""
    for number in range(count):
        posted.append(client.post("lobby", f"message {number}"))
        if number >= 100:
            await posted[number - 100].stored()


async def test_when_nobody_is_there(server: Restartable, state: Path | None) -> None:
    async with madang.connect(server.target, state=state) as mina:
        await server.stop()
        patient = mina.post("lobby", "patience")
        with pytest.raises(TimeoutError):
            await mina.send("lobby", "haste", timeout=0.2)
        assert [outgoing.text for outgoing in mina.pending] == ["patience", "haste"]
        await server.start()
        assert (await asyncio.wait_for(patient.stored(), PATIENCE)).sequence == 1
        await all_stored(mina.pending)
        assert await stored_texts(mina, "lobby") == ["patience", "haste"]


async def test_a_server_that_has_too_much_to_do(server: Restartable, monkeypatch: pytest.MonkeyPatch) -> None:
    async with madang.connect(server.target) as mina:
        await mina.send("lobby", "before")
        real, calls = ChannelService.post, 0

        def overloaded(self: ChannelService, drafts: Sequence[Draft]) -> Stored:
            nonlocal calls
            calls += 1
            if calls in (1, 2):
                raise Overloaded(problem="for a test", retry_after=0.05)
            return real(self, drafts)

        monkeypatch.setattr(ChannelService, "post", overloaded)
        await all_stored([mina.post("lobby", str(n)) for n in range(1000)])
        # Lists that were on their way already were stored before the refused ones could be sent again.
        assert sorted(await stored_texts(mina, "lobby")) == sorted(["before", *map(str, range(1000))])
        assert calls > 2


async def test_a_full_disk_of_the_server(server: Restartable, monkeypatch: pytest.MonkeyPatch) -> None:
    async with madang.connect(server.target) as mina:
        await mina.send("lobby", "before")
        real, calls = ChannelService.post, 0

        def full(self: ChannelService, drafts: Sequence[Draft]) -> Stored:
            nonlocal calls
            calls += 1
            if calls not in (1, 2):
                return real(self, drafts)
            failed: Stored = asyncio.get_running_loop().create_future()
            failed.set_exception(StorageUnavailable(problem="the disk is full"))
            return failed

        monkeypatch.setattr(ChannelService, "post", full)
        await all_stored([mina.post("lobby", str(n)) for n in range(1000)])
        assert sorted(await stored_texts(mina, "lobby")) == sorted(["before", *map(str, range(1000))])


@pytest.mark.parametrize("failures", [sender.MOST_TRIES - 1, sender.MOST_TRIES])
async def test_a_server_that_fails_for_one_message(
    server: Restartable, monkeypatch: pytest.MonkeyPatch, failures: int
) -> None:
    async with madang.connect(server.target) as mina:
        real, tries = ChannelService.post, 0

        async def fail_for_one(self: ChannelService, drafts: Sequence[Draft]) -> list[Message | madang.MadangError]:
            nonlocal tries
            bad = [draft.text == "50" and tries < failures for draft in drafts]
            tries += sum(draft.text == "50" for draft in drafts)
            good = [draft for draft, is_bad in zip(drafts, bad, strict=True) if not is_bad]
            results = iter(await real(self, good) if good else [])
            return [Internal() if is_bad else next(results) for is_bad in bad]

        monkeypatch.setattr(
            ChannelService, "post", lambda self, drafts: asyncio.ensure_future(fail_for_one(self, drafts))
        )
        posted = [mina.post("lobby", str(n)) for n in range(100)]
        errors = {outgoing.text: error for outgoing in posted if (error := await _error(outgoing)) is not None}
        assert tries == sender.MOST_TRIES
        if failures == sender.MOST_TRIES:
            assert [(text, type(error)) for text, error in errors.items()] == [("50", Internal)]
        else:
            assert not errors
        stored = await stored_texts(mina, "lobby")
        assert sorted(stored) == sorted(str(n) for n in range(100) if str(n) not in errors)


async def test_close_waits_for_the_outbox(server: Restartable) -> None:
    async with madang.connect(server.target, handle="mina") as mina:
        posted = [mina.post("lobby", str(n)) for n in range(500)]
    assert all(outgoing.receipt for outgoing in posted)


async def test_close_does_not_wait_for_ever(server: Restartable) -> None:
    mina = await madang.connect(server.target)
    await server.stop()
    outgoing = mina.post("lobby", "lost")
    waiting = asyncio.create_task(outgoing.stored())
    await mina.close(drain=0.1)
    with pytest.raises(madang.ClientClosed):
        await waiting
    with pytest.raises(madang.ClientClosed):
        mina.post("lobby", "too late")
    assert outgoing.state is madang.SendState.SENDING


async def test_a_close_just_when_the_stream_fails(server: Restartable, monkeypatch: pytest.MonkeyPatch) -> None:
    """gRPC forgets then that the task was cancelled; whoever closed the client waited for it for ever."""
    real, senders = Transport.post, []

    def post(self: Transport) -> object:
        call, task = real(self), asyncio.current_task()
        assert task is not None
        senders.append(task)

        def cancel(_: object) -> None:
            task.cancel()

        call.add_done_callback(cancel)
        return call

    async with madang.connect(server.target) as mina:
        await server.stop()
        monkeypatch.setattr(Transport, "post", post)
        mina.post("lobby", "lost")
        await eventually(lambda: senders, "it is sent")
        await asyncio.wait([senders[0]], timeout=PATIENCE)
        assert senders[0].cancelled()
        assert len(senders) == 1, "it did not try again"
        await mina.close(drain=0)


async def test_an_idle_stream_is_closed_and_opened_again(server: Restartable, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sender, "IDLE", 0.02)
    async with madang.connect(server.target) as mina:
        for number in range(20):
            await mina.send("lobby", str(number))
            await asyncio.sleep(number * 0.003)  # shorter than IDLE, longer, and just as long
        assert await stored_texts(mina, "lobby") == [str(n) for n in range(20)]
