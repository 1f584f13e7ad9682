"""The template's releases in a repository of their own, and projects that come from them."""

import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from copier import Settings, run_copy, run_update

from scripts.dev import ROOT, copy_template
from scripts.release import Release, releases
from tests.git import commit, git, reword
from tests.render import without_repetition

Answers = Mapping[str, str | int]

# Lower than every release: the present template, a little older.
OLDER = "0.0.1"


@dataclass(frozen=True)
class Template:
    """Every release of the template, and as the newest one the template that lies here."""

    repository: Path
    present: str

    @classmethod
    def released(cls, repository: Path) -> "Template":
        return cls(repository, release_history(repository))

    def fresh(self, project: Path, answers: Answers) -> Path:
        """A new project, of the present template."""
        return self.copy(project, self.present, answers)

    def project(self, project: Path, answers: Answers, version: str = OLDER) -> Path:
        """A project made from this release, and committed."""
        commit(self.copy(project, version, answers), "As generated")
        return project

    def copy(self, project: Path, version: str, answers: Answers) -> Path:
        with without_repetition():
            run_copy(
                str(self.repository),
                project,
                data=dict(answers),
                vcs_ref=f"v{version}",
                defaults=True,
                quiet=True,
                settings=Settings(),
            )
        return project


def update(project: Path, **answers: str | int) -> None:
    with without_repetition():
        run_update(
            project,
            data=answers,
            defaults=True,
            overwrite=True,
            quiet=True,
            settings=Settings(),
        )


def conflicts(project: Path) -> list[str]:
    """As README.md lists them."""
    return git(project, "diff", "--relative", "--name-only", "--diff-filter=U").splitlines()


# --- The repository ---


def release_history(repository: Path) -> str:
    """Make a repository with every release under its tag, and the present template as the next one.

    What tests/releases.toml records is found in the history of this repository; its tags may be
    missing. Returns the present template's version.
    """
    released = releases(ROOT)
    if released:
        git(ROOT, "clone", "--quiet", "--no-checkout", str(ROOT), str(repository))
        for tag in git(repository, "tag").split():
            git(repository, "tag", "--delete", tag)
        for release in released:
            tag_release(repository, release)
    else:
        repository.mkdir(parents=True)
        git(repository, "init", "--quiet")
    lay_template(repository)
    make_older(repository)
    commit(repository, "An older template")
    git(repository, "tag", f"v{OLDER}")
    lay_template(repository)
    commit(repository, "The template as it lies here")
    major, minor, _ = (released[-1].version if released else OLDER).split(".")
    present = f"{major}.{int(minor) + 1}.0"
    git(repository, "tag", f"v{present}")
    return present


def tag_release(repository: Path, release: Release) -> None:
    found = subprocess.run(
        ["git", "cat-file", "-e", f"{release.commit}^{{commit}}"], cwd=repository, check=False
    )
    assert found.returncode == 0, (
        f"Release {release.version} is commit {release.commit}, which this clone lacks. "
        "Fetch the whole history: git fetch --unshallow"
    )
    git(repository, "tag", f"v{release.version}", release.commit)


def lay_template(repository: Path) -> None:
    """The template as it lies here, committed or not, in place of what is there."""
    for path in repository.iterdir():
        if path.name != ".git":
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    copy_template(repository)
    shutil.copy(ROOT / ".gitattributes", repository)


def make_older(repository: Path) -> None:
    """What an update brings: lines that changed, a file that came and one that went."""
    project = repository / "template" / "project"
    reword(project / "README.md.jinja", "## Settings", "## Every setting")
    reword(project / ".env.example.jinja", "# HOST=", "# The address.\n# HOST=")
    reword(project / "backend/app/agent.py", "briefly, in Markdown", "in Markdown")
    reword(project / "backend/core/context.py", '"""', '"""Older. ', count=1)
    reword(project / "backend/main.py", "Serve the backend:", "Serve it:")
    (project / "backend/core/gone.py").write_text('"""Unused."""\n', encoding="utf-8")
    (project / "backend/core/http/chat_page.py").unlink()
