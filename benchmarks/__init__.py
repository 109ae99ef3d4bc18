"""How fast Madang is: load from outside, and the server's own CPU time and memory as the operating system counts them.

`python -m benchmarks` starts the server as a process of its own for every run, and drives it with clients that cost a
small part of what grpcio's cost: raw HTTP/2 frames over asyncio. The modules, from the wire upwards:

- `http2`: frames and header blocks, pure; `messages`: gRPC's messages inside them, pure;
- `connection`: one HTTP/2 connection with its calls;
- `people`: someone who is signed in; `readers`: what they read; `senders`: how they send;
- one module a scenario, listed in `scenarios`;
- `server`: the server's process; `sampling`: where it spends its time; `report`: figures, targets and the result page.
"""

from __future__ import annotations

import sys
from pathlib import Path

# A cluster stands on the same PostgreSQL and NATS as the tests' ones do: tests/parts, which pytest finds by itself.
if (tests := str(Path(__file__).resolve().parent.parent / "tests")) not in sys.path:
    sys.path.append(tests)
