"""What a build hands over: one folder with everything, from which `make` goes on without hwdse, and its manifest.

The folder gets its place by one rename, so that there is a whole one or none. The manifest says which layers the
hardware has, which design was chosen, and the digest of every file; where it is read it is strictly so.
"""

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from hashlib import blake2b
from pathlib import Path, PurePosixPath
from typing import Any

from hwdse.codec import decode

MANIFEST = "manifest.json"
LEFT = (  # what the commands in a README leave in the folder: those of make and pip, then those of the tools of AMD
    *("sim/simulate", "sim/result.bin", "venv/*"),
    *("testbench", "ap/*", "hls_component/*", "hls_project/*", "logs/*", "*.log", "*.jou"),
    *("output/*", "finn_build/*", "__pycache__/*"),  # of FINN
    "*/__pycache__/*",  # of Python, where a build carries modules
)


class ArtifactError(ValueError):
    """A build folder is incomplete, or not the hardware of its design: one sentence."""


@dataclass(frozen=True, slots=True)
class Place:
    """A layer of an accelerator, and the sites between which it is."""

    layer: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    added: bool  # a shortcut, or a table, that the design has no choice for


@dataclass(frozen=True, slots=True)
class Manifest:
    """What is read of a manifest; the rest is for people."""

    chosen: str  # digest of the design
    hardware: str  # the file in which the units are
    layers: tuple[Place, ...]
    files: tuple[tuple[str, str], ...]  # name and digest of all but the manifest


def digest_of(content: bytes) -> str:
    """Names the content of a file."""
    return blake2b(content, digest_size=16).hexdigest()


# ---- writing -------------------------------------------------------------------------------------


def check_place(folder: Path) -> None:
    """ValueError unless a build may be written to `folder`: it can be made, or it is empty or an older build."""
    if not folder.exists():
        parent = next(one for one in folder.parents if one.exists())
        if not parent.is_dir() or not os.access(parent, os.W_OK | os.X_OK):
            raise ValueError(f"the folder of a build cannot be made in {parent}")
    elif not folder.is_dir() or (any(folder.iterdir()) and not _is_build(folder)):
        raise ValueError(f"the folder of a build is new, empty or a build, unlike {folder}")


def deliver(folder: Path, files: Mapping[str, bytes], facts: Mapping[str, object]) -> Path:
    """Writes `files` and a manifest with `facts` and their digests; an older build in `folder` is replaced.

    ValueError where there is something else.
    """
    folder = folder.resolve()
    check_place(folder)
    partial = folder.with_name(f".{folder.name}.{os.getpid()}")
    digests = {name: digest_of(content) for name, content in sorted(files.items())}
    manifest = json.dumps({**facts, "files": digests}, indent=1, sort_keys=True) + "\n"
    try:
        for name, content in {**files, MANIFEST: manifest.encode()}.items():
            (partial / name).parent.mkdir(parents=True, exist_ok=True)
            (partial / name).write_bytes(content)
        shutil.rmtree(folder, ignore_errors=True)
        folder.parent.mkdir(parents=True, exist_ok=True)
        partial.rename(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return folder


def _is_build(folder: Path) -> bool:
    try:
        said(folder)
    except ArtifactError:
        return False
    return True


# ---- reading -------------------------------------------------------------------------------------


def manifest_of(folder: Path) -> Manifest:
    """The manifest of a build; ArtifactError where `folder` has none, or one that is not whole."""
    found = said(folder)
    try:
        if not isinstance(found["files"], dict):
            raise ValueError(f"its files are names with digests, not {found['files']!r}")
        own = {key: found[key] for key in ("chosen", "hardware", "layers")} | {"files": list(found["files"].items())}
        return decode(Manifest, json.dumps(own))
    except ValueError as error:
        raise ArtifactError(f"{folder / MANIFEST} is no manifest of a build: {error}") from None


def said(folder: Path) -> dict[str, Any]:
    """All that a manifest says; ArtifactError where it is none of a build."""
    try:
        found = json.loads(read(folder, MANIFEST))
    except json.JSONDecodeError as error:
        raise ArtifactError(f"{folder / MANIFEST} is no JSON: {error}") from None
    wanted = ("files", "layers", "chosen", "hardware")
    missing = [key for key in wanted if not isinstance(found, dict) or key not in found]
    if missing:
        raise ArtifactError(f"{folder / MANIFEST} is no manifest of a build: it has no {missing[0]!r}")
    return dict(found)


def read(folder: Path, name: str) -> str:
    """The text of a file of a build; ArtifactError where it cannot be read."""
    try:
        return (folder / name).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        raise ArtifactError(f"{folder} is no build: there is no {name} to read in it") from None


def check_files(folder: Path, manifest: Manifest) -> None:
    """ArtifactError unless the files are those of the manifest, to the last bit.

    What `LEFT` names was made since, and may be there; so may what is hidden, such as the history of git.
    """
    files = dict(manifest.files)
    there = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    for name, digest in files.items():
        if name not in there:
            raise ArtifactError(f"the build in {folder} lacks the file {name!r}")
        if digest_of(there[name].read_bytes()) != digest:
            raise ArtifactError(f"the file {name!r} in {folder} is not the one that was built")
    for name in sorted(there.keys() - files.keys() - {MANIFEST}):
        hidden = any(part.startswith(".") for part in PurePosixPath(name).parts)
        if not hidden and not any(fnmatchcase(name, pattern) for pattern in LEFT):
            raise ArtifactError(f"the file {name!r} in {folder} is none of those that were built")
    if manifest.hardware not in files:
        raise ArtifactError(f"the hardware {manifest.hardware!r} is no file of the build in {folder}")
