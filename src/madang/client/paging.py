"""Listings, page after page, at the pace that the server allows."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Protocol, TypeVar

from madang.core.errors import Overloaded, RateLimited

PAGE = 1000
"""How much of most things is asked for at once."""
PAUSE = 1.0
"""How long to wait where the server does not say how long, seconds."""
PATIENCE = 60.0
"""The longest that is waited at once, seconds: whoever is told to wait for longer wants to know."""

T = TypeVar("T")


class _Page(Protocol):
    @property
    def next_page_token(self) -> str: ...


Answer = TypeVar("Answer", bound=_Page)


async def pages(fetch: Callable[[str], Awaitable[Answer]]) -> AsyncIterator[Answer]:
    """All pages of a listing; `fetch` gets the page that a token stands for. Waits as `patiently` does."""
    token = ""
    while True:
        page = await patiently(fetch, token)
        yield page
        token = page.next_page_token
        if not token:
            return


async def patiently(ask: Callable[[T], Awaitable[Answer]], of: T) -> Answer:
    """The answer to a question. While the server says that it was asked too fast, it is asked again, after as long as
    the server says: a long listing costs more than a budget holds at once.

    Raises what `ask` raises otherwise; RateLimited and Overloaded where the wait would be longer than PATIENCE.
    """
    while True:
        try:
            return await ask(of)
        except (RateLimited, Overloaded) as error:
            wait = error.retry_after or PAUSE
            if wait > PATIENCE:
                raise
            await asyncio.sleep(wait)
