"""What else a result depends on, so that it can be made again."""

import platform
import subprocess
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from hwdse.study import Study
from hwdse.workers import Evaluator, Noted

Manifest = tuple[tuple[str, str], ...]

PACKAGES = ("hwdse", "torch", "brevitas", "optuna", "numpy", "scikit-learn")


def manifest(study: Study, evaluator: Evaluator) -> Manifest:
    """Versions, seed, commit, date, what was done, and the study in full; the target has the device's source."""
    versions = [(package, _version(package)) for package in PACKAGES]
    return (
        ("study", f"{study.name}, digest {study.digest}"),
        ("weights, data and versions", f"digest {evaluator.context}"),
        ("seed", str(study.seed)),
        ("commit", commit()),
        ("python", platform.python_version()),
        *versions,
        ("date", datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")),
        *((("evaluator of this process", evaluator.notes()),) if isinstance(evaluator, Noted) else ()),
        ("study file", study.text),
    )


def commit() -> str:
    """The git commit of this code, with `-dirty` after changes; `unknown` outside a repository."""
    here = Path(__file__)
    if _git(here.parent, "ls-files", "--error-unmatch", here.name) is None:
        return "unknown"  # also where an installation lies inside some other repository
    return _git(here.parent, "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*") or "unknown"


def _git(folder: Path, *arguments: str) -> str | None:
    """What git says, or None where there is no git or it fails."""
    try:
        done = subprocess.run(("git", "-C", str(folder), *arguments), capture_output=True, text=True, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "unknown"
