"""Which cluster a store belongs to."""

from __future__ import annotations

import sqlalchemy as sa

from madang.storage.schema import store_info
from madang.storage.transaction import Transaction

_KEY = "cluster"


def owner(connection: sa.Connection) -> str | None:
    """The name of the cluster that the store belongs to; None where it belongs to none."""
    query = sa.select(store_info.c.value).where(store_info.c.key == _KEY)
    found: str | None = connection.execute(query).scalar()
    return found


def claim(transaction: Transaction, cluster: str) -> str:
    """The name of the cluster that the store belongs to: this one, where it belonged to none."""
    found = owner(transaction.connection)
    if found is None:
        transaction.connection.execute(sa.insert(store_info).values(key=_KEY, value=cluster))
    return found or cluster
