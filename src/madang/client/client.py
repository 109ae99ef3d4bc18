"""The client: everything that a session can do, over the parts that do it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from types import TracebackType
from typing import Literal

from madang.client.account import AccountCalls
from madang.client.admin import Admin
from madang.client.bots import BotCalls
from madang.client.channels import ChannelCalls
from madang.client.directory import Directory
from madang.client.errors import ClientClosed
from madang.client.events import Disconnected, SendDelayed, Sent, UserChanged
from madang.client.feed import Feed
from madang.client.history import History
from madang.client.home import Home
from madang.client.inbox import Events, Inbox
from madang.client.known import ChannelRef, UserRef
from madang.client.line import Line
from madang.client.live import Live
from madang.client.moderation import ModerationCalls
from madang.client.outbox import Outbox
from madang.client.outgoing import Outgoing, Receipt, new_request_id, usual_request_id
from madang.client.owner import Owner
from madang.client.paging import pages
from madang.client.sender import Sender
from madang.client.session import SignedIn
from madang.client.store import Place, Post
from madang.client.transport import ServerInfo, Transport
from madang.client.watch import Watch
from madang.core.errors import MadangError, ServerUnreachable, SessionRevoked, Unauthenticated
from madang.core.models import Message, Session, User
from madang.core.presence import Presence, Status
from madang.v1 import agent_service_pb2, heartbeat_service_pb2
from madang.wire.people import STATUSES, presence_from_pb

_FATES = {
    "anonymize": agent_service_pb2.MESSAGE_FATE_ANONYMIZE,
    "erase": agent_service_pb2.MESSAGE_FATE_ERASE,
}


class Client(AccountCalls, BotCalls, ChannelCalls, ModerationCalls):
    """A session at a server, made by `madang.connect`. It reconnects by itself, for ever.

    It belongs to the event loop in which it was made.

    A channel is given as its id, as its name (a leading '#' is dropped; all digits are an id), or as a `Channel`; a
    user as its id, as its handle (a leading '@' is dropped; all digits without one are an id), or as a `User`.
    Every method that asks the server raises the MadangError of its refusal, and ServerUnreachable; ClientClosed after
    `close`.
    """

    def __init__(self, home: Home, transport: Transport, signed: SignedIn) -> None:
        directory = Directory(transport, signed.user, lambda user: self._inbox.push(UserChanged(user)))
        super().__init__(transport, directory, home, signed)
        self.admin = Admin(transport, directory)
        """What administrators do."""
        self._line = Line()
        self._history = History(transport, self._directory)
        self._outbox = Outbox(home.store, lambda outgoing: self._inbox.push(Sent(outgoing)))
        self._inbox = Inbox(self._outbox.journal.move if home.store.durable else _nowhere)
        self._owner = Owner(self._outbox.journal, self._ended)
        self._leaving = False
        self._cause: Exception | None = None
        self._trouble = "the live stream did not begin in time"
        self._begun: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def __aenter__(self) -> Client:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    # Who and where.

    @property
    def me(self) -> User:
        """The user, as it is now."""
        return self._directory.known.user(self._signed.user.user_id)

    @property
    def session(self) -> Session:
        """The session."""
        return self._signed.session

    @property
    def token(self) -> str:
        """The session's token, to go on with it elsewhere. A secret."""
        return self._signed.token

    @property
    def server(self) -> ServerInfo:
        """The server, as it was when it last was asked."""
        return self._transport.server

    @property
    def online(self) -> bool:
        """Whether the server can be reached, as far as the live stream (without one, the last send) knows."""
        return self._line.online

    # Reading along.

    def events(self) -> Events:
        """Everything that happens, as it happens: `async for event in client.events()`.

        Every event comes once, in order per channel. The position in a channel moves when the next event is asked for;
        with a state directory, the next process goes on behind it. (A crash may repeat the last few.) Who reads slowly
        makes the server wait; of Disconnected, Sent, and the UserChanged of a change missed in a break, the last 1,000
        are kept.

        Ends when the client is closed. Raises what ended the session (SessionRevoked, say) after what had been
        received, and RuntimeError while another consumer reads.
        """
        return self._inbox.events()

    # Sending.

    def post(self, channel: ChannelRef, text: str, *, request_id: str | None = None) -> Outgoing:
        """Put a message into the outbox, and return at once; the result, and a Sent event, tell what becomes of it.

        Messages leave in the order in which they were posted, again and again until the server has stored or refused
        them. `request_id`: a UUID, to post what may have been posted before; it is stored once.

        Raises InvalidField when `request_id` is no UUID, RequestIdReused when it is pending for another message, and
        what ended the client. Nothing else: a text that is not allowed, too, is FAILED.
        """
        minted = new_request_id() if request_id is None else usual_request_id(request_id)
        return self._outbox.add(Outgoing(minted, self._directory.known.id_of(channel), text))

    async def send(
        self, channel: ChannelRef, text: str, *, request_id: str | None = None, timeout: float | None = None
    ) -> Receipt:
        """Send a message; return when it is on the server's disk.

        Raises the MadangError of a refusal, and what `post` raises. TimeoutError after `timeout` seconds (default:
        never): the message is still in the outbox then, and may yet be stored; so it is when the call is cancelled.
        """
        outgoing = self.post(channel, text, request_id=request_id)
        async with asyncio.timeout(timeout):
            return await outgoing.stored()

    @property
    def pending(self) -> list[Outgoing]:
        """The messages that are not stored yet, in order."""
        return self._outbox.pending

    # People.

    async def users(self) -> list[User]:
        """All users, by id."""
        return await self._directory.users()

    async def user(self, ref: UserRef) -> User:
        """A user as it is now. Raises UserNotFound."""
        return await self._directory.user(ref)

    def known_user(self, user_id: int) -> User:
        """A user as it was last seen, without asking; a stand-in for one that never was."""
        return self._directory.known.user(user_id)

    async def name(self, user_id: int) -> str:
        """A user's handle, as it was last seen. Raises UserNotFound."""
        return await self._directory.name(user_id)

    async def handles(self, user_ids: Iterable[int]) -> dict[int, str]:
        """The handles of users, by id; ids that are nobody's are left out."""
        wanted = set(user_ids)
        await self._directory.meet(wanted)
        known = self._directory.known
        return {user_id: known.user(user_id).handle for user_id in wanted if known.has_user(user_id)}

    async def presences(self) -> list[Presence]:
        """Everyone who is here, by user id."""

        async def fetch(token: str) -> heartbeat_service_pb2.ListPresencesResponse:
            request = heartbeat_service_pb2.ListPresencesRequest(page_size=1000, page_token=token)
            return await self._transport.call(self._transport.heartbeat.ListPresences, request)

        return [presence_from_pb(presence) async for page in pages(fetch) for presence in page.presences]

    async def set_status(self, status: Status) -> None:
        """Be seen as ONLINE, AWAY or DO_NOT_DISTURB while here."""
        request = heartbeat_service_pb2.SetStatusRequest(status=STATUSES.contract(status))
        await self._transport.call(self._transport.heartbeat.SetStatus, request)

    # Stored messages.

    async def history(
        self, ref: ChannelRef, *, limit: int = 50, before: int = 0, after: int = 0, newest_first: bool = True
    ) -> list[Message]:
        """Up to `limit` messages with `after` < sequence < `before` (0: no bound), always oldest first.

        `newest_first` says which end is taken when there are more. Waits, like every listing here, where the server
        says that it is asked too fast.
        """
        return await self._history.window(ref, limit, before, after, newest_first)

    def messages(self, ref: ChannelRef, *, after: int = 0) -> AsyncIterator[Message]:
        """All messages after a sequence, oldest first, up to where the channel ends when the reader gets there."""
        return self._history.forwards(ref, after)

    async def message(self, ref: ChannelRef, sequence: int) -> Message:
        """One message. Raises MessageNotFound."""
        return await self._history.message(ref, sequence)

    async def mark_read(self, ref: ChannelRef, sequence: int) -> int:
        """Say that everything through a sequence was seen. The mark never goes back; returns where it is."""
        return await self._history.mark_read(ref, sequence)

    async def typing(self, ref: ChannelRef) -> None:
        """Tell the others that the user is writing; they see it for 5 seconds. Call it every 3 seconds or so."""
        await self._history.typing(ref)

    # The end.

    async def sign_out(self, drain: float = 2.0) -> None:
        """End the session for good, and close the client; the state directory forgets it.

        What is not stored within `drain` seconds has FAILED. Raises ServerUnreachable when the server could not be
        told: the client goes on then.
        """

        async def tell() -> None:
            with contextlib.suppress(Unauthenticated):  # it has ended already
                await self._transport.call(self._transport.agent.SignOut, agent_service_pb2.SignOutRequest())

        await self._leave(tell, drain)

    async def delete_account(
        self, password: str = "", *, messages: Literal["anonymize", "erase"], drain: float = 2.0
    ) -> None:
        """Delete the account for good, and close the client; the state directory forgets it.

        `password`: once more; a guest has none. `messages`: whether they stay, by a deleted user without a name, or
        their text goes, too. Raises CredentialsWrong, LastOwner, ServerUnreachable: the client goes on then.
        """
        request = agent_service_pb2.DeleteMeRequest(password=password, messages=_FATES[messages])

        async def tell() -> None:
            await self._transport.call(self._transport.agent.DeleteMe, request)

        await self._leave(tell, drain)

    async def _leave(self, tell: Callable[[], Awaitable[None]], drain: float) -> None:
        """Let the server end the session, and close the client."""
        await self._drain(drain)
        self._leaving = True
        try:
            await tell()
        except BaseException:
            self._leaving = False
            if self._cause is not None:
                self._ended(self._cause)
            raise
        self._inbox.close()
        self._outbox.fail_all(SessionRevoked())
        await self._close(forget=True)

    async def close(self, drain: float = 2.0) -> None:
        """Close the client; waits up to `drain` seconds for the outbox to get empty. Closing again does no harm.

        What is not stored by then is sent by the same user's next client of the state directory; without one it is
        lost. Whoever waits for it gets ClientClosed. The session goes on: it can be used again, with its token.
        """
        try:
            await self._drain(drain)
        finally:
            await self._close()

    async def _drain(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._outbox.wait_empty()

    async def _close(self, *, forget: bool = False) -> None:
        self._inbox.close()
        self._outbox.end(ClientClosed("the client was closed before the message was stored"))
        await self._owner.stop()
        await self._transport.close()
        if forget:
            await self._home.forget()
        await self._home.close()

    # The beginning; `connect` calls it.

    async def _begin(
        self, left: Sequence[Post], presence: bool, live: bool, channels: Sequence[ChannelRef], timeout: float
    ) -> None:
        """Start, with what an earlier process left in the outbox; returns when the live stream has begun. `timeout`:
        seconds for that.
        """
        self._outbox.load(left, self._signed.stranger)
        lost, silent = self._lost, _silent
        losing = silent if live else lost
        runs = [Sender(self._transport, self._directory, self._outbox, self._line, losing, self._delayed).run]
        if presence:
            runs.append(Watch(self._transport, self._directory, self._inbox, self._line, silent).run)
        if live:
            feed = Feed(self._directory.known, await self._home.store.positions(), await self._ids(channels))
            runs.append(
                Live(self._transport, self._directory, feed, self._inbox, self._line, lost=lost, begun=self._begun).run
            )
        else:
            self._line.up()
            self._begun.set_result(None)
        self._owner.start(runs)
        await self._wait_begun(timeout)

    async def _ids(self, channels: Sequence[ChannelRef]) -> list[int]:
        return [await self._directory.channel_id(ref) for ref in channels]

    async def _wait_begun(self, timeout: float) -> None:
        try:
            async with asyncio.timeout(timeout):
                await self._begun
        except TimeoutError:
            raise ServerUnreachable(target=self._transport.address, problem=self._trouble) from None

    def _lost(self, error: MadangError, retry_in: float) -> None:
        self._line.down()
        self._trouble = str(error)
        self._inbox.push(Disconnected(error, retry_in))

    def _delayed(self, outgoing: Outgoing, seconds: float, error: MadangError) -> None:
        self._inbox.push(SendDelayed(outgoing, seconds, error))

    def _ended(self, error: Exception) -> None:
        """Nothing goes on: the session has ended, or something broke that should not."""
        self._cause = error
        if self._leaving:
            return  # it ends because it is to
        self._line.down()
        self._inbox.end(error)
        self._outbox.end(error)
        if not self._begun.done():
            self._begun.set_exception(error)


def _nowhere(channel_id: int, place: Place | None) -> None:
    """Positions of a client without a state directory are kept by its feed alone."""


def _silent(error: MadangError, retry_in: float) -> None:
    """One stream tells of the connection; the others don't."""
