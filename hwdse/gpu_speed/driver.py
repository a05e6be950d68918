"""What the driver of a GPU says of it: its version and its clock, by NVML, which comes with the driver."""

import ctypes
import re
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from itertools import pairwise
from typing import Any

import torch

from hwdse.gpu_measurements import Origin
from hwdse.target import gpus

LIBRARY = "libnvidia-ml.so.1"
MULTIPROCESSORS = 1  # NVML_CLOCK_SM of nvml.h
# Of a product, with other speeds than the one that we describe; the A100 of 40 GB has slower memory than that of 80.
OTHER_FORMS = {"pcie", "nvl", "d", "laptop", "mig", "40gb"}
PACKAGES = ("torch", "triton", "gemlite", "humming-kernels")


def known(name: str, names: tuple[str, ...]) -> str:
    """What we call the GPU that the driver calls `name`: one of `names`, or its own name as a word."""
    words = re.split(r"[\s/-]+", name.lower().removeprefix("nvidia "))
    parts = {*words, *map("".join, pairwise(words))}  # `RTX 4090` is ours as one word; a GH200 is no H200
    found = [own for own in names if own in parts and not parts & OTHER_FORMS]
    return found[0] if found else "-".join(words)


def versions() -> str:
    """What ran: torch, Triton and the packages beside us that are installed."""
    return ", ".join(f"{name} {found}" for name in PACKAGES if (found := installed(name)) is not None)


def installed(package: str) -> str | None:
    """The version of a package; None: it is not there. torch's has the build for CUDA too."""
    if package == "torch":
        return str(torch.__version__)
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def origin(now: datetime | None = None) -> Origin:
    """Of a run that starts now on the current GPU."""
    start = (now or datetime.now(UTC)).strftime("%Y-%m-%dT%H:%M:%SZ")
    return Origin(known(torch.cuda.get_device_name(), gpus()), start, driver_version(), versions())


def driver_version() -> str:
    """Of the driver; `unknown` where NVML is not there."""
    found = _nvml()
    text = ctypes.create_string_buffer(80)  # NVML_SYSTEM_DRIVER_VERSION_BUFFER_SIZE
    if found is None or found[0].nvmlSystemGetDriverVersion(text, len(text)) != 0:
        return "unknown"
    return text.value.decode()


def mhz() -> int | None:
    """The clock of the multiprocessors of the current GPU, now; None where the driver does not say."""
    found, clock = _nvml(), ctypes.c_uint()
    if found is None:
        return None
    library, handle = found
    done = library.nvmlDeviceGetClockInfo(handle, MULTIPROCESSORS, ctypes.byref(clock)) == 0
    return clock.value if done else None


@cache
def _nvml() -> tuple[Any, Any] | None:
    """The library and its handle of the current GPU."""
    try:
        library = ctypes.CDLL(LIBRARY)
    except OSError:
        return None
    handle, uuid = ctypes.c_void_p(), f"GPU-{torch.cuda.get_device_properties().uuid}".encode()
    if library.nvmlInit_v2() or library.nvmlDeviceGetHandleByUUID(uuid, ctypes.byref(handle)):
        return None
    return library, handle
