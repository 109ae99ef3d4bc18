"""The SDK at a limit: it waits for as long as it is told, says so, and sends everything in order, each once."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

import madang
from madang.client import history
from madang.client.errors import is_passing
from madang.core.budget import Rate
from madang.core.errors import LimitReached, RateLimited, SlowMode
from madang.core.limits import Limits
from madang.core.models import LOBBY_ID, Draft, Message
from madang.services.channel import ChannelService

from .conftest import PATIENCE, stored_texts, upto

Stored = asyncio.Future[list[Message | madang.MadangError]]


@pytest.fixture
async def strict() -> AsyncIterator[madang.Server]:
    """A server that takes 5 messages at once, and then 20 a second."""
    async with madang.Server(limits=Limits(messages=Rate.of(5, 20))) as server:
        yield server


async def all_stored(posted: list[madang.Outgoing]) -> list[madang.Receipt]:
    async with asyncio.timeout(PATIENCE):
        return [await outgoing.stored() for outgoing in posted]


async def test_a_storm_is_stored_in_order_each_once(strict: madang.Server, tmp_path: Path) -> None:
    async with madang.connect(strict.target, state=tmp_path / "state") as mina:
        began = time.monotonic()
        posted = [mina.post("lobby", f"message {n}") for n in range(30)]
        await all_stored(posted)
        assert time.monotonic() - began >= 25 / 20 - 0.1, "nobody gets ahead of the limit"
        assert await stored_texts(mina, "lobby") == [f"message {n}" for n in range(30)]


async def test_it_says_that_it_waits(strict: madang.Server) -> None:
    async with madang.connect(strict.target) as mina:
        posted = [mina.post("lobby", f"message {n}") for n in range(8)]
        event = (await upto(mina, madang.SendDelayed))[-1]
        assert isinstance(event, madang.SendDelayed)
        assert event.outgoing is posted[5]
        assert event.outgoing.state is madang.SendState.SENDING
        assert isinstance(event.error, RateLimited)
        assert 0 < event.seconds <= 0.05
        await all_stored(posted)


async def test_one_budget_for_all_of_a_users_clients(strict: madang.Server) -> None:
    async with (
        madang.connect(strict.target) as one,
        madang.connect(strict.target, token=one.token) as two,
    ):
        began = time.monotonic()
        posted = [client.post("lobby", f"{name} {n}") for n in range(15) for name, client in (("a", one), ("b", two))]
        await all_stored(posted)
        assert time.monotonic() - began >= 25 / 20 - 0.1
        stored = await stored_texts(one, "lobby")
        for name in "ab":
            assert [text for text in stored if text.startswith(name)] == [f"{name} {n}" for n in range(15)]


async def test_other_calls_are_told() -> None:
    async with (
        madang.Server(limits=Limits(changes=Rate(1, 300_000))) as server,
        madang.connect(server.target) as mina,
    ):
        await mina.create_channel("kitchen")
        with pytest.raises(RateLimited) as caught:
            await mina.create_channel("garden")
        assert caught.value.retry_after is not None
        await asyncio.sleep(caught.value.retry_after)  # what it says is true
        await mina.create_channel("garden")


async def test_a_long_history_is_read_at_the_pace_of_the_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "PAGE", 2)
    async with (
        madang.Server(limits=Limits(reads=Rate(2, 20_000), messages=Rate.of(100, 100))) as server,
        madang.connect(server.target) as mina,
    ):
        posted = [mina.post("lobby", str(n)) for n in range(20)]
        await all_stored(posted)
        began = time.monotonic()
        async with asyncio.timeout(PATIENCE):
            assert await stored_texts(mina, "lobby") == [str(n) for n in range(20)]
            assert len(await mina.history("lobby", limit=20)) == 20
        assert time.monotonic() - began >= (20 - 2) * 0.02, "nobody gets ahead of the limit"


async def test_nobody_waits_for_very_long_in_silence() -> None:
    async with (
        madang.Server(limits=Limits(reads=Rate(1, 100_000_000))) as server,
        madang.connect(server.target, live=False) as mina,
    ):
        await mina.history("lobby")
        with pytest.raises(RateLimited):
            await mina.history("lobby")


async def test_slow_mode_holds_one_channel(monkeypatch: pytest.MonkeyPatch) -> None:
    """The server's slow mode is put on here: one message of a channel in 0.3 seconds."""
    post, latest = ChannelService.post, {"at": 0.0}

    def slow(self: ChannelService, drafts: Sequence[Draft]) -> Stored:
        verdicts = [_verdict(draft) for draft in drafts]
        stored = post(self, [draft for draft, verdict in zip(drafts, verdicts, strict=True) if verdict is None])
        outcome: Stored = asyncio.get_running_loop().create_future()
        stored.add_done_callback(lambda done: outcome.set_result(_merged(verdicts, done.result())))
        return outcome

    def _verdict(draft: Draft) -> madang.MadangError | None:
        rest = latest["at"] + 0.3 - time.monotonic()
        if draft.channel_id == LOBBY_ID and rest > 0:
            return SlowMode(channel_id=LOBBY_ID, retry_after=rest)
        if draft.channel_id == LOBBY_ID:
            latest["at"] = time.monotonic()
        return None

    def _merged(
        verdicts: list[madang.MadangError | None], stored: list[Message | madang.MadangError]
    ) -> list[Message | madang.MadangError]:
        rest = iter(stored)
        return [verdict or next(rest) for verdict in verdicts]

    monkeypatch.setattr(ChannelService, "post", slow)
    async with madang.Server(limits=None) as server, madang.connect(server.target) as mina:
        await mina.create_channel("garden")
        there = [mina.post("lobby", f"message {n}") for n in range(4)]
        began = time.monotonic()
        elsewhere = [mina.post("garden", f"message {n}") for n in range(50)]
        there += [mina.post("lobby", "the last")]
        await all_stored(elsewhere)
        assert time.monotonic() - began < 0.6, "other channels do not wait"
        assert any(outgoing.state is madang.SendState.SENDING for outgoing in there)
        await all_stored(there)
        assert time.monotonic() - began > 1.1
        assert await stored_texts(mina, "lobby") == [*(f"message {n}" for n in range(4)), "the last"]
        assert await stored_texts(mina, "garden") == [f"message {n}" for n in range(50)]


async def test_what_never_passes_is_not_tried_again() -> None:
    assert not is_passing(LimitReached(what="channels", limit=1))
    assert is_passing(RateLimited(what="messages", retry_after=1))


async def test_a_client_that_closes_while_it_waits(tmp_path: Path) -> None:
    """What was held back is sent by the next client of the state directory: nothing lost, nothing doubled."""
    async with madang.Server(limits=Limits(messages=Rate.of(5, 20))) as server:
        first = await madang.connect(server.target, state=tmp_path / "state")
        for n in range(15):
            first.post("lobby", f"message {n}")
        await first.close(drain=0.1)
        async with madang.connect(server.target, state=tmp_path / "state") as second:
            await all_stored(second.pending)
            assert await stored_texts(second, "lobby") == [f"message {n}" for n in range(15)]
