"""The leak scan: search the finished files of a starter for what students must not get.

It shares no code with the build: it reads the solutions from the instructor's tree by itself, and
reports each line of a solution, output of a cell, unknown file and path of this computer.

It knows the lines of solutions from between the markers and from the mistake bank, which quotes
some of them. So it also notices a marker in the wrong place.
"""

import bisect
import json
import os
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct, field

from gradkit.release.errors import ReleaseError

TOP_LEVEL = {
    *("assignment", "notebooks", "datasets"),
    *("get_datasets.sh", "requirements.txt", "README.md"),
}
SUFFIXES = {".py", ".ipynb", ".json", ".md", ".txt", ".sh"}
INSTRUCTORS = {
    *("gradkit", "grading", "tests", "benchmarks", "docs", "demo", "dist", "grades"),
    *(".ci", ".github", ".gitignore", "Makefile", "pyproject.toml", "constraints.txt"),
    *("CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md", "LICENSE"),
}
SOLVED_FOLDERS = ("assignment", "notebooks", "grading")

# Shorter lines, and code that only names things (`reg,` or `batch_size=BATCH_SIZE,`), stand in
# many places by chance and do not show how the exercise is solved.
MIN_CODE = 12  # characters without blanks
MIN_PROSE = 20
# In the files that students fill in, a whole line as short as `dW += reg * W` counts as well, since
# a solution that is left over stands there. Shorter lines are `else:` and the like.
MIN_LINE = 8
_DOES_SOMETHING = re.compile(r"[(\[+*/@%<>|&-]| = |:\s*$")

_MARKER = re.compile(r"^[ \t]*#+[ \t]*(BEGIN|END)[ \t]+SOLUTION\b", re.IGNORECASE)
_STUDENTS_MARKER = re.compile(r"^[ \t]*### (?:START OF YOUR CODE: (\w+)|END OF YOUR CODE)[ \t]*$")
_JSON_STRING = re.compile(r'"(?:[^"\\]|\\.)*"', re.DOTALL)
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
    role: Literal["setup", "parameters", "display"] | None = None


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


@dataclass(frozen=True)
class Secret:
    """A line of a solution, squeezed and as written, and its place in the instructor's tree."""

    squeezed: str
    text: str
    origin: str


def find_leaks(files: Mapping[str, bytes], secrets: Iterable[Secret], project: Path) -> list[str]:
    """Return the leaks in a starter's files, a sentence each; `secrets` are those of `project`.

    There is no list of exceptions: reword a harmless line that is reported.
    """
    machine = _machine_paths(project)
    leaks = []
    for path, content in sorted(files.items()):
        found = (*_path_leaks(path), *_notebook_leaks(path, content))
        leaks += [f"{path}: {leak}." for leak in found]
        try:
            text = content.decode("utf-8")
        except UnicodeDecodeError as error:
            line = content[: error.start].count(b"\n") + 1
            leaks.append(f"{path}, line {line}: is not UTF-8.")
            continue
        pieces = list(_pieces(path, text))
        for number, leak in (*_line_leaks(pieces, machine), *_stub_leaks(pieces)):
            leaks.append(f"{path}, line {number}: {leak}.")
        squeezed, lines = _SqueezedFile(pieces), _lines_by_number(path, pieces)
        for secret in secrets:
            if len(secret.squeezed) < MIN_CODE:
                at = lines.get(secret.squeezed)
            else:
                at = squeezed.line_of(secret.squeezed)
            if at is not None:
                leaks.append(
                    f"{path}, line {at}: holds `{secret.text}`, which is a line of the "
                    f"solution ({secret.origin})."
                )
    return leaks


# --- the solutions -------------------------------------------------------------------------------


def find_secrets(project: Path) -> list[Secret]:
    """Return the lines of all solutions and written answers in the instructor's tree, each once.

    Raise ReleaseError if a notebook or a file of the mistake bank cannot be read.
    """
    secrets: dict[str, Secret] = {}
    for origin, line, is_code in _solution_lines(project):
        code, _, comment = line.partition("#") if is_code else ("", "", line)
        # The label before an answer stands in the starter as well.
        prose = re.sub(r"^\W*\*\*[\w ]+:\*\*", "", comment)
        is_telling_code = len(squeeze(code)) >= MIN_LINE and _DOES_SOMETHING.search(code)
        is_telling_prose = len(squeeze(prose)) >= MIN_PROSE
        for part in [code] * bool(is_telling_code) + [prose] * is_telling_prose:
            squeezed = squeeze(part)
            secrets.setdefault(squeezed, Secret(squeezed, part.strip(), origin))
    return list(secrets.values())


def squeeze(text: str) -> str:
    """Return a text without blanks, case and `#`, so that wrapping or commenting hides nothing."""
    return "".join(text.replace("#", "").split()).casefold()


def _solution_lines(project: Path) -> Iterator[tuple[str, str, bool]]:
    """Yield the place of each line of a solution, the line, and whether it is code."""
    for folder in SOLVED_FOLDERS:
        for path in sorted((project / folder).rglob("*")):
            name = path.relative_to(project).as_posix()
            if "/." in name or not path.is_file():
                continue
            if path.suffix == ".py":
                text = path.read_text(encoding="utf-8", errors="replace")
                for number, line in _between_markers(text):
                    yield f"{name}, line {number}", line, True
            elif path.suffix == ".ipynb":
                yield from _answer_lines(path, name)
            elif path.suffix == ".toml" and path.parent.name in ("mistakes", "variants"):
                for line in _bank_lines(path):
                    yield name, line, True


def _answer_lines(path: Path, name: str) -> Iterator[tuple[str, str, bool]]:
    try:
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ReleaseError(f"{path} is not a notebook ({error}). Repair or remove it.") from error
    for number, cell in enumerate(cells, start=1):
        source, origin = "".join(cell["source"]), f"{name}, cell {number}"
        if cell["cell_type"] == "code":
            for _, line in _between_markers(source):
                yield origin, line, True
        elif cell["metadata"].get("gradkit", {}).get("region"):
            for line in source.splitlines():
                yield origin, line, False


def _bank_lines(path: Path) -> list[str]:
    """Return the correct lines in a file of the bank: those it replaces, and all of a variant."""
    try:
        forms = tomllib.loads(path.read_text(encoding="utf-8"))["form"]
        edits = [edit for form in forms for edit in form.get("replace", ())]
        texts = [old for old, _ in edits]
        if path.parent.name == "variants":
            texts += [new for _, new in edits]
            texts += [form.get("body", "") for form in forms]
        return [line for text in texts for line in text.splitlines()]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ReleaseError(
            f"{path} is not a file of the mistake bank ({error}). `gradkit answer-key` says what "
            "to correct."
        ) from error


def _between_markers(text: str) -> Iterator[tuple[int, str]]:
    """Yield the lines inside solutions, with their numbers."""
    inside = False
    for number, line in enumerate(text.splitlines(), start=1):
        if marker := _MARKER.match(line):
            inside = marker[1].upper() == "BEGIN"
        elif inside:
            yield number, line


# --- the starter ---------------------------------------------------------------------------------


def _pieces(path: str, text: str) -> Iterator[tuple[int, str]]:
    """Yield the texts in a file with line numbers: its lines, or the strings of its JSON."""
    if PurePosixPath(path).suffix not in (".json", ".ipynb"):
        yield from enumerate(text.splitlines(), start=1)
        return
    number, position = 1, 0
    for match in _JSON_STRING.finditer(text):
        number += text.count("\n", position, match.start())
        position = match.start()
        try:
            yield number, json.loads(match[0], strict=False)
        except ValueError:
            yield number, match[0]


class _SqueezedFile:
    """A file's squeezed text, in which a line is found however it is wrapped."""

    def __init__(self, pieces: Iterable[tuple[int, str]]) -> None:
        self._numbers: list[int] = []
        self._starts: list[int] = []
        texts, length = [], 0
        for number, text in pieces:
            self._numbers.append(number)
            self._starts.append(length)
            texts.append(squeeze(text))
            length += len(texts[-1])
        self._text = "".join(texts)

    def line_of(self, squeezed: str) -> int | None:
        """Return the number of the line where a squeezed text begins, or None."""
        at = self._text.find(squeezed)
        return None if at < 0 else self._numbers[bisect.bisect_right(self._starts, at) - 1]


def _lines_by_number(path: str, pieces: Iterable[tuple[int, str]]) -> dict[str, int]:
    """Return the numbers of a file's squeezed code lines, if it is one that students fill in."""
    if not path.endswith(".py") or not any(_STUDENTS_MARKER.match(text) for _, text in pieces):
        return {}
    return {squeeze(text.partition("#")[0]): number for number, text in pieces}


def _path_leaks(path: str) -> Iterator[str]:
    parts = path.split("/")
    if "\\" in path or ":" in path or any(part in ("", ".", "..") for part in parts):
        yield "leads out of the starter's folder"
    if parts[0] not in TOP_LEVEL:
        yield f"{parts[0]!r} is not part of a starter"
    for part in parts:
        if part in INSTRUCTORS:
            yield f"{part!r} is the instructor's"
        if part.startswith(".") or part == "__pycache__":
            yield f"{part!r} is a hidden file or a cache"
    if parts[0] == "datasets" and path != "datasets/README.md":
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
        yield f"is not a starter's notebook, or not JSON: {error}"
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


def _stub_leaks(pieces: Iterable[tuple[int, str]]) -> Iterator[tuple[int, str]]:
    """Yield regions in the students' form that are filled in, as after trying a starter."""
    region = None
    for number, text in pieces:
        for line in text.splitlines():
            if marker := _STUDENTS_MARKER.match(line):
                region = marker[1]
            elif region and line.strip() not in ("", f'raise NotImplementedError("{region}")'):
                yield number, f"region {region!r} holds `{line.strip()}`, which is not its stub"
                region = None


def _machine_paths(project: Path) -> list[re.Pattern[str]]:
    """Return patterns that find the project's folder, and anyone's home folder, in a text."""
    home = os.path.expanduser("~")  # noqa: PTH111 - Path.home raises where there is none
    folders = {project.absolute(), project.resolve(), Path(home)}
    spellings = {text for path in folders if path.name for text in (str(path), path.as_posix())}
    here = [re.compile(rf"(?<![\w.]){re.escape(text)}(?![\w-])") for text in sorted(spellings)]
    return [*here, *_HOMES]
