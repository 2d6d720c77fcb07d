"""The leak scan: search the finished files of a starter for what students must not get.

    read_guard      an exercise's secrets, which are the lines of its solution, and accepted text
    find_leaks      a sentence for each line of a solution, new line of an exercise's files, output
                    of a cell, unknown file, and folder of this computer
    write_record    accept the lines of an exercise's files

Secrets are the lines of variants and regions, and of the regions in every committed version: a line
that slips out of its region stays one. The record, grading/EXERCISE/starter.txt, shows in a review
what students get in the exercise's files. Accepted text is no secret: the record, and `given` in
exercise.toml.
"""

import bisect
import json
import os
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Literal, NamedTuple

import msgspec
from msgspec import Meta, Struct, field

from assignment.checks.check import load_exercise
from assignment.workspace.regions import RegionError, read_notebook, region_of, source_of
from assignment.workspace.starter import path_problem
from gradkit.course.exercise_config import CONFIG, read_config
from gradkit.course.exercises import solved_paths
from gradkit.course.instructor_tree import read_text, read_toml
from gradkit.course.mistakes import VARIANTS
from gradkit.files import shown, write_atomic
from gradkit.release.git import committed_versions

SUFFIXES = {".py", ".ipynb", ".json", ".md", ".txt", ".sh"}

# Shorter lines, and code that only names things (`reg,` or `batch_size=BATCH_SIZE,`), stand in
# many places by chance and do not show how the exercise is solved.
MIN_CODE = 12  # characters without blanks
MIN_PROSE = 20
# Also counts as a whole line of a file with regions: `dW += reg * W`. Shorter ones are `else:` etc.
MIN_LINE = 8
MAX_NEW_LINES = 40  # reported; the record shows them all
_DOES_SOMETHING = re.compile(r"[(\[+*/@%<>|&-]| = |:\s*$")

_WORD = re.compile(r"\w+|[^\w\s#]")
_MARKER = re.compile(r"^[ \t]*#+[ \t]*(BEGIN|END)[ \t]+SOLUTION\b", re.IGNORECASE)
_JSON_STRING = re.compile(r'"(?:[^"\\]|\\.)*"')
_LABEL = re.compile(r"^\W*\*\*[\w ]+:\*\*")  # before an answer, in the starter as well
_ANSWER_LABEL = re.compile(r"^[\W_]*your answer[*_\s]*:", re.IGNORECASE | re.MULTILINE)
_HOMES = (
    re.compile(r"(?<![\w.])/(?:home|Users)/\w[\w.-]*"),
    re.compile(r"(?<!\w)[A-Za-z]:[\\/]+Users[\\/]+\w[\w.-]*", re.IGNORECASE),
)

Name = Annotated[str, Meta(pattern=r"^[\w-]{1,64}\Z")]
Empty = Annotated[dict[str, Any], Meta(max_length=0)]
LanguageKey = Literal[
    "name",
    "version",
    "mimetype",
    "file_extension",
    "codemirror_mode",
    "pygments_lexer",
    "nbconvert_exporter",
]


class _Closed(Struct, forbid_unknown_fields=True):
    """A part of a starter's notebook. Jupyter shows no unknown keys, so they may hide anything."""


class _Gradkit(_Closed):
    region: Name | None = None
    check: Name | None = None
    role: Literal["setup", "parameters", "data", "display"] | None = None


class _CellMetadata(_Closed):
    gradkit: _Gradkit = field(default_factory=_Gradkit)
    tags: tuple[Name, ...] = ()


class _Cell(_Closed):
    cell_type: Literal["code", "markdown", "raw"]
    source: str | list[str]
    id: Name | None = None
    metadata: _CellMetadata = field(default_factory=_CellMetadata)
    attachments: Empty = {}
    outputs: Annotated[tuple[Any, ...], Meta(max_length=0)] = ()
    execution_count: None = None


class _NotebookMetadata(_Closed):
    kernelspec: dict[Literal["display_name", "language", "name"], str] = {}
    language_info: dict[LanguageKey, Any] = {}


class _Notebook(_Closed):
    cells: list[_Cell]
    metadata: _NotebookMetadata
    nbformat: int
    nbformat_minor: int


class Guard(NamedTuple):
    """An exercise, its files with regions, its secrets by their words, and its accepted words."""

    exercise: str
    paths: Sequence[str]
    secrets: Mapping[str, str]
    accepted: str


def find_leaks(
    files: Mapping[str, bytes], guards: Sequence[Guard], project: Path, accept: Collection[str] = ()
) -> list[str]:
    """Return the leaks in a starter's files, a sentence each.

    `guards` are those of its exercises; new lines in files of the exercises `accept` are none.
    """
    accepted = f" {' '.join(guard.accepted for guard in guards)} "
    secrets = {
        words: secret
        for guard in guards
        for words, secret in guard.secrets.items()
        if f" {words} " not in accepted
    }
    exercise_of = {path: guard.exercise for guard in guards for path in guard.paths}
    new: dict[str, list[str]] = {guard.exercise: [] for guard in guards}
    machine = _machine_paths(project)
    leaks = []
    for path, content in sorted(files.items()):
        found = (*_path_leaks(path), *_notebook_leaks(path, content))
        leaks += [f"{path}: {leak}." for leak in found]
        try:
            text = content.decode("utf-8")
        except UnicodeDecodeError as error:
            number = content[: error.start].count(b"\n") + 1
            leaks.append(f"{path}, line {number}: is not UTF-8.")
            continue
        pieces = list(_pieces(path, text))
        leaks += [f"{path}, line {at}: {leak}." for at, leak in _line_leaks(pieces, machine)]
        there = _find_secrets(pieces, secrets)
        for place, line in _code_lines(path, text) if path in exercise_of else ():
            words, code = words_of(line), words_of(line.partition("#")[0])
            if code in secrets:
                there.setdefault(code, place)
            elif f" {words} " not in accepted and not any(secret in words for secret in there):
                new[exercise_of[path]].append(f"{path}, {place}: `{shown(line)}`")
        leaks += [f"{path}, {place}: holds {secrets[words]}." for words, place in there.items()]
    return leaks + [
        _describe_new(exercise, lines)
        for exercise, lines in new.items()
        if lines and exercise not in accept
    ]


def _describe_new(exercise: str, lines: Sequence[str]) -> str:
    others = [f"and {len(lines) - MAX_NEW_LINES:,} more"] * (len(lines) > MAX_NEW_LINES)
    problem = (
        f"{record_path(Path(), exercise)} does not have these lines. If students may read them, "
        f"run `gradkit release --accept {exercise}`:"
    )
    return "\n    ".join([problem, *lines[:MAX_NEW_LINES], *others])


# --- the solutions, and what is no secret --------------------------------------------------------


def read_guard(project: Path, name: str) -> Guard:
    """Read the secrets of an exercise, and the text that is accepted in its starters.

    Raise CourseError if a file of the exercise cannot be read.
    """
    paths, config = solved_paths(load_exercise(name)), read_config(project, name)
    advice = f"Remove it. If students may read it, add it to `given` in grading/{name}/{CONFIG}"
    secrets: dict[str, str] = {}
    for place, line, is_code in _solution_lines(project, paths, (name, *config.shared)):
        code, _, prose = line.partition("#") if is_code else ("", "", _LABEL.sub("", line))
        telling = [code] * (_length(code) >= MIN_LINE and bool(_DOES_SOMETHING.search(code)))
        for part in telling + [prose] * (_length(prose) >= MIN_PROSE):
            secret = f"`{shown(part.strip())}`, which is a line of the solution ({place}). {advice}"
            secrets.setdefault(words_of(part), secret)
    record = record_path(project, name)
    lines = record.read_text(encoding="utf-8").splitlines() if record.exists() else []
    accepted = [*(line for line in lines if line.startswith(" ")), *config.given]
    return Guard(name, paths, secrets, " ".join(map(words_of, accepted)))


def write_record(project: Path, name: str, files: Mapping[str, bytes]) -> Path:
    """Accept the lines of an exercise's files in a starter, and return the record's path."""
    texts = [
        "# The lines of the exercise's files as students get them, each once. `gradkit release`",
        f"# refuses others; `gradkit release --accept {name}` writes them into this file.",
    ]
    for path in solved_paths(load_exercise(name)):
        lines = {words_of(line): line for _, line in _code_lines(path, files[path].decode())}
        texts += ["", path, *(f"    {line}" for line in lines.values())]
    return write_atomic(record_path(project, name), "\n".join(texts) + "\n")


def record_path(project: Path, name: str) -> Path:
    """Return the place of an exercise's record."""
    return project / "grading" / name / "starter.txt"


def words_of(text: str) -> str:
    """Return the words and signs of a text, so that blanks, case and `#` hide nothing."""
    return " ".join(_WORD.findall(text.casefold()))


def _length(text: str) -> int:
    return len("".join(text.split()))


def _solution_lines(
    project: Path, paths: Sequence[str], folders: Sequence[str]
) -> Iterator[tuple[str, str, bool]]:
    """Yield the place of each line of a solution, the line, and whether it is code."""
    for path in paths:
        versions = {path: read_text(project, path)}
        versions |= {f"commit {x}, {path}": text for x, text in committed_versions(project, path)}
        for where, text in versions.items():
            for place, source, is_code in _sources(path, text):
                lines = _between_markers(source) if is_code else enumerate(source.splitlines(), 1)
                for number, line in lines:
                    yield f"{where}, {place.format(number)}", line, is_code
    for folder in folders:
        file = project / "grading" / folder / VARIANTS
        if file.exists():
            for line in _lines_in(read_toml(file, dict[str, Any])):
                yield file.relative_to(project).as_posix(), line, True


def _sources(path: str, text: str) -> Iterator[tuple[str, str, bool]]:
    """Yield a module, or a notebook's cells of code and answers; each with its place as a format.

    The last item is whether it is code. A damaged notebook, as a commit may hold it, has none.
    """
    if path.endswith(".py"):
        yield "line {}", text, True
        return
    with suppress(RegionError):
        for number, cell in enumerate(read_notebook(text, path)["cells"], start=1):
            is_code = cell["cell_type"] == "code"
            if is_code or region_of(cell):
                yield f"cell {number}", source_of(cell), is_code


def _between_markers(text: str) -> Iterator[tuple[int, str]]:
    """Yield the lines inside solutions, with their numbers."""
    inside = False
    for number, line in enumerate(text.splitlines(), start=1):
        if marker := _MARKER.match(line):
            inside = marker[1].upper() == "BEGIN"
        elif inside:
            yield number, line


def _lines_in(value: object) -> Iterator[str]:
    """Yield the lines of all texts in a TOML value."""
    if isinstance(value, str):
        yield from value.splitlines()
    elif isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _lines_in(item)


# --- the starter ---------------------------------------------------------------------------------


def _code_lines(path: str, text: str) -> Iterator[tuple[str, str]]:
    """Yield the places and lines of a module, or of a notebook's code, except short ones."""
    for place, source, is_code in _sources(path, text):
        for number, line in enumerate(source.splitlines(), start=1):
            if is_code and _length(line) >= MIN_LINE:
                yield place.format(number), line.strip()


def _pieces(path: str, text: str) -> Iterator[tuple[int, str]]:
    """Yield the texts in a file with line numbers: its lines, or the strings of its JSON."""
    if PurePosixPath(path).suffix not in (".json", ".ipynb"):
        yield from enumerate(text.splitlines(), start=1)
        return
    for number, line in enumerate(text.split("\n"), start=1):
        for match in _JSON_STRING.finditer(line):
            try:
                yield number, json.loads(match[0], strict=False)
            except ValueError:
                yield number, match[0]


def _find_secrets(pieces: Iterable[tuple[int, str]], secrets: Iterable[str]) -> dict[str, str]:
    """Return the place of each secret in a file, however it is wrapped; short ones are left out."""
    numbers: list[int] = []
    starts: list[int] = []
    texts, length = [" "], 1
    for number, text in pieces:
        numbers.append(number)
        starts.append(length)
        texts.append(f"{words} " if (words := words_of(text)) else "")
        length += len(texts[-1])
    whole = "".join(texts)
    found = {x: whole.find(f" {x} ") + 1 for x in secrets if _length(x) >= MIN_CODE}
    return {
        words: f"line {numbers[bisect.bisect_right(starts, at) - 1]}"
        for words, at in found.items()
        if at
    }


def _path_leaks(path: str) -> Iterator[str]:
    if problem := path_problem(path):
        yield problem
    if path.startswith("datasets/") and path != "datasets/README.md":
        yield "is a data set, or part of one"
    if PurePosixPath(path).suffix not in SUFFIXES:
        yield f"is not one of the kinds of files in a starter: {', '.join(sorted(SUFFIXES))}"


def _notebook_leaks(path: str, content: bytes) -> Iterator[str]:
    """Yield the first part of a notebook that a starter's does not have, and stray answers."""
    suffix = PurePosixPath(path).suffix
    try:
        if suffix == ".json":
            msgspec.json.decode(content)
        if suffix != ".ipynb":
            return
        notebook = msgspec.json.decode(content, type=_Notebook)
    except (msgspec.DecodeError, RecursionError) as error:
        yield f"is not a starter's notebook, or not JSON: {error}. Correct or remove that part"
        return
    for number, cell in enumerate(notebook.cells, start=1):
        if not cell.metadata.gradkit.region and _ANSWER_LABEL.search("".join(cell.source)):
            yield (
                f"cell {number} has the label of an answer, `**Your answer:**`, but is not a "
                'region. Write `"gradkit": {"region": "answer_name"}` into its metadata, or word '
                "it differently"
            )


def _line_leaks(
    pieces: Iterable[tuple[int, str]], machine: list[re.Pattern[str]]
) -> Iterator[tuple[int, str]]:
    for number, text in pieces:
        for line in text.splitlines():
            if _MARKER.match(line):
                yield number, f"holds the marker of a solution, `{line.strip()}`"
        if match := next(filter(None, (pattern.search(text) for pattern in machine)), None):
            yield number, f"names {match[0]!r}, a folder of somebody's computer"


def _machine_paths(project: Path) -> list[re.Pattern[str]]:
    """Return patterns that find the project's folder, and anyone's home folder, in a text."""
    home = os.path.expanduser("~")  # noqa: PTH111 - Path.home raises where there is none
    folders = {project.absolute(), project.resolve(), Path(home)}
    spellings = {text for path in folders if path.name for text in (str(path), path.as_posix())}
    here = [re.compile(rf"(?<![\w.]){re.escape(text)}(?![\w-])") for text in sorted(spellings)]
    return [*here, *_HOMES]
