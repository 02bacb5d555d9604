"""Sessions as files: what is written down can be read, replayed and compared."""

import pytest
from hypothesis import given

from protocol import client, server, trace
from protocol._types import Wall
from protocol.testing import Pair

from .scenarios import ACTS, Act, household, perform


def lively() -> Pair:
    """A session with a loss, polls and an edit in it."""
    pair = Pair()
    pair.connect()
    pair.device.create("alarm", "a1", time="07:00")
    pair.cut()
    pair.run(15)
    pair.heal()
    pair.run(30)
    return pair


def test_a_replay_of_a_client_gives_the_same_outputs_byte_for_byte() -> None:
    text = trace.dump(lively().client)
    assert list(trace.replay(trace.load(text))) == []


def test_a_replay_of_a_server_gives_the_same_outputs_byte_for_byte() -> None:
    text = trace.dump(lively().server)
    assert list(trace.replay(trace.load(text))) == []


@given(ACTS)
def test_every_session_replays_as_it_was_recorded(acts: list[Act]) -> None:
    home = household()
    for act in acts:
        perform(home, act)
    for device in home.devices.values():
        for end in (device.client, device.server):
            if end is not None:
                assert list(trace.replay(trace.load(trace.dump(end)))) == []


def test_a_replay_builds_on_the_store_that_the_recorded_session_began_with() -> None:
    pair = lively()
    pair.cut()
    pair.device.patch("a1", label="later")
    pair.device.restart()
    pair.heal()
    pair.connect()
    recording = trace.load(trace.dump(pair.client))
    assert recording.header.setup["conn"] == pair.client.machine.conn - 1
    assert list(trace.replay(recording)) == []


def test_a_difference_shows_expected_and_actual_one_above_the_other_and_where_they_part() -> None:
    forged = trace.dump(lively().client).replace('"Dialled","conn":1', '"Dialled","conn":9', 1)
    difference = next(trace.replay(trace.load(forged)))
    said = str(difference).splitlines()
    assert difference.step == 1
    assert said[0].startswith("step 1 at 0.0: TokenReady(")
    assert '"conn":9' in said[1]
    assert '"conn":1' in said[2]
    assert said[1][len(said[3]) - 1] == "9"


def test_texts_that_part_at_once_or_at_the_end_are_marked_there() -> None:
    assert trace.beside("a", "b")[2] == " " * 11 + "^"
    assert trace.beside("aa", "a")[2] == " " * 12 + "^"


def test_a_trace_says_what_it_is() -> None:
    recording = trace.load(trace.dump(lively().client))
    assert repr(recording).startswith("<Trace of a client, ")
    assert repr(trace.load(trace.dump(server.ServerConnection()))) == "<Trace of a server, 0 steps>"


def test_lines_may_be_given_one_by_one_and_empty_ones_are_passed_over() -> None:
    lines = trace.dump(lively().client).splitlines()
    assert len(trace.load([lines[0], "", *lines[1:]]).steps) == len(lines) - 1


def test_a_connection_that_does_not_record_has_no_trace() -> None:
    with pytest.raises(trace.TraceError, match="record=False"):
        trace.dump(client.ClientConnection(device="desk", record=False))


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "line 1: empty"),
        ("{", "line 1: Input data was truncated"),
        ('{"tocsin-trace":1,"protocol":1,"side":"middle"}', "line 1: Invalid enum value 'middle'"),
        ('{"tocsin-trace":2,"protocol":1,"side":"client"}', "line 1: format 2, protocol 1"),
        ('{"tocsin-trace":1,"protocol":7,"side":"client"}', "line 1: format 1, protocol 7"),
        ('{"tocsin-trace":1,"protocol":1,"side":"client"}\n{"now":0}', "line 2: Object missing required field `input`"),
        (
            '{"tocsin-trace":1,"protocol":1,"side":"client"}\n{"now":0,"input":{"is":"No"},"outputs":[]}',
            "line 2: Invalid",
        ),
    ],
)
def test_what_is_no_trace_is_refused_with_its_line(text: str, complaint: str) -> None:
    with pytest.raises(trace.TraceError) as refused:
        trace.load(text)
    assert complaint in str(refused.value)


@pytest.mark.parametrize("setup", ['{"device":7}', "{}"])
def test_a_setup_that_builds_no_client_is_refused(setup: str) -> None:
    text = f'{{"tocsin-trace":1,"protocol":1,"side":"client","setup":{setup}}}'
    with pytest.raises(trace.TraceError, match="line 1: setup"):
        list(trace.replay(trace.load(text)))


def test_a_setup_that_builds_no_server_is_refused() -> None:
    text = '{"tocsin-trace":1,"protocol":1,"side":"server","setup":{"terms":{"timing":7}}}'
    with pytest.raises(trace.TraceError, match="line 1: setup"):
        list(trace.replay(trace.load(text)))


@pytest.mark.parametrize("ends_no_line", ["\u2028", "\u2029", "\x85", "\x1c", "\x0b"])
def test_what_ends_a_line_elsewhere_ends_none_of_a_trace(ends_no_line: str) -> None:
    """A peer may say any of these, and JSON holds some as they are (RFC 8259, section 7)."""
    end = server.ServerConnection()
    end.step(server.Requested("v1"), 0.0)
    end.step(server.Received(f'{{"type":"{ends_no_line}"}}', Wall(1)), 0.0)
    assert list(trace.replay(trace.load(trace.dump(end)))) == []


DEEP = "[" * 100_000
SERVERS = '{"side":"server"}'


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (f'{{"side":"server","setup":{{"a":{DEEP}', 1),
        (f'{SERVERS}\n{{"now":1,"input":{DEEP}', 2),
        (f'{SERVERS}\n{{"now":1,"input":{{"is":"Heard"}},"outputs":{DEEP}', 2),
        (f'{SERVERS}\n{{"now":1,"input":{{"is":"Heard"}},"outputs":[1e999]}}', 2),
        (f'{SERVERS}\n{{"now":1,"input":{{"is":"Heard"}},"outputs":["\\ud800"]}}', 2),
        (f"{SERVERS}\n\ud800", 2),
    ],
)
def test_json_that_no_reader_takes_is_refused_with_its_line(text: str, line: int) -> None:
    with pytest.raises(trace.TraceError, match=f"line {line}: "):
        trace.load(text)
