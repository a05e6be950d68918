"""Compiles a kernel for a GPU that need not be there, and reads its machine code.

Triton brings an assembler and NVIDIA's disassemblers, none of which asks for a driver.
"""

import subprocess
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource, make_backend
from triton.runtime.jit import create_function_from_signature

from hwdse.machine_code import MachineCode, read

TOOLS = Path(triton.__file__).parent / "backends" / "nvidia" / "bin"
TIMEOUT = 60  # seconds of a tool: it takes one
FUSED = {"enable_fp_fusion": True}  # the default up to Triton 3.9, which warns that it will be another one


def machine_code(kernel: Any, given: Mapping[str, Any], architecture: int) -> MachineCode:
    """What a launch of `kernel` with `given`, arguments and options by name, would run on compute capability
    `architecture` (90 is sm_90). A tensor of any size stands for its dtype and alignment."""
    target = GPUTarget("cuda", architecture, 32)
    backend = make_backend(target)
    whole = FUSED | dict(given)
    bound, key, options = create_function_from_signature(kernel.signature, kernel.params, backend)(**whole)
    parsed, *parts = kernel._pack_args(backend, whole, bound, key, options)
    made = triton.compile(ASTSource(kernel, *parts), target=target, options=vars(parsed))
    disassembly, usage = _text(made.asm["cubin"])
    return read(
        disassembly,
        usage,
        architecture=architecture,
        warps=made.metadata.num_warps,
        shared_bytes=made.metadata.shared,
    )


def _text(cubin: bytes) -> tuple[str, str]:
    """What the disassemblers say of a cubin: its code, and what it uses."""
    with TemporaryDirectory() as folder:
        file = Path(folder) / "kernel.cubin"
        file.write_bytes(cubin)
        return _said("nvdisasm", "-c", str(file)), _said("cuobjdump", "-res-usage", str(file))


def _said(tool: str, *arguments: str) -> str:
    command = [str(TOOLS / tool), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=TIMEOUT).stdout
