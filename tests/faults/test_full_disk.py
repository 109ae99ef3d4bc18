"""A full disk: sends fail, reads go on, and when there is space again so do the sends, without a restart."""

from __future__ import annotations

import asyncio
import resource
import uuid
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

from madang.v1 import channel_service_pb2 as pb

from .disks import Disk, FileLimit, can_mount, small_disk
from .load import Crowd, under_load
from .people import Connection, Person, Problem, connect, make_channel, problem_in, problem_of, send, sign_in, stored_in
from .process import ServerProcess, eventually
from .readers import Call as LiveCall
from .test_kill import BROKEN
from .writers import Call as PostCall
from .writers import PostWriter, SendWriter

STORAGE = "UNAVAILABLE STORAGE_UNAVAILABLE"


@pytest.fixture(params=["file-limit", "small-disk"] if can_mount() else ["file-limit"])
def disk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Disk]:
    """A place for the data that can be filled."""
    if request.param == "file-limit":
        yield FileLimit(tmp_path / "disk")
    else:
        with small_disk(tmp_path / "disk") as small:
            yield small


@pytest.fixture
def server(disk: Disk, tmp_path: Path) -> Iterator[ServerProcess]:
    """A server with its data there; it prints elsewhere."""
    with ServerProcess(disk.path / "data", tmp_path / "log") as process:
        yield process


async def try_send(connection: Connection, person: Person, channel_id: int, text: str) -> Problem | None:
    """Send; why it failed, None when it was stored."""
    try:
        await send(connection, person, channel_id, text)
    except grpc.aio.AioRpcError as error:
        return problem_of(error)
    return None


async def fail_to_send(connection: Connection, person: Person, channel_id: int) -> list[str]:
    """Send until that fails, and some more; the texts that were refused, which are not stored then."""
    refused: list[str] = []

    async def fails() -> bool:
        text = f"refused {len(refused)} {uuid.uuid4()} {'x' * 8000}"
        problem = await try_send(connection, person, channel_id, text)
        if problem is not None:
            assert str(problem) == STORAGE
            refused.append(text)
        return len(refused) >= 5

    await eventually(fails, "sends fail", every=0)
    return refused


async def test_sends_fail_reads_go_on_and_it_recovers(server: ServerProcess, disk: Disk) -> None:
    await server.start()
    async with connect(server.target) as connection:
        mina = await sign_in(connection, "mina")
        channel_id = await make_channel(connection, mina, "kitchen")
        for number in range(20):
            await send(connection, mina, channel_id, f"before {number}")
        post = connection.messages.Post(metadata=mina.metadata)

        disk.fill(server.pid)
        refused = await fail_to_send(connection, mina, channel_id)

        with pytest.raises(grpc.aio.AioRpcError) as failed:
            await sign_in(connection, "nari")
        assert str(problem_of(failed.value)) == STORAGE
        assert await posted(post, channel_id) == STORAGE
        before = await stored_in(connection, mina, channel_id)
        assert {f"before {number}" for number in range(20)} <= {entry.text for entry in before}
        assert not {entry.text for entry in before} & set(refused)
        live = connection.messages.Subscribe(
            pb.SubscribeRequest(positions=[pb.Position(channel_id=channel_id)]), metadata=mina.metadata
        )
        assert await reads(live, channel_id, through=before[-1].sequence) == [entry.sequence for entry in before]

        disk.free(server.pid)
        sequence = await send(connection, mina, channel_id, "after")
        assert sequence == before[-1].sequence + 1, "what was refused took no number"
        assert await reads(live, channel_id, through=sequence) == [sequence]
        assert await posted(post, channel_id) == STORAGE, "nothing overtakes what failed: the stream ends"
        post = connection.messages.Post(metadata=mina.metadata)
        assert await posted(post, channel_id) == "stored"
        await sign_in(connection, "nari")
        after = await stored_in(connection, mina, channel_id)
        assert after[: len(before)] == before
        assert not {entry.text for entry in after} & set(refused), "what was refused is not stored later"
        await post.done_writing()
    assert "Traceback" not in server.output


async def test_under_load(server: ServerProcess, disk: Disk, seed: int) -> None:
    await server.start()
    async with under_load(server.target, seed, Crowd((PostWriter, SendWriter, PostWriter), readers=3)) as load:
        await load.goes_on(20)
        disk.fill(server.pid)
        await eventually(lambda: load.history.errors[STORAGE] >= 20, "sends fail")
        disk.free(server.pid)
        await load.goes_on(20)
        verdict = await load.settle()
    assert not verdict.findings, str(verdict)
    assert set(load.history.errors) <= BROKEN | {STORAGE}


async def test_restart_while_it_is_full(server: ServerProcess, disk: Disk) -> None:
    """It starts all the same, to be read."""
    await server.start()
    async with connect(server.target) as connection:
        mina = await sign_in(connection, "mina")
        channel_id = await make_channel(connection, mina, "kitchen")
        await send(connection, mina, channel_id, "before")
        disk.fill(server.pid)
        await fail_to_send(connection, mina, channel_id)
        before = await stored_in(connection, mina, channel_id)
    server.kill()
    server.launch()
    disk.fill(server.pid)
    await eventually(server.serves, "it serves again")
    async with connect(server.target) as connection:
        assert await stored_in(connection, mina, channel_id) == before
        disk.free(server.pid)
        await send(connection, mina, channel_id, "after")


async def test_first_start_while_it_is_full(server: ServerProcess, disk: Disk) -> None:
    """It says why it cannot start, and the next try, with space, works."""
    server.launch()
    disk.fill(server.pid)
    code, line = await server.refuses()
    assert code == 1
    assert line.startswith(f"madang: cannot use {server.data}")
    disk.free(0)
    await server.start()


async def test_restart_where_nothing_can_be_written(tmp_path: Path) -> None:
    """It can't even read its file then; which is no reason to say that the file is not its own."""
    with ServerProcess(tmp_path / "data", tmp_path / "log") as server:
        await server.start()
        server.kill()
        server.log.unlink()
        server.launch()
        resource.prlimit(server.pid, resource.RLIMIT_FSIZE, (4096, resource.RLIM_INFINITY))
        code, line = await server.refuses()
        assert code == 1
        assert line.startswith(f"madang: cannot use {server.data}")
        await server.start()


async def posted(post: PostCall, channel_id: int) -> str:
    """Post one message; what became of it, or of the stream."""
    send = pb.SendRequest(channel_id=channel_id, text="x" * 8000, request_id=str(uuid.uuid4()))
    try:
        await post.write(pb.PostRequest(sends=[send]))
        response = await asyncio.wait_for(post.read(), 20)
    except grpc.aio.AioRpcError as error:
        return str(problem_of(error))
    assert isinstance(response, pb.PostResponse)
    (result,) = response.results
    return "stored" if result.HasField("stored") else str(problem_in(result.error))


async def reads(live: LiveCall, channel_id: int, through: int) -> list[int]:
    """Read a stream through a sequence of a channel; the sequences that came."""
    found: list[int] = []
    while not found or found[-1] < through:
        response = await asyncio.wait_for(live.read(), 20)
        assert isinstance(response, pb.SubscribeResponse)
        found += [m.sequence for batch in response.batches if batch.channel_id == channel_id for m in batch.messages]
    return found
