"""What a log is told of an error that nobody expected."""

from __future__ import annotations

from pathlib import Path

from server_trio.failures import described, leaves


def _raise(error: Exception) -> None:
    raise error


def _raised(error: Exception) -> Exception:
    try:
        _raise(error)
    except Exception as raised:  # noqa: BLE001 - any kind is to be told of
        return raised
    raise AssertionError("nothing was raised")


def test_an_error_is_told_by_type_and_place_and_not_by_what_it_says() -> None:
    told = described(_raised(ValueError("hush")))
    assert told.startswith(f"ValueError at {Path(__file__).name}:")
    assert told.endswith(" _raised")
    assert " _raise < " in told
    assert "hush" not in told


def test_each_error_of_a_group_is_told_and_one_never_raised_has_no_place() -> None:
    group = ExceptionGroup("hush", [KeyError("hush"), ExceptionGroup("hush", [_raised(OSError("hush"))])])
    assert [type(leaf) for leaf in leaves(group)] == [KeyError, OSError]
    first, second = described(group).split("; ")
    assert first == "KeyError at an unknown place"
    assert second.startswith("OSError at ")
