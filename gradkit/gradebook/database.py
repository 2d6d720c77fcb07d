"""The gradebook database: one SQLite file with everything known of a class's submissions.

    submissions      each submission in the class's folder, with its status
    results          verdicts, once per student, content, grading spec and kit
    result_parts     what the checks returned and what was handed in, packed, for each result
    manual_grades    points and comments that people gave
    answer_keys      the reference arrays of each grading spec and epoch
    settings         format, exercise, secret seed and epoch of the database; verified specs

A result is written in one transaction: a grader that is killed loses only what it was grading.

The problems of an epoch come from a secret seed of its own. Feedback for students closes the epoch:
what is graded later gets other problems, so that knowing those of before is worth nothing.
"""

import contextlib
import fcntl
import hashlib
import json
import os
import platform
import secrets
import shlex
import sqlite3
import time
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple, Self, TypeVar

import numpy as np

from assignment import __version__
from assignment.checks.answer_key import AnswerKey
from assignment.checks.check import Outcome
from assignment.checks.graded import read_outcome, write_outcome
from assignment.checks.verdict import Status, Verdict
from gradkit.errors import GradkitError

DATABASE_NAME = "gradebook.sqlite"
VERSION = "4"  # of the tables
BUSY_TIMEOUT = 60.0  # seconds that another grader's transaction may take

SCHEMA = """
CREATE TABLE settings (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE answer_keys (
    spec TEXT NOT NULL, epoch INTEGER NOT NULL, answer_key BLOB NOT NULL, PRIMARY KEY (spec, epoch)
);
CREATE TABLE submissions (
    submission TEXT NOT NULL, student TEXT NOT NULL, received TEXT NOT NULL, status TEXT NOT NULL,
    content_digest TEXT, notes TEXT NOT NULL, time_source TEXT NOT NULL,
    PRIMARY KEY (student, submission)
);
CREATE TABLE results (
    id INTEGER PRIMARY KEY, student TEXT NOT NULL, content_digest TEXT NOT NULL, spec TEXT NOT NULL,
    kit TEXT NOT NULL, score INTEGER NOT NULL, verdicts TEXT NOT NULL, seconds REAL NOT NULL,
    versions TEXT NOT NULL, epoch INTEGER NOT NULL, graded_at REAL NOT NULL,
    UNIQUE (student, content_digest, spec, kit)
);
CREATE TABLE result_parts (
    result INTEGER NOT NULL REFERENCES results (id) ON DELETE CASCADE,
    kind TEXT NOT NULL, name TEXT NOT NULL, packed BLOB NOT NULL, PRIMARY KEY (result, kind, name)
);
CREATE TABLE manual_grades (
    student TEXT NOT NULL, item TEXT NOT NULL, points REAL, comment TEXT NOT NULL,
    answer_digest TEXT NOT NULL, entered_at REAL NOT NULL, PRIMARY KEY (student, item)
);
"""
HAS_KEY = "student = ? AND content_digest = ? AND spec = ? AND kit = ?"

# What reading a damaged row raises.
DAMAGE = (ValueError, TypeError, KeyError, AttributeError, zlib.error)
STATUSES = ("graded", "superseded", "refused", "failed", "waiting", "nothing handed in")

T = TypeVar("T")


class DatabaseError(GradkitError):
    """A gradebook database that cannot be used as asked."""


class DamagedResult(DatabaseError):
    """A result that cannot be read; the text names the student and the way to mend it."""


@dataclass(frozen=True)
class GradebookFolder:
    """The folder of a gradebook, the exercise it is for, and the instructor's tree."""

    project: Path
    exercise: str
    out: Path


class ResultKey(NamedTuple):
    """The student, the digest of the content, the grading spec and the kit of a result."""

    student: str
    content_digest: str
    spec: str
    kit: str


class PackedValues(Mapping[str, T]):
    """A mapping whose values are read and unpacked each time they are looked up.

    What the checks return for one submission takes a third of a megabyte packed, and 20 ms to pack.
    Workers pack it, and nobody holds that of a whole class in memory.
    """

    def __init__(
        self, names: Iterable[str], read: Callable[[str], bytes], unpack: Callable[[bytes], T]
    ) -> None:
        self._names, self.read, self._unpack = tuple(names), read, unpack

    def __getitem__(self, name: str) -> T:
        if name not in self._names:
            raise KeyError(name)
        return self._unpack(self.read(name))

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


def pack_outcomes(outcomes: Mapping[str, Outcome]) -> PackedValues[Outcome]:
    """Pack what the checks returned, as the database keeps it; packed values stay unchanged."""
    if isinstance(outcomes, PackedValues):
        return outcomes
    packed = {name: _pack(write_outcome(outcome)) for name, outcome in outcomes.items()}
    return PackedValues(packed, packed.__getitem__, _unpack_outcome)


def _pack(value: Any) -> bytes:
    return zlib.compress(json.dumps(value).encode())


def _unpack(packed: bytes) -> Any:
    return json.loads(zlib.decompress(packed))


def _unpack_outcome(packed: bytes) -> Outcome:
    return read_outcome(_unpack(packed))


def software_versions() -> dict[str, str]:
    python = platform.python_version()
    return {"gradkit": __version__, "Python": python, "numpy": np.__version__}


@dataclass(frozen=True)
class GradingResult:
    """The verdicts of one submission's checks, with all that is needed to judge it again.

    `handed_in` holds `files` (Latin-1 text by path), `cells` and `answers` (text by region), and
    `unassigned` (by question, the texts of other cells that may hold its answer).
    """

    key: ResultKey
    verdicts: Mapping[str, Verdict]  # by check
    outcomes: Mapping[str, Outcome] = field(repr=False)  # by check
    handed_in: Mapping[str, Any] = field(repr=False)
    seconds: float = 0.0
    versions: Mapping[str, str] = field(default_factory=software_versions)
    epoch: int = 1  # whose problems it was graded with

    @property
    def score(self) -> int:
        return sum(verdict.points for verdict in self.verdicts.values())


@dataclass(frozen=True)
class SubmissionRecord:
    """A submission in the class's folder.

    Its status is "graded", "superseded" (by a later one of the student), "refused" (it cannot be
    opened), "failed" (it could not be graded), "waiting", or "nothing
    handed in". The first note of a refused submission gives the reason.
    """

    submission: str
    student: str
    received: str  # ISO time, or empty
    status: str
    content_digest: str | None = None
    notes: tuple[str, ...] = ()  # sentences for the grader
    time_source: str = ""  # "roster", "platform", "name", "late mark", "files", ...


@dataclass(frozen=True)
class ManualGrade:
    """Points and a comment that a person gave a student for a check or a written answer."""

    student: str
    item: str
    points: float | None  # None leaves the points unchanged
    comment: str = ""  # for the student
    answer_digest: str = ""  # of the answer that was graded; empty if the grader did not name it


def exercise_of(folder: Path) -> str | None:
    """Return the exercise of the gradebook in a folder, or None if there is no file of its name.

    Raise DatabaseError for a file that is not a gradebook, or cannot be used.
    """
    path = folder / DATABASE_NAME
    if not path.exists():
        return None
    with _naming(path), contextlib.closing(_connect(path)) as db:
        return _settings(path, db)["exercise"]


def _connect(path: Path) -> sqlite3.Connection:
    """Connect to a gradebook's file; raise DatabaseError, or OSError, if it cannot be used."""
    if path.stat().st_size == 0:
        raise DatabaseError(
            f"{path} is empty. Points given by hand and the secret seed may have been in it, so it "
            "is not begun anew. Put a copy of the gradebook in its place, or move it away."
        )
    with _naming(path), contextlib.ExitStack() as stack:
        db = sqlite3.connect(path, timeout=BUSY_TIMEOUT, isolation_level=None)
        stack.enter_context(contextlib.closing(db))
        [(fault,)] = db.execute("PRAGMA quick_check(1)")  # 0.05 s for 100 MB
        if fault != "ok":
            raise sqlite3.DatabaseError(fault.splitlines()[-1])
        stack.pop_all()
        return db


def _settings(path: Path, db: sqlite3.Connection) -> dict[str, str]:
    settings: dict[str, str] = {}
    with contextlib.suppress(sqlite3.OperationalError):  # there is no such table
        settings = dict(db.execute("SELECT name, value FROM settings"))
    if not {"version", "exercise"} <= settings.keys():
        raise DatabaseError(f"{path} is a database of another program. Give --out another folder.")
    return settings


@contextlib.contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Turn what SQLite reports into an error that names the file and says what to do."""
    try:
        yield
    except sqlite3.Error as error:
        match getattr(error, "sqlite_errorname", "SQLITE_CORRUPT").split("_")[1]:
            case "CORRUPT" | "NOTADB":
                advice = "Put a copy of the gradebook in its place, or give --out another folder."
            case "FULL":
                advice = "Make room there; the same command then goes on."
            case "BUSY":
                advice = "Another program is using it. Wait until that has ended."
            case _:
                advice = (
                    "It has to lie on a disk of this computer that can be written to and has room, "
                    "and so have the files beside it."
                )
        raise DatabaseError(f"{path} cannot be used: {error}. {advice}") from error


class GradebookDatabase:
    """The gradebook database in a folder, created if there is none; closed by `with` or `close`.

    Raises DatabaseError for a file that is not a gradebook, is of another version or exercise, or
    cannot be written; within `with`, for all that SQLite reports.
    """

    def __init__(self, folder: Path, exercise: str) -> None:
        self.path = folder / DATABASE_NAME
        asked = {"version": VERSION, "exercise": exercise}
        if not os.path.lexists(self.path):
            # Closed to other users, who could read grades in it, and keep graders away by a lock.
            folder.mkdir(0o700, parents=True, exist_ok=True)
            self._create(asked)
        with _naming(self.path), contextlib.ExitStack() as stack:
            self._db = stack.enter_context(contextlib.closing(_connect(self.path)))
            stored = _settings(self.path, self._db)
            for name, value in asked.items():
                if stored[name] != value:
                    raise DatabaseError(
                        f"{self.path} is of {name} {stored[name]!r}, but {value!r} is asked for. "
                        "Give --out another folder."
                    )
            self.path.chmod(0o600)  # it holds the secret seed
            self._db.execute("PRAGMA journal_mode = WAL")
            # A commit survives the end of this process. A machine that stops may lose the last
            # results, which are graded again: waiting for the disk each time costs more.
            self._db.execute("PRAGMA synchronous = NORMAL")
            self._db.execute("PRAGMA foreign_keys = ON")
            stack.pop_all()

    def _create(self, settings: Mapping[str, str]) -> None:
        """Put a new database in its place as a whole: a file cut short may have been a gradebook.

        Raises DatabaseError if a gradebook's journal lies there, which SQLite would play into it.
        """
        for part in ("-wal", "-journal"):
            if (journal := self.path.with_name(DATABASE_NAME + part)).exists():
                raise DatabaseError(
                    f"{journal} belongs to a gradebook, and {self.path} is missing. Put it back "
                    "beside it, or move both away."
                )
        new = self.path.with_name(f".{DATABASE_NAME}.{secrets.token_hex(4)}.tmp")
        try:
            with _naming(self.path), contextlib.closing(sqlite3.connect(new)) as db, db:
                db.executescript(SCHEMA)
                db.executemany("INSERT INTO settings VALUES (?, ?)", settings.items())
            try:
                os.link(new, self.path)
            except FileExistsError:  # another command has made one
                pass
            except OSError:  # a file system without hard links
                new.replace(self.path)
        finally:
            new.unlink(missing_ok=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        self.close()
        with _naming(self.path):
            if isinstance(error, sqlite3.Error):
                raise error

    def close(self) -> None:
        self._db.close()

    @contextlib.contextmanager
    def only_grader(self) -> Iterator[None]:
        """Keep other graders from this gradebook; raise DatabaseError if one is at work.

        Nor can feedback be written meanwhile: it would reveal the problems that are graded with.
        """
        folder = os.open(self.path.parent, os.O_RDONLY)
        try:
            try:
                fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)  # ends with this process
            except BlockingIOError:
                message = (
                    f"Another `gradkit grade` or `gradkit feedback` is at work on {self.path}. "
                    "Wait until it has ended."
                )
                raise DatabaseError(message) from None
            yield
        finally:
            os.close(folder)

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield self._db
        except BaseException:
            if self._db.in_transaction:  # a full disk has ended it
                self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")

    # --- settings and answer keys ----------------------------------------------------------------

    def _setting(self, name: str, default: str) -> str:
        """Return a setting, which is `default` from now on if it has no value."""
        with self._transaction() as db:
            db.execute("INSERT OR IGNORE INTO settings VALUES (?, ?)", (name, default))
            [(value,)] = db.execute("SELECT value FROM settings WHERE name = ?", (name,))
        return str(value)

    def _number(self, name: str, default: int) -> int:
        value = self._setting(name, str(default))
        if not value.isdecimal():
            raise DatabaseError(
                f"The {name} in {self.path} is damaged. Put a copy of the gradebook in its place."
            )
        return int(value)

    def secret(self, seed: int | None) -> int:
        """Return the secret seed, which the first call sets to `seed` or draws.

        Raise DatabaseError if `seed` is another one.
        """
        drawn = secrets.randbits(128) if seed is None else seed
        stored = self._number("secret", drawn)
        if seed not in (None, stored):
            raise DatabaseError(
                f"{self.path} was begun with another seed, and a class is graded with one. Leave "
                "--seed out, or give --out another folder."
            )
        return stored

    def epoch(self) -> int:
        """Return the number of the current epoch, which counts from 1."""
        return self._number("epoch", 1)

    def epoch_secret(self, epoch: int) -> int:
        """Return the secret seed of an epoch, from which that of no other follows."""
        digest = hashlib.sha256(f"epoch {epoch}:{self.secret(None)}".encode()).digest()
        return int.from_bytes(digest[:16], "big")

    @contextlib.contextmanager
    def closed_epoch(self) -> Iterator[None]:
        """Close the current epoch, and keep graders away while something for students is made.

        An epoch that nothing was graded in stays open. Raise DatabaseError if a grader is at work.
        """
        with self.only_grader():
            used = "SELECT 1 FROM answer_keys WHERE epoch = ?"
            if self._db.execute(used, (epoch := self.epoch(),)).fetchone():
                self._db.execute("PRAGMA synchronous = FULL")  # it outlasts a machine that stops
                update = "UPDATE settings SET value = ? WHERE name = 'epoch'"
                self._db.execute(update, (str(epoch + 1),))
            yield

    def is_verified(self, spec: str, epoch: int, kit: str) -> bool:
        """Tell whether the solution has earned all points by a grading spec in an epoch."""
        query = "SELECT 1 FROM settings WHERE name = ?"
        name = f"verified {spec} {epoch} {kit}"
        return self._db.execute(query, (name,)).fetchone() is not None

    def mark_verified(self, spec: str, epoch: int, kit: str) -> None:
        self._setting(f"verified {spec} {epoch} {kit}", "yes")

    def answer_key(self, spec: str, epoch: int) -> AnswerKey | None:
        """Return the answer key of a grading spec that this class was graded by in an epoch."""
        query = "SELECT answer_key FROM answer_keys WHERE spec = ? AND epoch = ?"
        row = self._db.execute(query, (spec, epoch)).fetchone()
        with contextlib.suppress(*DAMAGE):  # it is computed again
            return AnswerKey.from_json(zlib.decompress(row[0]).decode()) if row else None
        return None

    def save_answer_key(self, spec: str, epoch: int, answer_key: AnswerKey) -> None:
        packed = zlib.compress(answer_key.to_json().encode())
        query = "INSERT OR REPLACE INTO answer_keys VALUES (?, ?, ?)"
        self._db.execute(query, (spec, epoch, packed))

    # --- submissions -----------------------------------------------------------------------------

    def save_submission(self, record: SubmissionRecord) -> None:
        """Write a submission in place of an older record of it."""
        values = {**vars(record), "notes": json.dumps(record.notes)}
        query = f"INSERT OR REPLACE INTO submissions VALUES ({_marks(values)})"
        self._db.execute(query, tuple(values.values()))

    def submission(self, student: str, name: str) -> SubmissionRecord:
        query = "SELECT * FROM submissions WHERE student = ? AND submission = ?"
        return _submission_record(self._db.execute(query, (student, name)).fetchone())

    def submissions(self) -> list[SubmissionRecord]:
        """Return the records of all submissions, by student and time."""
        query = "SELECT * FROM submissions ORDER BY student, received, submission"
        return list(map(_submission_record, self._db.execute(query)))

    # --- manual grades ---------------------------------------------------------------------------

    def save_manual_grades(
        self, given: Iterable[ManualGrade], removed: Iterable[tuple[str, str]] = ()
    ) -> None:
        """Write manual grades in place of older ones, and remove others by student and item."""
        with self._transaction() as db:
            db.executemany("DELETE FROM manual_grades WHERE student = ? AND item = ?", removed)
            db.executemany(
                "INSERT OR REPLACE INTO manual_grades VALUES (?, ?, ?, ?, ?, ?)",
                [(*vars(manual).values(), time.time()) for manual in given],
            )

    def manual_grades(self) -> dict[tuple[str, str], ManualGrade]:
        """Return the manual grades by student and item."""
        query = "SELECT student, item, points, comment, answer_digest FROM manual_grades"
        return {row[:2]: ManualGrade(*row) for row in self._db.execute(query)}

    # --- results ---------------------------------------------------------------------------------

    def save_result(self, result: GradingResult, replaced: ResultKey | None = None) -> None:
        """Write a result in place of an older one with its key, and of that with key `replaced`."""
        outcomes = pack_outcomes(result.outcomes)
        parts = [("outcome", name, outcomes.read(name)) for name in outcomes]
        parts += [("handed in", name, _pack(value)) for name, value in result.handed_in.items()]
        verdicts = json.dumps({name: vars(verdict) for name, verdict in result.verdicts.items()})
        values = (
            *(*result.key, result.score, verdicts, result.seconds),
            *(json.dumps(result.versions), result.epoch, time.time()),
        )
        with self._transaction() as db:
            for key in {result.key, replaced or result.key}:
                db.execute(f"DELETE FROM results WHERE {HAS_KEY}", key)
            query = f"INSERT INTO results VALUES (NULL, {_marks(values)})"
            number = db.execute(query, values).lastrowid
            query = "INSERT INTO result_parts VALUES (?, ?, ?, ?)"
            db.executemany(query, [(number, *part) for part in parts])

    def result(self, key: ResultKey) -> GradingResult | None:
        """Return the result with a key, if there is one."""
        row = self._db.execute(f"SELECT id FROM results WHERE {HAS_KEY}", key).fetchone()
        return row and self._read_result(row[0])

    def latest(self, key: ResultKey) -> GradingResult | None:
        """Return the result with a key, or the last one of that content by another spec or kit."""
        query = "SELECT id FROM results WHERE student = ? AND content_digest = ?"
        row = self._db.execute(f"{query} ORDER BY graded_at DESC", key[:2]).fetchone()
        return self.result(key) or (row and self._read_result(row[0]))

    def epoch_of(self, content_digest: str) -> int:
        """Return the epoch of the last result of a content; the current one if there is none."""
        query = "SELECT epoch FROM results WHERE content_digest = ? ORDER BY graded_at DESC"
        row = self._db.execute(query, (content_digest,)).fetchone()
        return int(row[0]) if row else self.epoch()

    def results(self) -> Iterator[GradingResult]:
        """Yield all results, including those of other grading specs and kits.

        Those that are deleted meanwhile are left out.
        """
        query = "SELECT student, content_digest, spec, kit FROM results ORDER BY id"
        keys = [ResultKey(*row) for row in self._db.execute(query)]
        yield from filter(None, map(self.result, keys))

    def delete_results(self, student: str | None = None) -> None:
        """Delete the results of a student, or of everyone."""
        self._db.execute("DELETE FROM results WHERE student = ? OR ? IS NULL", (student, student))

    def _read_result(self, number: int) -> GradingResult:
        columns = "student, content_digest, spec, kit, verdicts, seconds, versions, epoch"
        query = f"SELECT {columns} FROM results WHERE id = ?"
        *key, verdicts, seconds, versions, epoch = self._db.execute(query, (number,)).fetchone()
        outcomes = self._parts(number, "outcome", key[0], _unpack_outcome)
        handed_in = self._parts(number, "handed in", key[0], _unpack)
        with self._naming_student(key[0]):
            read = {
                name: Verdict(**{**values, "status": Status(values["status"])})
                for name, values in json.loads(verdicts).items()
            }
            missing = {name for name, verdict in read.items() if verdict.passed} - {*outcomes}
            missing |= {"files", "cells", "answers"} - {*handed_in}
            if missing:
                raise ValueError(f"a part is missing: {min(missing)}")
            versions = json.loads(versions)
        return GradingResult(ResultKey(*key), read, outcomes, handed_in, seconds, versions, epoch)

    @contextlib.contextmanager
    def _naming_student(self, student: str) -> Iterator[None]:
        """Turn errors in reading a result into DamagedResult."""
        try:
            yield
        except DAMAGE as error:
            raise DamagedResult(
                f"The result of {student} in {self.path} is damaged ({error}). Grade it again: "
                f"add --regrade {shlex.quote(student)} to the command that graded the class."
            ) from error

    def _parts(
        self, number: int, kind: str, student: str, unpack: Callable[[bytes], T]
    ) -> PackedValues[T]:
        def read(name: str) -> bytes:
            query = "SELECT packed FROM result_parts WHERE result = ? AND kind = ? AND name = ?"
            [(packed,)] = self._db.execute(query, (number, kind, name))
            return bytes(packed)

        def unpack_or_name(packed: bytes) -> T:
            with self._naming_student(student):
                return unpack(packed)

        query = "SELECT name FROM result_parts WHERE result = ? AND kind = ? ORDER BY rowid"
        names = [name for (name,) in self._db.execute(query, (number, kind))]
        return PackedValues(names, read, unpack_or_name)


def _marks(values: Iterable[Any]) -> str:
    return ", ".join("?" for _ in values)


def _submission_record(row: tuple[Any, ...]) -> SubmissionRecord:
    """Return a record; where it is damaged, one that could not be graded, with a note."""
    record = SubmissionRecord(*row)
    try:
        if record.received:
            datetime.fromisoformat(record.received)
        if record.status not in STATUSES:
            raise ValueError(f"its status is {record.status!r}")
        return replace(record, notes=tuple(map(str, json.loads(row[5]))))
    except DAMAGE as error:
        note = f"Its record in {DATABASE_NAME} is damaged ({error}). Grade the class again."
        return SubmissionRecord(record.submission, record.student, "", "failed", notes=(note,))
