"""Extract from a submission what is graded: the exercise's files, the notebook's regions.

    sources (single files, a folder, an archive) -> candidates -> the best of each wanted file

A file in which somebody has worked is better than the starter's own; then the names and folders
decide.

Nothing else of a submission is used: no other file, no cell outside a region. A missing part counts
as not attempted. A problem of a part is a note, a problem of the whole a `SubmissionRejected`.
"""

import re
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import IntEnum
from functools import cache
from pathlib import Path
from typing import Any

from assignment import PROJECT
from assignment.checks.check import Exercise
from assignment.workspace import regions
from assignment.workspace.cells import MAX_CELL_BYTES, StudentCells, read_cells
from assignment.workspace.regions import Notebook, RegionError
from assignment.workspace.starter import (
    STARTER_MANIFEST,
    TOP_LEVEL,
    StarterError,
    StarterManifest,
    read_manifest,
)
from assignment.workspace.submit import MAX_NOTEBOOK_BYTES, MAX_SOURCE_BYTES
from gradkit.files import content_digest, decode_anything, shown, shown_names
from gradkit.submissions.archives import (
    HOSTILE,
    Member,
    Source,
    SubmissionRejected,
    is_ignored,
    open_source,
)
from gradkit.submissions.discover import Submission, is_single_file
from gradkit.submissions.names import is_archive, parse_name
from gradkit.submissions.wanted_files import Candidate, NameFit, WantedFiles, last_two_parts

MAX_CANDIDATES = 1_000  # files that may be wanted ones

MAX_OPENED = 3  # of the candidates for a wanted file

MAX_OTHER_FILES = 2_000  # names of other files that are kept for notes

# Texts, lists, objects and commas in a notebook. A line of output needs two of them. A notebook
# with many more may be 20 MB of empty lists, which would take 600 MB of memory.
MAX_TOKENS = 2_000_000

# A text takes one to four bytes a character, as many as its widest one does, and reading it makes
# some five copies of it.
MAX_TEXT_MEMORY = 2 * MAX_NOTEBOOK_BYTES


@dataclass(frozen=True)
class SubmissionContent:
    """The part of a submission that is graded."""

    files: dict[str, bytes]  # the exercise's, by their paths in the project
    cells: dict[str, str]  # texts of the notebook's code regions, by name
    written_answers: dict[str, str]  # texts of its other regions
    version: str | None  # of the starter it was made from, if known
    notes: list[str]  # sentences for the grader
    digest: str  # SHA-256 of files, cells and texts
    # Of questions, the texts of other cells that may hold the answer, or the rest of it.
    unassigned: Mapping[str, list[str]] = field(default_factory=dict)


def read_submission(submission: Submission, exercise: Exercise) -> SubmissionContent:
    """Return the part of a submission that is graded.

    Raise SubmissionRejected if it cannot be read, or contains nothing of the exercise.
    """
    if not submission.paths:
        raise SubmissionRejected("Nothing was handed in.")
    reader = _ContentReader(exercise, list(submission.notes))
    singles = [path for path in submission.paths if is_single_file(path)]
    if singles:
        reader.take(_SingleFiles(singles, exercise))
    for path in submission.paths:
        if path not in singles:
            reader.open(path, shown(path.name))
    reader.open_inner_archives()
    return reader.content()


class _SingleFiles(Source):
    """Single files that were handed in together, under the names that their students gave them."""

    def __init__(self, paths: list[Path], exercise: Exercise) -> None:
        super().__init__(paths[0].parent, "the files")
        self._members = []
        names = [parse_name(path.name, exercise).original_filename for path in paths]
        matches = [*map(WantedFiles(exercise).match_name, names)]
        right = {match[0] for match in matches if match and match[1] <= NameFit.SIMILAR}
        for number, (name, match) in enumerate(zip(names, matches, strict=True)):
            # Before it may stand the student's name.
            most = NameFit.SIMILAR if match and match[0] in right else NameFit.PREFIXED
            if match and match[1] <= most:
                name = Path(match[0]).name
            self._members.append(Member(name, number, path=paths[number]))  # the last is the newest

    def members(self) -> Iterator[Member]:
        yield from self._members


@dataclass
class _ContentReader:
    """Takes wanted files from one source after the other; a later source adds missing ones."""

    exercise: Exercise
    notes: list[str]
    files: dict[str, bytes] = field(default_factory=dict)
    notebook: Notebook | None = None
    found: Counter[str] = field(default_factory=Counter)  # files by the wanted one they may be
    untouched: set[str] = field(default_factory=set)  # wanted files without any work so far
    manifest: StarterManifest | None = None
    problems: list[str] = field(default_factory=list)  # the notes on what cannot be graded
    other_files: list[str] = field(default_factory=list)
    inner_archives: list[tuple[float, Path, str]] = field(default_factory=list)  # in folders

    def missing(self) -> list[str]:
        names = [path for path in self.exercise.files if path not in self.files]
        return names if self.notebook else [*names, self.exercise.notebook]

    def open(self, path: Path, name: str) -> None:
        """Take missing files from a folder or archive, or note why it cannot be read."""
        try:
            self.take(open_source(path, name))
        except SubmissionRejected as error:
            self._note_problem(str(error))

    def open_inner_archives(self) -> None:
        """Take missing files from the newest archives in a folder.

        Platforms put each upload into a folder.
        """
        for _, path, name in sorted(self.inner_archives, reverse=True)[:MAX_OPENED]:
            if not (self.missing() or self.untouched):
                break
            before = {**self.files, self.exercise.notebook: self.notebook}
            self.open(path, shown(name))
            after = {**self.files, self.exercise.notebook: self.notebook}
            if taken := sorted(path for path in after if after[path] != before.get(path)):
                self.notes.append(f"Taken from {shown(name)}: {_names(taken)}.")
                self.other_files = [x for x in self.other_files if not name.endswith(f"/{x}")]

    def take(self, source: Source) -> None:
        """Take missing files from a source; raise SubmissionRejected if it is damaged."""
        candidates, notebook = self._candidates(source), self.exercise.notebook
        needed = {*self.missing(), *self.untouched, *([] if self.manifest else [STARTER_MANIFEST])}
        ranked = _rank(candidates, {})
        tried = [each for path in needed for each in ranked.get(path, [])[:MAX_OPENED]]
        sizes = {
            each.member: MAX_NOTEBOOK_BYTES if each.target == notebook else MAX_SOURCE_BYTES
            for each in tried
        }
        contents = source.read(sizes) if sizes else {}
        worth = {each: _worth(each, contents[each.member], self.exercise) for each in tried}
        ranked = _rank(candidates, worth)
        for path in sorted(needed & ranked.keys()):
            best, *others = ranked[path]
            if path in self.untouched and worth[best] != Worth.EDITED:
                continue
            self.untouched.discard(path)
            self.found[path] += sum(each.fit < NameFit.PREFIXED for each in ranked[path])
            if path == STARTER_MANIFEST:
                self._take_manifest(contents[best.member])
                continue
            if worth[best] != Worth.EDITED:
                self.untouched.add(path)
            take = self._take_notebook if path == notebook else self._take_file
            take(best, contents[best.member])
            self.other_files += [each.member.name for each in others if each.fit > NameFit.SIMILAR]

    def _candidates(self, source: Source) -> list[Candidate]:
        """Return the members that may be wanted files, and keep the names of the others."""
        candidates: dict[str, Candidate] = {}  # the last one of each name
        wanted, refused = WantedFiles(self.exercise), []
        for member in source.members():
            name = member.name
            if not name or is_ignored(name):
                continue
            candidate = None if member.problem == HOSTILE else wanted.candidate(member)
            if member.problem and (candidate or member.problem == HOSTILE):
                refused.append(f"{shown(name)} {member.problem}")
            elif candidate is None:
                if member.path and is_archive(name) and name.count("/") <= 1 and not member.problem:
                    inner_archive = member.time, member.path, f"{source.name}/{name}"
                    self.inner_archives.append(inner_archive)
                if len(self.other_files) < MAX_OTHER_FILES and "datasets" not in name.split("/"):
                    self.other_files.append(name)
            elif name in candidates or len(candidates) < MAX_CANDIDATES:
                candidates[name] = candidate
        if refused:
            self._note_problem(f"Not taken from {source.name}: {shown_names(refused, '; ', 200)}.")
        return [*candidates.values()]

    def _note_problem(self, problem: str) -> None:
        self.problems.append(problem)
        self.notes.append(problem)

    def _note_encoding(self, name: str, encoding: str) -> None:
        self.notes.append(f"{name} is not valid in its encoding, so it was read as {encoding}.")

    def _take_file(self, candidate: Candidate, content: bytes | str) -> None:
        name, wanted_name = shown(candidate.member.name), Path(candidate.target).name
        if isinstance(content, str):
            self._note_problem(f"{name} {content}, so it counts as not attempted.")
            return
        text, encoding = decode_anything(content)
        if encoding:
            self._note_encoding(name, encoding)
            content = text.encode()
        count = self.found[candidate.target]
        if count > 1:
            self.notes.append(f"{wanted_name} was found {count} times; {name} was taken.")
        elif candidate.fit:
            self.notes.append(f"{name} was taken for {wanted_name}.")
        self.files[candidate.target] = content

    def _take_notebook(self, candidate: Candidate, content: bytes | str) -> None:
        name = shown(candidate.member.name)
        try:
            self.notebook, damaged, encoding = _parse_notebook(content, name, self.exercise)
        except RegionError as error:
            problem = shown(str(error), 300)
            self._note_problem(f"The notebook's cells count as not attempted: {problem}")
            return
        if encoding:
            self._note_encoding(name, encoding)
        if damaged:
            listed = shown_names(damaged, "; ", 200)
            self.notes.append(f"Cells of {name} are damaged; what can be read counts: {listed}.")
        if candidate.fit or self.found[candidate.target] > 1:
            self.notes.append(f"{name} was taken for the notebook.")

    def _read_cells(self) -> StudentCells:
        """Find the regions in the notebook; note what is missing, and what a person has to read."""
        if not self.notebook:
            return StudentCells({}, [], [], {}, [])
        older = self.manifest.outlines.get(self.exercise.notebook, ()) if self.manifest else ()
        cells = read_cells(self.notebook, self.exercise, _outline(self.exercise.notebook), older)
        self.notes += cells.notes
        titles = _titles(self.exercise.notebook)
        if cells.missing:
            names = ", ".join(titles[name] for name in cells.missing)
            self.notes.append(f"The notebook has no cell of: {names}.")
        if cells.unassigned:
            count = max(map(len, cells.unassigned.values()))
            unfilled = [titles[name] for name in cells.unassigned if name in cells.unfilled]
            filled = [titles[name] for name in cells.unassigned if name not in cells.unfilled]
            parts = {"Not answered in their cells": unfilled, "Cells are beside answers to": filled}
            listed = [f"{part}: {', '.join(names)}." for part, names in parts.items() if names]
            self.notes.append(
                f"{' '.join(listed)} A person has to read the manual grading page, which shows "
                f"other cells ({count}) that are neither the course's nor a region's."
            )
        long = [r for r, text in cells.texts.items() if len(text.encode()) > MAX_CELL_BYTES]
        if long:
            self._note_problem(
                f"More than {MAX_CELL_BYTES / 1e6:g} MB, so it counts as not attempted: "
                f"{shown_names([titles[name] for name in long])}."
            )
        return replace(cells, texts={r: cells.texts[r] for r in cells.texts if r not in long})

    def _take_manifest(self, content: bytes | str) -> None:
        try:
            if isinstance(content, str):
                raise StarterError(f"its {STARTER_MANIFEST} {content}")
            self.manifest = read_manifest(decode_anything(content)[0])
        except StarterError:
            self.notes.append(
                f"Its {STARTER_MANIFEST} is damaged, so the version of its starter is unknown."
            )
            return
        if self.exercise.name not in self.manifest.exercises:
            self.notes.append(f"It was made from another exercise's starter, {self.manifest.name}.")

    def content(self) -> SubmissionContent:
        """Return all that was taken; raise SubmissionRejected if that is nothing."""
        if not self.files and not self.notebook:
            names = f"{_names(self.exercise.files)} and {Path(self.exercise.notebook).name}"
            others = f"; there is {shown_names(self.other_files)}" if self.other_files else ""
            raise SubmissionRejected(
                " ".join(self.problems) or f"It holds none of {names}{others}."
            )
        if absent := [path for path in self.missing() if not self.found[path]]:
            self.notes.append(f"Missing, so not attempted: {_names(absent)}.")
        if ignored := self._unknown_files():
            self.notes.append(f"Ignored: {shown_names(ignored)}.")
        files = {path: self.files[path] for path in self.exercise.files if path in self.files}
        student, code = self._read_cells(), self.exercise.code_regions
        cells = {name: text for name, text in student.texts.items() if name in code}
        answers = {name: text for name, text in student.texts.items() if name not in code}
        version = self.manifest.version if self.manifest else None
        unassigned = {name: "\0".join(texts) for name, texts in student.unassigned.items()}
        digest = _digest(files, cells, answers, unassigned)
        return SubmissionContent(
            files, cells, answers, version, self.notes, digest, student.unassigned
        )

    def _unknown_files(self) -> list[str]:
        """Return the files that belong neither to the exercise nor to the starter."""
        known = WantedFiles(self.exercise).course_files
        if self.manifest:
            known = known | {last_two_parts(path) for path in self.manifest.skeletons}
        names = [
            name
            for name in self.other_files
            if last_two_parts(name) not in known and name.split("/")[-1] not in TOP_LEVEL
        ]
        return sorted(names, key=lambda name: (not name.endswith(".py"), name.count("/"), name))


@cache
def _titles(path: str) -> regions.RegionTitles:
    """Return the titles of the regions of a notebook in today's starter."""
    return regions.cell_titles(_solved_notebook(path))


@cache
def _outline(path: str) -> tuple[str, ...]:
    """Return the outline of a notebook in today's starter."""
    return regions.outline(regions.stub_cells(_solved_notebook(path), path))


def _solved_notebook(path: str) -> Notebook:
    return regions.read_notebook(regions.read_source(PROJECT / path), path)


def _names(paths: Iterable[str]) -> str:
    return ", ".join(Path(path).name for path in paths)


class Worth(IntEnum):
    """The content of a candidate; a smaller value is better."""

    EDITED = 0
    UNTOUCHED = 1  # every region holds its stub
    FOREIGN = 2  # it cannot be read, or a renamed file holds nothing of the wanted one
    UNREAD = 3


def _worth(candidate: Candidate, content: bytes | str, exercise: Exercise) -> Worth:
    if candidate.target == STARTER_MANIFEST:
        return Worth.UNTOUCHED
    try:
        if candidate.target.endswith(".ipynb"):
            nb, *_ = _parse_notebook(content, "", exercise)
            cells = read_cells(nb, exercise, _outline(exercise.notebook))
            is_edited = bool(cells.texts.keys() - {*cells.unfilled} or cells.unassigned)
            return Worth.EDITED if is_edited else Worth.UNTOUCHED
    except RegionError:
        return Worth.FOREIGN
    if isinstance(content, str):
        return Worth.FOREIGN
    source = regions.normalise(decode_anything(content)[0])
    is_foreign = not {*_DEFINITION.findall(source)} & _defined_names(candidate.target)
    if is_foreign and candidate.fit > NameFit.PREFIXED:
        return Worth.FOREIGN
    return Worth.UNTOUCHED if _is_stub(source) else Worth.EDITED


_DEFINITION = re.compile(r"(?m)^(?:class|def) +(\w+)")


@cache
def _defined_names(path: str) -> set[str]:
    return {*_DEFINITION.findall(regions.read_source(PROJECT / path))}


def _is_stub(source: str) -> bool:
    """Return whether a text is blank, or holds regions and each of them its stub."""
    if not source.strip():
        return True
    try:
        return bool(regions.find(source, "")) and regions.restore_stubs(source, "") == source
    except RegionError:
        return False


def _parse_notebook(
    content: bytes | str, name: str, exercise: Exercise
) -> tuple[Notebook, list[str], str]:
    """Return a notebook, the problems of its cells, and `decode_anything`'s encoding.

    Raise RegionError if it cannot be read, or no cell of it is one of the exercise.
    """
    if isinstance(content, str):
        raise RegionError(f"{name} {content}.")
    text, encoding = decode_anything(content)
    if sys.getsizeof(text) > MAX_TEXT_MEMORY or _has_many_tokens(text):
        raise RegionError(f"{name} takes too much memory to be read. Clear its outputs.")
    nb, damaged = regions.salvage_notebook(text, name)
    course = _outline(exercise.notebook)
    if not {*course} & {*regions.outline(nb)} and not read_cells(nb, exercise, course).texts:
        raise RegionError(f"{name} has no cell of the exercise.")
    return nb, damaged, encoding


def _rank(
    candidates: list[Candidate], worth: Mapping[Candidate, Worth]
) -> dict[str, list[Candidate]]:
    """Return the candidates for each wanted file, the best first.

    All come from one folder, if it has them: that with the most edited files, the most wanted
    files, the outermost, the newest.
    """
    roots: dict[tuple[str, ...], list[Candidate]] = {}
    for each in candidates:
        roots.setdefault(each.root, []).append(each)

    def rank_root(root: tuple[str, ...]) -> tuple[Any, ...]:
        targets = {each.target for each in roots[root]}
        edited = {each.target for each in roots[root] if worth.get(each) == Worth.EDITED}
        newest = max(each.member.time for each in roots[root])
        return -len(edited), -len(targets), len(root), -newest, root

    places = {root: place for place, root in enumerate(sorted(roots, key=rank_root))}

    def rank(each: Candidate) -> tuple[Any, ...]:
        poor_fit = each.fit if each.fit >= NameFit.PREFIXED else 0
        depth = each.member.name.count("/")  # the deeper one is where the project has it
        best = worth.get(each, Worth.UNREAD), poor_fit, places[each.root], each.fit
        return *best, -depth, -each.member.time, each.member.name

    ranked: dict[str, list[Candidate]] = {}
    for each in sorted(candidates, key=rank):
        ranked.setdefault(each.target, []).append(each)
    return ranked


# Comes to an end at once on any text: a text that is not closed takes all that is left.
_TOKEN = re.compile(r'[,\[{]|"[^"\\]*+(?:\\.[^"\\]*+)*+"?+', re.DOTALL)


def _has_many_tokens(text: str) -> bool:
    """Return whether a JSON text has more values than a notebook, each of which takes memory."""
    return any(number >= MAX_TOKENS for number, _ in enumerate(_TOKEN.finditer(text)))


def _digest(files: Mapping[str, bytes], *texts: Mapping[str, str]) -> str:
    contents = [files, *({name: text.encode() for name, text in each.items()} for each in texts)]
    return content_digest(
        {f"{kind}\0{name}": each[name] for kind, each in enumerate(contents) for name in each}
    )
