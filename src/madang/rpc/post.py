"""Send as a pipelined stream: lists of messages in, lists of results out, in the same order.

Each message is paid from its sender's budget. Where that ends in the middle of a list, nothing after it is taken on
this stream until the client has sent the first message that was refused again: by then it knows, and what it had sent
meanwhile overtakes nothing.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import NamedTuple

import grpc
from google.rpc import status_pb2

from madang.core.errors import InvalidField, MadangError, MalformedRequest, RateLimited
from madang.core.models import Content, Draft, Message
from madang.core.text import check_text
from madang.rpc.interceptor import Context
from madang.rpc.status import to_status
from madang.rpc.validation import Contract
from madang.services.channel import ChannelService
from madang.services.limits import MessageBudget
from madang.v1 import channel_service_pb2 as pb

MAX_UNANSWERED = 1024 * 1024
"""How many bytes of one stream's requests may wait for their answer; the stream is not read further before."""

REST = 0.05
"""For how long a stream is not read after a list of which nothing could be paid, seconds."""


ANSWER_REST = 0.08
"""How far apart the answers of one stream are while the fan-out is behind, seconds."""


MAX_RESULTS = 1000
"""With so many results an answer takes in no further list."""


class _Posted(NamedTuple):
    """A list that is on its way: its request_ids, the size of its request in bytes, what was refused at once by index,
    what will become of the rest, and whether
    nothing of it could be paid.
    """

    request_ids: list[str]
    size: int
    refused: dict[int, MadangError]
    stored: asyncio.Future[list[Message | MadangError]]
    unpaid: bool


class PostStream:
    """One stream of one user. Reads ahead while commits run; answers in order."""

    def __init__(
        self,
        channel: ChannelService,
        contract: Contract,
        user_id: int,
        context: Context,
        budget: MessageBudget | None = None,
        refused: Callable[[MadangError], None] = lambda error: None,
    ) -> None:
        """`budget`: what the messages are paid from; None: they cost nothing. `refused` is told of each that is."""
        self._channel = channel
        self._budget = budget
        self._refused = refused
        self._awaited: str | None = None  # the request_id of the message that has to come first
        self._contract = contract
        self._user_id = user_id
        self._context = context
        self._on_its_way: deque[_Posted] = deque()
        self._unanswered = 0
        self._wrote_at = 0.0
        self._posted = asyncio.Event()
        self._answered = asyncio.Event()
        self._ended: MadangError | None = None
        self._reader: asyncio.Task[None] | None = None
        self._latest: asyncio.Future[list[Message | MadangError]] | None = None

    async def run(self) -> None:
        """Serve the stream until the client has said all, and has heard all. Raises what ends it."""
        self._reader = asyncio.create_task(self._read())
        self._reader.add_done_callback(lambda _: self._posted.set())
        try:
            await self._answer()
            if self._ended is not None:
                raise self._ended
            await self._reader
        finally:
            self._reader.cancel()
            await asyncio.wait([self._reader])

    def end(self, error: MadangError) -> None:
        """Read no more, answer what is on its way, and end with the error."""
        self._ended = error
        if self._reader is not None:
            self._reader.cancel()

    async def _read(self) -> None:
        while (request := await self._context.read()) is not grpc.aio.EOF:
            posted = self._post(request)
            self._on_its_way.append(posted)
            self._unanswered += posted.size
            self._posted.set()
            if posted.unpaid:
                await asyncio.sleep(REST)
            while self._unanswered > MAX_UNANSWERED:
                self._answered.clear()
                await self._answered.wait()

    async def _answer(self) -> None:
        """Answer list after list, until nothing is on its way and nothing more will be."""
        while True:
            while self._on_its_way:
                await self._rest()
                response = pb.PostResponse()
                answered = await self._take(response)
                await self._context.write(response)
                self._wrote_at = asyncio.get_running_loop().time()
                self._unanswered -= answered
                self._answered.set()
            if self._reader is None or self._reader.done():
                return
            self._posted.clear()
            await self._posted.wait()

    async def _rest(self) -> None:
        """While the fan-out is behind, answers gather too: an answer costs as much as a delivery."""
        rest = self._wrote_at + ANSWER_REST - asyncio.get_running_loop().time()
        if rest > 0 and self._ended is None and self._channel.is_behind():
            await asyncio.sleep(rest)

    async def _take(self, response: pb.PostResponse) -> int:
        """Put what became of the next list into the response, and of those after it that are stored as well; how many
        bytes of requests that answers.
        """
        size = 0
        while self._on_its_way and (
            not size or (self._on_its_way[0].stored.done() and len(response.results) < MAX_RESULTS)
        ):
            posted = self._on_its_way.popleft()
            await _answer(response, posted, self._refused)
            size += posted.size
        return size

    def _post(self, request: object) -> _Posted:
        if not isinstance(request, pb.PostRequest):
            raise MalformedRequest
        sends = request.sends
        paid, refusal = self._pay(sends)
        refused: dict[int, MadangError] = dict(self._contract.check_items(request)) if paid or not sends else {}
        if refusal is not None:
            refused.update(dict.fromkeys(range(paid, len(sends)), refusal))
        drafts = []
        for index, send in enumerate(sends if refusal is None else sends[:paid]):
            if index in refused:
                continue
            try:
                drafts.append(self._draft(send))
            except MadangError as error:
                refused[index] = error
        request_ids = [send.request_id for send in sends]
        unpaid = refusal is not None and not paid
        return _Posted(request_ids, request.ByteSize(), refused, self._store(drafts), unpaid)

    def _pay(self, sends: Sequence[pb.SendRequest]) -> tuple[int, RateLimited | None]:
        """For how many of the list, from its beginning, there is enough; and why not for the others."""
        budget, count = self._budget, len(sends)
        if budget is None or not count:
            return count, None
        if self._awaited is not None and sends[0].request_id.lower() != self._awaited:
            return 0, budget.refusal()
        paid = budget.take(count)
        if paid == count:
            self._awaited = None
            return paid, None
        self._awaited = sends[paid].request_id.lower()
        return paid, budget.refusal()

    def _store(self, drafts: list[Draft]) -> asyncio.Future[list[Message | MadangError]]:
        """Hand the drafts over. Raises, and so ends the stream, when drafts before them failed: none may overtake."""
        latest = self._latest
        if latest is not None and latest.done() and (failure := latest.exception()) is not None:
            raise failure
        stored = self._channel.post(drafts)
        if drafts:
            self._latest = stored
        return stored

    def _draft(self, send: pb.SendRequest) -> Draft:
        if not send.request_id:
            raise InvalidField(field="request_id", rule="is needed in Post")
        check_text(send.text)
        request_id = bytes.fromhex(send.request_id.replace("-", ""))
        return Draft(send.channel_id, self._user_id, Content.TEXT, send.text, request_id)


async def _answer(response: pb.PostResponse, posted: _Posted, refused: Callable[[MadangError], None]) -> None:
    """Add what became of a list, when it is known."""
    outcomes: Sequence[Message | MadangError] = ()
    failed: MadangError | None = None
    try:
        outcomes = await posted.stored
    except MadangError as error:
        failed = error
    add = response.results.add
    following = iter(outcomes)
    latest: MadangError | None = None
    status = status_pb2.Status()
    for index, request_id in enumerate(posted.request_ids):
        result = add(request_id=request_id)
        outcome = posted.refused.get(index) or failed or next(following)
        if isinstance(outcome, Message):
            stored = result.stored
            stored.channel_id = outcome.channel_id
            stored.sequence = outcome.sequence
            stamp = stored.create_time
            stamp.seconds, rest = divmod(outcome.created_at, 1_000_000)
            stamp.nanos = rest * 1000
        else:
            refused(outcome)
            if outcome is not latest:
                latest, status = outcome, to_status(outcome)
            result.error.CopyFrom(status)
