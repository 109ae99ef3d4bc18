"""What a server sets in its interpreter and threads, each for a reason that was measured (docs/decisions/0005)."""

from __future__ import annotations

import contextlib
import gc
import os
import resource
import sys
import threading

SWITCH_INTERVAL = 0.0001
"""How long the event loop may hold the interpreter while the store's thread waits for it, seconds.

Python's default is 5 ms; a loop that lets go of it more often than that, and takes it back at once, as a busy one does,
then starves the thread.
"""

_POLLER = "_poll_wrapper"


def before_start() -> None:
    """Set what has to be set before the event loop runs."""
    sys.setswitchinterval(SWITCH_INTERVAL)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < hard:  # every connection is an open file
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def after_start() -> None:
    """Set what can only be set when everything is loaded and listens."""
    _settle_garbage_collector()
    _keep_poller_from_interrupting()


def _settle_garbage_collector() -> None:
    """Leave what was loaded at the start out of every later collection, and collect less often.

    A full collection stops everything for tens of milliseconds when thousands of streams are open, and finds next to
    nothing: what a message leaves behind is freed by reference counting.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 50, 100)


def _keep_poller_from_interrupting() -> None:
    """Let gRPC's poller thread wait for its turn on the processor.

    It is woken for each completed write, only to pass a byte on; by default Linux lets it interrupt the event loop for
    that, in the middle of a fan-out, twice for every reader.
    """
    if not hasattr(os, "SCHED_BATCH"):
        return
    for thread in threading.enumerate():
        if _POLLER in thread.name and thread.native_id is not None:
            with contextlib.suppress(OSError):  # not allowed here: merely slower
                os.sched_setscheduler(thread.native_id, os.SCHED_BATCH, os.sched_param(0))
