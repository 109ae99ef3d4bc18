"""For all tests: how hypothesis runs."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

# How long an example takes says nothing on a shared machine; what it finds is printed, not kept in a directory.
settings.register_profile(
    "madang", deadline=None, database=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("madang")
