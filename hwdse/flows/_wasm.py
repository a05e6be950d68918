"""Runs a tool of YoWASP: `_wasm.py MODULE FUNCTION ARGUMENT...`.

The first call of each tool compiles it into YoWASP's cache, which is not written atomically: a second process would
read half a file, or lose a file that it has mapped. So one process compiles, and the others wait for it.
"""

import fcntl
import os
import sys
from importlib import import_module
from importlib.metadata import version
from pathlib import Path


def main(module: str, function: str, *arguments: str) -> int:
    """The exit status of `function(arguments)` in `module`."""
    caches = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    cache = os.environ.setdefault("YOWASP_CACHE_DIR", str(Path(caches) / "YoWASP"))  # as YoWASP has it on Linux
    folder = Path(cache) / module
    run = getattr(import_module(module), function)
    ready = folder / f"{function}-{version(module)}-{version('wasmtime')}"
    if not ready.exists():
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not ready.exists() and run(["--version"]) == 0:
                ready.touch()
    return int(run(list(arguments)))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
