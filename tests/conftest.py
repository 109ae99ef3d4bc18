"""For all tests: how hypothesis runs, and what a process that used gRPC has to know before it starts a terminal."""

from __future__ import annotations

import os

# A terminal is forked, and at once becomes another program. What gRPC does in a forked process would come before that:
# once in some hundred times it writes into the terminal, and waits for ever.
os.environ["GRPC_ENABLE_FORK_SUPPORT"] = "false"

from hypothesis import HealthCheck, settings

# How long an example takes says nothing on a shared machine; what it finds is printed, not kept in a directory.
settings.register_profile(
    "madang", deadline=None, database=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("madang")
