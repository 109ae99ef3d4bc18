"""The part of the rights walk that goes through a real server: whoever may not call a method is refused there."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from rights_table import EXPECTED

from madang.core.models import ServerRole
from madang.node.embed import Server
from madang.storage.store import FILE_NAME

from .calls import Caller, connect, sign_in
from .test_authentication import GOOD

NOT_PERMITTED = ("PERMISSION_DENIED", "NOT_PERMITTED")


async def test_whoever_may_not_call_a_method_is_refused(tmp_path: Path) -> None:
    async with Server(tmp_path) as server, connect(server.target) as channel:
        callers = {role: await sign_in(channel, role.name.lower()) for role in ServerRole}
    with closing(sqlite3.connect(tmp_path / FILE_NAME)) as database, database:
        rows = [(role.value, caller.user_id) for role, caller in callers.items()]
        database.executemany("UPDATE users SET role = ? WHERE user_id = ?", rows)
    async with Server(tmp_path) as server, connect(server.target) as channel:
        for role, known in callers.items():
            caller = Caller(channel, known.token)
            for path, expected in EXPECTED.items():
                if expected.role is not None and role < expected.role:
                    method = path.split("/")[1]
                    refusal = await caller.refused(method, **GOOD.get(method, {}))
                    assert (refusal.what, refusal.facts["action"]) == (NOT_PERMITTED, f"call {path}"), role
