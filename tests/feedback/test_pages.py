"""What comes back: a class is graded once, and its pages are read by people and browsers."""

import csv
import json
import os
import re
import shutil
import zipfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from playwright.sync_api import Browser, Page, expect

from assignment import PROJECT
from assignment.checks.softmax import EXERCISE, SOFTMAX
from assignment.checks.verdict import Status, Verdict
from assignment.workspace import regions
from assignment.workspace.starter import pack_zip
from gradkit.batch.grade_class import Request, grade_class
from gradkit.course.starter import starter_files
from gradkit.feedback.class_page import write_pages
from gradkit.feedback.html import render
from gradkit.feedback.manual_grading_page import write_manual_page
from gradkit.feedback.markdown import as_html
from gradkit.feedback.redact import LEFT_OUT, redact_for_student
from gradkit.feedback.student_page import FeedbackError, page_names
from gradkit.gradebook.database import GradebookDatabase, GradebookFolder
from gradkit.gradebook.grades import ClassGrades, open_grades
from gradkit.gradebook.manual_grades import ManualError, import_manual
from tests.banks import BANK

SEED = 271828182845904523536
IN_TIME = datetime(2026, 3, 1, 12, tzinfo=UTC).timestamp()
PHONE = {"viewport": {"width": 390, "height": 844}, "color_scheme": "dark"}
NASTY = (
    "<script>document.title = 'owned'</script><img src=x onerror=\"document.title = 'owned'\">"
    "![seen](http://127.0.0.1:9/seen.png) [here](javascript:document.title='owned')"
    "</div></main>{{ 7 * 191 }}\n\nand $p_y$ **bold**"
)
# In time until an hour after; a day costs a tenth of 120 points.
LATE = """
[late]
due = 2026-03-01T23:59:00+00:00
grace_hours = 1
policy = "per day"
percent = 10
"""


class GradedSubmission(NamedTuple):
    """A class that was graded, and its pages."""

    request: Request
    class_grades: ClassGrades
    out: Path

    def page(self, student: str) -> str:
        name = page_names(self.class_grades)[student]
        return (self.out / "feedback" / name).read_text(encoding="utf-8")


def solved() -> dict[str, bytes]:
    paths = (*EXERCISE.files, EXERCISE.notebook)
    return {path: (PROJECT / path).read_bytes() for path in paths}


def with_mistake(id: str, region: str) -> dict[str, bytes]:
    [mutant] = [p for p in BANK.mutants if (p.id, p.region, p.number) == (id, region, 0)]
    return solved() | {path: text.encode() for path, text in mutant.tree.files.items()}


def with_body(region: str, body: str) -> dict[str, bytes]:
    with_region = BANK.solution.with_region(region, body)
    return solved() | {path: text.encode() for path, text in with_region.files.items()}


def answering(work: dict[str, bytes], text: str) -> dict[str, bytes]:
    nb = regions.read_notebook(work[EXERCISE.notebook].decode(), "it")
    nb = regions.graft_cells(nb, {"answer_step": text}, "it")
    return work | {EXERCISE.notebook: regions.write_notebook(nb).encode()}


@pytest.fixture(scope="module")
def graded(tmp_path_factory: pytest.TempPathFactory, sandbox: None) -> GradedSubmission:
    """A class with all that a page has to tell, in a course that has a due date."""
    tree, folder = tmp_path_factory.mktemp("tree"), tmp_path_factory.mktemp("class")
    for name in ("assignment", "grading", "notebooks", "docs", "datasets"):
        ignored = shutil.ignore_patterns("cifar-10-*", "__pycache__")
        shutil.copytree(PROJECT / name, tree / name, ignore=ignored)
    for name in ("requirements.txt", "get_datasets.sh"):
        shutil.copy(PROJECT / name, tree / name)
    config = tree / "grading" / "softmax" / "exercise.toml"
    config.write_text(config.read_text(encoding="utf-8") + LATE, encoding="utf-8")

    raising = (
        "raise ValueError(repr(W.tolist()) + str(float(W.sum())), 'dead' + X[:6].tobytes().hex())"
    )
    stub = {path: starter_files(PROJECT, ["softmax"])[path] for path in solved()}
    work = {
        "ada_2026-03-01_23-30-00": solved(),
        "bob_2026-03-03_00-30-00": solved(),
        "cleo": answering(with_mistake("sum_not_mean", "softmax_naive"), NASTY),
        "dan": with_body("softmax_vectorized", raising),
        "gus": with_mistake("row_without_keepdims", "softmax_vectorized"),
        "<b>fay&amp;": stub,
        "hal": stub | {SOFTMAX: with_mistake("sum_not_mean", "softmax_naive")[SOFTMAX][:-1]},
    }
    for name, contents in work.items():
        (folder / f"{name}.zip").write_bytes(pack_zip(contents))
        os.utime(folder / f"{name}.zip", (IN_TIME, IN_TIME))
    (folder / "eve.zip").write_bytes(b"PK\x03\x04 damaged")
    out = tmp_path_factory.mktemp("grades")
    request = Request(tree, "softmax", out, folder, 2, seed=SEED)
    grade_class(request, lambda line: None)
    given_by_hand = out / "by-hand.csv"
    given_by_hand.write_text(
        "student,item,points,comment\n"
        'ada,answer_step,4.5,"Right; but why <16> digits?"\n'
        "cleo,naive_loss,6,The sum was asked for in the lecture.\n",
        encoding="utf-8",
    )
    import_manual(request, given_by_hand)
    class_grades, _ = write_pages(request, zipped=True)
    return GradedSubmission(request, class_grades, out)


# --- a student's page ----------------------------------------------------------------------------


class _Text(HTMLParser):
    """The text of a page, and its tags with their attributes."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.inside: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self.inside.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag in self.inside:
            while self.inside.pop() != tag:
                pass

    def handle_data(self, data: str) -> None:
        if not {"style", "script", "svg"} & set(self.inside):
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


def read(page: str) -> str:
    return _Text(page).text


def test_a_page_says_what_was_earned_and_what_each_check_came_to(graded: GradedSubmission) -> None:
    text = read(graded.page("cleo"))
    assert "88 of 120 points so far" in text
    assert "4 of your answers are still to be read, and may add 20 points" in text
    assert "✗ Naive, large scores: N times the mean" in text
    assert "0 of 6 points" in text
    assert BANK.mistakes["sum_not_mean"].hint in text
    for check in EXERCISE.checks:
        assert check.title in text


def test_what_is_off_is_told_in_shape_and_size_and_never_in_numbers(
    graded: GradedSubmission,
) -> None:
    text = read(graded.page("cleo"))
    assert "What came out, beside what is expected" in text
    assert re.search(
        r"loss where N = 6, D = 3, C = 4, reg = 0 one number, float64 one number, float64", text
    )
    assert re.search(r"\d(\.\d)? × loss where", text)


def numbers_of(array: "np.ndarray[tuple[int, ...], np.dtype[np.generic]]") -> Iterator[str]:
    """The numbers of an array in the forms in which one might see them, to four digits."""
    for number in np.ravel(array).astype(float):
        if np.isfinite(number) and number != round(number, 2):
            yield f"{abs(number):.4f}"[:6]


def test_no_page_holds_the_seed_or_an_expected_number(graded: GradedSubmission) -> None:
    database = GradebookDatabase(graded.out, "softmax")
    spec = next(iter(database.results())).key.spec
    answer_key = database.answer_key(spec)
    database.close()
    assert answer_key is not None
    expected = {
        number
        for arrays in answer_key.reference.values()
        for array in arrays.values()
        for number in numbers_of(array)
    }
    seeds = [SEED, *(check.seed_from(SEED) for check in EXERCISE.checks)]
    assert len(expected) > 200
    for student in page_names(graded.class_grades):
        page = graded.page(student)
        text = read(page)
        for seed in seeds:
            assert str(seed) not in page
            assert f"{seed:x}" not in page
        # The exercise's own texts tell of -log(0.1) and the like.
        seen = {number[:6] for number in re.findall(r"\d+\.\d{3,}", text)}
        assert not seen & expected


def test_no_page_names_another_student(graded: GradedSubmission) -> None:
    for student in page_names(graded.class_grades):
        text = read(graded.page(student))
        others = {"ada", "bob", "cleo", "dan", "eve", "gus"} - {student}
        assert not [name for name in others if re.search(rf"\b{name}\b", text)]


def test_a_student_is_shown_where_the_code_raised_and_what_numpy_says(
    graded: GradedSubmission,
) -> None:
    page = _Text(graded.page("gus"))
    assert 'File "assignment/classifiers/softmax.py", line' in page.text
    assert "could not be broadcast together with shapes (6,4) (6,)" in page.text
    assert "a row's number without keepdims" in page.text
    assert "The same as in “Vectorized loss”." in page.text


def test_what_code_has_written_into_an_exception_stays_in(graded: GradedSubmission) -> None:
    text = read(graded.page("dan"))
    assert "raise ValueError(repr(W.tolist())" in text  # a line of its own file
    assert LEFT_OUT in text
    assert "[[" not in text
    assert not re.search(r"dead[0-9a-f]", text)


def test_a_damaged_submission_is_told_why_and_that_it_is_no_zero(graded: GradedSubmission) -> None:
    text = read(graded.page("eve"))
    assert "There is no grade." in text
    assert "damaged" in text
    assert "this is no zero" in text
    assert "0 of" not in text


def test_late_work_is_told_what_it_lost_and_work_in_time_nothing(graded: GradedSubmission) -> None:
    # 24 hours and 31 minutes: two days have begun.
    assert "It came 1 d 31 min after it was due" in read(graded.page("bob"))
    assert "Of 100 points, 24 are taken off for that." in read(graded.page("bob"))
    assert "76 of 120 points" in read(graded.page("bob"))
    assert "after it was due" not in read(graded.page("ada"))


def test_what_a_person_gave_is_shown_with_the_reason(graded: GradedSubmission) -> None:
    text = read(graded.page("ada"))
    assert "4.5 of 5 points" in text
    assert "Comment: Right; but why <16> digits?" in text
    changed = read(graded.page("cleo"))
    assert "6 of 8 points" in changed
    assert "Changed by hand: The sum was asked for in the lecture." in changed


def test_plots_are_drawn_from_the_numbers_that_came(graded: GradedSubmission) -> None:
    tags = _Text(graded.page("ada")).tags
    pictures = [attributes for tag, attributes in tags if tag == "svg"]
    assert len(pictures) == 4
    assert all(attributes["role"] == "img" for attributes in pictures)
    assert "Validation accuracy of the pairs that you tried." in read(graded.page("ada"))
    assert "What your classifier did" not in read(graded.page("<b>fay&amp;"))


def test_ids_in_a_page_are_its_own(graded: GradedSubmission) -> None:
    for path in [*(graded.out / "feedback").glob("*.html"), graded.out / "class.html"]:
        ids = [a["id"] for _, a in _Text(path.read_text(encoding="utf-8")).tags if "id" in a]
        assert len(ids) == len(set(ids)), path.name


def test_nothing_of_a_students_is_markup(
    graded: GradedSubmission, open_page: Callable[..., Page]
) -> None:
    names = page_names(graded.class_grades)
    for student in ("cleo", "<b>fay&amp;"):
        path = graded.out / "feedback" / names[student]
        tags = [tag for tag, _ in _Text(path.read_text(encoding="utf-8")).tags]
        assert "script" not in tags
        assert "img" not in tags
        page = open_page()
        page.goto(path.as_uri())
        assert "owned" not in page.title()
        assert "{{ 7 * 191 }}" in page.inner_text("body") or student != "cleo"
        assert "1337" not in page.inner_text("body")


def test_every_page_fits_a_phone_and_can_be_read_in_the_dark(
    graded: GradedSubmission, open_page: Callable[..., Page]
) -> None:
    write_manual_page(graded.request, hide_names=False)
    page = open_page(**PHONE)
    for path in [*(graded.out / "feedback").glob("*.html"), *graded.out.glob("*.html")]:
        page.goto(path.as_uri())
        wide = page.evaluate("document.documentElement.scrollWidth - innerWidth")
        assert wide <= 0, path.name
        ground, ink = page.evaluate(
            "(s => [s.backgroundColor, s.color])(getComputedStyle(document.body))"
        )
        assert _lightness(ground) < 60 < 200 < _lightness(ink)


def _lightness(colour: str) -> float:
    return float(np.mean([float(part) for part in re.findall(r"[\d.]+", colour)[:3]]))


def test_two_students_never_share_a_page(graded: GradedSubmission) -> None:
    student_grade = graded.class_grades.student_grades[0]
    students = ["a/b", "a_b", "A_b", "..", "con.", "x" * 80, "é", "Ä"]
    twins = [
        student_grade.__class__(**{**vars(student_grade), "entry": _called(student_grade, student)})
        for student in students
    ]
    class_grades = graded.class_grades.__class__(
        **{**vars(graded.class_grades), "standings": tuple(twins)}
    )
    names = page_names(class_grades)
    assert len({name.casefold() for name in names.values()}) == len(students)
    assert all(re.fullmatch(r"[\w .,@+()=~-]+\.html", name) for name in names.values())
    assert not any(name.startswith(".") for name in names.values())


def _called(student_grade: object, student: str) -> object:
    record = student_grade.record  # type: ignore[attr-defined]
    return record.__class__(**{**vars(record), "student": student})


def test_pages_are_packed_for_upload(graded: GradedSubmission) -> None:
    with zipfile.ZipFile(graded.out / "feedback.zip") as archive:
        assert sorted(archive.namelist()) == sorted(page_names(graded.class_grades).values())
        assert b"The softmax classifier" in archive.read("ada.html")


def test_pages_do_not_take_the_place_of_what_is_none(
    graded: GradedSubmission, tmp_path: Path
) -> None:
    out = tmp_path / "grades"
    shutil.copytree(graded.out, out)
    (out / "feedback" / "my notes.txt").write_text("keep me")
    with pytest.raises(FeedbackError, match=r"my notes\.txt, which is no page"):
        write_pages(GradebookFolder(graded.request.project, "softmax", out))
    assert (out / "feedback" / "my notes.txt").read_text() == "keep me"


# --- the page of the class -----------------------------------------------------------------------


@pytest.fixture
def class_page(graded: GradedSubmission, open_page: Callable[..., Page]) -> Page:
    page = open_page()
    page.goto((graded.out / "class.html").as_uri())
    return page


def students_on(page: Page) -> list[str]:
    shown = page.locator("#class tbody tr:not([hidden]) th")
    return [text.strip() for text in shown.all_inner_texts()]


def test_the_class_page_tells_how_the_class_is_doing(class_page: Page) -> None:
    text = class_page.inner_text("main")
    assert re.search(r"students\s+8", text)
    assert re.search(r"graded\s+7", text)
    assert re.search(r"late\s+1", text)
    assert "eve.zip is a damaged zip file" in text
    mistakes = class_page.locator("#mistakes tbody tr")
    expect(mistakes.filter(has_text="N times the mean")).to_contain_text("2")
    stuck = class_page.locator("article.card").filter(has_text="Training (2)")
    expect(stuck).to_contain_text("gus: raised ValueError (before it: Vectorized loss)")
    expect(class_page.locator("article.card.open")).to_contain_text("<b>fay&amp;")
    pictures = class_page.locator("svg[role=img]")
    assert pictures.count() == 2
    assert "100 to" in (pictures.first.get_attribute("aria-label") or "")


def test_the_students_are_filtered_by_name_status_check_and_mistake(class_page: Page) -> None:
    assert len(students_on(class_page)) == 8
    class_page.get_by_label("Filter").fill("KEEPDIMS")
    assert students_on(class_page) == ["gus"]
    expect(class_page.get_by_role("status")).to_have_text("1 of 8 students")
    class_page.get_by_label("Status").select_option("refused")
    assert students_on(class_page) == []
    class_page.get_by_role("button", name="Show all").click()
    class_page.get_by_label("Has not passed").select_option(label="Naive loss")
    assert set(students_on(class_page)) == {"cleo", "hal", "<b>fay&amp;"}
    class_page.get_by_role("button", name="Show all").click()
    class_page.get_by_role("link", name="N times the mean").click()
    assert set(students_on(class_page)) == {"cleo", "hal"}


def test_the_students_are_sorted_by_the_keyboard(class_page: Page) -> None:
    heading = class_page.get_by_role("columnheader", name="points")
    heading.get_by_role("button").focus()
    class_page.keyboard.press("Enter")
    expect(heading).to_have_attribute("aria-sort", "descending")
    assert students_on(class_page)[0] == "ada"
    assert students_on(class_page)[-1] == "eve"
    class_page.keyboard.press("Space")
    expect(heading).to_have_attribute("aria-sort", "ascending")
    assert students_on(class_page)[-1] == "ada"
    assert class_page.locator("th[aria-sort]").count() == 1


def test_every_link_of_the_class_page_leads_to_a_page(
    graded: GradedSubmission, class_page: Page
) -> None:
    links = class_page.locator("#class tbody a")
    for number in range(links.count()):
        student = links.nth(number).inner_text()
        links.nth(number).click()
        expect(class_page.locator("p.quiet").first).to_contain_text(student)
        class_page.go_back()


def test_everything_on_the_class_page_has_a_name_for_a_screen_reader(class_page: Page) -> None:
    unnamed = class_page.evaluate(
        """() => [...document.querySelectorAll("input, select, textarea, button, svg, a")]
            .filter((e) => !(e.labels?.length || e.textContent.trim() || e.ariaLabel))
            .map((e) => e.outerHTML.slice(0, 80))"""
    )
    assert unnamed == []


# --- answers, graded by hand ---------------------------------------------------------------------


@pytest.fixture
def manual_grading_page(graded: GradedSubmission, open_page: Callable[..., Page]) -> Page:
    page = open_page(accept_downloads=True)
    page.goto(write_manual_page(graded.request, hide_names=False).as_uri())
    return page


def graded_by_hand(page: Page, student: str, points: str, comment: str) -> None:
    card = page.locator(f'article[data-student="{student}"]:visible')
    card.get_by_label("Points").fill(points)
    page.keyboard.press("Tab")
    page.keyboard.type(comment)


def exported(page: Page, to: Path) -> Path:
    with page.expect_download() as download:
        page.get_by_role("button", name="Export CSV").click()
    download.value.save_as(to)
    return to


def copied(graded: GradedSubmission, tmp_path: Path) -> GradebookFolder:
    """The class's ledger, to be changed."""
    out = tmp_path / "grades"
    shutil.copytree(graded.out, out)
    return GradebookFolder(graded.request.project, "softmax", out)


def test_a_question_is_graded_in_the_browser_and_imported(
    graded: GradedSubmission, manual_grading_page: Page, tmp_path: Path
) -> None:
    manual_grading_page.get_by_label("Question", exact=True).select_option("answer_templates")
    expect(
        manual_grading_page.get_by_role("heading", level=2).locator("visible=true")
    ).to_have_text("Inline question 3 (5 points)")
    graded_by_hand(manual_grading_page, "bob", "3.5", 'He said "blurred", and\nmeans it: =1+1')
    graded_by_hand(manual_grading_page, "cleo", "0", "")
    manual_grading_page.reload()
    manual_grading_page.get_by_label("Question", exact=True).select_option("answer_templates")
    kept = manual_grading_page.locator('article[data-student="bob"]:visible')
    expect(kept.get_by_label("Points")).to_have_value("3.5")
    expect(manual_grading_page.get_by_role("status")).to_contain_text("2 of")
    path = exported(manual_grading_page, tmp_path / "answers.csv")
    with path.open(encoding="utf-8", newline="") as file:
        table = {(row["student"], row["item"]): row for row in csv.DictReader(file)}
    assert table["bob", "answer_templates"]["comment"] == 'He said "blurred", and\nmeans it: =1+1'
    assert table["ada", "answer_step"]["points"] == "4.5"  # given before, and still there
    request = copied(graded, tmp_path)
    assert import_manual(request, path) == "3 answers graded."
    with open_grades(request) as (_, class_grades):
        points = {
            s.student: {i.name: i.points for i in s.questions} for s in class_grades.student_grades
        }
    assert points["bob"]["answer_templates"] == 3.5
    assert points["cleo"]["answer_templates"] == 0
    assert points["<b>fay&amp;"]["answer_templates"] == 0  # wrote nothing
    assert points["ada"]["answer_templates"] is None


def test_points_that_are_none_are_not_exported(manual_grading_page: Page) -> None:
    graded_by_hand(manual_grading_page, "bob", "7", "")
    manual_grading_page.get_by_role("button", name="Export CSV").click()
    field = manual_grading_page.locator('article[data-student="bob"]:visible').get_by_label(
        "Points"
    )
    assert field.evaluate("(field) => !field.checkValidity() && document.activeElement === field")
    expect(manual_grading_page.get_by_role("status")).to_contain_text("0 of")


def test_only_the_open_answers_can_be_shown(manual_grading_page: Page) -> None:
    before = manual_grading_page.locator("article:visible").count()
    graded_by_hand(manual_grading_page, "bob", "1", "")
    manual_grading_page.get_by_label("Show").select_option("open")
    assert manual_grading_page.locator("article:visible").count() == before - 1


def test_names_are_hidden_on_request_and_found_again(
    graded: GradedSubmission, open_page: Callable[..., Page], tmp_path: Path
) -> None:
    request = copied(graded, tmp_path)
    path = write_manual_page(request, hide_names=True)
    text = path.read_text(encoding="utf-8")
    assert not re.search(r"\b(ada|bob|cleo|dan|gus|hal)\b", re.sub(r"<style>.*?</style>", "", text))
    page = open_page(accept_downloads=True)
    page.goto(path.as_uri())
    card = page.locator("article:visible").first
    hidden = card.get_attribute("data-student")
    card.get_by_label("Points").fill("2")
    import_manual(request, exported(page, tmp_path / "hidden.csv"))
    with open_grades(request) as (_, class_grades):
        given = [s.student for s in class_grades.student_grades if s.questions[0].points == 2]
    assert len(given) == 1
    assert hidden not in given


def test_an_answer_in_markup_is_a_text(manual_grading_page: Page) -> None:
    manual_grading_page.get_by_label("Question", exact=True).select_option("answer_step")
    answer = manual_grading_page.locator('article[data-student="cleo"]:visible .answer')
    expect(answer).to_contain_text("<script>document.title")
    expect(answer.locator("strong")).to_have_text("bold")
    expect(answer.locator("code")).to_have_text("p_y")
    assert answer.locator("img, a, script").count() == 0
    assert "owned" not in manual_grading_page.title()


def test_points_for_an_answer_that_has_changed_do_not_count(
    graded: GradedSubmission, tmp_path: Path
) -> None:
    request = copied(graded, tmp_path)
    path = tmp_path / "old.csv"
    path.write_text("student,item,points,comment,answer\nbob,answer_step,5,,0123456789abcdef\n")
    import_manual(request, path)
    with open_grades(request) as (_, class_grades):
        [bob] = [s for s in class_grades.student_grades if s.student == "bob"]
    assert bob.questions[1].points is None
    assert "the answer has changed since it was graded by hand" in " ".join(bob.notes)


def test_what_was_given_can_be_taken_back(graded: GradedSubmission, tmp_path: Path) -> None:
    request = copied(graded, tmp_path)
    path = tmp_path / "back.csv"
    path.write_text("student;item;points;comment\ncleo;naive_loss;;\n", encoding="utf-8-sig")
    assert import_manual(request, path) == "1 taken back."
    with open_grades(request) as (_, class_grades):
        [cleo] = [s for s in class_grades.student_grades if s.student == "cleo"]
    assert cleo.checks[0].points == 0
    assert cleo.checks[0].manual is None


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ("zoe,answer_step,1,", "row 2: there is no student 'zoe' in the gradebook"),
        ("ada,answer_stepp,1,", "row 2: there is no question or check 'answer_stepp'; there are: "),
        ("ada,answer_step,6,", "'6' is not a number of points from 0 to 5"),
        ("ada,answer_step,-1,", "'-1' is not a number of points from 0 to 5"),
        ("ada,answer_step,nan,", "'nan' is not a number of points"),
        ("ada,naive_loss,8,", "whoever changes its points gives a reason"),
        ("ada,answer_step,1,\nada,answer_step,2,", "row 3: there already is a row for 'ada'"),
        ('ada,answer_step,1,"open', "is not CSV"),
    ],
)
def test_a_row_that_is_wrong_is_named_and_nothing_is_taken(
    graded: GradedSubmission, tmp_path: Path, rows: str, said: str
) -> None:
    request = copied(graded, tmp_path)
    path = tmp_path / "wrong.csv"
    path.write_text(f"student,item,points,comment\n{rows}\nbob,answer_step,1,\n")
    with pytest.raises(ManualError, match=re.escape(said)):
        import_manual(request, path)
    with open_grades(request) as (database, _):
        assert ("bob", "answer_step") not in database.manual_grades()


def test_a_table_without_the_columns_says_which_it_needs(
    graded: GradedSubmission, tmp_path: Path
) -> None:
    path = tmp_path / "other.csv"
    path.write_text("name,grade\nada,1\n")
    with pytest.raises(ManualError, match="student, item, points, comment"):
        import_manual(graded.request, path)


# --- what may be told, and how texts are shown ----------------------------------------------------

FILES = {SOFTMAX: b"def f(W):\n    raise ValueError(W)\n"}
WORDS = st.text(st.characters(codec="utf-8"), min_size=1, max_size=30)


@given(text=WORDS, kind=WORDS)
@example(text="0.8437 seed 8123456789", kind="E8123456789")
@example(text="shapes (6,4) (6,)", kind="ValueError")
def test_no_word_that_code_can_choose_comes_out_in_a_verdict(text: str, kind: str) -> None:
    secret = f"zq{text.encode('utf-8', 'surrogatepass').hex()}zq"
    quoted = f'  File "{SOFTMAX}", line 2, in f\n    raise ValueError(W)\n{kind}: {secret} {text}'
    verdict = Verdict(
        "naive_loss", "Naive loss", Status.RAISED, 0, 8, f"raised {kind}", quoted=quoted, kind=kind
    )
    shown = json.dumps(vars(redact_for_student(verdict, FILES, {})), ensure_ascii=False)
    assert secret not in shown
    assert "raise ValueError(W)" in shown
    for number in re.findall(r"\d{5,}|\d\.\d", f"{text}\n{kind}"):
        assert number not in shown


@pytest.mark.parametrize(
    "said",
    [
        "IndexError: index 6 is out of bounds for axis 0 with size 6",
        "TypeError: unsupported operand type(s) for +=: 'NoneType' and 'float'",
        "AttributeError: 'numpy.ndarray' object has no attribute 'append'",
        "UnboundLocalError: cannot access local variable 'W' where it is not associated with "
        "a value",
        "ValueError: too many values to unpack (expected 2)",
        "ZeroDivisionError: division by zero",
        "ValueError: setting an array element with a sequence.",
        "TypeError: only integer scalar arrays can be converted to a scalar index",
    ],
)
def test_what_python_and_numpy_say_is_told(said: str) -> None:
    verdict = Verdict("naive_loss", "Naive loss", Status.RAISED, 0, 8, "raised", quoted=said)
    assert redact_for_student(verdict, FILES, {}).quoted == said


def test_what_the_code_printed_is_not_told() -> None:
    verdict = Verdict(
        "naive_loss", "Naive loss", Status.WRONG, 0, 8, "not right yet", "loss is off by 3%.",
        quoted="It printed:\n0.1234", kind="wrong",
    )  # fmt: skip
    assert redact_for_student(verdict, FILES, {}).quoted == ""
    assert redact_for_student(verdict, FILES, {}).text == "loss is off by 3%."


ALLOWED = {
    *("p", "strong", "em", "code", "pre", "ul", "ol", "li", "blockquote", "hr", "br"),
    *("table", "thead", "tbody", "tr", "th", "td", "del"),
}
MARKDOWN = st.lists(
    st.sampled_from(
        [
            *("<script>", "</div>", "<img src=x onerror=y>", "[a](javascript:b)", "![a](b)", "$x$"),
            *(
                "**",
                "_",
                "`",
                "\n",
                "\n\n",
                "# ",
                "> ",
                "- ",
                "1. ",
                "|",
                "|-|",
                "$$",
                "<!--",
                "]]>",
            ),
            *("http://a.b", "<http://a.b>", "[r]: x", "[r]", "&lt;", "\\", '"', "'", "a", "\x00"),
        ]
    ),
    max_size=40,
).map("".join)


@given(MARKDOWN)
def test_an_answer_becomes_no_markup_but_that_of_prose(text: str) -> None:
    for tag, attributes in _Text(str(as_html(text))).tags:
        assert tag in ALLOWED
        assert set(attributes) <= {"class", "style"}, attributes


@pytest.mark.parametrize("text", ["[" * 50_000, "> " * 40_000, "a" * 100_000, "*_" * 30_000])
def test_an_answer_that_a_parser_would_choke_on_is_shown_as_it_is(text: str) -> None:
    assert str(as_html(text)).startswith("<pre>")


def test_a_page_lets_no_script_run_but_its_own(tmp_path: Path, chromium: Browser) -> None:
    page = render("answers", title="It", name="it", asked=[], store="x")
    path = tmp_path / "page.html"
    hole = "<script>document.title = 'owned'</script><img src=x onerror=\"document.title='owned'\">"
    path.write_text(page.replace("<main>", f"<main>{hole}"), encoding="utf-8")
    faults: list[str] = []
    with chromium.new_context() as context:
        opened = context.new_page()
        opened.on("console", lambda message: faults.append(message.text))
        opened.goto(path.as_uri())
        assert opened.title() == "It: answers"
    assert any("Content Security Policy" in fault for fault in faults)
