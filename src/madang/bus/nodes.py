"""The nodes of a cluster, by a bucket of NATS's key-value store.

Each node puts a record of itself every few seconds, where it expires. To put is to publish: so everybody hears a record
when it is put, also while the store of NATS does not work, and the bucket is there for whoever comes later. Records are
judged by the time since one was last heard, counted in ticks of this node's own loop: neither a clock that jumps nor a
node that was frozen takes the others for dead; and while the bus is away nobody grows older.

What a node says of who is present is too much for a record. It lies in a second bucket, in parts; the record tells its
version.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from google.protobuf.message import DecodeError
from nats.aio.client import Client
from nats.errors import Error as NatsError
from nats.errors import NoRespondersError
from nats.js import JetStreamContext
from nats.js.api import KeyValueConfig, StorageType
from nats.js.errors import BadRequestError, KeyNotFoundError
from nats.js.errors import ServiceUnavailableError as JetStreamUnavailableError
from nats.js.kv import KeyValue

from madang.bus.ear import ear
from madang.bus.encoding import claim_from_pb, claim_to_pb
from madang.bus.errors import BusError
from madang.bus.nats import NatsBus
from madang.bus.tasks import Apart, end
from madang.bus.v1 import node_pb2 as pb
from madang.core.claims import Claim
from madang.core.cluster import NodeInfo, is_node_id, is_one_line
from madang.core.outages import Outage

if TYPE_CHECKING:
    from nats.aio.msg import Msg

ANSWER_WITHIN = 2.0
"""How long NATS may take to put or get something, seconds. What it does not answer was heard by the others anyway."""
CLAIMS_LAST = 60.0
CLAIMS_AGAIN = 20.0
"""How long claims lie in their bucket, and after how long they are put again though nothing changed, seconds."""
MAX_FINGERPRINT = 16_384
"""Characters."""
PART = 5000
"""So many claims go into one value: far less than the megabyte that NATS takes."""

_log = logging.getLogger("madang.bus")


@dataclass(frozen=True, slots=True)
class Times:
    """Seconds. A node puts its record every `again`, and is gone when none was heard for `gone`; counted in `tick`s.

    A record that was found in the bucket, not heard, may be old: its node has only `again` and a tick to be heard.
    """

    again: float = 3.0
    gone: float = 10.0
    tick: float = 1.0

    @property
    def last(self) -> float:
        """How long a record lies in the bucket."""
        return 2 * self.again


@dataclass(slots=True)
class _Other:
    """Another node: what it tells of itself, and for how long it was not heard."""

    info: NodeInfo
    claims_version: int
    age: float = 0.0


class NatsNodes:
    """See `madang.bus.base.Nodes`. `start` after the bus was started, `close` before it is closed; each once."""

    def __init__(self, bus: NatsBus, times: Times | None = None) -> None:
        """Called before the bus is started."""
        self._bus = bus
        self._times = times or Times()
        self._bucket = f"madang-{bus.cluster}-nodes"
        self._claims_bucket = f"madang-{bus.cluster}-presence"
        self._info: NodeInfo | None = None
        self._others: dict[str, _Other] = {}
        self._claims: tuple[int, Callable[[], Sequence[Claim]]] = (0, tuple)
        self._put_version = 0
        self._put_at = 0.0
        self._unkept = Outage()
        self._garbage = False
        self._stirred = asyncio.Event()
        self._look = True
        self._tasks: list[asyncio.Task[None]] = []
        self._apart = Apart()
        self._ear = ear(self._hear)
        bus.on_connection(self._prepare)
        bus.on_return(self._on_return)

    async def start(self) -> None:
        """Find the others, and be found as soon as this node is announced. Raises BusError."""
        client = self._bus.link.client
        if client is None:
            raise BusError("the bus went away")
        try:
            await self._buckets(client)
            await self._look_around(client)
        except (JetStreamUnavailableError, NoRespondersError) as error:
            raise BusError(
                f"the bus {self._bus.link.where} runs without JetStream, by which nodes find each other; "
                "start it with `nats-server -js`"
            ) from error
        except (NatsError, OSError, TimeoutError) as error:
            raise BusError(f"the bus {self._bus.link.where} keeps no records of nodes: {error}") from error
        self._tasks = [
            asyncio.create_task(self._tell(), name="madang-nodes"),
            asyncio.create_task(self._tick(), name="madang-nodes-tick"),
        ]

    async def close(self) -> None:
        """Take this node's record back: the others need not wait for it."""
        for task in self._tasks:
            await end(task)
        await self._apart.close()
        client = self._bus.link.client
        if client is not None and self._info is not None:
            try:
                async with asyncio.timeout(ANSWER_WITHIN):
                    bucket = await _jetstream(client).key_value(self._bucket)
                    await bucket.delete(self._info.node_id)
            except (NatsError, OSError, TimeoutError) as error:
                _log.info("this node's record is left to expire: %s", error)

    def announce(self, info: NodeInfo) -> None:
        """See Nodes."""
        if not is_node_id(info.node_id):
            raise ValueError("a node_id has letters and digits")
        self._info = info
        self._stirred.set()

    def known(self) -> list[NodeInfo]:
        """See Nodes."""
        infos = [other.info for other in self._ours()]
        if self._info is not None:
            infos.append(self._info)
        return sorted(infos, key=lambda info: info.node_id)

    def strangers(self) -> list[NodeInfo]:
        """See Nodes."""
        return [other.info for other in self._others.values() if other.info.store != self._bus.store]

    def keep(self, version: int, claims: Callable[[], Sequence[Claim]]) -> None:
        """See Nodes. They are put with the next record: while people come and go, not for each of them."""
        self._claims = version, claims

    def kept(self) -> dict[str, int]:
        """See Nodes."""
        return {other.info.node_id: other.claims_version for other in self._ours()}

    async def find(self, node_id: str) -> tuple[int, list[Claim]] | None:
        """See Nodes."""
        client = self._bus.link.client
        return None if client is None else await self._apart.run(self._find(client, node_id))

    async def _find(self, client: Client, node_id: str) -> tuple[int, list[Claim]] | None:
        try:
            bucket = await _jetstream(client).key_value(self._claims_bucket)
            first = pb.Claims.FromString((await bucket.get(f"{node_id}.0")).value or b"")
            parts = [first]
            for number in range(1, first.parts):
                parts.append(pb.Claims.FromString((await bucket.get(f"{node_id}.{number}")).value or b""))
        except (NatsError, OSError, TimeoutError, DecodeError) as error:
            _log.debug("the claims of %s: %s", node_id, error)
            return None
        if any(part.version != first.version for part in parts):  # it is putting the next ones just now
            return None
        try:
            return first.version, [claim_from_pb(claim) for part in parts for claim in part.claims]
        except (KeyError, ValueError) as error:  # a value that does not exist here
            _log.debug("the claims of %s: %r", node_id, error)
            return None

    def _ours(self) -> list[_Other]:
        return [other for other in self._others.values() if other.info.store == self._bus.store]

    async def _prepare(self, client: Client) -> None:
        """With each new connection: hear what the others put."""
        await client.subscribe(f"$KV.{self._bucket}.>", future=self._ear)

    def _on_return(self) -> None:
        """The others come back too, but not all at once."""
        for other in self._others.values():
            other.age = 0.0
        self._put_at = 0.0
        self._look = True
        self._stirred.set()

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(self._times.tick)
            if not self._bus.is_connected:
                continue
            for node_id, other in list(self._others.items()):
                other.age += self._times.tick
                if other.age >= self._times.gone:
                    _log.warning("node %s is gone: nothing was heard of it", other.info.name or node_id)
                    del self._others[node_id]

    async def _tell(self) -> None:
        while True:
            client = self._bus.link.client
            if client is not None:
                try:
                    await self._put(client)
                except Exception as error:
                    self._tell_unkept(error)
                    self._put_at = 0.0
                    self._look = True  # the buckets may be gone
                else:
                    unkept_for = self._unkept.worked(asyncio.get_running_loop().time())
                    if unkept_for is not None:
                        _log.warning("this node's record is kept again; it could not be %s", unkept_for)
            try:
                async with asyncio.timeout(self._times.again):
                    await self._stirred.wait()
            except TimeoutError:
                continue
            self._stirred.clear()

    def _tell_unkept(self, error: Exception) -> None:
        expected = isinstance(error, NatsError | OSError | TimeoutError)
        for_how_long = self._unkept.failed(asyncio.get_running_loop().time())
        if for_how_long is not None:
            text = str(error) or type(error).__name__
            _log.warning("this node's record cannot be kept%s: %s", for_how_long, text, exc_info=not expected)

    async def _put(self, client: Client) -> None:
        if self._look:
            await self._buckets(client)
            await self._look_around(client)
            self._look = False
        stream = client.jetstream(timeout=min(ANSWER_WITHIN, 2 * self._times.again))
        if self._claims_are_due():
            await self._put_claims(stream)
        if self._info is not None:
            record = _record(self._info, self._put_version).SerializeToString()
            await stream.publish(f"$KV.{self._bucket}.{self._info.node_id}", record)

    def _claims_are_due(self) -> bool:
        if self._info is None or self._claims[0] == 0:
            return False
        old = asyncio.get_running_loop().time() - self._put_at > CLAIMS_AGAIN
        return old or self._claims[0] != self._put_version

    async def _put_claims(self, stream: JetStreamContext) -> None:
        version, claims = self._claims[0], self._claims[1]()
        count = max(1, -(-len(claims) // PART))
        for number in reversed(range(count)):  # the first one last: who finds it finds the others
            some = claims[number * PART : (number + 1) * PART]
            part = pb.Claims(version=version, parts=count, claims=map(claim_to_pb, some))
            subject = f"$KV.{self._claims_bucket}.{self._node_id}.{number}"
            await stream.publish(subject, part.SerializeToString())
        self._put_version = version
        self._put_at = asyncio.get_running_loop().time()

    @property
    def _node_id(self) -> str:
        return "" if self._info is None else self._info.node_id

    async def _buckets(self, client: Client) -> None:
        """Make the buckets, unless they are there."""
        stream = _jetstream(client)
        for name, last in ((self._bucket, self._times.last), (self._claims_bucket, CLAIMS_LAST)):
            config = KeyValueConfig(bucket=name, ttl=last, history=1, storage=StorageType.MEMORY)
            try:
                await stream.create_key_value(config)
            except BadRequestError:  # it is there, as another version of this program made it
                await stream.key_value(name)

    async def _look_around(self, client: Client) -> None:
        """Read the records that lie in the bucket."""
        stream = _jetstream(client)
        bucket = await stream.key_value(self._bucket)
        prefix = f"$KV.{self._bucket}."
        found = await stream.stream_info(f"KV_{self._bucket}", subjects_filter=f"{prefix}>")
        for subject in found.state.subjects or {}:
            node_id = subject.removeprefix(prefix)
            if not is_node_id(node_id):  # no node put it, and a key it may not even be
                continue
            try:
                entry: KeyValue.Entry = await bucket.get(node_id)
            except KeyNotFoundError:
                continue
            if node_id not in self._others:
                self._note(node_id, entry.value or b"", self._times.gone - self._times.again - self._times.tick)

    def _hear(self, message: Msg) -> None:
        node_id = message.subject.rpartition(".")[2]
        if message.data:
            self._note(node_id, message.data, 0.0)
        else:
            other = self._others.pop(node_id, None)
            if other is not None:
                _log.info("node %s says good-bye", other.info.name or node_id)

    def _note(self, node_id: str, data: bytes, age: float) -> None:
        try:
            message = pb.Node.FromString(data)
            info = _info(message)
        except (DecodeError, ValueError) as error:
            if not self._garbage:
                self._garbage = True
                _log.warning("not a record of a node, ignored, as all that follow: %s", error)
            return
        if info.node_id != node_id or node_id == self._node_id:
            return
        other = _Other(info, message.claims_version, age)
        if node_id not in self._others:
            _log.info("node %s is there", other.info.name or node_id)
        self._others[node_id] = other


def _jetstream(client: Client) -> JetStreamContext:
    return client.jetstream(timeout=ANSWER_WITHIN)


def _record(info: NodeInfo, claims_version: int) -> pb.Node:
    return pb.Node(
        node_id=info.node_id,
        name=info.name,
        version=info.version,
        started_at=info.started_at,
        fingerprint=info.fingerprint,
        addresses=info.addresses,
        load=info.load,
        draining=info.draining,
        claims_version=claims_version,
        store=info.store,
    )


def _info(message: pb.Node) -> NodeInfo:
    """What a node tells of itself. Raises ValueError where none would tell that: logs and clients get it."""
    if not is_node_id(message.node_id):
        raise ValueError("its node_id is not one")
    told = (message.name, message.version, message.store, *message.addresses, *message.addresses.values())
    if not all(map(is_one_line, told)) or len(message.fingerprint) > MAX_FINGERPRINT:
        raise ValueError("its name, version, store, fingerprint or addresses are too long, or not printable")
    return NodeInfo(
        message.node_id,
        message.name,
        message.version,
        message.started_at,
        message.fingerprint,
        dict(message.addresses),
        message.load,
        message.draining,
        message.store,
    )
