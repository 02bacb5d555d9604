"""What can be done to a record: the closed union `Edit`, and `Mutation`, an edit with its author and number."""

from typing import Any

from msgspec import Struct, field

from ._types import DeviceId, ItemId, Kind, Mid, RunId, Stamp, Wall


class _Edit(Struct, frozen=True, kw_only=True, tag_field="op", repr_omit_defaults=True):
    """Common to all edits.

    Attributes:
        kind, id: the record meant.
        at: the author's estimate of the server's clock, ms; orders edits of one field.
    """

    kind: Kind
    id: ItemId
    at: int


class Create(_Edit, frozen=True, kw_only=True, tag="create"):
    """Make the record, or patch it when it lives."""

    fields: dict[str, Any] = field(default_factory=dict[str, Any])


class Patch(_Edit, frozen=True, kw_only=True, tag="patch"):
    """Set definition fields that differ from the author's view."""

    fields: dict[str, Any] = field(default_factory=dict[str, Any])


class Delete(_Edit, frozen=True, kw_only=True, tag="delete"):
    """Remove for good; the identifier never returns."""


class Dismiss(_Edit, frozen=True, kw_only=True, tag="dismiss"):
    """Stop a ring everywhere.

    Attributes:
        occ: alarm: due instant of the occurrence, ms.
        run, due: timer: its run and the `ends_at` that rang.
    """

    occ: int | None = None
    run: RunId | None = None
    due: int | None = None

    def __post_init__(self) -> None:
        _check_occurrence(self.kind, self.occ, self.run, self.due)


class Snooze(_Edit, frozen=True, kw_only=True, tag="snooze"):
    """Postpone a ring: `until = moment + length_ms`.

    Attributes:
        occ, run, due: as in `Dismiss`.
        n: one more than the register's count for this occurrence.
        length_ms: at most 24 h.
        moment: when it was pressed, ms of the server's clock.
    """

    occ: int | None = None
    run: RunId | None = None
    due: int | None = None
    n: int
    length_ms: int
    moment: Wall

    def __post_init__(self) -> None:
        _check_occurrence(self.kind, self.occ, self.run, self.due)


class _Command(_Edit, frozen=True, kw_only=True):
    """Common to timer commands.

    Attributes:
        run: `start` names a new run; the others act only on this one.
        moment: when it was pressed, ms of the server's clock.
    """

    run: RunId
    moment: Wall

    def __post_init__(self) -> None:
        if self.kind != "timer":
            raise ValueError("only a timer takes this command: kind must be `timer`")


class Start(_Command, frozen=True, kw_only=True, tag="start"):
    """Begin a new run from `duration_ms`."""


class Pause(_Command, frozen=True, kw_only=True, tag="pause"):
    """Hold a running timer; what remains is counted from the press, so latency costs nothing."""


class Resume(_Command, frozen=True, kw_only=True, tag="resume"):
    """Go on from a pause."""


class Add(_Command, frozen=True, kw_only=True, tag="add"):
    """Lengthen the run by `ms`; two presses on two devices add twice."""

    ms: int


class Reset(_Command, frozen=True, kw_only=True, tag="reset"):
    """Back to idle; the run's name stays."""


Edit = Create | Patch | Delete | Dismiss | Snooze | Start | Pause | Resume | Add | Reset
OPS = ("create", "patch", "delete", "dismiss", "snooze", "start", "pause", "resume", "add", "reset")


class Mutation(Struct, frozen=True):
    """An edit with its author: what `apply` takes."""

    edit: Edit
    device: DeviceId
    mid: Mid

    @property
    def stamp(self) -> Stamp:
        """The stamp its fields compete with."""
        return Stamp(self.edit.at, self.device, self.mid)


def _check_occurrence(kind: Kind, occ: int | None, run: str | None, due: int | None) -> None:
    if kind == "alarm" and (occ is None or run is not None or due is not None):
        raise ValueError("an alarm's ring is named by `occ` alone")
    if kind == "timer" and (run is None or due is None or occ is not None):
        raise ValueError("a timer's ring is named by `run` and `due`")
