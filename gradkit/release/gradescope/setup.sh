#!/usr/bin/env bash
# Sets up the image in which Gradescope grades. Gradescope runs it once, as root, after unpacking the
# archive to AUTOGRADER/source (AUTOGRADER is /autograder, or the folder in which this one lies).
# PYTHON names an interpreter to use; one that has all packages is used without an environment.
set -euo pipefail
umask 022

source=$(CDPATH='' cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
autograder=${AUTOGRADER:-$(dirname -- "$source")}

# It holds the solutions, and submissions may run as another user.
chmod 700 "$source"
chmod +x "$source/run_autograder"

install() { DEBIAN_FRONTEND=noninteractive apt-get install -y -qq "$@" >/dev/null; }
usable() { "$1" -c 'import ensurepip, sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; }
packages='click, ipykernel, jinja2, matplotlib, mistune, msgspec, nbval, numpy, psutil, pyseccomp, pytest, tqdm'
complete() { "$1" -c "import $packages" 2>/dev/null; }

# bwrap is the sandbox, setpriv limits a process. Without bubblewrap submissions run as another user.
if ! command -v bwrap >/dev/null || ! command -v setpriv >/dev/null; then
    apt-get update -qq
    install util-linux libseccomp2
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
        echo "This image has no Python 3.11 or newer, and apt-get has none. Choose a newer base" \
            "image, such as Ubuntu 24.04, in the assignment's settings." >&2
        exit 1
    fi
    "$candidate" -m venv "$autograder/venv"
    python=$autograder/venv/bin/python
    cd "$source/project"
    "$python" -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[instructor]'
fi
printf '%s\n' "$python" >"$source/python"

# An image in which the solution does not pass must not grade students.
cd "$source/project"
"$python" -m gradkit gradescope --prove --exercise "$(cat "$source/exercise")" --autograder "$autograder"
