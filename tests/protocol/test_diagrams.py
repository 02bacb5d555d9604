"""Pictures and tables of the specification are those of the code."""

from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given

from protocol import client, diagrams
from protocol._close_codes import CLOSE_CODES
from protocol.client import CLIENT, POLLING
from protocol.server import SERVER
from protocol.testing import Pair

from .scenarios import ACTS, Act, household, perform


DOCS = Path(__file__).parents[2] / "docs"


def test_the_pages_are_not_stale(capsys: pytest.CaptureFixture[str]) -> None:
    """Mend with `./dev docs`."""
    assert diagrams.main(["--check", str(DOCS)]) == 0, capsys.readouterr().out


def test_a_stale_page_is_named_and_written_anew(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = tmp_path / "page.md"
    page.write_text("<!-- generated: close-codes -->\nold\n<!-- end generated -->\n", "utf-8")
    assert diagrams.main(["--check", str(tmp_path)]) == 1
    assert capsys.readouterr().out == "stale: page.md\n"
    assert diagrams.main(["--write", str(tmp_path)]) == 0
    assert capsys.readouterr().out == "written: page.md\n"
    assert diagrams.main(["--check", str(tmp_path)]) == 0
    assert "old" not in page.read_text("utf-8")


def test_every_close_code_has_its_row() -> None:
    table = diagrams.close_code_table(CLOSE_CODES)
    assert all(f"\n| {code} | {row.meaning} | " in table for code, row in CLOSE_CODES.items())


@pytest.mark.parametrize(("table", "start"), [(CLIENT, "Idle"), (SERVER, "New")])
def test_every_state_can_be_reached_from_the_start(table: object, start: str) -> None:
    found = diagrams.arrows(table)  # type: ignore[arg-type]  # both are tables
    reached = {start}
    while more := {target for source, target in found if source in reached} - reached:
        reached |= more
    states = {state.__name__ for state, _ in table}  # type: ignore[attr-defined]  # as above
    assert reached == states


def test_a_label_with_many_inputs_is_cut_and_counted() -> None:
    drawn = diagrams.mermaid({("A", "B"): [f"i{n}" for n in range(9)]}, "A")
    assert drawn[3] == "    A --> B: i0, i1, i2, i3, i4, i5, … (9)"


@given(ACTS)
def test_polling_only_moves_along_the_arrows_drawn(acts: list[Act]) -> None:
    home = household()
    home.refuse_sockets.add("lap")
    home["lap"].lose()
    for act in acts:
        perform(home, act)
    for device in home.devices.values():
        assert moves_of(device.client) <= set(POLLING)


def test_every_arrow_of_polling_is_taken() -> None:
    pair = Pair()
    pair.refuse_sockets.add("desk")
    pair.device.start()
    pair.run(60)
    pair.refuse_sockets.clear()
    pair.run(120)
    pair.cut()
    pair.run(60)
    seen = moves_of(pair.client)
    seen |= moves_of(stopped_while(client.Polling)) | moves_of(stopped_while(client.PollSoon))
    mute = client.ClientConnection(device="desk")
    mute.step(client.Start(), 0.0)
    mute.step(client.Tick(), 30.0)
    assert seen | moves_of(mute) == set(POLLING)


def stopped_while(polled: type) -> client.ClientConnection:
    """A connection whose user stops it in the middle of polling."""
    pair = Pair(latency=0.5)
    pair.refuse_sockets.add("desk")
    pair.device.start()
    while type(pair.client.machine.polled) is not polled:
        pair.step()
    pair.device.feed(client.Stop())
    return pair.client


def moves_of(connection: client.ClientConnection) -> set[tuple[type, type]]:
    """From and to, of the region beside the link, in a recorded life."""
    stepped = connection.copy()
    places = [type(stepped.machine.polled)]
    while stepped.trace:
        stepped.undo()
        places.append(type(stepped.machine.polled))
    places.reverse()
    return {(before, after) for before, after in pairwise(places) if before is not after}
