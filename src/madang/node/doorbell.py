"""The bus of a node that has others beside it. Imported only where there is one: nats-py takes a moment to load."""

from __future__ import annotations

from madang.bus.link import NatsOptions
from madang.bus.nats import NatsBus
from madang.bus.nodes import NatsNodes
from madang.node.settings import Settings


def nats(settings: Settings) -> tuple[NatsBus, NatsNodes]:
    """The bus, and the nodes that are heard of over it. Neither is started."""
    options = NatsOptions(
        settings.bus,
        settings.cluster,
        settings.name,
        settings.bus_credentials,
        settings.bus_ca,
        settings.bus_cert,
        settings.bus_key,
    )
    bus = NatsBus(options)
    return bus, NatsNodes(bus)
