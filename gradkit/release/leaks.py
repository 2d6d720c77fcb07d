"""The leak scan: search the finished files of a starter for what students must not get.

The scan shares no code with the build. It reads the solutions from the instructor's tree by itself,
reads the starter as its unpacked files, and reports each line of a solution, output of a cell,
unknown file and path of this computer, a sentence each.

It knows the lines of solutions from two places: from between the markers, and from the mistake
bank, which quotes some of them. So it also notices a marker in the wrong place.
"""

import bisect
import json
import os
import re
import tomllib
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

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

# The keys of a notebook of format 4, with the metadata that a starter needs. Jupyter does not show
# others, so nobody would see what they give away.
_NOTEBOOK_KEYS = {"cells", "metadata", "nbformat", "nbformat_minor"}
_METADATA_KEYS = {
    "kernelspec": {"display_name", "language", "name"},
    "language_info": {
        *("name", "version", "mimetype", "file_extension"),
        *("codemirror_mode", "pygments_lexer", "nbconvert_exporter"),
    },
}
_CELL_KEYS = {
    "markdown": {"id", "cell_type", "metadata", "source", "attachments"},
    "raw": {"id", "cell_type", "metadata", "source", "attachments"},
    "code": {"id", "cell_type", "metadata", "source", "outputs", "execution_count"},
}
_CELL_METADATA_KEYS = {"gradkit", "tags"}
_GRADKIT = {
    "region": re.compile(r"\w+"),
    "check": re.compile(r"\w+"),
    "role": re.compile("setup|parameters|display"),
}
_NAME = re.compile(r"[\w-]{1,64}")


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
        leaks += [f"{path}: {leak}." for leak in _path_leaks(path)]
        try:
            text = content.decode("utf-8")
        except UnicodeDecodeError as error:
            line = content[: error.start].count(b"\n") + 1
            leaks.append(f"{path}, line {line}: is not UTF-8.")
            continue
        pieces = list(_pieces(path, text))
        leaks += [f"{path}, {place}: {leak}." for place, leak in _notebook_leaks(path, text)]
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

    Raises
    ------
    ReleaseError
        A notebook or a file of the mistake bank cannot be read.
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


def _notebook_leaks(path: str, text: str) -> Iterator[tuple[str, str]]:
    if PurePosixPath(path).suffix not in (".json", ".ipynb"):
        return
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        yield "line 1", f"is not JSON ({error})"
        return
    if path.endswith(".ipynb"):
        yield from _content_leaks(content)


def _content_leaks(nb: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    whole = "the notebook"
    yield from ((whole, leak) for leak in _unknown_keys(nb, _NOTEBOOK_KEYS, "key"))
    metadata = nb.get("metadata", {})
    yield from ((whole, leak) for leak in _unknown_keys(metadata, _METADATA_KEYS, "metadata"))
    for key, known in _METADATA_KEYS.items():
        unknown = _unknown_keys(metadata.get(key, {}), known, f"{key} key")
        yield from ((whole, leak) for leak in unknown)
    for number, cell in enumerate(nb["cells"], start=1):
        leaks = (*_cell_leaks(cell), *_metadata_leaks(cell.get("metadata", {})))
        yield from ((f"cell {number}", leak) for leak in leaks)


def _cell_leaks(cell: Mapping[str, Any]) -> Iterator[str]:
    kind = cell["cell_type"]
    if kind not in _CELL_KEYS:
        yield f"is of the kind {kind!r}, but a cell is one of {', '.join(sorted(_CELL_KEYS))}"
        return
    yield from _unknown_keys(cell, _CELL_KEYS[kind], "key")
    if not _NAME.fullmatch(str(cell.get("id", "none"))):
        yield f"has the id {cell['id']!r}, but an id has letters, digits, - and _ only"
    for key in ("outputs", "execution_count", "attachments"):
        if cell.get(key):
            yield f"has {key.replace('_', ' ')}"
    is_region = cell.get("metadata", {}).get("gradkit", {}).get("region")
    if not is_region and _ANSWER_LABEL.search("".join(cell["source"])):
        yield (
            "has the label of an answer, `**Your answer:**`, but is not a region. Write "
            '`"gradkit": {"region": "answer_name"}` into its metadata, or word it differently'
        )


def _metadata_leaks(metadata: Mapping[str, Any]) -> Iterator[str]:
    own = metadata.get("gradkit", {})
    yield from _unknown_keys(metadata, _CELL_METADATA_KEYS, "metadata")
    yield from _unknown_keys(own, _GRADKIT, "gradkit metadata")
    for key, allowed in _GRADKIT.items():
        value = own.get(key)
        if value is not None and not allowed.fullmatch(str(value)):
            yield f"has {value!r} for its {key}, which is not a valid one"
    tags = metadata.get("tags", [])
    for tag in tags if isinstance(tags, list) else [tags]:
        if not _NAME.fullmatch(str(tag)):
            yield f"has the tag {tag!r}, but a tag has letters, digits, - and _ only"


def _unknown_keys(holder: Mapping[str, Any], known: Collection[str], kind: str) -> Iterator[str]:
    for key in sorted(holder.keys() - set(known)):
        yield f"has the unknown {kind} {key!r}; known are {', '.join(sorted(known))}"


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
