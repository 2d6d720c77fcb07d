"""A sandbox's folder, and the self-test's report."""

from pathlib import Path

import pytest

from gradkit.autograder.sandbox import SandboxError, open_sandbox, self_test


def test_socket_dir_is_private_and_removed_afterwards(tmp_path: Path) -> None:
    with open_sandbox({tmp_path: "/project"}, tmp_path) as config:
        assert config.socket_dir.stat().st_mode & 0o077 == 0
        assert len(str(config.socket_dir)) < 40
    assert not config.socket_dir.exists()


def test_self_test_reports_why_no_sandbox_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = tmp_path / "bwrap"
    broken.write_text("#!/bin/sh\necho 'bwrap: No permissions to create new namespace' >&2\nexit 1")
    broken.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    with pytest.raises(SandboxError, match=r"No permissions to create new namespace.*sysctl"):
        self_test()
