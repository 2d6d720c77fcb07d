"""The leak scan: what must not be in a starter, looked for in its finished files.

It takes nothing from the code that made them. It finds the solutions in the instructor's tree with
means of its own, reads the starter as anyone would who has unpacked it, and reports, a sentence
each, every line of a solution, every output, every file and every path that has no business there.

It looks for solutions in two places: between the markers, and in the bank of mistakes and variants,
which tells some of their lines once more. So a marker that stands in the wrong place is noticed.
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

TOP_LEVEL = {
    *("assignment", "notebooks", "datasets"),
    *("get_datasets.sh", "requirements.txt", "README.md"),
}
SUFFIXES = {".py", ".ipynb", ".json", ".md", ".txt", ".sh"}
INSTRUCTORS = {
    *("gradkit", "grading", "tests", "benchmarks", "docs", "demo", "dist"),
    *("Makefile", "pyproject.toml", "LICENSE"),
    *("requirements-dev.txt", "requirements-cluster.txt"),
}
SOLVED_FOLDERS = ("assignment", "notebooks", "grading")

# Shorter lines, and code that only names things (`reg,` or `batch_size=BATCH_SIZE,`), stand in
# many places by chance and tell nobody how the exercise is solved.
SHORTEST_CODE = 12  # characters without blanks
SHORTEST_PROSE = 20
# In the files that students fill in, where a solution is left over if anywhere, also a whole line
# as short as `dW += reg * W` is one; shorter ones are `else:` and the like.
SHORTEST_LINE = 8
_DOES_SOMETHING = re.compile(r"[(\[+*/@%<>|&-]| = |:\s*$")

_MARKER = re.compile(r"^[ \t]*#+[ \t]*(BEGIN|END)[ \t]+SOLUTION\b", re.IGNORECASE)
_STUDENTS_MARKER = re.compile(r"^[ \t]*### (?:START OF YOUR CODE: (\w+)|END OF YOUR CODE)[ \t]*$")
_JSON_STRING = re.compile(r'"(?:[^"\\]|\\.)*"', re.DOTALL)
_ANSWER_LABEL = re.compile(r"^[\W_]*your answer[*_\s]*:", re.IGNORECASE | re.MULTILINE)
_HOMES = (
    re.compile(r"(?<![\w.])/(?:home|Users)/\w[\w.-]*"),
    re.compile(r"(?<!\w)[A-Za-z]:[\\/]+Users[\\/]+\w[\w.-]*", re.IGNORECASE),
)

# All that there is in a notebook of format 4. Whatever else is in one is not shown by Jupyter, so
# nobody would see what it gives away. Of metadata only what a starter needs.
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
    """A line of a solution, squeezed, and where it stands in the instructor's tree."""

    squeezed: str
    text: str
    origin: str


def find_leaks(files: Mapping[str, bytes], project: Path) -> list[str]:
    """What must not be in a starter of these files, a sentence each; `project` holds the solutions.

    There is no list of exceptions: if one of them is no leak, reword it where it stands. Raises
    ValueError where the solutions cannot be read.
    """
    secrets = list(find_secrets(project))
    machine = _machine_paths(project)
    leaks = []
    for path, content in sorted(files.items()):
        leaks += [f"{path}: {fault}." for fault in _path_faults(path)]
        try:
            text = content.decode("utf-8")
        except UnicodeDecodeError as error:
            line = content[: error.start].count(b"\n") + 1
            leaks.append(f"{path}, line {line}: is not UTF-8.")
            continue
        pieces = list(_pieces(path, text))
        leaks += [f"{path}, {place}: {fault}." for place, fault in _cell_faults(path, text)]
        for number, fault in (*_line_faults(pieces, machine), *_stub_faults(pieces)):
            leaks.append(f"{path}, line {number}: {fault}.")
        squeezed, lines = _Squeezed(pieces), _given_lines(path, pieces)
        for secret in secrets:
            if len(secret.squeezed) < SHORTEST_CODE:
                at = lines.get(secret.squeezed)
            else:
                at = squeezed.line_of(secret.squeezed)
            if at is not None:
                leaks.append(
                    f"{path}, line {at}: holds `{secret.text}`, which is a line of the "
                    f"solution ({secret.origin})."
                )
    return leaks


# --- what is secret ------------------------------------------------------------------------------


def find_secrets(project: Path) -> Iterator[Secret]:
    """The lines of all solutions and answers in the instructor's tree, each only once."""
    seen = set()
    for origin, line, is_code in _solution_lines(project):
        code, _, comment = line.partition("#") if is_code else ("", "", line)
        # The label before an answer stands in the starter as well.
        prose = re.sub(r"^\W*\*\*[\w ]+:\*\*", "", comment)
        tells_code = len(squeeze(code)) >= SHORTEST_LINE and _DOES_SOMETHING.search(code)
        tells_prose = len(squeeze(prose)) >= SHORTEST_PROSE
        for part in [code] * bool(tells_code) + [prose] * tells_prose:
            squeezed = squeeze(part)
            if squeezed not in seen:
                seen.add(squeezed)
                yield Secret(squeezed, part.strip(), origin)


def squeeze(text: str) -> str:
    """What stays the same when somebody wraps a text differently, or makes a comment of it."""
    return "".join(text.replace("#", "").split()).casefold()


def _solution_lines(project: Path) -> Iterator[tuple[str, str, bool]]:
    """Where a line of a solution stands, the line, and whether it is code."""
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
        nb = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is not a notebook ({error}). Repair or remove it.") from error
    for number, cell in enumerate(nb["cells"], start=1):
        source, origin = "".join(cell["source"]), f"{name}, cell {number}"
        if cell["cell_type"] == "code":
            for _, line in _between_markers(source):
                yield origin, line, True
        elif cell["metadata"].get("gradkit", {}).get("region"):
            for line in source.splitlines():
                yield origin, line, False


def _bank_lines(path: Path) -> list[str]:
    """The right lines in a file of the bank: what it replaces, and all of it if it is a variant."""
    try:
        mutants = tomllib.loads(path.read_text(encoding="utf-8"))["plant"]
        edits = [edit for mutant in mutants for edit in mutant.get("replace", ())]
        texts = [old for old, _ in edits]
        if path.parent.name == "variants":
            texts += [new for _, new in edits]
            texts += [mutant.get("body", "") for mutant in mutants]
        return [line for text in texts for line in text.splitlines()]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(
            f"{path} is not a file of the bank, or has a mistake in it ({error}). "
            "`python -m gradkit build` says what it should be."
        ) from error


def _between_markers(text: str) -> Iterator[tuple[int, str]]:
    inside = False
    for number, line in enumerate(text.splitlines(), start=1):
        if marker := _MARKER.match(line):
            inside = marker[1].upper() == "BEGIN"
        elif inside:
            yield number, line


# --- what the starter holds ----------------------------------------------------------------------


def _pieces(path: str, text: str) -> Iterator[tuple[int, str]]:
    """What is to be read in a file, with line numbers: its lines, or the strings of its JSON."""
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


class _Squeezed:
    """A file's text without blanks, in which a line can be found wherever line breaks are."""

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
        at = self._text.find(squeezed)
        return None if at < 0 else self._numbers[bisect.bisect_right(self._starts, at) - 1]


def _given_lines(path: str, pieces: Iterable[tuple[int, str]]) -> dict[str, int]:
    """The lines of code of a file that students fill in, squeezed, with their numbers."""
    if not path.endswith(".py") or not any(_STUDENTS_MARKER.match(text) for _, text in pieces):
        return {}
    return {squeeze(text.partition("#")[0]): number for number, text in pieces}


def _path_faults(path: str) -> Iterator[str]:
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
        yield f"is none of the kinds of files that a starter holds: {', '.join(sorted(SUFFIXES))}"


def _cell_faults(path: str, text: str) -> Iterator[tuple[str, str]]:
    if PurePosixPath(path).suffix not in (".json", ".ipynb"):
        return
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        yield "line 1", f"is not JSON ({error})"
        return
    if path.endswith(".ipynb"):
        yield from _notebook_faults(content)


def _notebook_faults(nb: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    whole = "the notebook"
    yield from ((whole, fault) for fault in _unknown(nb, _NOTEBOOK_KEYS, "key"))
    about = nb.get("metadata", {})
    yield from ((whole, fault) for fault in _unknown(about, _METADATA_KEYS, "metadata"))
    for key, known in _METADATA_KEYS.items():
        yield from ((whole, fault) for fault in _unknown(about.get(key, {}), known, f"{key} key"))
    for number, cell in enumerate(nb["cells"], start=1):
        faults = (*_content_faults(cell), *_metadata_faults(cell.get("metadata", {})))
        yield from ((f"cell {number}", fault) for fault in faults)


def _content_faults(cell: Mapping[str, Any]) -> Iterator[str]:
    kind = cell["cell_type"]
    if kind not in _CELL_KEYS:
        yield f"is of the kind {kind!r}, but a cell is one of {', '.join(sorted(_CELL_KEYS))}"
        return
    yield from _unknown(cell, _CELL_KEYS[kind], "key")
    if not _NAME.fullmatch(str(cell.get("id", "none"))):
        yield f"has the id {cell['id']!r}, but an id has letters, digits, - and _ only"
    for key in ("outputs", "execution_count", "attachments"):
        if cell.get(key):
            yield f"has {key.replace('_', ' ')}"
    is_region = cell.get("metadata", {}).get("gradkit", {}).get("region")
    if not is_region and _ANSWER_LABEL.search("".join(cell["source"])):
        yield (
            "has the label of an answer, `**Your answer:**`, but is no region. Say "
            '`"gradkit": {"region": "answer_name"}` in its metadata, or word it differently'
        )


def _metadata_faults(about: Mapping[str, Any]) -> Iterator[str]:
    yield from _unknown(about, _CELL_METADATA_KEYS, "metadata")
    yield from _unknown(about.get("gradkit", {}), _GRADKIT, "gradkit metadata")
    for key, allowed in _GRADKIT.items():
        value = about.get("gradkit", {}).get(key)
        if value is not None and not allowed.fullmatch(str(value)):
            yield f"says {value!r} for its {key}, which is not the name of one"
    tags = about.get("tags", [])
    for tag in tags if isinstance(tags, list) else [tags]:
        if not _NAME.fullmatch(str(tag)):
            yield f"has the tag {tag!r}, but a tag has letters, digits, - and _ only"


def _unknown(holder: Mapping[str, Any], known: Collection[str], what: str) -> Iterator[str]:
    for key in sorted(holder.keys() - set(known)):
        yield f"has the unknown {what} {key!r}; there are {', '.join(sorted(known))}"


def _line_faults(
    pieces: Iterable[tuple[int, str]], machine: list[re.Pattern[str]]
) -> Iterator[tuple[int, str]]:
    for number, text in pieces:
        for line in text.splitlines():
            if _MARKER.match(line):
                yield number, f"holds the marker of a solution, `{line.strip()}`"
        if found := next(filter(None, (pattern.search(text) for pattern in machine)), None):
            yield number, f"names {found[0]!r}, a folder of somebody's computer"


def _stub_faults(pieces: Iterable[tuple[int, str]]) -> Iterator[tuple[int, str]]:
    """Regions that somebody has filled in, perhaps when trying a starter, and copied back."""
    region = None
    for number, text in pieces:
        for line in text.splitlines():
            if marker := _STUDENTS_MARKER.match(line):
                region = marker[1]
            elif region and line.strip() not in ("", f'raise NotImplementedError("{region}")'):
                yield number, f"region {region!r} holds `{line.strip()}`, which is not its stub"
                region = None


def _machine_paths(project: Path) -> list[re.Pattern[str]]:
    """What finds the project's folder, and the home folder of anyone, in a text."""
    home = os.path.expanduser("~")  # noqa: PTH111 - Path.home raises where there is none
    folders = {project.absolute(), project.resolve(), Path(home)}
    spellings = {text for path in folders if path.name for text in (str(path), path.as_posix())}
    here = [re.compile(rf"(?<![\w.]){re.escape(text)}(?![\w-])") for text in sorted(spellings)]
    return [*here, *_HOMES]
