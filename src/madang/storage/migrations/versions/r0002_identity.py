"""Accounts with roles and passwords, bots, channel roles and modes, bans, invites, reports, the audit log."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_Id = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Add columns with defaults, and tables: a server of the version before can go on with the result."""
    for column in (
        sa.Column("role", sa.SmallInteger, nullable=False, server_default="1"),
        sa.Column("display_name", sa.Text, nullable=False, server_default=sa.text("''")),
        sa.Column("status_text", sa.Text, nullable=False, server_default=sa.text("''")),
        sa.Column("owner_id", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("password_hash", sa.Text),
        sa.Column("deleted_at", sa.BigInteger),
        sa.Column("message_rate", sa.Integer),
        sa.Column("message_burst", sa.Integer),
    ):
        op.add_column("users", column)
    op.create_index("ix_users_owner_id", "users", ["owner_id"])
    op.add_column("sessions", sa.Column("address", sa.Text, nullable=False, server_default=sa.text("''")))
    op.add_column("sessions", sa.Column("scopes", sa.SmallInteger))
    op.add_column("channels", sa.Column("read_only", sa.Boolean, nullable=False, server_default=sa.false()))
    op.add_column("channels", sa.Column("slow_mode", sa.Integer, nullable=False, server_default="0"))
    op.add_column("channels", sa.Column("guests", sa.Boolean, nullable=False, server_default=sa.true()))
    op.add_column("members", sa.Column("role", sa.SmallInteger, nullable=False, server_default="1"))
    op.add_column("members", sa.Column("muted_until", sa.BigInteger))
    op.add_column("members", sa.Column("wrote_at", sa.BigInteger))
    # Whoever made a channel owns it: until now that was all that there was of roles.
    op.execute(
        "UPDATE members SET role = 3 WHERE EXISTS (SELECT 1 FROM channels "
        "WHERE channels.channel_id = members.channel_id AND channels.owner_id = members.user_id)"
    )
    op.create_table(
        "bans",
        sa.Column("channel_id", sa.BigInteger, nullable=False),
        sa.Column("user_id", sa.BigInteger, nullable=False),
        sa.Column("moderator_id", sa.BigInteger, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("expires_at", sa.BigInteger),
        sa.PrimaryKeyConstraint("channel_id", "user_id", name="pk_bans"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_bans_user_id_channel_id", "bans", ["user_id", "channel_id"])
    op.create_table(
        "codes",
        sa.Column("code_id", _Id, primary_key=True, autoincrement=True),
        sa.Column("code_digest", sa.LargeBinary, nullable=False),
        sa.Column("user_id", sa.BigInteger),
        sa.Column("creator_id", sa.BigInteger, nullable=False),
        sa.Column("role", sa.SmallInteger, nullable=False),
        sa.Column("max_uses", sa.Integer, nullable=False),
        sa.Column("uses", sa.Integer, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("expires_at", sa.BigInteger, nullable=False),
        sa.Column("revoked_at", sa.BigInteger),
        sa.Column("note", sa.Text, nullable=False),
        sa.UniqueConstraint("code_digest", name="uq_codes_code_digest"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "reports",
        sa.Column("report_id", _Id, primary_key=True, autoincrement=True),
        sa.Column("channel_id", sa.BigInteger, nullable=False),
        sa.Column("sequence", sa.BigInteger, nullable=False),
        sa.Column("author_id", sa.BigInteger, nullable=False),
        sa.Column("reporter_id", sa.BigInteger, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("resolved_at", sa.BigInteger),
        sa.Column("resolver_id", sa.BigInteger, nullable=False, server_default="0"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_reports_channel_id", "reports", ["channel_id"])
    op.create_index(
        "ix_reports_reporter_id_channel_id_sequence", "reports", ["reporter_id", "channel_id", "sequence"], unique=True
    )
    op.create_table(
        "audit_events",
        sa.Column("event_id", _Id, primary_key=True, autoincrement=True),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("actor_id", sa.BigInteger, nullable=False),
        sa.Column("address", sa.Text, nullable=False),
        sa.Column("action", sa.Text, nullable=False),
        sa.Column("user_id", sa.BigInteger, nullable=False),
        sa.Column("channel_id", sa.BigInteger, nullable=False),
        sa.Column("details", sa.Text, nullable=False),
        sqlite_autoincrement=True,
    )
    for name in ("actor_id", "user_id", "channel_id"):
        op.create_index(f"ix_audit_events_{name}", "audit_events", [name])
