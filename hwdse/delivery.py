"""What a build hands over: one folder with everything, from which `make` goes on without hwdse.

The folder gets its place by one rename, so that there is a whole one or none.
"""

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from hwdse.artifact import MANIFEST, digest_of


def deliver(folder: Path, files: Mapping[str, bytes], facts: Mapping[str, object]) -> Path:
    """Writes `files` and a manifest with `facts` and their digests; an older build in `folder` is replaced.

    ValueError where there is something else.
    """
    if folder.exists() and any(folder.iterdir()) and not (folder / MANIFEST).is_file():
        raise ValueError(f"the folder of a build is new, empty or a build, unlike {folder}")
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
