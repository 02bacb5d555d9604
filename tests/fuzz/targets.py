"""All targets, by name."""

from .client_target import Client
from .engine import Target
from .framing_target import Frames, Framing
from .http_target import Http
from .server_target import Server
from .trace_target import Trace


TARGETS: dict[str, Target] = {
    target.name: target for target in (Framing(), Frames(), Server(), Client(), Http(), Trace())
}
