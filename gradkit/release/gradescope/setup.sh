#!/usr/bin/env bash
# Makes an image in which Gradescope grades: run once, as root, when the archive has been unpacked to
# AUTOGRADER/source (AUTOGRADER is /autograder there; whatever the folder is, it is found by itself).
# PYTHON names an interpreter to use; one that has all packages already is used as it is.
set -euo pipefail
umask 022

source=$(CDPATH='' cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
autograder=${AUTOGRADER:-$(dirname -- "$source")}

# The solutions are in there, and submissions may have to run as another user.
chmod 700 "$source"
chmod +x "$source/run_autograder"

install() { DEBIAN_FRONTEND=noninteractive apt-get install -y -qq "$@" >/dev/null; }
usable() { "$1" -c 'import ensurepip, sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; }
complete() { "$1" -c 'import ipykernel, matplotlib, nbval, numpy, pytest, tqdm' 2>/dev/null; }

# The sandbox, and what limits a process. Where there is no bubblewrap, another user has to do.
if ! command -v bwrap >/dev/null || ! command -v setpriv >/dev/null; then
    apt-get update -qq
    install util-linux
    install bubblewrap || echo "bubblewrap cannot be installed: submissions run as another user."
fi

python=${PYTHON:-}
if [ -z "$python" ] || ! complete "$python"; then
    for candidate in "$python" python3 python3.13 python3.12 python3.11; do
        if [ -n "$candidate" ] && usable "$candidate"; then break; fi
        candidate=''
    done
    if [ -z "$candidate" ]; then
        apt-get update -qq
        for candidate in python3 python3.13 python3.12 python3.11; do
            if install "$candidate" "$candidate-venv" 2>/dev/null && usable "$candidate"; then break; fi
            candidate=''
        done
    fi
    if [ -z "$candidate" ]; then
        echo "This image has no Python 3.11 or newer, and apt-get knows none. Choose a newer base" \
            "image, as Ubuntu 22.04 or later, in the assignment's settings." >&2
        exit 1
    fi
    "$candidate" -m venv "$autograder/venv"
    python=$autograder/venv/bin/python
    "$python" -m pip install --quiet --disable-pip-version-check \
        -r "$source/project/requirements.txt"
fi
printf '%s\n' "$python" >"$source/python"

# An image whose own solution does not pass must not be one that grades students.
cd "$source/project"
"$python" -m gradkit gradescope --prove --exercise "$(cat "$source/exercise")" --autograder "$autograder"
