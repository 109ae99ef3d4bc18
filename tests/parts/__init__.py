"""The real servers that tests start beside ours: PostgreSQL and NATS, from the wheels that ship their programs."""
