"""Which sessions ended lately is found by an index."""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add an index: a server of the version before does not notice."""
    op.create_index("ix_sessions_revoked_at", "sessions", ["revoked_at"])
