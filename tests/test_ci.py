"""The public workflow can be read, and bash can read its scripts."""

import subprocess
from importlib import import_module
from typing import Any

import pytest

from assignment import PROJECT

yaml: Any = import_module("yaml")  # without types

JOBS: dict[str, Any] = yaml.safe_load((PROJECT / ".github/workflows/ci.yml").read_text("utf-8"))[
    "jobs"
]


@pytest.mark.parametrize("name", JOBS)
def test_each_job_waits_for_known_jobs_and_runs_scripts_that_bash_can_read(name: str) -> None:
    assert {JOBS[name].get("needs", name)} <= JOBS.keys()
    for script in [step["run"] for step in JOBS[name]["steps"] if "run" in step]:
        subprocess.run(["bash", "-n"], input=script, text=True, check=True)


def test_students_steps_run_on_windows_and_macos() -> None:
    assert JOBS["student"]["strategy"]["matrix"]["os"] == ["windows-latest", "macos-latest"]
    scripts = "".join(step.get("run", "") for step in JOBS["student"]["steps"])
    for command in ("check", "submit", "update"):
        assert f"python -m assignment {command}" in scripts
    assert "--nbval-lax" in scripts
