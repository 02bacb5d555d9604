"""Chance as a value: the same seed gives the same numbers everywhere."""

from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from protocol._chance import Chance


seeds = st.integers(0, (1 << 64) - 1)


def test_it_is_splitmix64() -> None:
    """The first numbers of seed 1234567 as the authors of the generator print them."""
    chance, drawn = Chance(1234567), []
    for _ in range(5):
        bits, chance = chance.bits()
        drawn.append(bits)
    assert drawn == [
        6457827717110365317, 3203168211198807973, 9817491932198370423, 4593380528125082431, 16408922859458223821,
    ]  # fmt: skip


@given(seeds, st.floats(0, 1e6), st.floats(0, 1e6))
def test_a_uniform_number_stays_in_its_bounds(seed: int, low: float, width: float) -> None:
    number, _ = Chance(seed).uniform(low, low + width)
    assert low <= number <= low + width


def test_uniform_numbers_fill_their_interval_evenly() -> None:
    chance, tenths = Chance(7), [0] * 10
    for _ in range(10_000):
        number, chance = chance.uniform(5.0, 15.0)
        tenths[int(number - 5.0)] += 1
    assert all(900 < count < 1_100 for count in tenths)


@given(seeds)
def test_an_identifier_is_a_uuid_of_version_4(seed: int) -> None:
    """RFC 9562, section 5.4."""
    name, _ = Chance(seed).identifier()
    assert (str(UUID(name)), UUID(name).version, UUID(name).variant) == (name, 4, "specified in RFC 4122")


@given(seeds)
def test_the_same_point_gives_the_same_and_the_next_gives_another(seed: int) -> None:
    """docs/protocol.md#invariant-17."""
    name, rest = Chance(seed).identifier()
    assert Chance(seed).identifier() == (name, rest)
    assert rest.identifier()[0] != name
