"""A class drawn at random: names in many scripts, platforms, editors, encodings, archives.

Every entry belongs to its student, nobody's work is taken for another's, the order of files never
matters, and an export gives names back as they were. The long run:
FUZZ_EXAMPLES=3000 pytest tests/submissions/test_any_class.py
"""

import csv
import io
import json
import os
import random
import re
import tempfile
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hypothesis import assume, given
from hypothesis import strategies as st

from gradkit.lms import PLATFORMS, feedback_name, parse_platform_name, read_student_list
from gradkit.lms.platform import FinalScore
from gradkit.submissions.discover import Submission, find_submissions
from gradkit.submissions.extract import SubmissionContent, read_submission
from tests.submissions.fuzz import FUZZ
from tests.submissions.packing import (
    FILE,
    NOTEBOOK,
    OTHER_FILE,
    SOFTMAX,
    Files,
    code_cell,
    inside,
    tar_of,
    write_files,
    zip_of,
)

ANSWER = "answer_initial_loss"

# Given and family names: Latin, Greek, Cyrillic, Arabic and Hebrew with vowels, Devanagari,
# Bengali, Tamil, Telugu, Thai, Lao, Khmer, Burmese, Han, kana, Hangul; Persian with ZWNJ, Sinhala
# with ZWJ.
NAMES = [
    *(("Jane", "Doe"), ("Zoë", "O'Roe"), ("Jean-Luc", "de la Cruz"), ("Ἑλένη", "Παπάς")),
    *(("Фёдор", "Йович"), ("مُحَمَّد", "عَلِيّ"), ("שָׂרָה", "כֹּהֵן"), ("कमल", "शर्मा"), ("कोमल", "शर्मा")),
    *(("রবীন্দ্র", "ঠাকুর"), ("தமிழ்", "செல்வி"), ("శ్రీను", "రావు"), ("สมชาย", "ใจดี"), ("สมหญิง", "ใจดี")),
    *(("ສົມພອນ", "ວົງສາ"), ("សុខា", "ចាន់"), ("အောင်", "စန်း"), ("小明", "王"), ("さくら", "山田")),
    *(("길동", "홍"), ("می\u200cنا", "نیک\u200cپور"), ("ශ්\u200dරී", "පෙරේරා")),
]


@dataclass(frozen=True)
class Person:
    given: str
    family: str
    number: int

    @property
    def login(self) -> str:
        return f"zq{self.number}"


def folded(text: str) -> str:
    """Return the letters, marks and digits of a text in one spelling, so that equal names meet."""
    text = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    return "".join(char for char in text if unicodedata.category(char)[0] in "LMN")


def name_keys(name: tuple[str, str]) -> frozenset[str]:
    return frozenset(("".join(sorted(map(folded, name))),))


letters = st.characters(categories=("Lu", "Ll", "Lo", "Mn", "Mc"))
names = st.one_of(
    st.sampled_from(NAMES),
    st.tuples(st.text(letters, min_size=3, max_size=8), st.text(letters, min_size=3, max_size=8)),
).filter(lambda name: all(len(folded(part)) > 1 for part in name))
people = st.lists(names, min_size=1, max_size=4, unique_by=name_keys).map(
    lambda drawn: [Person(*name, number) for number, name in enumerate(drawn, start=1001)]
)

# --- what platforms call a file ------------------------------------------------------------------


def canvas(person: Person, attempt: int, name: str) -> str:
    """Canvas, content_zipper.rb: the word characters of the sortable name, in small letters."""
    kept = ("L", "M", "Nd", "Pc")
    who = [c for c in person.family + person.given if unicodedata.category(c).startswith(kept)]
    return f"{''.join(who).lower()}_{person.number}_{7000 + attempt}_{name}"


def moodle(person: Person, attempt: int, name: str) -> str:
    return f"{person.given} {person.family}_{person.number}_assignsubmission_file_{name}"


def blackboard(person: Person, attempt: int, name: str) -> str:
    return f"Softmax Exercise_{person.login}_attempt_2026-03-0{1 + attempt}-10-00-00_{name}"


def by_hand(person: Person, attempt: int, name: str) -> str:
    return f"{person.given} {person.family} 2026-03-0{1 + attempt} 10-00-00 {name}"


# With the number of attempts that a download contains.
NAMINGS = [(canvas, 2), (moodle, 1), (blackboard, 2), (by_hand, 2)]

# --- what editors, systems and browsers do to files ----------------------------------------------

Change = Callable[[dict[str, Any]], None]


def as_code(nb: dict[str, Any]) -> None:
    nb["cells"][1]["cell_type"] = "code"


def as_raw(nb: dict[str, Any]) -> None:
    nb["cells"][1]["cell_type"] = "raw"


def split_answer(nb: dict[str, Any]) -> None:
    nb["cells"].insert(1, {**nb["cells"][1], "source": "**Your answer:**"})


def written_anew(nb: dict[str, Any]) -> None:
    nb["cells"][1]["metadata"] = {}


def stub_above(nb: dict[str, Any]) -> None:
    stub = "### START OF YOUR CODE: tuning\n\n### END OF YOUR CODE"
    nb["cells"].insert(0, code_cell(stub, "tuning"))


def without_metadata(nb: dict[str, Any]) -> None:
    nb["cells"][0]["metadata"] = {}


def source_as_lines(nb: dict[str, Any]) -> None:
    for cell in nb["cells"]:
        cell["source"] = cell["source"].splitlines(keepends=True)


def odd_cell(nb: dict[str, Any]) -> None:
    nb["cells"].append({"cell_type": "code", "metadata": None, "source": None})


def odd_format(nb: dict[str, Any]) -> None:
    nb["nbformat"] = "4"


CHANGES: list[Change] = [
    *(as_code, as_raw, split_answer, written_anew, stub_above, without_metadata),
    *(source_as_lines, odd_cell, odd_format),
]


def notebook_of(mark: str, changes: list[Change]) -> str:
    code = f"### START OF YOUR CODE: tuning\nx = '{mark}'\n### END OF YOUR CODE"
    answer = {
        "cell_type": "markdown",
        "metadata": {"gradkit": {"region": ANSWER}},
        "source": f"{mark}, because of the logarithm — 対数.",
    }
    nb = {"nbformat": 4, "nbformat_minor": 5, "metadata": {}}
    nb["cells"] = [code_cell(code, "tuning"), answer]
    for change in sorted(changes, key=CHANGES.index):
        change(nb)
    return json.dumps(nb)


# How the text of a Python file may lie on disk.
ENCODINGS: list[Callable[[str], bytes]] = [
    str.encode,
    lambda text: text.encode("utf-8-sig"),
    lambda text: text.encode("utf-16"),
    lambda text: f"# -*- coding: gbk -*-\n{text}# 作业\n".encode("gbk"),
    lambda text: f"# vim: set fileencoding=latin-1 :\n{text}# Übung\n".encode("latin-1"),
    lambda text: text.encode() + b"# stray \xe9\n",
    lambda text: text.replace("\n", "\r\n").encode(),
]

RENAMED = ["{}{}", "{} copy{}", "{} - Copy{}", "{} (1){}", "{}-Copy1{}", "{}_final{}", "{}{}.txt"]
RENAMED += ["Kopie von {}{}", "{} - Copie (2){}", "{}のコピー{}", "{}{}의 사본", "{}{} 的副本"]

FOLDERS = [
    "",
    "softmax-starter/",
    "作业 Übung/",
    "content/drive/MyDrive/Colab Notebooks/hw/softmax/",
]


def backslashes(files: Files, path: Path) -> Path:
    return zip_of({name.replace("/", "\\"): content for name, content in files.items()}, path)


def as_folder(files: Files, path: Path) -> Path:
    return write_files(files, path)


PACKS = [(zip_of, ".zip"), (tar_of, ".tar.gz"), (backslashes, ".zip"), (as_folder, "")]


@st.composite
def works(draw: st.DrawFn) -> Callable[[str], tuple[Files, Any]]:
    """Draw a function from a mark to a student's files with it, and how they are packed."""
    changes = draw(st.lists(st.sampled_from(CHANGES), unique=True, max_size=3))
    encodings = draw(st.tuples(st.sampled_from(ENCODINGS), st.sampled_from(ENCODINGS)))
    renamed = draw(st.tuples(*[st.sampled_from(RENAMED)] * 3))
    folder, order = draw(st.sampled_from(FOLDERS)), draw(st.permutations([0, 1, 2]))
    utf16 = draw(st.booleans())
    pack = draw(st.sampled_from(PACKS))

    def make(mark: str) -> tuple[Files, Any]:
        nb = notebook_of(mark, changes).encode("utf-16" if utf16 else "utf-8")
        contents = [encode(f"x = '{mark}'\n") for encode in encodings] + [nb]
        paths = [Path(path) for path in (FILE, OTHER_FILE, NOTEBOOK)]
        files = {
            f"{path.parent}/{form.format(path.stem, path.suffix)}": content
            for path, form, content in zip(paths, renamed, contents, strict=True)
        }
        items = [*files.items()]
        return inside(dict(items[place] for place in order), folder), pack

    return make


def marks_in(content: SubmissionContent) -> dict[str, set[str]]:
    """Return the marks in each part of what is graded or shown of a submission, by its name."""
    answer = [content.written_answers.get(ANSWER, ""), *content.unassigned.get(ANSWER, ())]
    parts = {**content.cells, ANSWER: " ".join(answer)}
    parts |= {path: file.decode("latin-1") for path, file in content.files.items()}
    return {name: set(re.findall(r"m-\d+-\d+", text)) for name, text in parts.items()}


# --- a class -------------------------------------------------------------------------------------


@st.composite
def classes(draw: st.DrawFn) -> tuple[list[Person], dict[str, tuple[Files, Any]], dict[str, str]]:
    """Draw people, the entries of their class's folder, and the mark of each entry."""
    persons = draw(people)
    naming, most = draw(st.sampled_from(NAMINGS))
    entries, marks = {}, {}
    for person in persons:
        others = [f"{each.given} {each.family}" for each in persons]
        for attempt in range(draw(st.integers(1, most))):
            files, (pack, ending) = draw(works())(f"m-{person.number}-{attempt}")
            if naming in (canvas, blackboard) and not ending:
                pack, ending = zip_of, ".zip"
            rest = "softmax" if naming is by_hand else draw(st.sampled_from(["hw", *others]))
            name = naming(person, attempt, "" if naming is moodle and not ending else rest + ending)
            entries[name], marks[name] = (files, pack), f"m-{person.number}-{attempt}"
    return persons, entries, marks


def fill(folder: Path, entries: dict[str, tuple[Files, Any]], times: list[float]) -> None:
    for number, (name, (files, pack)) in enumerate(entries.items()):
        path = pack(files, folder / name)
        os.utime(path, (times[number % len(times)],) * 2)


@FUZZ
@given(
    drawn=classes(),
    has_roster=st.booleans(),
    times=st.lists(st.floats(1e9, 2e9), min_size=1, max_size=3),
)
def test_every_entry_is_its_students(
    drawn: tuple[list[Person], dict[str, tuple[Files, Any]], dict[str, str]],
    has_roster: bool,
    times: list[float],
) -> None:
    persons, entries, marks = drawn
    # Names as long as this are no file names.
    assume(all(len(name.encode()) < 250 for name in entries))
    with tempfile.TemporaryDirectory() as temporary:
        folder, roster = Path(temporary, "class"), None
        folder.mkdir()
        fill(folder, entries, times)
        if has_roster:
            roster = Path(temporary, "roster.csv")
            write_roster(roster, persons)
        found = find_submissions(folder, SOFTMAX, roster)
        listed = sorted(path.name for each in found for path in each.paths)
        assert listed == sorted(entries)
        with_files_reversed = Path(temporary, "reversed")
        with_files_reversed.mkdir()
        fill(with_files_reversed, reversed_entries(entries), times)
        again = find_submissions(with_files_reversed, SOFTMAX, roster)
        assert [*map(summary, found)] == [*map(summary, again)]
        counting = [each for each in found if not each.superseded and each.paths]
        assert len({each.student for each in found}) == len(persons)
        for each in counting:
            check_work(each, persons, marks, has_roster)


def reversed_entries(entries: dict[str, tuple[Files, Any]]) -> dict[str, tuple[Files, Any]]:
    return {
        name: (dict([*files.items()][::-1]), pack)
        for name, (files, pack) in reversed(entries.items())
    }


def summary(submission: Submission) -> tuple[str, bool, str, list[str]]:
    content = read_submission(submission, SOFTMAX)
    return submission.student, submission.superseded, content.digest, content.notes


def check_work(
    each: Submission, persons: list[Person], marks: dict[str, str], has_roster: bool
) -> None:
    [path] = each.paths
    mark = marks[path.name]
    number = int(mark.split("-")[1])
    last = max(other for other in marks.values() if other.startswith(f"m-{number}-"))
    assert mark == last
    if has_roster:
        assert each.student == f"zq{number}"
    content = read_submission(each, SOFTMAX)
    assert marks_in(content) == {key: {mark} for key in (FILE, OTHER_FILE, "tuning", ANSWER)}


def write_roster(path: Path, persons: list[Person]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["student", "name", "number"])
        for person in persons:
            writer.writerow([person.login, f"{person.family}, {person.given}", person.number])


# --- what goes back to the platform --------------------------------------------------------------

blanks = st.sampled_from([" ", "\u3000", "\u00a0", "  ", "\t"])
LISTS = {
    "canvas": (["Student", "ID", "SIS User ID", "SIS Login ID", "Section", "Softmax (9)"], canvas),
    "moodle": (["Identifier", "Full name", "Grade", "Last modified (grade)"], moodle),
}


@FUZZ
@given(people, blanks, st.sampled_from(sorted(LISTS)), st.booleans(), st.randoms())
def test_an_export_gives_names_back(
    persons: list[Person], blank: str, form: str, decomposed: bool, shuffled: random.Random
) -> None:
    header, naming = LISTS[form]
    full = {each.number: f"{each.family},{blank}{each.given}" for each in persons}
    if decomposed:
        full = {number: unicodedata.normalize("NFD", name) for number, name in full.items()}
    rows = [
        [full[each.number], each.number, "", each.login, "", ""]
        if form == "canvas"
        else [f"Participant {each.number}", full[each.number], "", "-"]
        for each in persons
    ]
    shuffled.shuffle(rows)
    with tempfile.TemporaryDirectory() as temporary:
        path = Path(temporary, "list.csv")
        with path.open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([header, *rows])
        platform = PLATFORMS[form]
        listed = read_student_list(path, platform)
        assert len(listed.students) == len(persons)
        names = {each.number: naming(each, 0, "hw.zip") for each in persons}
        scores = [
            FinalScore("whatever", names[each.number], each.number, (), "") for each in persons
        ]
        exported = platform.export_scores("Softmax", 100, scores, listed)
    column = header.index("Student" if form == "canvas" else "Full name")
    given_back = {row[column] for row in csv.reader(io.StringIO(exported.text, newline=""))}
    assert {*full.values()} <= given_back
    for number, name in names.items():
        page = parse_platform_name(feedback_name(name, "page.html"))
        assert page is not None
        assert page.user == str(number)
