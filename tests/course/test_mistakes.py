"""The mistake bank: a file that is wrong is refused with a sentence that names it."""

import shutil
from pathlib import Path

import pytest

from assignment import PROJECT
from assignment.checks.check import load_exercise
from assignment.checks.linear import LINEAR_CLASSIFIER
from assignment.checks.softmax import EXERCISE
from gradkit.course.instructor_tree import CourseError
from gradkit.course.mistakes import Bank, mistake_paths, read_bank, without_magics
from tests.banks import BANK

SVM_BANK = read_bank(load_exercise("svm"), PROJECT)
both_banks = pytest.mark.parametrize("bank", [BANK, SVM_BANK], ids=["softmax", "svm"])

HEAD = 'name = "n"\nhint = "h."\n'
FORM = '[[form]]\nregion = "predict"\nfails = ["predict"]\nbody = "y_pred = 0"\n'


def write(project: Path, path: str, text: str) -> Path:
    (project / "grading" / path).write_text(text, encoding="utf-8")
    return project / "grading" / path


def refusal(project: Path) -> str:
    with pytest.raises(CourseError) as caught:
        read_bank(EXERCISE, project)
    return str(caught.value)


# --- this project's banks -------------------------------------------------------------------------


@pytest.mark.parametrize(("bank", "mistakes"), [(BANK, 80), (SVM_BANK, 90)], ids=["softmax", "svm"])
def test_bank_has_mistakes_and_variants_for_every_region(bank: Bank, mistakes: int) -> None:
    regions = set(bank.solution.places)
    assert len(regions) == 6
    assert {mutant.region for mutant in bank.mutants} == regions
    assert {variant.region for variant in bank.variants} == regions
    assert len(bank.mistakes) >= mistakes
    assert len({variant.id for variant in bank.variants}) >= 15


@both_banks
def test_mutant_changes_its_region_and_nothing_else(bank: Bank) -> None:
    solved = bank.solution.bodies()
    for mutant in (*bank.mutants, *bank.variants):
        bodies = mutant.tree.bodies()
        assert {name for name in solved if bodies[name] != solved[name]} == {mutant.region}, mutant


@both_banks
def test_mistake_that_a_traceback_shows_is_in_the_bank(bank: Bank) -> None:
    for check in bank.exercise.checks:
        assert set(check.raises.values()) <= set(bank.mistakes), check.name


def test_shared_mistakes_and_variants_are_those_of_each_exercise() -> None:
    mistakes = {path.stem for path in (PROJECT / "grading/linear/mistakes").glob("*.toml")}
    variants = {path.stem for path in (PROJECT / "grading/linear/variants").glob("*.toml")}
    assert len(mistakes) >= 20
    for bank in (BANK, SVM_BANK):
        assert list(bank.mistakes) == sorted(bank.mistakes)  # whichever folder they are in
        assert variants <= {variant.id for variant in bank.variants}
    assert all(BANK.mistakes[id] == SVM_BANK.mistakes[id] for id in mistakes)


def test_mistake_paths_are_all_files_that_mistakes_are_read_from() -> None:
    paths = mistake_paths("svm", PROJECT)
    assert {path.stem for path in paths} == {*SVM_BANK.mistakes, "descriptions"}
    assert all(path.exists() for path in paths)


# --- files that are wrong -------------------------------------------------------------------------


def form(old: str = "", new: str = "") -> str:
    """Return a mistake file whose form has some other text in it."""
    return HEAD + FORM.replace(old, new, 1)


def with_replace(pairs: str) -> str:
    return form('body = "y_pred = 0"', f"replace = {pairs}")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("name = ", "is not valid TOML"),
        (HEAD, "missing required field `form`"),
        (f'hint = "h."\n{FORM}', "has no 'name'. Write name = \""),
        (f'name = "n"\n{FORM}', "has no 'hint'. Write one; only a mistake with one of these"),
        (f'{HEAD}color = "red"\n{FORM}', "unknown field `color`"),
        (form() + 'color = "red"\n', "unknown field `color` - at `$.form[0]`"),
        (form('"predict"\n', '"oracle"\n'), "is for the region 'oracle', which"),
        (form('["predict"]', '["orakle"]'), "has 'orakle' in `fails`, but there"),
        (form('["predict"]', "[]"), "length >= 1 - at `$.form[0].fails`"),
        (form("fails =", "also ="), "missing required field `fails` - at `$.form[0]`"),
        (form() + 'also = ["nobody"]\n', "has 'nobody' in `also`, but there is no such"),
        (form() + 'replace = [["a", "b"]]\n', "needs either `body` or `replace` in each form"),
        (f"name = 3\n{FORM}", "at `$.name`"),
        (f'name = "n"\nhint = " "\n{FORM}', "at `$.hint`"),
        (form("[[form]]", "[form]"), "at `$.form`"),
        (form('["predict"]', "[3]"), "at `$.form[0].fails[0]`"),
        (with_replace('[["a", "b", "c"]]'), "at `$.form[0].replace[0]`"),
        (with_replace('[["self.V", "0"]]'), "replaces 'self.V', which stands 0 times in predict"),
        (form('region = "predict"\n'), "missing required field `region` - at `$.form[0]`"),
        (form("y_pred = 0", "y = 0\\n### END SOLUTION\\n"), f"{LINEAR_CLASSIFIER}, in the new"),
        (
            form("y_pred = 0", "### BEGIN SOLUTION x\\n### END SOLUTION"),
            f"{LINEAR_CLASSIFIER}, in the new",
        ),
        (form("y_pred = 0", "y_pred = (0"), "puts invalid Python into predict near `y_pred = (0`"),
    ],
)
def test_mistake_file_that_is_wrong_is_refused(project: Path, text: str, problem: str) -> None:
    path = write(project, "softmax/mistakes/wrong.toml", text)
    assert refusal(project).startswith(str(path))
    assert problem in refusal(project)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (
            FORM.replace('fails = ["predict"]\n', "").replace("y_pred = 0", "print 'hello'"),
            "wrong.toml puts invalid Python into predict near",
        ),
        (FORM, "unknown field `fails`"),
    ],
)
def test_variant_that_is_not_python_or_fails_a_check_is_refused(
    project: Path, text: str, problem: str
) -> None:
    write(project, "softmax/variants/wrong.toml", text)
    assert problem in refusal(project)


def test_only_a_mistake_named_after_a_syntax_error_may_be_invalid_python(project: Path) -> None:
    form = FORM.replace("y_pred = 0", "print 'hello'")
    for name in ("a print statement", "indentation", "tabs mixed with spaces"):
        write(project, "softmax/mistakes/wrong.toml", f'name = "{name}"\n{form}')
        assert "wrong" in read_bank(EXERCISE, project).mistakes
    write(project, "softmax/mistakes/wrong.toml", f'name = "xrange"\n{form}')
    assert "near `print 'hello'`: " in refusal(project)


@pytest.mark.parametrize("kind", ["mistakes", "variants"])
def test_file_in_two_folders_is_refused(project: Path, kind: str) -> None:
    paths = [write(project, f"{name}/{kind}/x.toml", FORM) for name in ("softmax", "linear")]
    assert refusal(project) == f"{paths[0]} and {paths[1]} have the same name. Keep one."


def test_shared_folder_that_does_not_exist_is_refused(project: Path) -> None:
    write(project, "softmax/exercise.toml", 'shared = ["cubic"]\n')
    assert "exercise.toml shares 'cubic', but there is no " in refusal(project)


def test_description_is_that_of_each_mistake_with_its_id(project: Path) -> None:
    shutil.copy(
        PROJECT / "grading/softmax/mistakes/mean_twice.toml", project / "grading/softmax/mistakes"
    )
    write(project, "linear/descriptions.toml", '[mean_twice]\nname = "twice"\nhint = "Once."\n')
    mistake = read_bank(EXERCISE, project).mistakes["mean_twice"]
    assert (mistake.name, mistake.hint) == ("twice", "Once.")
    write(project, "linear/descriptions.toml", '[mean_thrice]\nname = "thrice"\nhint = "Once."\n')
    assert "softmax/mistakes/mean_twice.toml has no 'name'." in refusal(project)


def test_description_in_two_places_is_refused(project: Path) -> None:
    table = f"[x]\n{HEAD}"
    write(project, "softmax/mistakes/x.toml", f'hint = "h."\n{FORM}')
    write(project, "linear/descriptions.toml", table)
    assert "softmax/mistakes/x.toml has a name or a hint, but " in refusal(project)
    write(project, "softmax/descriptions.toml", table)
    assert refusal(project).endswith("linear/descriptions.toml both describe x. Keep one.")


@pytest.mark.parametrize("text", ['[x]\nname = "n"\n', "x = 3\n", "[x]\nname = 3\n", "[x\n"])
def test_description_that_is_wrong_is_refused(project: Path, text: str) -> None:
    path = write(project, "softmax/descriptions.toml", text)
    assert refusal(project).startswith(f"{path} ")


def test_cell_with_a_line_magic_is_python_without_it() -> None:
    assert without_magics("%time\nx = 1  # %time\n") == "\nx = 1  # %time\n"
