"""Redact verdicts for students: remove all text that code in the sandbox could choose freely.

Headlines, hints and differences are written outside the sandbox. Tracebacks, messages of exceptions
and printed output are written inside, where code that knows a problem's numbers could write them
down for the next student to submit. Of these a student sees

    lines of code       those in the student's own files or cells
    messages            if all words are the kit's, Python's, numpy's or the student's, and all
                        numbers are small and whole, as in shapes of arrays
    printed output      nothing

A note replaces the rest. The checks in the student's own copy show all of it.
"""

import builtins
import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path

from assignment import PROJECT
from assignment.checks.verdict import Status, Verdict
from assignment.workspace.regions import read_notebook, region_of, source_of

MAX_LINES = 12
MAX_CHARACTERS = 300
MAX_NUMBERS = 16
LEFT_OUT = "(The rest is not shown here; the checks in your own copy show it.)"
# Of the messages of Python's and numpy's exceptions.
MESSAGE_WORDS = Path(__file__).with_name("message_words.txt").read_text(encoding="utf-8")

FRAME = re.compile(r' *File "(?P<path>[\w/.-]+)", line \d{1,5}(, in (?P<name>[\w.<>]+))?')
CELL = re.compile(r"Cell In\[\d{1,4}\], line \d{1,5}(, in (?P<name>[\w.<>()= ,*]+))?")
EXCEPTION = re.compile(r"(?P<kind>[A-Za-z_]\w{0,60})(?:: (?P<text>.*))?")
ARROW = re.compile(r"^(-*> *)?\d+ ")  # before a line of code in a notebook's traceback
UNDERLINE = re.compile(r"[ ^~]+")  # below a line of code
WORD = re.compile(r"[^\W\d]\w*")
NUMBER = re.compile(r"\d+")


def redact_for_student(
    verdict: Verdict, files: Mapping[str, bytes], cells: Mapping[str, str]
) -> Verdict:
    """Return the verdict on a submission with these files and cells as its student may see it."""
    if verdict.status in (Status.PASSED, Status.WAITING):
        return verdict
    redactor = _Redactor(files, cells)
    headline, kind, text = verdict.headline, verdict.kind, verdict.text
    # The sandbox may have written the text of these.
    if kind == "invalid" or verdict.status in (Status.NOT_ATTEMPTED, Status.CRASHED):
        text = text if redactor.is_harmless(text) else LEFT_OUT
    is_named = verdict.status is Status.RAISED and headline == f"raised {kind}"
    if is_named and kind not in redactor.words:
        headline, kind = "raised an exception", ""
    quoted = "" if verdict.status is Status.WRONG else redactor.traceback(verdict.quoted)
    return replace(verdict, headline=headline, kind=kind, text=text, quoted=quoted)


class _Redactor:
    """Redacts texts to what reveals nothing beyond a student's own files and cells."""

    def __init__(self, files: Mapping[str, bytes], cells: Mapping[str, str]) -> None:
        contents = (content.decode("utf-8", "replace") for content in files.values())
        text = "\n".join([*contents, *cells.values()])
        self.paths = set(files)
        self.lines = {line.strip() for line in text.splitlines()} | _kit_lines()
        self.words = {*WORD.findall(text)} | _kit_words()

    def is_harmless(self, text: str) -> bool:
        numbers = NUMBER.findall(text)
        return (
            len(text) <= MAX_CHARACTERS
            and len(numbers) <= MAX_NUMBERS
            and all(len(number) <= 4 for number in numbers)
            and not re.search(r"\d[.\w]*[.e]\d", text)
            and self._are_known(text)
        )

    def traceback(self, quoted: str) -> str:
        """Keep the student's own lines of a traceback, and the exception."""
        kept, lines = list[str](), quoted.splitlines()
        for line in lines:
            is_code = ARROW.sub("", line.strip()).strip() in self.lines
            belongs = bool(kept) or not UNDERLINE.fullmatch(line)
            if is_code or self._is_place(line) or (belongs and self.is_harmless(line)):
                kept.append(line)
            elif (raised := EXCEPTION.fullmatch(line)) and raised["kind"] in self.words:
                kept.append(f"{raised['kind']}: {LEFT_OUT}")
        if lines and not kept:
            return LEFT_OUT
        return "\n".join(kept[:MAX_LINES])

    def _is_place(self, line: str) -> bool:
        frame = FRAME.fullmatch(line)
        place = frame or CELL.fullmatch(line)
        return (
            place is not None
            and (frame is None or frame["path"] in self.paths)
            and self._are_known(place["name"] or "")
        )

    def _are_known(self, text: str) -> bool:
        return self.words.issuperset(WORD.findall(text))


@cache
def _kit_lines() -> frozenset[str]:
    """Return the lines of the notebooks' code cells that are not regions."""
    lines = set()
    for path in (PROJECT / "notebooks").glob("*.ipynb"):
        for cell in read_notebook(path.read_text(encoding="utf-8"), path.name)["cells"]:
            if region_of(cell) is None and cell["cell_type"] == "code":
                lines |= {line.strip() for line in source_of(cell).splitlines()}
    return frozenset(lines)


@cache
def _kit_words() -> frozenset[str]:
    """Return the words of the kit's checks, of Python's and numpy's messages, and of builtins."""
    folder = PROJECT / "assignment" / "checks"
    texts: Iterable[str] = (path.read_text(encoding="utf-8") for path in folder.glob("*.py"))
    return frozenset({*dir(builtins), *WORD.findall("\n".join([MESSAGE_WORDS, *texts]))})
