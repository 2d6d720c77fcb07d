"""Answer keys: computed, remembered, and compared with the committed file."""

import math
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from assignment import PROJECT
from assignment.checks.answer_key import AnswerKey, load_answer_key
from assignment.checks.check import load_exercise
from assignment.checks.softmax import EXERCISE
from assignment.checks.verdict import Judge
from assignment.workspace.starter import STARTER_MANIFEST
from gradkit.course import answer_key as module
from gradkit.course import cache
from gradkit.course.answer_key import (
    answer_key_path,
    compute_answer_key,
    find_staleness,
    public_answer_key,
    spec_digest,
    write_answer_key,
)
from gradkit.course.exercises import exercise_names
from gradkit.course.instructor_tree import CourseError
from tests.banks import BANK, keep_tables

MISTAKES = Path("grading/softmax/mistakes.toml")


@pytest.fixture
def project(project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with two mistakes and a cache of its own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(cache, "STARTED", math.inf)  # somebody may edit the project meanwhile
    keep_tables(PROJECT / MISTAKES, ("log2", "divided_by_classes"), project / MISTAKES)
    shutil.copy(PROJECT / "grading/linear/mistakes.toml", project / "grading/linear")
    write_answer_key(EXERCISE, project)
    return project


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")


def test_a_check_that_compares_nothing_is_refused() -> None:
    check = replace(EXERCISE.check("naive_loss"), compared=("losses",))
    bank = replace(BANK, exercise=replace(EXERCISE, checks=(check,)), mutants=())
    with pytest.raises(
        CourseError, match="naive_loss compares losses, but the solution returns loss"
    ):
        compute_answer_key(bank, EXERCISE.seed)


# --- the committed file ---------------------------------------------------------------------------


@pytest.mark.parametrize("name", exercise_names(PROJECT))
def test_committed_answer_key_is_current(name: str) -> None:
    exercise = load_exercise(name)
    assert find_staleness(public_answer_key(exercise, PROJECT), exercise, PROJECT) == ""


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda p: edit(p / MISTAKES, "which measures", "this measures"), "hints"),
        (lambda p: keep_tables(p / MISTAKES, ("divided_by_classes",)), "other mistakes"),
        (
            lambda p: edit(p / MISTAKES, "num_classes + reg", "num_classes - reg"),
            "other numbers for naive_loss",
        ),
    ],
)
def test_stale_answer_key_is_noticed_and_written_anew(
    project: Path, change: Callable[[Path], None], message: str
) -> None:
    assert find_staleness(public_answer_key(EXERCISE, project), EXERCISE, project) == ""
    change(project)
    computed = public_answer_key(EXERCISE, project)
    assert message in find_staleness(computed, EXERCISE, project)
    write_answer_key(EXERCISE, project)
    assert find_staleness(computed, EXERCISE, project) == ""


@pytest.mark.parametrize(
    "text", [None, "", "{}", "[]", '{"seed": 1, "mistakes": {"a": 1}, "checks": {}}']
)
def test_damaged_answer_key_is_noticed(project: Path, text: str | None) -> None:
    path = answer_key_path(EXERCISE, project)
    path.unlink() if text is None else path.write_text(text)
    computed = public_answer_key(EXERCISE, project)
    assert find_staleness(computed, EXERCISE, project) == "softmax.json is missing or damaged"


@pytest.mark.parametrize(
    ("remove", "problem"),
    [
        (lambda key: key.reference.clear(), "other arrays for naive_loss"),
        (lambda key: key.reference["naive_loss"].popitem(), "other arrays for naive_loss"),
        (lambda key: key.fingerprints.clear(), "other fingerprints for naive_loss"),
        (lambda key: key.fingerprints["naive_loss"][0].arrays.clear(), "other numbers for naive"),
    ],
)
def test_answer_key_that_lacks_a_part_is_noticed(
    project: Path, remove: Callable[[AnswerKey], object], problem: str
) -> None:
    answer_key = public_answer_key(EXERCISE, project)
    remove(answer_key)
    answer_key_path(EXERCISE, project).write_text(answer_key.to_json(), encoding="utf-8")
    computed = public_answer_key(EXERCISE, project)
    assert problem in find_staleness(computed, EXERCISE, project)


# --- the cache ------------------------------------------------------------------------------------


@pytest.fixture
def computed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The seeds of all answer keys that are computed, and not remembered."""
    seeds: list[int] = []

    def compute(bank: object, seed: int) -> AnswerKey:
        seeds.append(seed)
        return AnswerKey(seed)

    monkeypatch.setattr(module, "compute_answer_key", compute)
    return seeds


def cached_files(project: Path) -> list[Path]:
    return list((project / "cache" / "gradkit").iterdir())


def test_answer_key_is_remembered_as_it_was_computed(project: Path, computed: list[int]) -> None:
    stored = answer_key_path(EXERCISE, project).read_text(encoding="utf-8")
    assert public_answer_key(EXERCISE, project).to_json() == stored
    assert computed == []
    [path] = cached_files(project)
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize(
    "name",
    ["assignment/checks/softmax.py", str(MISTAKES), "grading/softmax/exercise.toml"],
)
def test_answer_key_is_computed_again_after_a_change(
    project: Path, computed: list[int], name: str
) -> None:
    with (project / name).open("a") as file:
        file.write("\n# a comment\n")
    public_answer_key(EXERCISE, project)
    public_answer_key(EXERCISE, project)
    assert computed == [EXERCISE.seed]


def test_key_of_code_that_changed_after_its_import_is_not_remembered(
    project: Path, computed: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache, "STARTED", 0)
    public_answer_key(EXERCISE, project)
    public_answer_key(EXERCISE, project)
    assert computed == [EXERCISE.seed] * 2


def link(path: Path) -> None:
    path.rename(path.with_suffix(".elsewhere"))
    path.symlink_to(path.with_suffix(".elsewhere"))


@pytest.mark.parametrize("spoil", [lambda path: edit(path, "0.", "1."), link])
def test_damaged_or_foreign_cache_file_is_replaced(
    project: Path, computed: list[int], spoil: Callable[[Path], None]
) -> None:
    [path] = cached_files(project)
    spoil(path)
    public_answer_key(EXERCISE, project)
    public_answer_key(EXERCISE, project)
    assert computed == [EXERCISE.seed]
    assert not path.is_symlink()


@pytest.mark.parametrize(
    "change",
    [
        lambda patch: patch.setattr("numpy.__version__", "1.0"),
        lambda patch: patch.setattr(os, "geteuid", lambda: os.getuid() + 1),  # another's file
        lambda patch: patch.delenv("XDG_CACHE_HOME"),
        lambda patch: patch.setenv("XDG_CACHE_HOME", "relative"),
        lambda patch: patch.setenv("XDG_CACHE_HOME", "/proc/nowhere"),
    ],
)
def test_answer_key_is_computed_where_none_can_be_remembered(
    project: Path,
    computed: list[int],
    monkeypatch: pytest.MonkeyPatch,
    change: Callable[[pytest.MonkeyPatch], None],
) -> None:
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)  # there is no home
    change(monkeypatch)
    public_answer_key(EXERCISE, project)
    assert computed == [EXERCISE.seed]


def test_cache_keeps_a_limited_number_of_files(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache, "MAX_FILES", 2)
    for number in range(4):
        cache.store("key", str(number), "text")
        os.utime(project / "cache" / "gradkit" / f"key-{number}", (number, number))
    assert [cache.load("key", str(number)) for number in range(4)] == [None, None, "text", "text"]
    assert len(cached_files(project)) == 3  # the answer key is of another kind


# --- seeds and specs ------------------------------------------------------------------------------


def test_another_seed_has_other_numbers_and_the_same_mistakes() -> None:
    public, other = load_answer_key("softmax"), compute_answer_key(BANK, 12345)
    assert public.mistakes == other.mistakes
    for name, fingerprints in public.fingerprints.items():
        ids = {fingerprint.mistake for fingerprint in other.fingerprints[name]}
        assert {fingerprint.mistake for fingerprint in fingerprints} == ids
    arrays = "loss where N = 6, D = 3, C = 4, reg = 0"
    assert public.reference["naive_loss"][arrays] != other.reference["naive_loss"][arrays]


def test_answer_key_without_fingerprints_judges_as_well() -> None:
    answer_key = AnswerKey(EXERCISE.seed, reference=load_answer_key("softmax").reference)
    wrong = next(mutant for mutant in BANK.mutants if mutant.id == "sum_not_mean")
    verdict = Judge.of_student(EXERCISE, answer_key, wrong.tree.student()).verdict("naive_loss")
    assert not verdict.passed
    assert verdict.mistake == ""


def test_spec_digest_depends_on_what_decides_a_verdict_only(project: Path) -> None:
    digests = [spec_digest("softmax", project, {})]
    with (project / "grading/softmax/exercise.toml").open("r+") as file:
        settings = file.read()
        file.seek(0)
        file.write(f'colab = "cs/ml/blob/main"\n{settings}')
        file.write("[questions]\nwhy = 3\n[late]\ngrace_hours = 1\n[quick]\nREGS = [1]\n")
        file.flush()
        assert spec_digest("softmax", project, {}) == digests[0]
        file.write("[bounds]\nLOSS = 3\n")
    digests.append(spec_digest("softmax", project, {}))
    readme = {"README.md": b"The checks give 100 points.", STARTER_MANIFEST: b"{}"}
    assert spec_digest("softmax", project, readme) == digests[-1]
    digests.append(spec_digest("softmax", project, {"assignment/data_utils.py": b""}))
    keep_tables(project / MISTAKES, ("divided_by_classes",))
    digests.append(spec_digest("softmax", project, {}))
    assert len(set(digests)) == 4
