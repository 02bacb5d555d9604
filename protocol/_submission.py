"""A `mutate` as it reached the server: what it asks, or why nobody can tell; and the same for the client's side."""

import re
from hashlib import blake2b
from typing import Any, get_args

import msgspec
from msgspec import UNSET, convert, to_builtins

from ._edits import OPS, Add, Edit, Pause, Reset, Resume, Start
from ._errors import Fault
from ._log import Submission
from ._messages import Mutate
from ._types import Epoch, Kind, Mid


_ENVELOPE = ("epoch", "mid")
_ASKED = tuple(name for name in Mutate.__struct_fields__ if name not in _ENVELOPE)
_KINDS = get_args(Kind)
_COMMANDS = tuple(str(made.__struct_config__.tag) for made in (Start, Pause, Resume, Add, Reset))
_SORTED = msgspec.json.Encoder(order="sorted").encode

# A validation error names its field in the path, or, for a field that is missing, in the sentence.
_PATH = re.compile(r" - at `\$\.([a-z_]+).*")
_NAMED = re.compile(r"`([a-z_]+)`")


def read(mutate: Mutate) -> Submission:
    """Turn the loosely typed message into a strict edit, or a `Fault` it is then rejected with. Total."""
    asked = {name: value for name in _ASKED if (value := getattr(mutate, name)) is not UNSET}
    epoch = Epoch(mutate.epoch) if isinstance(mutate.epoch, str) else None
    try:
        sent = _SORTED(asked)
    except (RecursionError, UnicodeEncodeError):
        fault = Fault("invalid", "`fields` must be Unicode JSON that nests less deep.", field="fields")
        return Submission(epoch, mutate.mid, fault, _digest(b""))
    return Submission(epoch, mutate.mid, _read_edit(epoch, asked), _digest(sent))


def write(epoch: Epoch, mid: Mid, edit: Edit) -> Mutate:
    """The message that asks for an edit; writing it twice gives the same fingerprint."""
    asked: dict[str, Any] = to_builtins(edit)
    return Mutate(epoch=epoch, mid=mid, **{name: value for name, value in asked.items() if value is not None})


def _digest(sent: bytes) -> str:
    return blake2b(sent, digest_size=16).hexdigest()


def _read_edit(epoch: Epoch | None, asked: dict[str, Any]) -> Edit | Fault:
    op, kind = asked.get("op"), asked.get("kind")
    if op not in OPS:
        return Fault("unknown_op", f"`op` must be one of {', '.join(OPS)}.", field="op")
    if kind not in _KINDS:
        return Fault("unknown_kind", f"`kind` must be one of {', '.join(_KINDS)}.", field="kind")
    if op in _COMMANDS and kind != "timer":
        return Fault("invalid", f"`kind` must be timer: only a timer takes `{op}`.", field="kind")
    if epoch is None:
        return Fault("invalid", "`epoch` must be the name of the history that `welcome` told.", field="epoch")
    try:
        edit: Edit = convert(asked, Edit)
    except (msgspec.ValidationError, RecursionError) as error:
        return _explain(str(op), str(error))
    return edit


def _explain(op: str, sentence: str) -> Fault:
    wrong = _PATH.search(sentence)
    if wrong:
        return Fault("invalid", f"`{wrong[1]}` of `{op}`: {sentence[: wrong.start()]}.", field=wrong[1])
    named = _NAMED.search(sentence)
    return Fault("invalid", f"`{op}`: {sentence}.", field=named[1] if named else None)
