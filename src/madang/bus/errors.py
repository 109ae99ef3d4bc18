"""Why a bus cannot be used, for the operator, at start."""

from __future__ import annotations


class BusError(Exception):
    """The bus cannot be used. Its text says why, and what to do."""
