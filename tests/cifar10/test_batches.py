"""Reading batches that are hostile, damaged, or pickled again by Python 3."""

import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from assignment.cifar10 import batches
from assignment.cifar10.archive import DataError
from assignment.cifar10.batches import read_pickle
from assignment.data_utils import load_CIFAR10, load_CIFAR_batch


class Call:
    """A call that a pickle asks for."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = function, arguments

    def __reduce__(self) -> Any:
        return self.call


def codecs_encode(*arguments: Any) -> bytes:
    """Return a pickle that calls _codecs.encode."""
    return pickle.dumps(Call(__import__("_codecs").encode, *arguments), protocol=4)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data_batch_1"


@pytest.mark.parametrize("protocol", range(5))
def test_a_batch_that_python_3_pickled_again_is_read_too(
    small_batches: Path, protocol: int
) -> None:
    path = small_batches / "data_batch_1"
    expected = load_CIFAR_batch(path)
    stored = pickle.loads(path.read_bytes(), encoding="bytes")  # noqa: S301
    path.write_bytes(pickle.dumps(stored, protocol=protocol))
    for ours, theirs in zip(load_CIFAR_batch(path), expected, strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("encoding", ["latin1", "latin-1"])
def test_bytes_written_as_latin1_text_are_read(path: Path, encoding: str) -> None:
    path.write_bytes(codecs_encode("\x00caf\xe9\xff", encoding))
    assert read_pickle(path) == b"\x00caf\xe9\xff"


@pytest.mark.parametrize(
    ("payload", "name"),
    [
        (Call(os.system, "touch it-ran"), "(posix|nt).system"),
        (Call(eval, "open('it-ran', 'w')"), "(builtins|__builtin__).eval"),
        (Call(Path.touch, Path("it-ran")), r"pathlib.*touch|.*getattr"),
        (Call(np.load, "it-ran.npy"), "numpy.*load"),
    ],
)
@pytest.mark.parametrize("protocol", [0, 2, 5])
def test_a_batch_that_wants_to_run_code_is_refused_by_name(
    small_batches: Path, monkeypatch: pytest.MonkeyPatch, payload: Any, name: str, protocol: int
) -> None:
    monkeypatch.chdir(small_batches)
    path = small_batches / "data_batch_3"
    path.write_bytes(pickle.dumps({"data": payload}, protocol=protocol))
    refused = rf"data_batch_3 is refused: it wants to run ({name}) while it is read"
    with pytest.raises(DataError, match=refused):
        load_CIFAR10(small_batches)
    assert not Path("it-ran").exists()
    assert not list(small_batches.glob("decoded-*"))


@pytest.mark.parametrize(
    "data",
    [
        # other calls of the encoder
        codecs_encode("text", "rot13"),
        codecs_encode(b"bytes", "zlib"),
        codecs_encode(b"bytes", "latin1"),
        codecs_encode("text", "Latin1"),
        codecs_encode("text", b"latin1"),
        codecs_encode("text", "latin1", "ignore"),
        codecs_encode("text"),
        codecs_encode(),
        codecs_encode("\x1b[31m" * 9000, "latin\n"),
        # other kinds of files
        b"<!DOCTYPE html><title>Log in</title>",
        b"cos\n\x1b[31m\n.",
        b"F\x1b[31m\n.",
        b"\x1b[31m",
    ],
    ids=lambda data: ascii(data[:30]),
)
def test_a_file_of_another_kind_is_refused_without_its_control_characters(
    path: Path, data: bytes
) -> None:
    path.write_bytes(data)
    refused = r"data_batch_1 is (damaged \(.*\)\. Repair it|refused: it wants to run .{,100}\. Do)"
    with pytest.raises(DataError, match=refused) as caught:
        read_pickle(path)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    "array",
    [
        np.array([print], object),
        np.zeros((4, 3072), np.float64),
        np.zeros((4, 3072), np.int8),
        np.asfortranarray(np.zeros((4, 3072), np.uint8)),
        np.zeros((4, 3071), np.uint8),
        np.zeros(3072, np.uint8),
        "no array",
    ],
)
@pytest.mark.parametrize("protocol", [2, 4])
def test_an_array_that_is_not_rows_of_3072_bytes_is_refused(
    path: Path, array: Any, protocol: int
) -> None:
    batch = {b"data": array, b"labels": [0, 1, 2, 3]}
    path.write_bytes(pickle.dumps(batch, protocol=protocol))
    with pytest.raises(
        DataError, match=r"data_batch_1 .*Repair it with `python -m assignment data`"
    ):
        load_CIFAR_batch(path)


@pytest.mark.parametrize(
    "rows",
    [
        b"\x8c\x07_codecs\x8c\x06encode\x93",
        codecs_encode("x" * 3072, "latin1")[2:-1],
        b"\x8c\x05numpy\x8c\x07ndarray\x93)\x81",
    ],
    ids=["the encoder", "bare bytes", "an array that is never filled"],
)
def test_nothing_else_passes_for_an_array(path: Path, rows: bytes) -> None:
    path.write_bytes(b"\x80\x04}(C\x04data" + rows + b"C\x06labels]K\x00au.")
    with pytest.raises(DataError, match=r"data_batch_1 (does not hold its images|is damaged)"):
        load_CIFAR_batch(path)


@pytest.mark.parametrize("kept", [0, 1, 1000, -1])
def test_a_batch_that_is_cut_off_is_damaged(small_batches: Path, kept: int) -> None:
    path = small_batches / "test_batch"
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(DataError, match=r"test_batch is damaged \(.*\)\. Repair it with"):
        load_CIFAR10(small_batches)


@pytest.mark.parametrize(
    ("bomb", "reason"),
    [
        (b"\x80\x02]r\x00\x00\x00\x7f.", "far more objects"),  # an index of the memo: 16 GB
        (b"\x80\x02" + b"]" * 6_000 + b".", "far more objects"),
        (b"\x80\x02" + bytes(20_000), "larger than any CIFAR-10 batch"),
    ],
    ids=["memo", "lists", "size"],
)
def test_a_file_that_needs_much_memory_is_refused_before_it_is_loaded(
    path: Path, bomb: bytes, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batches, "MAX_OPCODES", 5_000)
    monkeypatch.setattr(batches, "MAX_BATCH_BYTES", 10_000)
    path.write_bytes(bomb)
    with pytest.raises(DataError, match=rf"data_batch_1 is damaged .*{reason}"):
        read_pickle(path)
