"""People with accounts, for the tests of the services."""

from __future__ import annotations

from support import Parts

from madang.core.models import Actor, AuditEvent, ServerRole
from madang.services.sessions import SignedIn
from madang.storage import audit

PASSWORD = "nine lives and a tail"  # noqa: S105
OTHER = "a tail and nine lives"


def acts(signed_in: SignedIn) -> Actor:
    """Somebody who asks for something, with what the server knew of it when it signed in."""
    session = signed_in.session
    return Actor(session.user_id, session.session_id, session.role, "10.0.0.1")


async def owner(own: Parts, handle: str = "hana") -> SignedIn:
    """The server's first owner."""
    code = await own.front.accounts.first_invite()
    assert code is not None
    return await own.front.accounts.register(handle, PASSWORD, code)


async def person(own: Parts, by: SignedIn, handle: str, role: ServerRole = ServerRole.MEMBER) -> SignedIn:
    """Somebody with an account, invited by an owner."""
    code, _ = await own.front.admin.create_invite(acts(by), role, 1, 0, "")
    return await own.front.accounts.register(handle, PASSWORD, code, device="phone", address="10.0.0.9")


async def events(own: Parts, action: str = "") -> list[AuditEvent]:
    """What the audit log holds, the oldest first."""
    return list(reversed(await own.store.read(audit.page, None, 1000, action_prefix=action)))
