"""C simulation of a Vitis HLS project with g++, where the arbitrary-precision types of AMD are installed.

They are Apache-2.0, and the wheel of hls4ml has them.
"""

import subprocess
from collections.abc import Sequence
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from shutil import which
from tempfile import TemporaryDirectory

from hwdse.build import BuildError
from hwdse.vitis import Files

COMPILE = ("-std=c++17", "-O1", "-w", "-I", "csim", "csim/program.cpp", "-o", "testbench")
SECONDS = 3600.0  # the longest that the compiler or the simulation may take
WANTED = "g++ and ap_int.h (pip install --no-deps hls4ml)"


def ap_types() -> Path | None:
    """The folder with `ap_int.h`, or nothing. hls4ml is found and not imported, which its dependencies would need."""
    spec = find_spec("hls4ml")
    folder = None if spec is None or spec.origin is None else Path(spec.origin).parent / "templates/vivado/ap_types"
    return folder if folder is not None and (folder / "ap_int.h").is_file() else None


def tools() -> dict[str, str]:
    """What `simulate` uses, with versions; nothing where it has nothing to compile with."""
    compiler = which("g++")
    if ap_types() is None or compiler is None:
        return {}
    said = subprocess.run((compiler, "-dumpfullversion"), capture_output=True, text=True, check=True)
    return {"g++": said.stdout.strip(), "hls4ml": version("hls4ml")}


def simulate(project: Files) -> str | None:
    """What the testbench says once all sums of `project` are equal; nothing where there is nothing to compile with.

    BuildError where one differs.
    """
    types, compiler = ap_types(), which("g++")
    if types is None or compiler is None:
        return None
    with TemporaryDirectory() as name:
        folder = Path(name)
        for path, content in project:
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(content)
        _run((compiler, "-I", str(types), *COMPILE), folder)
        return _run(("./testbench",), folder)


def _run(argv: Sequence[str], folder: Path) -> str:
    try:
        done = subprocess.run(argv, cwd=folder, capture_output=True, text=True, timeout=SECONDS)
    except subprocess.TimeoutExpired:
        raise BuildError(f"{Path(argv[0]).name} was not done after {SECONDS:g} s") from None
    if done.returncode:
        told = " ".join((done.stdout + done.stderr).split())[:200]
        raise BuildError(f"{Path(argv[0]).name} failed with exit status {done.returncode}: {told}")
    return done.stdout.strip()
