"""The environment of FINN+ is whole or built again, and nothing that is not of ours is removed."""

import re
import sys
from pathlib import Path

import pytest

from hwdse.cli import main
from hwdse.finn import environment
from hwdse.finn.environment import (
    LOG,
    READY,
    STARTED,
    Environment,
    FinnError,
    Step,
    build,
    digest,
    examined,
    requirements,
)
from tests.hwdse.finn.fakes import empty_environment, real_environment, silent

MAKE_PYTHON = "import os, sys; os.makedirs(sys.argv[1]); os.symlink(sys.executable, sys.argv[1] + '/python')"


def small(folder: Path) -> tuple[Step, ...]:
    """A set-up of two quick commands."""
    return (
        Step("make a Python", (sys.executable, "-c", MAKE_PYTHON, str(folder / "bin"))),
        Step("say a number", (sys.executable, "-c", "print(7)"), "number.txt"),
    )


def failing(folder: Path) -> tuple[Step, ...]:
    """Its second command fails."""
    return small(folder)[0], Step("get there", (sys.executable, "-c", "import sys; sys.exit('no network')"))


def test_it_is_built_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment, "steps", small)
    made = Environment(tmp_path / "finn")
    said: list[str] = []
    assert made.state == f"absent: run `hwdse setup finn --at {made.folder}`"
    assert build(made, said.append)
    assert said == ["make a Python", "say a number"]
    assert made.ready
    assert made.state == f"finn-plus==1.6.1 in {made.folder}"
    assert (made.folder / "number.txt").read_text() == "7\n"
    assert not build(made, said.append)
    assert len(said) == 2


def test_what_is_half_built_is_built_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = Environment(tmp_path / "finn")
    monkeypatch.setattr(environment, "steps", failing)
    rule = rf"^the set-up of FINN\+ could not get there: no network; see {made.folder / LOG}$"
    with pytest.raises(FinnError, match=rule):
        build(made, silent)
    assert not made.ready
    assert made.state == f"half-built or of another version: run `hwdse setup finn --at {made.folder}`"
    monkeypatch.setattr(environment, "steps", small)
    assert build(made, silent)
    assert made.ready


def test_other_requirements_are_another_environment(tmp_path: Path) -> None:
    made = empty_environment(tmp_path / "finn")
    assert made.ready
    (made.folder / READY).write_text("0123456789ab")
    assert not made.ready


def test_a_folder_that_is_not_of_ours_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine").touch()
    rule = rf"^the environment of FINN\+ goes into a folder of its own, unlike {tmp_path}$"
    with pytest.raises(ValueError, match=rule):
        build(Environment(tmp_path), silent)
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_where_it_lies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HWDSE_FINN", str(tmp_path))
    assert Environment.default().folder == tmp_path
    assert Environment.default().state == "absent: run `hwdse setup finn`"
    monkeypatch.delenv("HWDSE_FINN")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert Environment.default().folder == tmp_path / ".cache" / "hwdse" / f"finn-{digest()}"


def test_torch_comes_first_and_finn_last_without_its_requirements(tmp_path: Path) -> None:
    assert requirements()[0].startswith("torch>=")
    assert requirements()[-1] == "finn-plus==1.6.1"
    first, rest, last = [step.argv for step in environment.steps(tmp_path) if "pip" in step.argv]
    assert first[-1:] == requirements()[:1]
    assert rest[rest.index("--constraint") + 1 :] == (str(tmp_path / "constraints.txt"), *requirements()[1:-1])
    assert last[-2:] == ("--no-deps", "finn-plus==1.6.1")


def test_every_pin_that_is_not_of_finn_has_a_reason() -> None:
    ours = re.compile(r"^(torch|jinja2|psutil|setuptools|finn-plus)\W")
    lines = environment.REQUIREMENTS.read_text().splitlines()
    assert all(" # " in line for line in lines if ours.match(line))
    assert sum(bool(ours.match(line)) for line in lines) == 5


def test_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(environment, "steps", small)
    monkeypatch.setenv("HWDSE_FINN", str(tmp_path / "usual"))
    assert main(["setup", "finn", "--at", str(tmp_path / "finn")]) == 0
    output = capsys.readouterr()
    assert output.err == "set-up of FINN+: make a Python\nset-up of FINN+: say a number\n"
    place = tmp_path / "finn"
    assert output.out == f"finn-plus==1.6.1 in {place}; for hwdse to use it: export HWDSE_FINN={place}\n"
    assert main(["setup", "vivado"]) == 2
    assert capsys.readouterr().err == "hwdse: no part 'vivado' to set up; known: finn\n"
    assert (place / STARTED).exists()
    assert main(["doctor", "--json"]) == 0
    assert "absent: run `hwdse setup finn`" in capsys.readouterr().out


def test_an_environment_that_is_broken_says_how_it_is_mended(tmp_path: Path) -> None:
    broken = empty_environment(tmp_path / "x")  # it says that it is ready
    mend = f"remove {broken.folder} and run `hwdse setup finn --at {broken.folder}`"
    assert broken.ready
    said = r"broken \(importlib\.metadata\.PackageNotFoundError: No package metadata was found for \S+\): "
    assert re.fullmatch(said + re.escape(mend), examined(broken))
    broken.python.unlink()
    broken.python.write_text("no program")
    broken.python.chmod(0o755)
    assert examined(broken) == f"broken ([Errno 8] Exec format error: '{broken.python}'): {mend}"
    (broken.folder / READY).unlink()
    assert examined(broken) == broken.state


def test_the_real_environment_is_not_broken() -> None:
    assert examined(real_environment()) == real_environment().state
