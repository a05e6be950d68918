"""A quantised network as a Vitis HLS project: C++ templates, the top that calls them, a testbench with real images.

`hls_templates/vitis` is the hand-written part, `hwdse.hls_calls` decides what is called. The same network, images, part
and clock are the same bytes.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from itertools import groupby
from math import isfinite
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwdse.hls_calls import Calls, calls
from hwdse.hls_wires import DEPTH, Call, Channel
from hwdse.network import Codes, Network

PROJECT = ("hls_config.cfg", "run.tcl", "run.sh", "README.md")  # with words such as @PART@ that are replaced
SHARED = ("format.h", "product.h", "rom.h")  # headers that the templates include
SHIMS = ("csim/ap_axi_sdata.h", "csim/hls_stream.h", "csim/program.cpp")

Files = tuple[tuple[str, bytes], ...]


@dataclass(frozen=True, slots=True)
class Part:
    """What is built for: AMD's name of a device, and the period of the clock in nanoseconds."""

    name: str
    clock_ns: float

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[A-Za-z0-9_.\-]+", self.name):
            raise ValueError(f"a part is a name like 'xc7z020clg400-1', not {self.name!r}")
        if not (isfinite(self.clock_ns) and self.clock_ns > 0):
            raise ValueError(f"a clock has a period of more than 0 ns, not {self.clock_ns:g}")


def project(network: Network, part: Part, codes: Codes, sums: NDArray[np.object_]) -> Files:
    """The files of the project of `network`, by their names in its folder.

    `codes`: `n x positions x channels` codes of images; `sums`: the `n x classes` sums that `hwdse.simulate` gives.
    """
    if not 0 < len(codes) == len(sums):
        raise ValueError(
            f"a testbench has images, and sums for each of them, unlike {len(codes)} images with {len(sums)}"
        )
    found = calls(network)
    text = {"top.h": _header(found), "top.cpp": _top(found), "tables.h": _tables(found)}
    templates = (*SHARED, *SHIMS, *sorted(f"{name}.h" for name in _headers(found)), "testbench.cpp")
    words = _words(network, part, found, len(codes))
    return (
        *((name, content.encode()) for name, content in text.items()),
        *((name, template(name).encode()) for name in templates),
        *((name, _filled(template(f"project/{name}"), words).encode()) for name in PROJECT),
        ("codes.bin", codes.astype(np.uint8).tobytes()),
        ("sums.bin", _integers(sums, found.field)),
    )


@cache
def template(name: str) -> str:
    """The text of a file of `hls_templates/vitis`."""
    return (files("hwdse.hls_templates") / "vitis" / name).read_text(encoding="utf-8")


def _words(network: Network, part: Part, found: Calls, images: int) -> dict[str, str]:
    """What stands for the words in the files of a project."""
    sizes: dict[str, Any] = {"LANES_IN": found.lanes_in, "BEATS_IN": found.beats_in, "FIELD": found.field}
    sizes |= {"LANES_OUT": found.lanes_out, "BEATS_OUT": found.beats_out, "IMAGES": images}
    sizes |= {"PART": part.name, "CLOCK": f"{part.clock_ns:g}", "DEPTH": DEPTH, "NETWORK": network.workload.name}
    return {name: str(value) for name, value in sizes.items()}


def _filled(text: str, words: dict[str, str]) -> str:
    return re.sub(r"@([A-Z_]+)@", lambda match: words[match[1]], text)


def _integers(sums: NDArray[np.object_], bits: int) -> bytes:
    """Little-endian, in two's complement."""
    return b"".join(int(value).to_bytes(bits // 8, "little", signed=True) for value in sums.reshape(-1))


# ---- the generated C++ ---------------------------------------------------------------------------


def _headers(found: Calls) -> set[str]:
    """The templates that are called, by the name of their file."""
    return {"axis" if call.template in ("from_axis", "to_axis") else call.template for call in found.calls}


def _header(found: Calls) -> str:
    sizes = {"LANES_IN": found.lanes_in, "BEATS_IN": found.beats_in, "LANES_OUT": found.lanes_out}
    sizes |= {"BEATS_OUT": found.beats_out, "FIELD": found.field}
    return "\n".join(
        [
            "// The accelerator: see README.md. Generated.",
            "#ifndef TOP_H\n#define TOP_H\n",
            '#include "axis.h"\n',
            *(f"static const int {name} = {size};" for name, size in sizes.items()),
            "typedef ap_axiu<LANES_IN * 8, 1, 1, 1> axis_in;",
            "typedef ap_axiu<LANES_OUT * FIELD, 1, 1, 1> axis_out;\n",
            "void accelerator(hls::stream<axis_in>& in, hls::stream<axis_out>& out);\n",
            "#endif\n",
        ]
    )


def _top(found: Calls) -> str:
    """The function that is synthesised.

    It has no control signals: a call begins when its image does. Vitis simulates the RTL of such a top where all its
    ports are streams: UG1399 (v2025.2), 'Co-simulation Requirements for Interface Synthesis'.
    """
    return "\n".join(
        [
            "// Every call is a process, all of them busy at once, an image in each. Generated.",
            '#include "top.h"\n',
            *(f'#include "{name}.h"' for name in sorted(_headers(found) - {"axis"})),
            '#include "tables.h"\n',
            "void accelerator(hls::stream<axis_in>& in, hls::stream<axis_out>& out) {",
            "#pragma HLS INTERFACE axis port=in",
            "#pragma HLS INTERFACE axis port=out",
            "#pragma HLS INTERFACE ap_ctrl_none port=return",
            "#pragma HLS DATAFLOW",
            *(line for channel in found.channels for line in _channel(channel)),
            *_by_layer(found.calls),
            "}\n",
        ]
    )


def _channel(channel: Channel) -> tuple[str, str]:
    stream = f'    hls::stream<ap_uint<{channel.bits}> > {channel.name}("{channel.name}");'
    return stream, f"#pragma HLS STREAM variable={channel.name} depth={channel.depth}"


def _by_layer(found: Iterable[Call]) -> Iterator[str]:
    """The calls, the name of their layer before those of each."""
    for layer, own in groupby(found, key=lambda call: call.layer):
        if layer:
            yield f"    // {layer}"
        yield from map(_call, own)


def _call(call: Call) -> str:
    parameters = ", ".join(f"/* {name} */ {value}" for name, value in call.parameters)
    return f"    {call.template}<{parameters} >({', '.join((*call.streams, *call.arrays))});"


def _tables(found: Calls) -> str:
    head = (
        "// Weights, thresholds and tables, in the order of their use. Generated.\n#ifndef TABLES_H\n#define TABLES_H\n"
    )
    texts = "\n".join(table.text for table in found.tables)
    return f'{head}\n#include "rom.h"\n\n{texts}\n#endif\n'
