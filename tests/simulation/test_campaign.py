"""A campaign counts every world once, compares its two plays, and says so when they differ."""

import json
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from . import single
from .campaign import AHEAD, Campaign, Source, Until, judge, run_campaign
from .crew import ROOT, Crew, WorkerGone
from .progress import Progress
from .report import Report, figures, markdown, told, write
from .worker import Finding, Played, Task


SEEDS = range(1_000, 1_024)
"""Of the worlds that every run of the tests plays: some 20 s on one core."""

FINDING = Finding("invariant-7", "u0d0", 12.5, "it to ring", "it kept silent")


def played(number: int, side: int, digest: str = "same", **more: object) -> Played:
    """An answer of a worker."""
    return Played(Task(number, side, 100 + number, check=number % 2 == side), digest=digest, device_hours=2.0, **more)  # type: ignore[arg-type]  # keywords of one struct


# --- the real thing ---------------------------------------------------------------------------------------------------


def test_worlds_that_are_always_the_same_hold_and_two_processes_play_them_alike() -> None:
    report = run_campaign(Source(SEEDS), Until())
    assert [f"seed {seed}: {finding}" for seed, finding in report.violations] == []
    assert report.worlds == len(SEEDS)
    assert report.faults.total() > 100


def test_every_python_plays_some_worlds_as_it_is_written_down() -> None:
    kept = json.loads(single.DIGESTS.read_text("utf-8"))
    changed = [seed for seed, digest in single.digests().items() if kept.get(seed) != digest]
    assert changed == [], (
        "these seeds give other bytes than tests/simulation/digests.json says: on one Python only, that is a bug; "
        "after a change of behaviour, write them again with ./dev sim --write-digests, and play both Pythons"
    )


def test_a_campaign_ends_after_the_hours_asked_for() -> None:
    seen: list[int] = []
    report = run_campaign(
        Source(range(1, 100)),
        Until(hours=1.0, violation=False),
        jobs=1,
        watch=lambda now, _, __: seen.append(now.worlds),
    )
    assert seen == [1]
    assert report.hours >= 1.0


def test_a_planted_fault_is_caught_by_the_worker_it_was_planted_in_alone() -> None:
    planted = run_campaign(Source(range(1, 10), plant="control-must-die"), Until(), jobs=1, plays=1)
    assert len(planted.violations) == 1
    seed = planted.violations[0][0]
    assert run_campaign(Source([seed]), Until(), jobs=1, plays=1).violations == []


def test_a_worker_that_dies_is_an_error_that_names_the_seeds_it_had() -> None:
    with Crew(1, 1) as crew:
        (worker,) = crew.workers
        worker.ask(Task(0, 0, 4_711))
        worker.end()
        with pytest.raises(WorkerGone, match="4711"):
            crew.answer(30.0)


def test_a_worker_that_says_nothing_for_too_long_is_an_error() -> None:
    with Crew(1, 1) as crew, pytest.raises(WorkerGone, match="no answer for 0 s"):
        crew.answer(0.01)


# --- which world is whose turn ----------------------------------------------------------------------------------------


def test_each_world_is_played_on_both_sides_and_checked_on_one() -> None:
    campaign = Campaign(Source([5, 6]), 2)
    tasks = [campaign.task((0,)), campaign.task((1,)), campaign.task((0,)), campaign.task((1,))]
    assert [(task.seed, task.side, task.check) for task in tasks if task] == [
        (5, 0, True),
        (5, 1, False),
        (6, 0, False),
        (6, 1, True),
    ]
    assert campaign.task((0,)) is None


def test_one_process_plays_both_sides_in_turn() -> None:
    campaign = Campaign(Source([5, 6]), 2)
    tasks = [campaign.task((0, 1)) for _ in range(4)]
    assert [(task.seed, task.side) for task in tasks if task] == [(5, 0), (5, 1), (6, 0), (6, 1)]


def test_no_side_runs_far_ahead_of_the_other() -> None:
    campaign = Campaign(Source(range(10_000)), 2)
    taken = 0
    while campaign.task((0,)) is not None:
        taken += 1
    assert taken == AHEAD


def test_worlds_are_counted_in_their_order_whoever_was_faster() -> None:
    campaign = Campaign(Source([5, 6]), 2)
    for _ in range(4):
        campaign.task((0, 1))
    late = [list(campaign.add(played(1, 0))), list(campaign.add(played(1, 1))), list(campaign.add(played(0, 1)))]
    assert late == [[], [], []]
    assert not campaign.is_over
    assert [play.task.number for play, _ in campaign.add(played(0, 0))] == [0, 1]
    assert campaign.is_over


def test_the_checked_play_is_the_one_that_counts() -> None:
    campaign = Campaign(Source([5]), 2)
    campaign.task((0,))
    list(campaign.add(played(0, 1)))
    ((counted, _),) = campaign.add(played(0, 0))
    assert counted.task.check


# --- what is wrong with a world ---------------------------------------------------------------------------------------


def test_equal_plays_are_right() -> None:
    assert judge([played(0, 0), played(0, 1)]) is None


def test_plays_that_differ_break_determinism() -> None:
    finding = judge([played(0, 0, "one"), played(0, 1, "other")])
    assert finding is not None
    assert (finding.rule, finding.happened) == ("invariant-17", "their digests are one and other")


def test_what_the_checks_found_comes_before_a_difference() -> None:
    """A play that ends at a violation ends early, and so differs."""
    assert judge([played(0, 0, "one", finding=FINDING), played(0, 1, "other")]) == FINDING


def test_the_first_difference_between_two_plays_is_shown_with_what_came_before() -> None:
    first, second = ["a\n", "b\n", "c\n", "d\n"], ["a\n", "b\n", "x\n", "d\n"]
    assert list(single.parting(first, second, 1)) == ["b", "PYTHONHASHSEED 1: c", "PYTHONHASHSEED 2: x"]
    assert list(single.parting(["a\n"], ["a\n", "b\n"]))[1:] == [
        "PYTHONHASHSEED 1: (nothing more)",
        "PYTHONHASHSEED 2: b",
    ]
    assert list(single.parting(first, first)) == []


# --- the report -------------------------------------------------------------------------------------------------------


def a_report() -> Report:
    """Two worlds, one of them bad."""
    report = Report(jobs=2, plays=2, wall=4.0)
    report.count(played(0, 0, faults={"cut": 3}, marks={"renamed": 2}, rings=5, steps=7), None)
    report.count(played(1, 1, faults={"cut": 1, "crash": 2}), FINDING)
    return report


def test_a_report_adds_up() -> None:
    report = a_report()
    assert (report.worlds, report.hours, report.steps, report.rings, report.pace) == (2, 4.0, 7, 5, 1.0)
    assert report.faults == Counter(cut=4, crash=2)
    assert ("device-hours per second", "1") in figures(report)


def test_a_report_tells_faults_marks_what_was_missed_and_what_was_found() -> None:
    text = "\n".join(told(a_report(), {"renamed", "evicted"}))
    assert "cut 4" in text
    assert "renamed 2" in text
    assert "never arose: evicted" in text
    assert "VIOLATION of invariant-7 at 12.500 s, u0d0 (seed 101)" in text
    assert "./dev sim --seed 101" in text


def test_a_report_as_markdown_shows_a_wanted_situation_that_never_arose() -> None:
    text = markdown(a_report(), {"renamed", "evicted"})
    assert "| renamed | 2 | yes |" in text
    assert "| evicted | **0** | yes |" in text


def test_a_part_of_a_page_is_written_between_its_markers_and_nowhere_else(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# A\n<!-- measured: one -->\nold\n<!-- end measured -->\nB\n", "utf-8")
    write(page, "one", "new")
    assert page.read_text("utf-8") == "# A\n<!-- measured: one -->\nnew\n\n<!-- end measured -->\nB\n"
    other = tmp_path / "other.md"
    write(other, "one", "new")
    assert other.read_text("utf-8") == "new\n"


def test_progress_names_pace_and_the_world_just_played() -> None:
    line = Progress(100.0, float("inf")).line(a_report(), played(1, 1), FINDING)
    assert "4 of 100 device-hours  ETA 0:01:36" in line
    assert "seed 101: 2 h invariant-7" in line


# --- the program ------------------------------------------------------------------------------------------------------


def program(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run it."""
    command = [sys.executable, "-m", "tests.simulation", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_help_explains_every_exit_status() -> None:
    answer = program("--help")
    assert answer.returncode == 0
    assert "exit status:" in answer.stdout
    assert "130" in answer.stdout


def test_a_planted_fault_that_does_not_exist_is_named_with_those_that_do() -> None:
    answer = program("--planted", "no-such-fault")
    assert answer.returncode == 2
    assert "no such fault: no-such-fault; there are: control-inert" in answer.stderr


def test_a_seed_is_told_and_compared() -> None:
    answer = program("--seed", "1")
    assert (answer.returncode, answer.stderr) == (0, "")
    assert answer.stdout.startswith("Seed 1: ")
    assert "Everything held" in answer.stdout


def test_the_controls_are_as_they_should_be() -> None:
    answer = program("--planted", "control-must-die", "control-inert", "--worlds", "2")
    assert answer.returncode == 0, answer.stdout
    assert "2 of 2 as they should be" in answer.stdout


def test_a_file_that_holds_no_plan_is_named(tmp_path: Path) -> None:
    (tmp_path / "not.jsonl").write_text("{}\n", "utf-8")
    answer = program("--plan", str(tmp_path / "not.jsonl"))
    assert answer.returncode == 2
    assert "not.jsonl holds no plan" in answer.stderr


def test_a_world_with_a_planted_fault_is_told_with_the_command_that_tells_it_again() -> None:
    fault = ("--with-fault", "control-must-die")
    answer = program("--seed", "1", *fault)
    assert answer.returncode == 1
    assert "=== VIOLATION of" in answer.stdout
    assert "./dev sim --seed 1 --with-fault control-must-die" in answer.stdout


# A suite that runs in the background has its children born deaf to Ctrl-C; whoever sits at a terminal is heard.
LISTENING = """
import runpy, signal
signal.signal(signal.SIGINT, signal.default_int_handler)
runpy.run_module("tests.simulation", run_name="__main__")
"""


def test_ctrl_c_ends_a_campaign_with_the_report_so_far() -> None:
    command = [sys.executable, "-c", LISTENING, "--hours", "1e9", "--first-seed", "1"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        assert "device-hours" in process.stderr.readline()
        process.send_signal(signal.SIGINT)
        said, _ = process.communicate(timeout=60)
    assert process.returncode == 130
    assert said.startswith("interrupted: what follows is as far as it came")
