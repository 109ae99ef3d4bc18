"""The first schema: users, sessions, channels, members, messages; and the lobby."""

import sqlalchemy as sa
from alembic import context, op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_Id = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Make the tables and the lobby, channel 1."""
    op.create_table(
        "store_info",
        sa.Column("key", sa.Text, nullable=False),
        sa.Column("value", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("key", name="pk_store_info"),
    )
    op.create_table(
        "users",
        sa.Column("user_id", _Id, primary_key=True, autoincrement=True),
        sa.Column("handle", sa.Text, nullable=False),
        sa.Column("handle_key", sa.Text, nullable=False),
        sa.Column("kind", sa.SmallInteger, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.UniqueConstraint("handle_key", name="uq_users_handle_key"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "sessions",
        sa.Column("session_id", _Id, primary_key=True, autoincrement=True),
        sa.Column("user_id", sa.BigInteger, nullable=False),
        sa.Column("token_digest", sa.LargeBinary, nullable=False),
        sa.Column("device", sa.Text, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("used_at", sa.BigInteger, nullable=False),
        sa.Column("expires_at", sa.BigInteger, nullable=False),
        sa.Column("revoked_at", sa.BigInteger),
        sa.UniqueConstraint("token_digest", name="uq_sessions_token_digest"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_sessions_user_id", "sessions", ["user_id"])
    channels = op.create_table(
        "channels",
        sa.Column("channel_id", _Id, primary_key=True, autoincrement=True),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("name_key", sa.Text, nullable=False),
        sa.Column("topic", sa.Text, nullable=False),
        sa.Column("kind", sa.SmallInteger, nullable=False),
        sa.Column("owner_id", sa.BigInteger, nullable=False),
        sa.Column("sequence", sa.BigInteger, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("archived_at", sa.BigInteger),
        sa.Column("request_id", sa.LargeBinary),
        sa.UniqueConstraint("name_key", name="uq_channels_name_key"),
        sa.UniqueConstraint("owner_id", "request_id", name="uq_channels_owner_id_request_id"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "members",
        sa.Column("channel_id", sa.BigInteger, nullable=False),
        sa.Column("user_id", sa.BigInteger, nullable=False),
        sa.Column("joined_at", sa.BigInteger),
        sa.Column("read_through", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("channel_id", "user_id", name="pk_members"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_members_user_id_channel_id", "members", ["user_id", "channel_id"])
    op.create_table(
        "messages",
        sa.Column("channel_id", sa.BigInteger, nullable=False),
        sa.Column("sequence", sa.BigInteger, nullable=False),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.Column("author_id", sa.BigInteger, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("content", sa.SmallInteger, nullable=False),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("request_id", sa.LargeBinary),
        sa.PrimaryKeyConstraint("channel_id", "sequence", name="pk_messages"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_messages_channel_id_version", "messages", ["channel_id", "version"], unique=True)
    op.create_index("ix_messages_request_id_author_id", "messages", ["request_id", "author_id"], unique=True)
    if op.get_bind().dialect.name == "postgresql":  # the lobby takes the first id from the sequence, as others do
        op.execute("SELECT setval(pg_get_serial_sequence('channels', 'channel_id'), 1)")
    now = context_time()
    op.bulk_insert(
        channels,
        [
            {
                "channel_id": 1,
                "name": "lobby",
                "name_key": "lobby",
                "topic": "",
                "kind": 1,
                "owner_id": 0,
                "sequence": 0,
                "created_at": now,
            }
        ],
    )


def context_time() -> int:
    """The time of this migration, microseconds: handed over by `madang.storage.migrate`."""
    config = context.config
    now: int = config.attributes["now"]
    return now
