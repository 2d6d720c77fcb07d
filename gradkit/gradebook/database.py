"""The ledger: what is known of a class's submissions, each result as soon as there is one.

It is one SQLite file. `records` are the submissions as they lie in the class's folder; `results`
what came of the work in them, once for each student, work, exam and kit, however often it is handed
in; `outcomes` what the checks returned, so that it can be judged again. A result is written in one
transaction, so that a grader who is killed loses what is being graded, and nothing else.
"""

import contextlib
import json
import os
import secrets
import socket
import sqlite3
import time
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

from assignment.checks.answer_key import AnswerKey
from assignment.checks.check import Outcome
from assignment.checks.graded import read_outcome, write_outcome
from assignment.checks.verdict import Status, Verdict
from gradkit.errors import GradkitError
from gradkit.processes import started

DATABASE_NAME = "gradebook.sqlite"

VERSION = "2"

BUSY_SECONDS = 60.0  # that another grader's transaction may take


SCHEMA = """
CREATE TABLE IF NOT EXISTS about (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS answers (exam TEXT PRIMARY KEY, answers BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS entries (
    submission TEXT NOT NULL, student TEXT NOT NULL, received TEXT NOT NULL,
    status TEXT NOT NULL, work TEXT, notes TEXT NOT NULL, dated TEXT NOT NULL,
    PRIMARY KEY (student, submission)
);
CREATE TABLE IF NOT EXISTS results (
    id INTEGER PRIMARY KEY, student TEXT NOT NULL, work TEXT NOT NULL, exam TEXT NOT NULL,
    kit TEXT NOT NULL, score INTEGER NOT NULL, verdicts TEXT NOT NULL, handed_in BLOB NOT NULL,
    seconds REAL NOT NULL, again INTEGER NOT NULL, graded REAL NOT NULL,
    UNIQUE (student, work, exam, kit)
);
CREATE TABLE IF NOT EXISTS outcomes (
    result INTEGER NOT NULL REFERENCES results (id) ON DELETE CASCADE,
    name TEXT NOT NULL, outcome BLOB NOT NULL, PRIMARY KEY (result, name)
);
CREATE TABLE IF NOT EXISTS manual (
    student TEXT NOT NULL, item TEXT NOT NULL, points REAL, comment TEXT NOT NULL,
    answer TEXT NOT NULL, entered REAL NOT NULL, PRIMARY KEY (student, item)
);
CREATE TABLE IF NOT EXISTS claims (
    student TEXT NOT NULL, work TEXT NOT NULL, owner TEXT NOT NULL, until REAL NOT NULL,
    PRIMARY KEY (student, work)
);
"""


@dataclass(frozen=True)
class GradebookFolder:
    """Whose ledger it is: the instructor's tree, the exercise, and the folder where it lies."""

    project: Path
    exercise: str
    out: Path


def exercise_of(folder: Path) -> str | None:
    """The exercise whose ledger lies in a folder, if there is one that can be read."""
    path = folder / DATABASE_NAME
    if not path.is_file():
        return None
    with contextlib.suppress(sqlite3.Error), contextlib.closing(sqlite3.connect(path)) as db:
        found = db.execute("SELECT value FROM about WHERE name = 'exercise'").fetchone()
        return str(found[0]) if found else None
    return None


class DatabaseError(GradkitError):
    """The ledger cannot be used as asked; the text says why."""


class ResultKey(NamedTuple):
    """What a result is of: one student's work, by its digest, in one exam, graded by one kit."""

    student: str
    work: str
    spec: str
    kit: str


class PackedOutcomes(Mapping[str, Outcome]):
    """What the checks returned, by name: packed as the ledger keeps it, read when asked for.

    Those of one submission are a third of a megabyte, most of it weights, and take 20 ms to pack.
    So that is done where it was graded, and nobody unpacks those of a class at once.
    """

    def __init__(self, packed: Mapping[str, bytes]) -> None:
        self.packed = packed

    @classmethod
    def pack(cls, outcomes: Mapping[str, Outcome]) -> "PackedOutcomes":
        if isinstance(outcomes, PackedOutcomes):
            return outcomes
        texts = {name: json.dumps(write_outcome(one)) for name, one in outcomes.items()}
        return cls({name: zlib.compress(text.encode()) for name, text in texts.items()})

    def __getitem__(self, name: str) -> Outcome:
        return read_outcome(json.loads(zlib.decompress(self.packed[name])))

    def __iter__(self) -> Iterator[str]:
        return iter(self.packed)

    def __len__(self) -> int:
        return len(self.packed)


@dataclass(frozen=True)
class GradingResult:
    """What came of a student's work; `again` says that it is to be tried once more, alone."""

    key: ResultKey
    verdicts: Mapping[str, Verdict]
    outcomes: Mapping[str, Outcome] = field(repr=False)
    handed_in: Mapping[str, Any] = field(repr=False)  # files (as text), cells, answers
    seconds: float = 0.0
    again: bool = False

    @property
    def score(self) -> int:
        return sum(verdict.points for verdict in self.verdicts.values())


@dataclass(frozen=True)
class SubmissionRecord:
    """A submission as it lies in the class's folder.

    `status` is "graded", "superseded" (by a later one of the same student), "refused" (it cannot be
    opened, the notes say why), "failed" (it could not be graded, through no fault of its own),
    "waiting", or "nothing handed in". `received` is an ISO time or empty; `dated` says what that is
    known by: "told" (by its name, its platform or a roster), or "files" (by its newest one).
    """

    submission: str
    student: str
    received: str
    status: str
    work: str | None = None
    notes: tuple[str, ...] = ()
    dated: str = ""


@dataclass(frozen=True)
class ManualGrade:
    """What a person gave a student for a check or an answer.

    Attributes
    ----------
    student, item : str
    points : float or None
        None for a comment that leaves the points as they are.
    comment : str
        For the student: on an answer, or why a check's points are others than the kit's.
    answer : str
        The digest of the answer that was graded; empty where nobody said which.
    """

    student: str
    item: str
    points: float | None
    comment: str = ""
    answer: str = ""


class GradebookDatabase:
    """The ledger in a folder; made where there is none.

    Raises
    ------
    LedgerError
        The file is none, or another version's, or another exercise's, or cannot be written.
    """

    def __init__(self, folder: Path, exercise: str) -> None:
        self.path = folder / DATABASE_NAME
        folder.mkdir(parents=True, exist_ok=True)
        try:
            self._db = sqlite3.connect(self.path, timeout=BUSY_SECONDS, isolation_level=None)
        except sqlite3.Error as error:
            raise DatabaseError(f"{self.path} cannot be opened ({error}).") from error
        try:
            self._open(exercise)
        except BaseException:
            self._db.close()
            raise

    def _open(self, exercise: str) -> None:
        try:
            self._db.execute("PRAGMA journal_mode = WAL")
            # What is committed outlives this process. Only if the machine itself stops, the last
            # results may be missing, and are graded again: that is no wait for the disk worth.
            self._db.execute("PRAGMA synchronous = NORMAL")
            self._db.execute("PRAGMA foreign_keys = ON")
            self._db.executescript(SCHEMA)
            self.path.chmod(0o600)  # the secret seed is in it
            for name, value in (("version", VERSION), ("exercise", exercise)):
                found = self._remember(name, value)
                if found != value:
                    raise DatabaseError(
                        f"{self.path} is of {name} {found!r}, but {value!r} is asked for. Give "
                        "--out another folder."
                    )
        except (sqlite3.Error, OSError) as error:
            raise DatabaseError(
                f"{self.path} cannot be used ({error}). If it is damaged, give --out another "
                "folder."
            ) from error

    def close(self) -> None:
        self._db.close()

    def secret(self, seed: int | None) -> int:
        """The ledger's secret seed, drawn at the first run; `seed` is what it is to be, if given.

        Raises
        ------
        LedgerError
            It is another one already: a class is graded with one seed.
        """
        found = int(self._remember("secret", str(secrets.randbits(128) if seed is None else seed)))
        if seed not in (None, found):
            raise DatabaseError(
                f"{self.path} was begun with another seed, and a class is graded with one. Leave "
                "--seed out, or give --out another folder."
            )
        return found

    def _remember(self, name: str, value: str) -> str:
        """The value of a name, which is set where there was none."""
        with self._transaction() as db:
            db.execute("INSERT OR IGNORE INTO about VALUES (?, ?)", (name, value))
            [(found,)] = db.execute("SELECT value FROM about WHERE name = ?", (name,))
        return str(found)

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield self._db
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")

    # --- what is computed once -------------------------------------------------------------------

    def answer_key(self, spec: str) -> AnswerKey | None:
        """The right answers for an exam, where they were kept."""
        found = self._db.execute("SELECT answers FROM answers WHERE exam = ?", (spec,)).fetchone()
        return AnswerKey.from_json(zlib.decompress(found[0]).decode()) if found else None

    def save_answer_key(self, spec: str, answer_key: AnswerKey) -> None:
        packed = zlib.compress(answer_key.to_json().encode())
        self._db.execute("INSERT OR REPLACE INTO answers VALUES (?, ?)", (spec, packed))

    def is_verified(self, spec: str, kit: str) -> bool:
        """Whether the solution has come through this exam with all its points."""
        query = "SELECT 1 FROM about WHERE name = ?"
        return self._db.execute(query, (f"proved {spec} {kit}",)).fetchone() is not None

    def mark_verified(self, spec: str, kit: str) -> None:
        self._remember(f"proved {spec} {kit}", "yes")

    # --- entries ---------------------------------------------------------------------------------

    def save_submission(self, record: SubmissionRecord) -> None:
        """Write down a submission, or what is new of it."""
        values = (*list(vars(record).values())[:5], json.dumps(record.notes), record.dated)
        self._db.execute("INSERT OR REPLACE INTO entries VALUES (?, ?, ?, ?, ?, ?, ?)", values)

    def record(self, student: str, submission: str) -> SubmissionRecord:
        """What was written down of a submission."""
        query = "SELECT * FROM entries WHERE student = ? AND submission = ?"
        return _entry(self._db.execute(query, (student, submission)).fetchone())

    def records(self) -> list[SubmissionRecord]:
        """All submissions, by student and time."""
        rows = self._db.execute("SELECT * FROM entries ORDER BY student, received, submission")
        return list(map(_entry, rows))

    # --- what people give ------------------------------------------------------------------------

    def save_manual_grades(
        self, given: Iterable[ManualGrade], taken_back: Iterable[tuple[str, str]] = ()
    ) -> None:
        """Write down what a person gave, in the place of what was there, all of it or nothing.

        Of what is taken back, by student and item, counts again what the kit found.
        """
        with self._transaction() as db:
            db.executemany("DELETE FROM manual WHERE student = ? AND item = ?", taken_back)
            db.executemany(
                "INSERT OR REPLACE INTO manual VALUES (?, ?, ?, ?, ?, ?)",
                [(*vars(manual).values(), time.time()) for manual in given],
            )

    def manual(self) -> dict[tuple[str, str], ManualGrade]:
        """What people gave, by student and item."""
        query = "SELECT student, item, points, comment, answer FROM manual"
        return {row[:2]: ManualGrade(*row) for row in self._db.execute(query)}

    # --- results ---------------------------------------------------------------------------------

    def claim(self, key: ResultKey, seconds: float) -> bool:
        """Whether this grader is to grade a work: no result is there, nor another at work on it.

        A claim ends with `seconds`, with `save_result`, or with the grader who has made it.
        """
        with self._transaction() as db:
            if self._result_id(key) is not None:
                return False
            query = "SELECT owner, until FROM claims WHERE student = ? AND work = ?"
            found = db.execute(query, (key.student, key.work)).fetchone()
            if found and found[0] != _owner() and found[1] > time.time() and _is_alive(found[0]):
                return False
            values = (key.student, key.work, _owner(), time.time() + seconds)
            db.execute("INSERT OR REPLACE INTO claims VALUES (?, ?, ?, ?)", values)
        return True

    def save_result(self, key: ResultKey, result: GradingResult | None = None) -> None:
        """End a claim, with its result if there is one; a result that was there is replaced."""
        with self._transaction() as db:
            db.execute("DELETE FROM claims WHERE student = ? AND work = ?", (key.student, key.work))
            if result is None:
                return
            self._delete(key)
            verdicts = _as_json(result.verdicts)
            handed_in = zlib.compress(json.dumps(result.handed_in).encode())
            values = (*key, result.score, verdicts, handed_in, result.seconds, int(result.again))
            columns = "student, work, exam, kit, score, verdicts, handed_in, seconds, again, graded"
            marks = ", ".join("?" * 10)
            new = db.execute(
                f"INSERT INTO results ({columns}) VALUES ({marks})", (*values, time.time())
            ).lastrowid
            db.executemany(
                "INSERT INTO outcomes VALUES (?, ?, ?)",
                [(new, *item) for item in PackedOutcomes.pack(result.outcomes).packed.items()],
            )

    def result(self, key: ResultKey) -> GradingResult | None:
        """The result of a work, if there is one."""
        found = self._result_id(key)
        return None if found is None else self._read_result(found)

    def latest(self, key: ResultKey) -> GradingResult | None:
        """The result of a work, or else the last one that a former exam or kit gave it."""
        query = "SELECT id FROM results WHERE student = ? AND work = ? ORDER BY graded DESC"
        found = self._db.execute(query, (key.student, key.work)).fetchone()
        return self.result(key) or (found and self._read_result(found[0]))

    def results(self) -> Iterator[GradingResult]:
        """All results, those of former exams and kits included."""
        for (number,) in self._db.execute("SELECT id FROM results ORDER BY id").fetchall():
            yield self._read_result(number)

    def replace_verdicts(
        self, result: GradingResult, key: ResultKey, verdicts: Mapping[str, Verdict]
    ) -> None:
        """Replace a result's verdicts by those of another exam or kit; it is theirs then."""
        number = self._result_id(result.key)
        changed = replace(result, key=key, verdicts=verdicts)
        with self._transaction() as db:
            if key != result.key:
                self._delete(key)
            db.execute(
                "UPDATE results SET exam = ?, kit = ?, score = ?, verdicts = ? WHERE id = ?",
                (key.spec, key.kit, changed.score, _as_json(verdicts), number),
            )

    def delete_results(self, student: str | None) -> int:
        """Delete the results of a student, or of all; how many there were."""
        where, values = ("WHERE student = ?", (student,)) if student else ("", ())
        return self._db.execute(f"DELETE FROM results {where}", values).rowcount

    def _delete(self, key: ResultKey) -> None:
        condition = "student = ? AND work = ? AND exam = ? AND kit = ?"
        self._db.execute(f"DELETE FROM results WHERE {condition}", key)

    def _result_id(self, key: ResultKey) -> int | None:
        condition = "student = ? AND work = ? AND exam = ? AND kit = ?"
        found = self._db.execute(f"SELECT id FROM results WHERE {condition}", key).fetchone()
        return None if found is None else int(found[0])

    def _read_result(self, number: int) -> GradingResult:
        columns = "student, work, exam, kit, verdicts, seconds, again"
        row = self._db.execute(f"SELECT {columns} FROM results WHERE id = ?", (number,)).fetchone()
        return GradingResult(
            ResultKey(*row[:4]),
            {name: _verdict(about) for name, about in json.loads(row[4]).items()},
            PackedOutcomes(_Packed(self._db, number)),
            _HandedIn(self._db, number),
            row[5],
            bool(row[6]),
        )


@dataclass(frozen=True, eq=False)
class _Packed(Mapping[str, bytes]):
    """The outcomes of a result, each read when it is asked for."""

    db: sqlite3.Connection
    result: int

    def __getitem__(self, name: str) -> bytes:
        query = "SELECT outcome FROM outcomes WHERE result = ? AND name = ?"
        found = self.db.execute(query, (self.result, name)).fetchone()
        if found is None:
            raise KeyError(name)
        return bytes(found[0])

    def __iter__(self) -> Iterator[str]:
        query = "SELECT name FROM outcomes WHERE result = ? ORDER BY rowid"
        return iter([name for (name,) in self.db.execute(query, (self.result,))])

    def __len__(self) -> int:
        return len(list(iter(self)))


@dataclass(frozen=True, eq=False)
class _HandedIn(Mapping[str, Any]):
    """What was handed in of a result, read when it is asked for."""

    db: sqlite3.Connection
    result: int

    def _read(self) -> dict[str, Any]:
        query = "SELECT handed_in FROM results WHERE id = ?"
        [(packed,)] = self.db.execute(query, (self.result,))
        return dict(json.loads(zlib.decompress(packed)))

    def __getitem__(self, name: str) -> Any:
        return self._read()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._read())

    def __len__(self) -> int:
        return len(self._read())


def _entry(row: tuple[Any, ...]) -> SubmissionRecord:
    submission, student, received, status, work, notes, dated = row
    return SubmissionRecord(
        submission, student, received, status, work, tuple(json.loads(notes)), dated
    )


def _as_json(verdicts: Mapping[str, Verdict]) -> str:
    return json.dumps({name: vars(verdict) for name, verdict in verdicts.items()})


def _verdict(about: Mapping[str, Any]) -> Verdict:
    return Verdict(**{**about, "status": Status(about["status"])})


def _owner() -> str:
    return f"{socket.gethostname()} {os.getpid()} {started(os.getpid())}"


def _is_alive(owner: str) -> bool:
    """Whether the grader that made a claim still runs; of another machine nobody knows."""
    host, pid, since = owner.rsplit(" ", 2)
    return host != socket.gethostname() or started(int(pid)) == since
