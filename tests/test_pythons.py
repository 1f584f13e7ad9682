"""`make test-all`: which Pythons it finds, and what it tells of them."""

import sys
from pathlib import Path

import pytest

from scripts import pythons

THIS = f"{sys.version_info.major}.{sys.version_info.minor}"


@pytest.mark.skipif(sys.platform == "win32", reason="pyenv for Windows has other names")
def test_pyenv_s_versions_are_found_and_its_names_that_do_not_run_are_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = tmp_path / "shims" / "python3.10"
    name.parent.mkdir()
    name.write_text("#!/bin/sh\necho 'pyenv: python3.10: command not found' >&2\nexit 127\n")
    name.chmod(0o755)
    version = tmp_path / "versions" / f"{THIS}.9" / "bin" / "python"
    version.parent.mkdir(parents=True)
    version.symlink_to(sys.executable)
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path))
    monkeypatch.setenv("PATH", str(name.parent))
    assert {str(name), str(version)} <= set(pythons.candidates())
    assert pythons.version_of(str(name)) is None
    installed = pythons.installed()
    assert str(name) not in installed.values()
    assert pythons.version_of(installed[THIS]) == THIS


@pytest.mark.parametrize(("failing", "code"), [(None, 0), ("3.12", 1)])
def test_the_table_tells_each_version_and_one_failure_fails_all(
    failing: str | None,
    code: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    found = {"3.10": "/python3.10", "3.12": "/python3.12"}
    monkeypatch.setattr(pythons, "installed", lambda: found)
    monkeypatch.setattr(pythons, "run_tests", lambda version, _: int(version == failing))
    assert pythons.main() == code
    table = capsys.readouterr().out.split("Python  tests   seconds\n")[1]
    assert [line.split()[:2] for line in table.splitlines()] == [
        ["3.10", "passed"],
        ["3.12", "failed" if failing else "passed"],
        ["3.11", "not"],
        ["3.13", "not"],
        ["3.14", "not"],
    ]


def test_without_a_python_it_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(pythons, "installed", dict)
    with pytest.raises(SystemExit) as ended:
        pythons.main()
    assert ended.value.code == 1
    assert "There is no Python to test on." in capsys.readouterr().err
