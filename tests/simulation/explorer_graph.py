"""Whether a graph has a circle, for graphs of a million edges."""

from array import array
from itertools import accumulate


def in_a_circle(nodes: int, sources: "array[int]", targets: "array[int]") -> int | None:
    """A node from which a circle can be reached, the one of the lowest number; None where every path ends.

    Nodes without a way on are taken away until none is left (Kahn 1962, from the end).
    """
    ways = array("L", bytes(8 * nodes))
    arriving = array("L", bytes(8 * (nodes + 1)))
    for source, target in zip(sources, targets, strict=True):
        ways[source] += 1
        arriving[target + 1] += 1
    starts = array("L", accumulate(arriving))
    before = _by_target(starts, sources, targets)
    gone = [node for node in range(nodes) if not ways[node]]
    for node in gone:
        for source in before[starts[node] : starts[node + 1]]:
            ways[source] -= 1
            if not ways[source]:
                gone.append(source)
    return next((node for node in range(nodes) if ways[node]), None)


def _by_target(starts: "array[int]", sources: "array[int]", targets: "array[int]") -> "array[int]":
    """The sources of all edges, those of each target together."""
    places = array("L", starts)
    ordered = array("L", bytes(8 * len(sources)))
    for source, target in zip(sources, targets, strict=True):
        ordered[places[target]] = source
        places[target] += 1
    return ordered
