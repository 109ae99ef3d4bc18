"""Whether a pooler stands between a node and PostgreSQL that runs the transactions of one connection over many, as
PgBouncer does in transaction mode: what a node sets for a connection would be lost.
"""

from __future__ import annotations

from typing import Any

import asyncpg

LOOKS = 5
"""How often it is looked: others may take in between what the first one had given back."""
_BACKEND = "SELECT pg_backend_pid()"


async def changes_hands(link: Any, holding: Any) -> bool:
    """Whether it is so for these two connections of the driver, which nobody uses now. Raises what the driver raises.

    While one is in a transaction, the other one's must run where they ran before; who hands connections out gives the
    first one what the other had just given back.
    """
    try:
        for _ in range(LOOKS):
            before = await link.fetchval(_BACKEND)
            await holding.execute("BEGIN")
            held = await holding.fetchval(_BACKEND)
            after = await link.fetchval(_BACKEND)
            await holding.execute("ROLLBACK")
            if held == before or after != before:
                return True
    except (asyncpg.InvalidSQLStatementNameError, asyncpg.DuplicatePreparedStatementError):
        return True  # it was prepared over another connection
    return False
