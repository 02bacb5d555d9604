"""What a user can ask of the engine: the closed union `Command`. Each is answered by `events.Done` or `events.Failed`."""

from typing import Any

from msgspec import Struct, field

from protocol import ItemId, Kind


class _Command(Struct, frozen=True, repr_omit_defaults=True):
    pass


class CommandError(Exception):
    """A command cannot be done. `code` for programs, the message for people, `field` where one is at fault.

    Codes: those of `protocol.FaultCode`, and `unknown_id`, `not_ringing`, `no_effect`, `no_server`, `stopped`.
    """

    def __init__(self, code: str, message: str, field: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.field = field


class CreateItem(_Command, frozen=True):
    """A new alarm or timer; `fields` as in protocol `create`."""

    kind: Kind
    fields: dict[str, Any] = field(default_factory=dict[str, Any])


class EditItem(_Command, frozen=True):
    """Set definition fields; what does not differ is left out."""

    item: ItemId
    fields: dict[str, Any]


class DeleteItem(_Command, frozen=True):
    """Remove for good."""

    item: ItemId


class StartTimer(_Command, frozen=True):
    """Begin a new run."""

    item: ItemId


class PauseTimer(_Command, frozen=True):
    """Hold it."""

    item: ItemId


class ResumeTimer(_Command, frozen=True):
    """Go on."""

    item: ItemId


class AddTime(_Command, frozen=True):
    """Lengthen the run."""

    item: ItemId
    ms: int


class ResetTimer(_Command, frozen=True):
    """Back to idle."""

    item: ItemId


class SkipNext(_Command, frozen=True):
    """Leave out the next occurrence of an alarm, or with `undo` ring it after all."""

    item: ItemId
    undo: bool = False


class StopRing(_Command, frozen=True):
    """Stop what rings, everywhere: one item or (None) all. Of a snoozed or missed item: end that, too."""

    item: ItemId | None = None


class SnoozeRing(_Command, frozen=True):
    """Postpone what rings, everywhere; `length_ms` None: as the item says."""

    item: ItemId | None = None
    length_ms: int | None = None


class QuietHere(_Command, frozen=True):
    """Silence what rings on this device alone."""

    item: ItemId | None = None


class RingHere(_Command, frozen=True):
    """Whether an item rings on this device at all; a setting of the device, not synced."""

    item: ItemId
    rings: bool


class RestoreAside(_Command, frozen=True):
    """Give a record that the server's new history lacks back to it."""

    item: ItemId


class DiscardAside(_Command, frozen=True):
    """Forget such a record."""

    item: ItemId


class ForgetRejection(_Command, frozen=True):
    """The user has seen it."""

    number: int


class SyncNow(_Command, frozen=True):
    """Bring this device up to date at once; leaves the stopped state, too."""


class TakeOver(_Command, frozen=True):
    """Win over the newer connection of this device that replaced this one."""


class CutNetwork(_Command, frozen=True):
    """Pull or plug this device's cable, for stories and tests."""

    cut: bool


Command = (
    CreateItem | EditItem | DeleteItem | StartTimer | PauseTimer | ResumeTimer | AddTime | ResetTimer | SkipNext
    | StopRing | SnoozeRing | QuietHere | RingHere | RestoreAside | DiscardAside | ForgetRejection | SyncNow | TakeOver
    | CutNetwork
)  # fmt: skip

ItemCommand = (
    EditItem | DeleteItem | StartTimer | PauseTimer | ResumeTimer | AddTime | ResetTimer | SkipNext | RestoreAside
)
"""Those that become one edit of one record."""
