"""`make release`: what it refuses, and what a release leaves behind."""

import sys
from datetime import date
from pathlib import Path

import pytest

from scripts.release import Refused, Release, main, release, releases
from tests.git import commit, git

GREEN = [sys.executable, "-c", ""]
RED = [sys.executable, "-c", "raise SystemExit(1)"]


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """One that is ready to be released, as 0.1.0."""
    git(tmp_path, "init", "--quiet", "--initial-branch", "main")
    for setting in ("user.name=test", "user.email=test@example.com"):
        git(tmp_path, "config", *setting.split("="))
    for setting in ("commit.gpgsign", "tag.gpgsign"):
        git(tmp_path, "config", setting, "false")
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "releases.toml").write_text("# Every release.\n", encoding="utf-8")
    changelog = "# Changelog\n\n## Unreleased\n\nThe first version.\n"
    (tmp_path / "CHANGELOG.md").write_text(changelog, encoding="utf-8")
    commit(tmp_path, "Ready")
    return tmp_path


def state(repository: Path) -> tuple[str, str, str]:
    return (
        git(repository, "rev-parse", "HEAD"),
        git(repository, "tag"),
        git(repository, "status", "--porcelain"),
    )


def test_a_release_is_dated_tagged_and_recorded(repository: Path) -> None:
    made = release(repository, "0.1.0", {"make lint": GREEN, "make test": GREEN})
    assert releases(repository) == [made]
    assert made == Release("0.1.0", git(repository, "rev-parse", "v0.1.0^{commit}").strip())
    # The tag is on what is released; the commit after it only says so.
    assert made.commit == git(repository, "rev-parse", "HEAD~1").strip()
    recorded = git(repository, "diff", "--name-only", "HEAD~1").splitlines()
    assert recorded == ["tests/releases.toml"]
    told = git(repository, "show", "v0.1.0:CHANGELOG.md")
    assert f"## 0.1.0 - {date.today().isoformat()}\n\nThe first version.\n" in told
    assert "Unreleased" not in told
    # `git push --follow-tags` takes only tags with a message; it says what was checked.
    assert "Checked: make lint, make test" in git(repository, "tag", "-l", "-n9", "v0.1.0")
    assert git(repository, "status", "--porcelain") == ""


def test_an_entry_may_have_its_heading_already(repository: Path) -> None:
    heading = f"## 0.1.0 - {date.today().isoformat()}"
    changelog = f"# Changelog\n\n{heading}\n\nThe first version.\n"
    (repository / "CHANGELOG.md").write_text(changelog, encoding="utf-8")
    commit(repository, "Dated")
    release(repository, "0.1.0", {})
    assert (repository / "CHANGELOG.md").read_text(encoding="utf-8") == changelog


def test_the_next_release_follows_the_last(repository: Path) -> None:
    release(repository, "0.1.0", {})
    changelog = repository / "CHANGELOG.md"
    told = changelog.read_text(encoding="utf-8")
    changelog.write_text(told.replace("\n## 0", "\n## Unreleased\n\nA fix.\n\n## 0"), "utf-8")
    commit(repository, "A fix")
    for version in ("0.1.0", "0.0.9", "0.3.0", "0.1.2"):
        with pytest.raises(Refused, match=rf"{version} does not follow 0\.1\.0: .* 0\.1\.1, 0\.2"):
            release(repository, version, {})
    release(repository, "0.1.1", {})
    assert [made.version for made in releases(repository)] == ["0.1.0", "0.1.1"]
    assert "A fix.\n\n## 0.1.0 - " in changelog.read_text(encoding="utf-8")


def test_a_change_that_is_not_committed_is_refused(repository: Path) -> None:
    (repository / "new.txt").touch()
    refused(repository, "Commit or stash what is not committed:\n?? new.txt")


def test_another_branch_is_refused(repository: Path) -> None:
    git(repository, "switch", "--quiet", "--create", "fix")
    refused(repository, "Releases are made on main; this is fix.")


def test_a_changelog_that_tells_nothing_is_refused(repository: Path) -> None:
    for text in (
        "# Changelog\n",
        "# Changelog\n\n## Unreleased\n\n## 0.0.1 - 2026-01-01\n\nOld.\n",
    ):
        (repository / "CHANGELOG.md").write_text(text, encoding="utf-8")
        commit(repository, "Nothing told")
        refused(repository, "CHANGELOG.md does not tell what is new")


def test_a_check_that_fails_is_refused(repository: Path) -> None:
    refused(repository, "make test failed", {"make lint": GREEN, "make test": RED})


def test_what_changes_during_the_checks_is_refused_and_kept(repository: Path) -> None:
    write = [sys.executable, "-c", "open('CHANGELOG.md', 'a').write('Mine.')"]
    with pytest.raises(Refused, match="Commit or stash"):
        release(repository, "0.1.0", {"make test": write})
    assert (repository / "CHANGELOG.md").read_text(encoding="utf-8").endswith("Mine.")


def test_a_tag_that_is_there_already_is_refused(repository: Path) -> None:
    git(repository, "tag", "v0.1.0")
    refused(repository, "There is a tag v0.1.0 already")


def test_a_release_that_git_stops_half_way_leaves_nothing(repository: Path) -> None:
    (repository / ".git" / "refs" / "tags" / "v0.1.0.lock").touch()
    refused(repository, "git tag failed: ")


def refused(repository: Path, sentence: str, checks: dict[str, list[str]] | None = None) -> None:
    before = state(repository)
    with pytest.raises(Refused) as told:
        release(repository, "0.1.0", checks or {})
    assert sentence in str(told.value)
    assert state(repository) == before


@pytest.mark.parametrize("version", ["", "1", "v0.1.0", "0.1.0rc1", "0.01.0"])
def test_what_is_no_version_ends_with_a_sentence(
    version: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main([version])
    assert ended.value.code == 1
    told = capsys.readouterr().err
    assert told == (
        f"Nothing is released. {version!r} is no version: write three numbers, such as 0.1.0.\n"
    )
