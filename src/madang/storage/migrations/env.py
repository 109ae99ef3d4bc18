"""Alembic's way in: runs the migrations on the connection that `madang.storage.migrate` hands over."""

from alembic import context

from madang.storage.schema import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,
    compare_type=False,
    transactional_ddl=True,
)
context.run_migrations()
