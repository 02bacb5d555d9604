from datetime import datetime, timedelta

import pytest

from protocol.zones import system_zones, zone_names


def test_the_names_are_those_of_the_zone_data_without_what_a_distribution_adds() -> None:
    zone_names.cache_clear()

    assert {"UTC", "Europe/Warsaw", "America/New_York"} <= zone_names()
    assert "posixrules" not in zone_names()


def test_a_zone_is_found_by_its_iana_name() -> None:
    zone = system_zones("Europe/Berlin")

    assert zone is not None
    assert zone.utcoffset(datetime(2026, 7, 1)) == timedelta(hours=2)  # noqa: DTZ001 - what a zone itself is asked


@pytest.mark.parametrize("name", ["UTC", "Etc/GMT+1", "America/Port-au-Prince", "America/Argentina/Ushuaia", "GB-Eire"])
def test_every_spelling_that_iana_uses_is_taken(name: str) -> None:
    assert system_zones(name) is not None


@pytest.mark.parametrize(
    "name",
    [
        "",
        "/etc/localtime",
        "../localtime",
        "Europe/../Europe/Berlin",
        "Europe//Berlin",
        "Europe/Berlin/",
        "Europe",
        "Europe/Berlin\0",
        "Nowhere/City",
        "zone.tab",
        "tzdata.zi",
        "A" * 10_000,
    ],
)
def test_what_is_no_zone_is_none_and_never_a_file(name: str) -> None:
    assert system_zones(name) is None


@pytest.mark.parametrize("name", ["europe/berlin", "EUROPE/BERLIN", "utc"])
def test_a_name_in_another_case_is_refused_since_another_machine_would_refuse_it(name: str) -> None:
    assert system_zones(name) is None


@pytest.mark.parametrize("name", ["localtime", "posixrules", "posix/Europe/Berlin", "right/Europe/Berlin"])
def test_names_that_each_machine_gives_its_own_meaning_are_refused(name: str) -> None:
    assert system_zones(name) is None


def test_a_zone_is_read_from_its_file_only_once() -> None:
    assert system_zones("Asia/Tokyo") is system_zones("Asia/Tokyo")


def test_the_list_of_names_is_the_list_of_what_is_found() -> None:
    assert {"UTC", "Europe/Berlin", "Pacific/Apia"} <= zone_names()
    assert all(system_zones(name) for name in zone_names())
