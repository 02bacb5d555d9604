"""The planted faults themselves: each is one, each says what it breaks, and each is gone afterwards."""

import re
from contextlib import ExitStack
from pathlib import Path

import pytest

from client_qt.late_news import LateNews
from client_qt.ringer import Ringer
from client_qt.timekeeping import Timekeeper
from protocol import Roster
from protocol._clock import ClockEstimate
from protocol._close_codes import CLOSE_CODES
from protocol.client import ClientConnection
from protocol.server import ServerConnection

from . import planted_proofs, planted_proofs_kept
from .planted import CONTROLS, PLANTED, named
from .planted_tools import Plant, attribute, namespaces, swapped, tables
from .planted_worlds import RARE
from .player import play


SPECIFICATION = Path(__file__).resolve().parents[2] / "docs" / "protocol.md"
CLASSES = (ClientConnection, ServerConnection, ClockEstimate, LateNews, Ringer, Roster, Timekeeper)

PROOFS = {**planted_proofs.PROOFS, **planted_proofs_kept.PROOFS}

EVERY = [pytest.param(plant, id=plant.name) for plant in (*PLANTED.values(), *CONTROLS.values())]


def everything() -> list[dict[object, object]]:
    """All that a fault may touch, as it is now."""
    return [
        *(dict(space) for space in namespaces().values()),
        *(dict(table) for table in tables()),
        *(dict(vars(owner)) for owner in CLASSES),
        dict(CLOSE_CODES),
    ]


def differs(before: list[dict[object, object]], after: list[dict[object, object]]) -> bool:
    """By identity for what is callable: equal functions are not the same one."""
    pairs = zip(before, after, strict=True)
    return any(old.keys() != new.keys() or any(old[key] != new[key] for key in old) for old, new in pairs)


def test_there_are_more_than_thirty_faults_and_two_controls() -> None:
    assert len(PLANTED) >= 36
    assert len(CONTROLS) == 2
    assert not PLANTED.keys() & CONTROLS.keys()


@pytest.mark.parametrize("plant", EVERY)
def test_a_fault_names_a_rule_of_the_specification_and_says_in_a_sentence_what_was_thought(plant: Plant) -> None:
    assert f'<a id="{plant.rule}">' in SPECIFICATION.read_text(encoding="utf-8")
    assert re.fullmatch(r"[a-z]+(-[a-z]+)*", plant.name)
    assert re.fullmatch(r"[A-Z][^\n]{20,160}\.", plant.why)


@pytest.mark.parametrize("plant", EVERY)
def test_a_fault_is_in_the_core_only_inside_its_context(plant: Plant) -> None:
    before = everything()
    with plant.plant():
        assert differs(before, everything())
    assert not differs(before, everything())


@pytest.mark.parametrize("plant", EVERY)
def test_a_fault_is_taken_out_again_where_it_did_its_work(plant: Plant) -> None:
    before = everything()
    with pytest.raises(RuntimeError, match="found it"), plant.plant():
        raise RuntimeError("found it")
    assert not differs(before, everything())


@pytest.mark.parametrize("name", PLANTED)
def test_a_fault_changes_what_the_smallest_case_of_it_shows(name: str) -> None:
    honest = PROOFS[name]()
    with PLANTED[name].plant():
        faulty = PROOFS[name]()
    assert faulty != honest
    assert PROOFS[name]() == honest


@pytest.mark.parametrize("name", PLANTED)
def test_the_inert_control_changes_no_case(name: str) -> None:
    honest = PROOFS[name]()
    with CONTROLS["control-inert"].plant():
        assert PROOFS[name]() == honest


@pytest.mark.parametrize("name", RARE)
def test_a_fault_that_drawn_worlds_seldom_reach_is_caught_in_the_smallest_that_does(name: str) -> None:
    assert play(RARE[name]).violation is None
    with PLANTED[name].plant():
        assert play(RARE[name]).violation is not None


def test_the_controls_keep_the_measure_honest() -> None:
    """What changes nothing is never caught, what ruins everything at once."""
    caught = {}
    for name, control in CONTROLS.items():
        with control.plant():
            caught[name] = [play(plan).violation is not None for plan in RARE.values()]
    assert not any(caught["control-inert"])
    assert all(caught["control-must-die"])


def test_faults_can_be_planted_together_and_leave_nothing() -> None:
    before = everything()
    with ExitStack() as stack:
        for plant in PLANTED.values():
            stack.enter_context(plant.plant())
    assert not differs(before, everything())


def test_a_fault_that_would_replace_nothing_is_refused() -> None:
    with pytest.raises(LookupError, match="found nowhere"), swapped(differs, everything):
        pass
    with pytest.raises(LookupError, match="has no"), attribute(Roster, "no_such_method", None):
        pass


def test_a_fault_is_found_by_its_name() -> None:
    assert named("ack-before-store") is PLANTED["ack-before-store"]
    with pytest.raises(LookupError, match="no fault is called 'nothing'"):
        named("nothing")
