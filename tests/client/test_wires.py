"""How soon a connection is given up."""

from __future__ import annotations

from madang.client.wires import _HASTY, Wires


async def test_who_finds_silence_again_and_again_becomes_patient() -> None:
    now = 1000.0
    ours = Wires(None, lambda: now)
    found = []
    for _ in range(5):
        found.append(ours._haste()["grpc.keepalive_timeout_ms"])
        ours.put(("localhost:1", True), ours.anew(("localhost:1", True)), silent=True)
    assert found == [2_000, 4_000, 8_000, 12_000, 12_000]
    now += 61
    assert ours._haste() == _HASTY, "that was long ago"
    for _ in range(5):
        ours.put(("localhost:1", True), ours.anew(("localhost:1", True)))
    assert ours._haste() == _HASTY, "who was sent away, or refused, has waited for nobody"
    await ours.close()
