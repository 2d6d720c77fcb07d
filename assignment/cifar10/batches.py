"""CIFAR-10's files are Python 2 pickles: reading them without trust, and writing such files.

A pickle can run any code it likes while it is read. `read_pickle` admits what a batch is made of,
byte strings, numbers, lists, dictionaries and arrays of bytes, and refuses all else by name.
`write_pickle` writes the same, for the stand-in.
"""

import pickle
import pickletools
from pathlib import Path
from typing import IO, Any, ClassVar

import numpy as np
import numpy.typing as npt

from assignment.cifar10.archive import DataError

REPAIR = "Repair it with ./get_datasets.sh (or: python -m assignment data)."

# A published batch has 31 MB; more than this is not a batch, and not worth the memory.
LARGEST_BATCH_BYTES = 64 * 2**20

# A published batch has some 80,000 opcodes. Each can cost many times its size in memory, and a
# large index for the memo alone makes the unpickler allocate all up to it.
MAX_OPCODES = 500_000


# --- reading -------------------------------------------------------------------------------------


class ByteArray:
    """Stands in for numpy.ndarray while a batch is unpickled: takes an array's state, checks it.

    numpy's own __setstate__ is C code that trusts its pickle. This one admits unsigned bytes in C
    order whose number fits their shape, which is all that CIFAR-10 has.
    """

    array: npt.NDArray[np.uint8] = np.empty(0, np.uint8)  # of one that is never filled

    def __init__(self, *_: Any) -> None:
        pass

    def __setstate__(self, state: Any) -> None:
        _version, shape, dtype, fortran, raw = state
        if not (isinstance(dtype, _ByteType) and isinstance(raw, bytes) and not fortran):
            raise pickle.UnpicklingError("an array that is not of unsigned bytes")
        self.array = np.frombuffer(raw, np.uint8).reshape(shape)


class _ByteType:
    """Stands in for numpy.dtype, and admits unsigned bytes only."""

    def __init__(self, code: Any, *_: Any) -> None:
        if code not in (b"u1", "u1"):
            raise pickle.UnpicklingError(f"an array of {code!r}, not of unsigned bytes")

    def __setstate__(self, state: Any) -> None:
        pass  # byte order and alignment, which mean nothing for single bytes


class _BatchUnpickler(pickle.Unpickler):
    """Admits what a CIFAR-10 batch needs; a pickle that names anything else is refused."""

    _ADMITTED: ClassVar[dict[tuple[str, str], type]] = {
        # numpy's function that makes the empty array to be filled, and its name since numpy 2
        ("numpy.core.multiarray", "_reconstruct"): ByteArray,
        ("numpy._core.multiarray", "_reconstruct"): ByteArray,
        ("numpy", "ndarray"): ByteArray,
        ("numpy", "dtype"): _ByteType,
    }

    def find_class(self, module: str, name: str) -> Any:
        try:
            return self._ADMITTED[module, name]
        except KeyError:
            asked_for = f"{module}.{name}"[:100]
            raise _CodeRefused(asked_for if asked_for.isprintable() else ascii(asked_for)) from None


class _CodeRefused(pickle.UnpicklingError):
    """A pickle asked for something that is not an array."""


def read_pickle(path: Path) -> Any:
    """Read one of CIFAR-10's files: its strings come as bytes, its arrays as `ByteArray`.

    Raises
    ------
    DataError
        The file is missing, damaged or too large, or names anything that an unpickler would run.
    """
    try:
        if path.stat().st_size > LARGEST_BATCH_BYTES:
            raise DataError(f"{path} is larger than any CIFAR-10 batch. {REPAIR}")
        with path.open("rb") as file:
            _require_modest(file)
            file.seek(0)
            return _BatchUnpickler(file, encoding="bytes").load()
    except _CodeRefused as refused:
        raise DataError(
            f"{path} is refused: it wants to run {refused} while it is read, and a CIFAR-10 batch "
            "holds only arrays. Do not trust where this file came from. " + REPAIR
        ) from None
    except FileNotFoundError:
        raise DataError(f"{path} is missing. {REPAIR}") from None
    except DataError:
        raise
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}.") from error
    except Exception as error:  # garbage makes an unpickler raise nearly anything
        raise DataError(f"{path} is damaged ({str(error)!a}). {REPAIR}") from error


def _require_modest(file: IO[bytes]) -> None:
    """Raise UnpicklingError for a pickle that would cost far more memory than a batch does."""
    for count, (opcode, argument, _) in enumerate(pickletools.genops(file)):
        index = int(argument or 0) if opcode.name.endswith("PUT") else 0
        if max(count, index) > MAX_OPCODES:
            raise pickle.UnpicklingError("it holds far more objects than a batch")


# --- writing -------------------------------------------------------------------------------------

# numpy.core.multiarray._reconstruct(numpy.ndarray, (0,), "b"): an array that is yet to be filled.
EMPTY_ARRAY = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R"
# numpy.dtype("u1", 0, 1), with its own state: version 3, no byte order, no fields, flags 0.
BYTE_TYPE = (
    b"cnumpy\ndtype\nU\x02u1K\x00K\x01\x87R(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
)
Picklable = int | bytes | list["Picklable"] | dict[bytes, "Picklable"] | npt.NDArray[np.uint8]


def pickled_integer(value: int) -> bytes:
    if 0 <= value < 1 << 8:
        return b"K" + value.to_bytes(1, "little")
    if 0 <= value < 1 << 16:
        return b"M" + value.to_bytes(2, "little")
    if -(1 << 31) <= value < 1 << 31:
        return b"J" + value.to_bytes(4, "little", signed=True)
    size = value.bit_length() // 8 + 1  # with room for the sign
    return b"\x8a" + size.to_bytes(1, "little") + value.to_bytes(size, "little", signed=True)


def pickled(value: Picklable) -> bytes:
    """The opcodes that leave the value on the stack, as Python 2 wrote them.

    Python 3's pickle module has no opcode for the byte strings of Python 2, and what it writes
    for an array depends on the version of numpy. Numbers for a memo are left out, as nothing
    here refers back to anything.
    """
    if isinstance(value, int):
        return pickled_integer(value)
    if isinstance(value, bytes):
        if len(value) < 256:
            return b"U" + len(value).to_bytes(1, "little") + value
        return b"T" + len(value).to_bytes(4, "little") + value
    if isinstance(value, list):
        return b"](" + b"".join(pickled(item) for item in value) + b"e"
    if isinstance(value, dict):
        items = (pickled(key) + pickled(item) for key, item in value.items())
        return b"}(" + b"".join(items) + b"u"
    # An array's state: version 1, two lengths, type, "not in Fortran's order", bytes.
    shape = b"".join(pickled_integer(length) for length in value.shape)
    header = b"(K\x01" + shape + b"\x86" + BYTE_TYPE + b"\x89"
    return EMPTY_ARRAY + header + pickled(value.tobytes()) + b"tb"


def write_pickle(path: Path, value: Picklable) -> None:
    path.write_bytes(b"\x80\x02" + pickled(value) + b".")  # protocol 2, ..., stop
