"""Makes FINN+ usable where there is no Vivado; imported before anything else of FINN, or run as its command `finn`.

`finn.builder.build_dataflow` imports the simulator of Vivado, which raises where there is none, and the end of a build
reads where Vivado lies. Neither is needed up to the estimates and the code generation. No file of FINN+ is changed.
A build for FINN has this file as it is, so that it needs FINN alone.
"""

import os
from typing import NoReturn

os.environ.setdefault("XILINX_VIVADO", "/nonexistent/no-vivado")  # the end of a build reads it, as text only
os.environ.setdefault("NUM_DEFAULT_WORKERS", "1")

from finn import xsi
from finn.util import settings

settings.initialize_dummy_settings()
for variable, value in (
    ("FINN_RTLLIB", settings.get_settings().finn_rtllib),
    ("FINN_CUSTOM_HLS", settings.get_settings().finn_custom_hls),
):
    os.environ.setdefault(variable, str(value))  # as FINN's own command line does


class Absent:
    """Stands for a part of the simulator."""

    def __init__(self, *arguments: object, **named: object) -> None:
        self._refuse()

    @staticmethod
    def _refuse() -> NoReturn:
        raise RuntimeError("a simulation of RTL by FINN needs Vivado")

    def __class_getitem__(cls, item: object) -> type["Absent"]:
        return cls  # it is named in annotations


for name in xsi._LAZY_NAMES:
    if name not in vars(xsi):
        setattr(xsi, name, Absent)


def main() -> None:
    """FINN's command line, which otherwise ends where it finds no simulator.

    With a path of Vivado it would start Python again with other libraries, which some Pythons do not survive.
    """
    from finn.interface import run_finn

    xsi.ensure_available = lambda: True
    run_finn.xilinx_ld_library_paths = list
    run_finn.main()


if __name__ == "__main__":  # FINN's own processes import this file again
    main()
