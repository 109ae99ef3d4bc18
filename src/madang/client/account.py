"""One's own account: its name, password and sessions, and everything that is stored of it."""

from __future__ import annotations

import os
from asyncio import to_thread
from collections.abc import AsyncIterator
from contextlib import aclosing, suppress
from pathlib import Path

from madang.client.calls import Calls
from madang.client.directory import Directory
from madang.client.home import Home
from madang.client.known import UserRef
from madang.client.paging import PAGE, pages
from madang.client.session import SignedIn
from madang.client.transport import Transport
from madang.core.models import Session, User
from madang.v1 import agent_service_pb2 as pb
from madang.wire.people import session_from_pb, user_from_pb


class AccountCalls(Calls):
    """The Agent's calls about the caller."""

    def __init__(self, transport: Transport, directory: Directory, home: Home, signed: SignedIn) -> None:
        super().__init__(transport, directory)
        self._home = home
        self._signed = signed

    async def update_me(
        self, *, handle: str | None = None, display_name: str | None = None, status_text: str | None = None
    ) -> User:
        """Change one's own account; None leaves a thing as it is, an empty text takes it away.

        Raises HandleTaken, NameNotAllowed, TextNotAllowed.
        """
        request = pb.UpdateMeRequest(handle=handle, display_name=display_name, status_text=status_text)
        answer = await self._transport.call(self._transport.agent.UpdateMe, request)
        me = self._directory.known.user_is(user_from_pb(answer.user))
        if handle is not None:
            await self._home.keep(self._signed.credentials(me))
        return me

    async def set_handle(self, handle: str) -> User:
        """Be called something else. Raises HandleTaken, NameNotAllowed."""
        return await self.update_me(handle=handle)

    async def change_password(self, old: str, new: str) -> None:
        """Change the password; the account's other sessions end. Raises CredentialsWrong, PasswordNotAllowed."""
        request = pb.ChangePasswordRequest(old_password=old, new_password=new)
        await self._transport.call(self._transport.agent.ChangePassword, request)

    async def sessions(self, of: UserRef | None = None) -> list[Session]:
        """One's own sessions that are still good, newest first; `of`: those of a bot of one's own.

        Administrators see anyone's. Raises UserNotFound, NotPermitted.
        """
        user_id = 0 if of is None else await self._directory.user_id(of)

        async def fetch(token: str) -> pb.ListSessionsResponse:
            request = pb.ListSessionsRequest(user_id=user_id, page_size=PAGE, page_token=token)
            return await self._transport.call(self._transport.agent.ListSessions, request)

        return [session_from_pb(session) async for page in pages(fetch) for session in page.sessions]

    async def revoke_session(self, session_id: int) -> bool:
        """End a session, with all its streams; returns whether it had not ended before. Raises SessionNotFound."""
        request = pb.RevokeSessionsRequest(session_id=session_id)
        return (await self._transport.call(self._transport.agent.RevokeSessions, request)).revoked > 0

    async def revoke_all_sessions(self, of: UserRef | None = None) -> int:
        """End all one's own sessions but this one, or all `of` somebody, as `sessions` has it; returns how many."""
        user_id = 0 if of is None else await self._directory.user_id(of)
        request = pb.RevokeSessionsRequest(all_of_user_id=user_id)
        return (await self._transport.call(self._transport.agent.RevokeSessions, request)).revoked

    async def export(self) -> AsyncIterator[bytes]:
        """Everything that is stored of the user, as pieces of a text in UTF-8 that holds one JSON object a line."""
        async with aclosing(self._transport.download(self._transport.agent.ExportMe, pb.ExportMeRequest())) as parts:
            async for part in parts:
                yield part.data

    async def export_to(self, path: str | os.PathLike[str]) -> int:
        """Write `export` to a new file that only its owner can read; returns its size in bytes.

        The file is there when it is complete. Raises FileExistsError, and another OSError, for the path.
        """
        whole = Path(path)
        part = whole.with_name(f"{whole.name}.part")
        if await to_thread(whole.exists):
            raise FileExistsError(17, "File exists", str(whole))
        file = os.fdopen(os.open(part, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb")
        try:
            with file:
                async for data in self.export():
                    await to_thread(file.write, data)
                await to_thread(os.fsync, file.fileno())
                size = file.tell()
            os.link(part, whole)  # unlike a rename, this replaces nothing
        finally:
            with suppress(FileNotFoundError):
                part.unlink()
        return size
