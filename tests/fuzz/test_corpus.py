"""Every program that was worth keeping, and every one that ever broke a promise, is played again."""

from pathlib import Path

import pytest

from .engine import CORPUS, CRASHES, broken, programs_in
from .program import Step, read, write
from .targets import TARGETS


def _files(folder: Path) -> list[str]:
    return [f"{path.parent.name}/{path.name}" for path in sorted(folder.glob("*/*.txt"))]


@pytest.mark.parametrize("name", TARGETS)
def test_no_program_of_the_corpus_breaks_a_promise(name: str) -> None:
    programs = programs_in(CORPUS / name)
    assert programs
    found = [(write(program), finding) for program in programs if (finding := broken(TARGETS[name], program))]
    assert found == []


@pytest.mark.parametrize("file", _files(CRASHES))
def test_what_once_broke_a_promise_keeps_it_now(file: str) -> None:
    path = CRASHES / file
    assert broken(TARGETS[path.parent.name], read(path.read_text(encoding="ascii"))) is None


def test_every_folder_belongs_to_a_target() -> None:
    folders = [path.name for root in (CORPUS, CRASHES) for path in root.iterdir() if path.is_dir()]
    assert set(folders) <= set(TARGETS)


@pytest.mark.parametrize("name", TARGETS)
def test_the_corpus_uses_every_verb_of_its_target(name: str) -> None:
    said = {step.verb for program in programs_in(CORPUS / name) for step in program}
    assert said >= set(TARGETS[name].verbs)


def test_a_program_is_the_same_after_it_was_written_and_read() -> None:
    program = (Step("text", ' {"a":"\ud800\u2028\n\\u0041"}\t '), Step("tick", "", 40), Step("raw", "\x00\xff # é"))
    assert read(write(program)) == program
    assert read("# for people\n\n" + write(program)) == program
    assert write(program).isascii()
