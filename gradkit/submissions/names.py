"""Names of entries in a class's folder: the student, the original file name, the time.

A platform's name is parsed by `gradkit.lms`; what follows its own part is the student's name for
the file, in which nobody is searched. In any other name the student is what remains without the
exercise's own words, Google Drive's "Copy of" and a time: `jane_softmax.zip` and
`softmax-submission_jane 2026-03-01 23-59-10.tar.gz` are both jane's.
"""

import re
import unicodedata
from pathlib import Path

from assignment.checks.check import Exercise
from gradkit.lms import parse_platform_name
from gradkit.lms.platform import ParsedName
from gradkit.lms.tables import student_id
from gradkit.lms.times import find_time

ARCHIVES = (".zip", ".tar.gz", ".tgz", ".tar")
# Archives that are refused. They are still archives, and not stray files.
OTHER_ARCHIVES = (".rar", ".7z", ".gz", ".bz2", ".xz", ".tbz2", ".txz", ".zst")
DOCUMENTS = (".py", ".ipynb", ".pdf", ".txt", ".md", ".html", ".docx", ".json", ".csv")

# Added to the whole name by systems and browsers, in the languages that most people have.
_COPY = re.compile(
    r"(?i)(?:[ _-]?\(\d+\)|-copy\d+|(?: [-–—])? "
    r"(?:copy|kopie|copie|copia|cópia|kopia|копия|副本|コピー|복사본)(?: \d+| \(\d+\))?"
    r"| ?(?:的副本|のコピー|의 사본))$"
)
_COPY_OF = ("Copy of", "Kopie von", "Copie de", "Copia de", "Copia di", "Cópia de", "Копия")
COPY_NUMBER = r"(?:[ _-]?\(\d+\)|-\d+)?"  # added by browsers, file managers and Canvas
SEPARATOR = "[ _+.-]"


def parse_name(name: str, exercise: Exercise) -> ParsedName:
    """Return the parts of an entry's name."""
    name = unicodedata.normalize("NFC", name)
    if parsed := parse_platform_name(name):
        return parsed
    stem = name_stem(name)
    time, copy_number = find_time(stem), re.search(r"\((\d{1,9})\)$", stem)
    original = _student(_COPY.sub("", stem), exercise)
    return ParsedName(
        student_id(_student(stem, exercise) if original else stem),
        name,
        name,
        original_student=student_id(original) if original else "",
        file=int(copy_number[1]) if copy_number else 0,
        time=time[0] if time else None,
    )


def _student(stem: str, exercise: Exercise) -> str:
    """Return a name without a time and the exercise's own words; "" if nothing is left."""
    time = find_time(stem)
    texts = [stem[: time[1]], stem[time[2] :]] if time else [stem]
    stems = (Path(path).stem for path in (*exercise.files, exercise.notebook))
    words = {exercise.name, *stems, "submission", "starter", *_COPY_OF}
    any_word = "|".join(map(re.escape, sorted(words, key=len, reverse=True)))
    own_words = rf"(?i)(?:(?<={SEPARATOR})|^)(?:{any_word}){COPY_NUMBER}(?={SEPARATOR}|$)"
    pieces = [piece for text in texts for piece in re.split(own_words, text)]
    trimmed = [re.sub(rf"^{SEPARATOR}+|{SEPARATOR}+$", "", piece) for piece in pieces]
    return "_".join(filter(None, trimmed))


def name_stem(name: str) -> str:
    """Return a name without the ending of an archive, or all those of a document."""
    for ending in (*ARCHIVES, *OTHER_ARCHIVES):
        if name.lower().endswith(ending) and len(name) > len(ending):
            return name[: -len(ending)]
    while name.lower().endswith(DOCUMENTS) and (stem := name.rpartition(".")[0]):
        name = stem  # as in `softmax.py.txt`
    return re.sub(r"(?i)(?<=.)\.(?:py|ipynb)(?![a-z0-9])", "", name)  # `softmax.py의 사본`


def is_archive(name: str) -> bool:
    """Return whether a name is an archive's, a kind that is refused included."""
    return name.lower().endswith((*ARCHIVES, *OTHER_ARCHIVES))
