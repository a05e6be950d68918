"""Modules that a folder carries name no hwdse, and bring all that they import of it."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from hwdse.carried import carried, imported

ALONE = """
import sys
sys.modules["hwdse"] = None  # importing it would fail
from own.packing import Layout
from own.formats import parse
print(Layout(3, 2, 64, 16).planes, parse("e2m1").lsb)
"""


def test_what_modules_import_comes_with_them() -> None:
    found = carried(["weight_codes"], "own")
    wanted = ("arrangement", "decoding", "formats", "packing", "paths", "stored", "weight_codes")
    assert {f"own/{name}.py" for name in wanted} == found.keys()
    for text in found.values():
        assert not any(name.partition(".")[0] == "hwdse" for name in imported(text.decode()))


def test_nothing_but_imports_is_changed() -> None:
    for name, text in carried(["kernels.a16"], "own").items():
        before = Path("hwdse", *Path(name).parts[1:]).read_text()
        assert re.sub(r"^(\s*)(from|import) own\b", r"\1\2 hwdse", text.decode(), flags=re.M) == before


def test_it_runs_without_hwdse(tmp_path: Path) -> None:
    for name, content in carried(["packing", "formats"], "own").items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(content)
    done = subprocess.run([sys.executable, "-c", ALONE], cwd=tmp_path, check=True, capture_output=True, text=True)
    assert done.stdout == "3 0.5\n"


def test_what_is_no_module_is_not_carried() -> None:
    with pytest.raises(ValueError, match=r"^no module 'kernels.a17' of hwdse can be carried$"):
        carried(["kernels.a17"], "own")
