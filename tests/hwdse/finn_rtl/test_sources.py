"""FINN's RTL is changed by exact replacements, which fail where the text is another one."""

import re
from pathlib import Path

import pytest

from hwdse.finn import Environment, FinnError
from hwdse.finn_rtl.sources import PATCHES, Move, Patch, digest, patched, rtllib
from hwdse.finn_rtl.tops import KINDS
from tests.hwdse.finn.fakes import real_environment


def test_a_text_is_replaced() -> None:
    assert Patch("two", "2").applied("a.sv", "one two three") == "one 2 three"


@pytest.mark.parametrize(("text", "found"), [("one three", 0), ("two two", 2)])
def test_a_text_that_is_not_there_once_is_named(text: str, found: int) -> None:
    wanted = rf"^the RTL of finn-plus 1\.6\.1 has 'two' once in a\.sv, not {found} times$"
    with pytest.raises(FinnError, match=wanted):
        Patch("  two\nmore", "2").applied("a.sv", text.replace("two", "  two\nmore"))


def test_what_stands_between_two_texts_goes_before_a_third() -> None:
    assert Move("c", "e", "b").applied("a.sv", "abcdef") == "acdbef"


def test_a_move_goes_forward() -> None:
    with pytest.raises(FinnError, match=r"^the RTL of finn-plus 1\.6\.1 has 'f' before 'c' in a\.sv$"):
        Move("c", "e", "f").applied("a.sv", "abcdef")


def test_a_file_that_is_missing_is_named(tmp_path: Path) -> None:
    missing = re.escape(str(tmp_path / "a.sv"))
    with pytest.raises(
        FinnError, match=rf"^FINN's RTL cannot be read: \[Errno 2\] No such file or directory: '{missing}'$"
    ):
        patched(tmp_path, ("a.sv",))


def test_an_environment_that_is_not_there_is_named(tmp_path: Path) -> None:
    wanted = rf"^FINN\+ is absent: run `hwdse setup finn --at {re.escape(str(tmp_path))}`$"
    with pytest.raises(FinnError, match=wanted):
        rtllib(Environment(tmp_path))


def test_all_of_finns_files_are_what_the_patches_are_for() -> None:
    folder = rtllib(real_environment())
    for kind in KINDS.values():
        for name, content in patched(folder, (*kind.files, *kind.templates)):
            assert name.endswith((".sv", ".v"))
            assert content
    assert set(PATCHES) <= {name for kind in KINDS.values() for name in kind.files}


def test_another_content_has_another_digest() -> None:
    assert digest((("a", b"1"), ("b", b"2"))) != digest((("a", b"1"), ("b", b"3")))
