"""Faults on real processes: what DESIGN.md promises, under kill -9, full disks, dead connections and garbage.

The clients are the generated stubs over grpc.aio, so that it is the server that is tested. MADANG_FAULT_ROUNDS says how
often the server is killed (default: 5), MADANG_FAULT_SEED repeats a run's random moments; by hand:
`python -m tests.faults.kill --rounds 20`.
"""
