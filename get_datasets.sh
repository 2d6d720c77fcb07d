#!/usr/bin/env bash
# Fetch CIFAR-10 into datasets/: run `python -m assignment data`, from any working directory.
# Arguments and exit status are passed through; see `get_datasets.sh --help`.
set -u

script=$0
while [ -h "$script" ]; do # called by a link: find the project of the script itself
    target=$(readlink "$script")
    case $target in
    /*) script=$target ;;
    *) script=$(dirname -- "$script")/$target ;;
    esac
done
project=$(CDPATH='' cd -- "$(dirname -- "$script")" && pwd) || exit 1

if [ -x "$project/.venv/bin/python" ]; then
    python=$project/.venv/bin/python
elif [ -n "${PYTHON:-}" ]; then
    python=$PYTHON
elif command -v python3 >/dev/null; then
    python=python3
else
    python=python
fi

if ! command -v "$python" >/dev/null; then
    echo "There is no Python here ($python). Install Python 3.11 or newer, or name one in PYTHON." >&2
    exit 1
fi
# Stay in the working directory, where a relative path after --from belongs, but do not import a
# package of the same name from there (PYTHONSAFEPATH).
export PYTHONSAFEPATH=1 PYTHONPATH="$project${PYTHONPATH:+:$PYTHONPATH}"
exec "$python" -m assignment data "$@"
