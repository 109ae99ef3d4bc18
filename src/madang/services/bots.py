"""Bots: accounts of programs, each owned by a person, with tokens in place of a password."""

from __future__ import annotations

from collections.abc import Callable

from madang.core.errors import HandleTaken, InvalidField, NotPermitted, UserNotFound
from madang.core.limits import Limits
from madang.core.models import Actor, Scope, ServerRole, Session, User, UserKind
from madang.core.paging import cut, decode_token, encode_token, page_size
from madang.core.text import MAX_DISPLAY_NAME, check_handle, check_line
from madang.services import bounds
from madang.services.agent import refuse_twin
from madang.services.deletion import delete_account
from madang.services.sessions import new_token
from madang.services.standing import role_now
from madang.storage import accounts, audit, sessions
from madang.storage.errors import NotUnique
from madang.storage.store import Store
from madang.storage.transaction import Transaction

DEFAULT_PAGE = 100
MAX_PAGE = 1000


class BotService:
    """Make and delete bots, and their tokens. Somebody else's bot is not there for the actor."""

    def __init__(self, store: Store, clock: Callable[[], int], limits: Limits | None = None) -> None:
        self._store = store
        self._limits = limits
        self._clock = clock

    async def create(self, actor: Actor, handle: str, display_name: str) -> User:
        """A bot of the actor's. Raises NameNotAllowed, TextNotAllowed, HandleTaken, LimitReached."""
        display_name = check_line(display_name, MAX_DISPLAY_NAME)
        return await self._store.write(_create, self._limits, actor, check_handle(handle), display_name)

    async def page(self, actor: Actor, size: int, token: str) -> tuple[list[User], str]:
        """A page of the actor's bots, and the token of the next. Raises PageTokenInvalid."""
        query = ("bots", actor.user_id)
        size = page_size(size, DEFAULT_PAGE, MAX_PAGE)
        after = decode_token(query, token, 0)
        found = await self._store.read(accounts.bots_page, actor.user_id, after, size + 1)
        shown, more = cut(found, size)
        return shown, encode_token(query, shown[-1].user_id) if more else ""

    async def delete(self, actor: Actor, bot_id: int) -> None:
        """Delete a bot of the actor's: its tokens end, its messages stay. Raises UserNotFound."""
        await self._store.write(_delete, actor, bot_id)

    async def create_token(
        self, actor: Actor, bot_id: int, scopes: Scope, name: str, expires_at: int | None
    ) -> tuple[str, Session]:
        """A token of a bot of the actor's, and the session that stands for it. `expires_at`: None for never.

        Raises UserNotFound, InvalidField, LimitReached.
        """
        if not scopes:
            raise InvalidField(field="scopes", rule="names no scope")
        if expires_at is not None and expires_at <= self._clock():
            raise InvalidField(field="expire_time", rule="lies in the past")
        token, digest = new_token()
        return token, await self._store.write(
            _create_token, self._limits, actor, bot_id, digest, scopes, name, expires_at or 0
        )


def _create(transaction: Transaction, limits: Limits | None, actor: Actor, handle: str, display_name: str) -> User:
    _require_person(transaction, actor)
    bounds.require_bot(transaction, limits, actor.user_id)
    refuse_twin(transaction, handle)
    try:
        bot = accounts.add_user(
            transaction,
            handle,
            UserKind.BOT,
            ServerRole.BOT,
            display_name=display_name,
            owner_id=actor.user_id,
        )
    except NotUnique:
        raise HandleTaken(handle=handle) from None
    audit.record(transaction, actor, "bot.create", user_id=bot.user_id, handle=handle)
    return bot


def _delete(transaction: Transaction, actor: Actor, bot_id: int) -> None:
    bot = _own(transaction, actor, bot_id)
    delete_account(transaction, bot)
    audit.record(transaction, actor, "bot.delete", user_id=bot_id, handle=bot.handle)


def _create_token(
    transaction: Transaction,
    limits: Limits | None,
    actor: Actor,
    bot_id: int,
    digest: bytes,
    scopes: Scope,
    name: str,
    expires_at: int,
) -> Session:
    _require_person(transaction, actor)
    bot = _own(transaction, actor, bot_id)
    bounds.require_token(transaction, limits, bot_id)
    session = sessions.add(transaction, bot, digest, name, expires_at, "", scopes)
    names = " ".join(str(scope.name).lower() for scope in Scope if scope in scopes)
    audit.record(transaction, actor, "bot.token", user_id=bot_id, session=session.session_id, scopes=names)
    return session


def _own(transaction: Transaction, actor: Actor, bot_id: int) -> User:
    bot = accounts.user(transaction.connection, bot_id)
    if bot is None or bot.owner_id != actor.user_id or bot.deleted_at is not None:
        raise UserNotFound(user=bot_id)
    return bot


def _require_person(transaction: Transaction, actor: Actor) -> None:
    """An account that was shut out or deleted a moment ago makes nothing that outlives it."""
    if role_now(transaction, actor) < ServerRole.MEMBER:
        raise NotPermitted(allowed="people with an account", action="make bots and tokens")
