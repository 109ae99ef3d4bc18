"""The tables. Times are integer microseconds since the epoch, UTC. Kinds are the values of the core's enums.

The migrations in `madang.storage.migrations` make these tables; a test holds the two together.
"""

from __future__ import annotations

import sqlalchemy as sa

metadata = sa.MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

# SQLite gives rowids, and so never reuses one, only to a column of the type INTEGER.
_Id = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

store_info = sa.Table(
    "store_info",
    metadata,
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("value", sa.Text, nullable=False),
)

users = sa.Table(
    "users",
    metadata,
    sa.Column("user_id", _Id, primary_key=True, autoincrement=True),
    sa.Column("handle", sa.Text, nullable=False),
    sa.Column("handle_key", sa.Text, nullable=False, unique=True),
    sa.Column("kind", sa.SmallInteger, nullable=False),
    sa.Column("created_at", sa.BigInteger, nullable=False),
    sa.Column("role", sa.SmallInteger, nullable=False, server_default="1"),
    sa.Column("display_name", sa.Text, nullable=False, server_default=sa.text("''")),
    sa.Column("status_text", sa.Text, nullable=False, server_default=sa.text("''")),
    # Of a bot: the person who owns it. 0 for everyone else.
    sa.Column("owner_id", sa.BigInteger, nullable=False, server_default="0", index=True),
    # Argon2id in the usual text form; null for whoever has none.
    sa.Column("password_hash", sa.Text),
    # Null while the account is there. The row stays, without a name: messages point to it.
    sa.Column("deleted_at", sa.BigInteger),
    # Of a bot: how many messages a second, and at once; null for what the settings say.
    sa.Column("message_rate", sa.Integer),
    sa.Column("message_burst", sa.Integer),
    sqlite_autoincrement=True,
)

sessions = sa.Table(
    "sessions",
    metadata,
    sa.Column("session_id", _Id, primary_key=True, autoincrement=True),
    sa.Column("user_id", sa.BigInteger, nullable=False, index=True),
    sa.Column("token_digest", sa.LargeBinary, nullable=False, unique=True),
    sa.Column("device", sa.Text, nullable=False),
    sa.Column("created_at", sa.BigInteger, nullable=False),
    sa.Column("used_at", sa.BigInteger, nullable=False),
    # 0: never, for a bot's token.
    sa.Column("expires_at", sa.BigInteger, nullable=False),
    # What ended lately is asked for all the time, by every node of a cluster.
    sa.Column("revoked_at", sa.BigInteger, index=True),
    sa.Column("address", sa.Text, nullable=False, server_default=sa.text("''")),
    # The sum of what a bot's token is good for; null: everything.
    sa.Column("scopes", sa.SmallInteger),
    sqlite_autoincrement=True,
)

channels = sa.Table(
    "channels",
    metadata,
    sa.Column("channel_id", _Id, primary_key=True, autoincrement=True),
    # Of a direct channel, which has no name, both: a colon, and the user_ids of who is in it, in order, with commas.
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("name_key", sa.Text, nullable=False, unique=True),
    sa.Column("topic", sa.Text, nullable=False),
    sa.Column("kind", sa.SmallInteger, nullable=False),
    sa.Column("owner_id", sa.BigInteger, nullable=False),
    sa.Column("sequence", sa.BigInteger, nullable=False),
    sa.Column("created_at", sa.BigInteger, nullable=False),
    sa.Column("archived_at", sa.BigInteger),
    sa.Column("request_id", sa.LargeBinary),
    sa.Column("read_only", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Column("slow_mode", sa.Integer, nullable=False, server_default="0"),
    sa.Column("guests", sa.Boolean, nullable=False, server_default=sa.true()),
    sa.UniqueConstraint("owner_id", "request_id"),
    sqlite_autoincrement=True,
)

members = sa.Table(
    "members",
    metadata,
    sa.Column("channel_id", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("user_id", sa.BigInteger, primary_key=True, autoincrement=False),
    # Null: not a member. The row stays when somebody leaves, and with it how far they had read.
    # In the lobby nobody joins: a row there keeps the read mark, a role, a mute.
    sa.Column("joined_at", sa.BigInteger),
    sa.Column("read_through", sa.BigInteger, nullable=False),
    sa.Column("role", sa.SmallInteger, nullable=False, server_default="1"),
    sa.Column("muted_until", sa.BigInteger),
    # In slow mode: when the member last wrote. Not kept otherwise.
    sa.Column("wrote_at", sa.BigInteger),
    sa.Index(None, "user_id", "channel_id"),
    sqlite_with_rowid=False,
)

messages = sa.Table(
    "messages",
    metadata,
    sa.Column("channel_id", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("sequence", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("version", sa.BigInteger, nullable=False),
    sa.Column("author_id", sa.BigInteger, nullable=False),
    sa.Column("created_at", sa.BigInteger, nullable=False),
    sa.Column("content", sa.SmallInteger, nullable=False),
    sa.Column("text", sa.Text, nullable=False),
    sa.Column("request_id", sa.LargeBinary),
    sa.Index(None, "channel_id", "version", unique=True),
    # "Once": the key is unique in the database, in the very transaction that stores the message.
    sa.Index(None, "request_id", "author_id", unique=True),
    sqlite_with_rowid=False,
)

bans = sa.Table(
    "bans",
    metadata,
    # 0: from the server.
    sa.Column("channel_id", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("user_id", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("moderator_id", sa.BigInteger, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("created_at", sa.BigInteger, nullable=False),
    sa.Column("expires_at", sa.BigInteger),
    sa.Index(None, "user_id", "channel_id"),
    sqlite_with_rowid=False,
)

codes = sa.Table(
    "codes",
    metadata,
    # Invites, and (user_id set) password resets. Only the SHA-256 of a code is kept.
    sa.Column("code_id", _Id, primary_key=True, autoincrement=True),
    sa.Column("code_digest", sa.LargeBinary, nullable=False, unique=True),
    sa.Column("user_id", sa.BigInteger),
    sa.Column("creator_id", sa.BigInteger, nullable=False),
    sa.Column("role", sa.SmallInteger, nullable=False),
    sa.Column("max_uses", sa.Integer, nullable=False),
    sa.Column("uses", sa.Integer, nullable=False),
    sa.Column("created_at", sa.BigInteger, nullable=False),
    sa.Column("expires_at", sa.BigInteger, nullable=False),
    sa.Column("revoked_at", sa.BigInteger),
    sa.Column("note", sa.Text, nullable=False),
    sqlite_autoincrement=True,
)

reports = sa.Table(
    "reports",
    metadata,
    sa.Column("report_id", _Id, primary_key=True, autoincrement=True),
    sa.Column("channel_id", sa.BigInteger, nullable=False, index=True),
    sa.Column("sequence", sa.BigInteger, nullable=False),
    sa.Column("author_id", sa.BigInteger, nullable=False),
    sa.Column("reporter_id", sa.BigInteger, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("text", sa.Text, nullable=False),
    sa.Column("created_at", sa.BigInteger, nullable=False),
    sa.Column("resolved_at", sa.BigInteger),
    sa.Column("resolver_id", sa.BigInteger, nullable=False, server_default="0"),
    # One report of a message by a reporter.
    sa.Index(None, "reporter_id", "channel_id", "sequence", unique=True),
    sqlite_autoincrement=True,
)

audit_events = sa.Table(
    "audit_events",
    metadata,
    sa.Column("event_id", _Id, primary_key=True, autoincrement=True),
    sa.Column("created_at", sa.BigInteger, nullable=False),
    sa.Column("actor_id", sa.BigInteger, nullable=False, index=True),
    sa.Column("address", sa.Text, nullable=False),
    sa.Column("action", sa.Text, nullable=False),
    sa.Column("user_id", sa.BigInteger, nullable=False, index=True),
    sa.Column("channel_id", sa.BigInteger, nullable=False, index=True),
    # A JSON object of texts.
    sa.Column("details", sa.Text, nullable=False),
    sqlite_autoincrement=True,
)
