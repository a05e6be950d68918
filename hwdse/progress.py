"""How far a run of several commands has come, so that a killed one goes on behind the last that had finished.

After each command the folder of a run says which files it holds. A later run of the same plan copies these, and not the
folder: a tool that has outlived its parent may still write to it.
"""

import json
import os
from pathlib import Path
from platform import node
from shutil import copyfile, rmtree

FILE = "progress.json"
ABANDONED = "0"  # in place of the process in a folder's name: DIGEST.PROCESS.RANDOM


def mark(folder: Path, seconds: list[float]) -> None:
    """Notes that the commands that took `seconds` have finished."""
    names = [path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()]
    partial = folder / f"{FILE}.partial"
    partial.write_text(json.dumps({"host": node(), "seconds": seconds, "files": names}))
    partial.rename(folder / FILE)


def abandon(folder: Path) -> None:
    """Leaves what is in `folder` to a later run of its plan, if a command had finished."""
    if (folder / FILE).exists():
        digest, _, random = folder.name.split(".")
        folder.rename(folder.with_name(f"{digest}.{ABANDONED}.{random}"))


def resume(folder: Path) -> list[float]:
    """Copies to `folder` what killed runs of its plan had made; the seconds of their finished commands."""
    digest = folder.name.partition(".")[0]
    for left in folder.parent.glob(f"{digest}.*"):
        try:
            known = json.loads((left / FILE).read_text())
            if known["host"] != node() or _runs(left):
                continue
            for name in known["files"]:
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                copyfile(left / name, folder / name)
        except (OSError, ValueError):  # nothing finished there, or another run was faster
            continue
        rmtree(left, ignore_errors=True)
        return list(known["seconds"])
    return []


def _runs(folder: Path) -> bool:
    """Whether the process of a folder does, on this machine."""
    process = folder.name.split(".")[1]
    if process == ABANDONED:
        return False
    try:
        os.kill(int(process), 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
