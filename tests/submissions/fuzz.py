"""Random damage. The long run: FUZZ_EXAMPLES=3000 pytest tests/submissions"""

import os

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

FUZZ = settings(
    max_examples=int(os.environ.get("FUZZ_EXAMPLES", "50")),
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)

# Where in a file, and the bytes to put there or the number of bytes to remove.
MUTATIONS = st.lists(
    st.tuples(st.floats(0, 1), st.one_of(st.binary(max_size=4), st.integers(1, 300))), max_size=6
)


def mutated(content: bytes, mutations: list[tuple[float, bytes | int]]) -> bytes:
    for where, change in mutations:
        place = int(where * len(content))
        if isinstance(change, bytes):
            content = content[:place] + change + content[place + len(change) :]
        else:
            content = content[:place] + content[place + change :]
    return content
