"""Faults on real processes: what DESIGN.md promises, under kill -9, full disks, dead connections and garbage.

The clients are the generated stubs over grpc.aio, so that it is the server that is tested. MADANG_FAULT_ROUNDS says how
often the server is killed (default: 5), MADANG_FAULT_SEED repeats a run's random moments; by hand:
`python -m tests.faults.kill --rounds 20`. A cluster, with PostgreSQL, NATS, and every kind of fault:
`python -m tests.faults.cluster --minutes 30 --faults 100`.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "false")  # servers are started, nothing is forked that calls gRPC

# The other packages of tests, `parts` say, are found by pytest; here also when one of these modules is run by itself.
if (tests := str(Path(__file__).resolve().parent.parent)) not in sys.path:
    sys.path.append(tests)
