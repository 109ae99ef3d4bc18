"""Where the services of a node stand: one listener for each address, and how clients are told of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import grpc

from madang.node.listeners import Listener
from madang.node.settings import Address, Settings
from madang.node.tls import Certificates

Interceptors = Callable[[], Sequence[grpc.aio.ServerInterceptor]]

_SHARED = "listen"


class Stand:
    """The listeners. Take those of the services with `at`, then `bind`, then `start`."""

    def __init__(self, settings: Settings, interceptors: Interceptors, certificates: Certificates | None) -> None:
        """`interceptors`: makes those of one listener."""
        self._settings = settings
        self._interceptors = interceptors
        self._certificates = certificates
        self._at: dict[str, Listener] = {}
        self._names: dict[str, str] = {}
        self.addresses: dict[str, Address] = {}
        """Where each service listens, with the port that it really has; those that share one first."""

    @property
    def listeners(self) -> list[Listener]:
        """All of them."""
        return list(self._at.values())

    def at(self, name: str) -> Listener:
        """Where a service stands: at an address of its own, or with the Agent and the others."""
        own = self._settings.own_address(name)
        where = self._names[name] = _SHARED if own is None else name
        if where not in self._at:
            address = own or self._settings.listen
            self._at[where] = Listener(self._settings, address, self._interceptors(), self._certificates)
        return self._at[where]

    async def bind(self) -> None:
        """Take the addresses; nobody is served yet. Raises ListenError."""
        for listener in self.listeners:
            await listener.bind()
        order = sorted(self._names, key=lambda name: self._names[name] != _SHARED)
        self.addresses = {name: self._address(name) for name in order}

    async def start(self) -> None:
        """Serve."""
        for listener in self.listeners:
            await listener.start()

    def told(self) -> dict[str, str]:
        """Where clients on other machines reach each service."""
        return {name: str(self._advertised(name)) for name in self._names}

    def here(self) -> dict[str, str]:
        """The same for clients that have found the Agent: empty for what stands there, too."""
        return {name: "" if where == _SHARED else str(self._address(name)) for name, where in self._names.items()}

    def _address(self, name: str) -> Address:
        address = self._at[self._names[name]].address
        if address is None:
            raise RuntimeError(f"{name} does not listen yet")
        return address

    def _advertised(self, name: str) -> Address:
        address, advertise = self._address(name), self._settings.advertise
        if advertise is None or self._names[name] != _SHARED:
            return address
        return Address(advertise.host, advertise.port or address.port)
