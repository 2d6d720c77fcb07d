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

from assignment import PROJECT
from assignment.checks.verdict import Status, Verdict
from assignment.workspace.regions import read_notebook, region_of, source_of

MAX_LINES = 12
MAX_CHARACTERS = 300
MAX_NUMBERS = 16
LEFT_OUT = "(The rest is not shown here; the checks in your own copy show it.)"

# Words of Python's and numpy's exceptions; the words of the kit's checks are added to them.
MESSAGE_WORDS = """
access add after ambiguous arange argmax args argument arguments arr arrays assigned assignment
associated astype attribute axes axis base bincount block boolean bounds bracket broadcast call
broadcastable cannot cast casting changed char character choose class closed closing comma compare
comparison concatenate concatenation contains continuation convert converted copy core could decimal
dictionary did Did different dimension dimensional dimensions divide dot dtype during element
elements empty enclosing end enough equal error escape exceeded exceeds exp expected expecting
exponent expression factor failed few first fit float16 float32 float64 following for forget forgot
found fromnumeric function generator given global got gufunc has have here homogeneous identical
identity implemented import imported in incompatible incomplete inconsistent indent indentation
index indexed indexing indices inhomogeneous initial inner Input inputs instance instances instead
int32 int64 integer integers invalid is item iterable iterate iteration its k key keyword keywords
leading left length lengths level like line literal local log long loop loops m mapping mask masked
match matches matching matmul matrices matrix maximum maximum_value maybe mean meant memory mismatch
missing Missing mode module more multiple multiply must n name named names nan ndarray ndarrays ndim
needs negative never new no non NoneType nonlocal nor not number numbers numpy objects of on one
only opening operand operands operation operator or order out output over overflow p parameter
parent parentheses parenthesis parse part perhaps positional positive possible power previous
problem provided quote random reached read reduction referenced remap remapping requested required
requires reshape result return right rule s safe same same_kind scalar scalars second self sequence
setting shape shapes signature single size slices solve space spaces split squeeze stack statement
stop string strings subscriptable subtract support supported swapaxes syntax tab tabs take takes
than the their then this through to together too truth types ufunc uint64 uint8 unable unexpected
unexpectedly unhashable unicode uniform unindent unknown unmatched unpack unpacked unsigned
unsupported unterminated use using value values variable version was were when where which while
with without writeable you zero zeros
"""

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
    raised = verdict.status is Status.RAISED
    shows_kind = (
        not raised
        or verdict.headline != f"raised {verdict.kind}"
        or redactor.is_known(verdict.kind)
    )
    return replace(
        verdict,
        headline=verdict.headline if shows_kind else "raised an exception",
        text=redactor.message(verdict.text) if _is_from_sandbox(verdict) else verdict.text,
        quoted="" if verdict.status is Status.WRONG else redactor.traceback(verdict.quoted),
        kind=verdict.kind if shows_kind else "",
    )


def _is_from_sandbox(verdict: Verdict) -> bool:
    """Return True if the sandbox may have written the verdict's text."""
    return verdict.kind == "invalid" or verdict.status in (Status.NOT_ATTEMPTED, Status.CRASHED)


class _Redactor:
    """Redacts texts to what reveals nothing beyond a student's own files and cells."""

    def __init__(self, files: Mapping[str, bytes], cells: Mapping[str, str]) -> None:
        texts = [*(content.decode("utf-8", "replace") for content in files.values())]
        texts += cells.values()
        self.paths = set(files)
        self.lines = {line.strip() for text in texts for line in text.splitlines()}
        self.words = {word for text in texts for word in WORD.findall(text)}

    def is_known(self, word: str) -> bool:
        return word in self.words or word in _kit_words()

    def message(self, text: str) -> str:
        return text if self.is_harmless(text) else LEFT_OUT

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
        kept, lines = [], quoted.splitlines()
        for line in lines:
            if self._is_place(line) or self._is_code(ARROW.sub("", line.strip()).strip()):
                kept.append(line)
            elif UNDERLINE.fullmatch(line):
                kept += [line] * bool(kept)
            elif self.is_harmless(line):
                kept.append(line)
            elif (raised := EXCEPTION.fullmatch(line)) and self.is_known(raised["kind"]):
                kept.append(f"{raised['kind']}: {LEFT_OUT}")
        if lines and not kept:
            return LEFT_OUT
        return "\n".join(kept[:MAX_LINES])

    def _is_place(self, line: str) -> bool:
        if frame := FRAME.fullmatch(line):
            return frame["path"] in self.paths and self._are_known(frame["name"] or "")
        cell = CELL.fullmatch(line)
        return cell is not None and self._are_known(cell["name"] or "")

    def _is_code(self, line: str) -> bool:
        return line in self.lines or line in _kit_lines()

    def _are_known(self, text: str) -> bool:
        return all(map(self.is_known, WORD.findall(text)))


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
