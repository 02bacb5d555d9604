"""One device and its server: the smallest whole system."""

from typing import Any

from .. import client, server
from .._replica import Replica
from .._settings import DEFAULT_TIMING, Timing
from .._types import Zones
from ._device import Device
from ._household import Household


class Pair(Household):
    """Two connections, one virtual clock.

    Args:
        device: the device's name.
        zones, latency, seed, timing: as for `Household`.

    Raises:
        LookupError: `server` is asked for while no transport is open.
    """

    def __init__(
        self,
        device: str = "desk",
        *,
        zones: Zones | None = None,
        latency: float = 0.01,
        seed: int = 7,
        timing: Timing = DEFAULT_TIMING,
    ) -> None:
        super().__init__(device, zones=zones, latency=latency, seed=seed, timing=timing)
        self.device: Device = self.devices[device]

    def __repr__(self) -> str:
        end = self.device.server
        return f"<Pair at {round(self.now, 3)}: {self.client!r} | {end if end is not None else 'no transport'!r}>"

    @property
    def client(self) -> client.ClientConnection:
        """The device's side."""
        return self.device.client

    @property
    def server(self) -> server.ServerConnection:
        """The server's side of the open transport."""
        if self.device.server is None:
            raise LookupError("no transport is open; `connect()` opens one")
        return self.device.server

    @property
    def replica(self) -> Replica:
        """The device's copy."""
        return self.device.replica

    def connect(self) -> None:
        """Start, and run until nothing is in flight."""
        self.device.start()
        self.run_until_idle()

    def feed(self, stimulus: Any) -> list[Any]:
        """One input to the client, carried out; returns its outputs."""
        self.device.feed(stimulus)
        return list(self.log[-1].outputs) if self.log[-1].who == self.device.name else []

    def cut(self) -> None:
        """The link breaks; both ends notice."""
        self.device.cut()

    def heal(self) -> None:
        """The link works again."""
        self.device.heal()
