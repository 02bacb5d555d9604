"""Walking through a recording, forward and back."""

import pytest

from protocol import trace
from protocol._stepper import HELP, Stepper
from protocol.testing import Pair


@pytest.fixture
def stepper() -> Stepper:
    pair = Pair()
    pair.connect()
    pair.device.create("alarm", "a1", time="07:00")
    pair.run(1)
    return Stepper(trace.load(trace.dump(pair.client)))


def test_it_begins_before_the_first_step(stepper: Stepper) -> None:
    assert repr(stepper) == f"<Stepper at 0 of {len(stepper.recording.steps)}: {stepper.connection!r}>"
    assert "Idle" in repr(stepper)


def test_forward_shows_input_outputs_and_where_it_leads_on_two_lines(stepper: Stepper) -> None:
    said = stepper.command("").splitlines()
    assert said[0].split(" -> ")[0].split() == ["0", "0.000", "Start()"]
    assert "GetToken" in said[0]
    assert said[1].strip().startswith("<ClientConnection Refreshing()")


def test_forward_and_back_lead_to_the_same_place(stepper: Stepper) -> None:
    stepper.command("n 4")
    before = repr(stepper)
    stepper.command("n 3")
    assert "back to before step 4" in stepper.command("p 3")
    assert repr(stepper) == before


def test_it_stays_at_both_ends(stepper: Stepper) -> None:
    assert stepper.command("p").startswith("start: ")
    stepper.command("e")
    assert stepper.at == len(stepper.recording.steps)
    assert stepper.command("n").startswith("end: ")


def test_it_goes_to_a_step_from_either_side(stepper: Stepper) -> None:
    stepper.command("g 5")
    assert stepper.at == 5
    assert stepper.command("g 2").startswith("at step 2: ")
    assert stepper.command("g 999") != ""
    assert stepper.at == len(stepper.recording.steps)


def test_it_finds_the_next_step_that_mentions_a_text(stepper: Stepper) -> None:
    assert "alarm_created" in stepper.command("/ alarm_created")
    assert stepper.command("/nowhere") == "no later step mentions 'nowhere'"


def test_it_lists_inputs_ahead(stepper: Stepper) -> None:
    assert len(stepper.command("l 3").splitlines()) == 3
    assert "Start()" in stepper.command("l").splitlines()[0]


def test_it_shows_what_is_legal_and_what_came_out(stepper: Stepper) -> None:
    assert stepper.command("o") == "no step was taken"
    stepper.command("n")
    assert "\naccepts Heard, " in stepper.command("s")
    assert stepper.command("o").splitlines()[0] == "GetToken(gen=1, fresh=False)"


def test_a_difference_is_shown_where_it_is_and_found(stepper: Stepper) -> None:
    assert stepper.command("d").startswith("no difference")
    text = trace.dump(stepper.connection)
    forged = Stepper(trace.load(text.replace('"Dialled","conn":1', '"Dialled","conn":9', 1)))
    assert "\n  expected " in forged.command("d")
    assert forged.at == 2


def test_help_and_what_is_no_command(stepper: Stepper) -> None:
    assert stepper.command("h") == HELP
    assert stepper.command("g") == f"'g' is no command\n{HELP}"
    assert stepper.command("fly away").startswith("'fly away' is no command")
