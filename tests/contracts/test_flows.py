"""Every file in `hwdse/flows/` is a flow that keeps its contract."""

import re
from collections.abc import Iterator
from dataclasses import fields, is_dataclass, replace
from pathlib import Path, PurePosixPath

import pytest

from hwdse.build import BuildPlan
from hwdse.flow import Flow
from hwdse.netlist import Memory, Netlist, Stream, Unit, modules
from hwdse.plugins import load, named
from hwdse.target import FpgaTarget, devices, fpga

FOLDER = Path(__file__).parents[2] / "hwdse" / "flows"
FLOWS = load("hwdse.flows", Flow)  # type: ignore[type-abstract]

each = pytest.mark.parametrize("name", FLOWS)


def netlist(*, bits: int = 8, word: int = 3) -> Netlist:
    """A unit that no tool sees: a plan does not look into it."""
    memories = (Memory("content", 4, (1, 2, word)),)
    return Netlist.of(Unit(modules()[0], (("BITS", bits),), (Stream("in", bits),), (Stream("out", bits),), memories))


def flow(name: str) -> Flow:
    """The flow with its default settings."""
    return FLOWS[name]()


def claimed(name: str) -> list[FpgaTarget]:
    """One device of every family that the flow has tools for."""
    return list({target.family: target for target in map(fpga, devices()) if flow(name).claims(target)}.values())


def plans(name: str) -> Iterator[BuildPlan]:
    """A plan for every family."""
    return (flow(name).plan(netlist(), target) for target in claimed(name))


@each
def test_it_is_found_by_its_file_name(name: str) -> None:
    assert (FOLDER / f"{name}.py").exists()
    assert named("hwdse.flows", Flow, name) is FLOWS[name]  # type: ignore[type-abstract]


@each
def test_it_is_a_frozen_dataclass(name: str) -> None:
    assert is_dataclass(FLOWS[name])
    assert FLOWS[name].__dataclass_params__.frozen  # type: ignore[attr-defined]
    assert flow(name) == flow(name)


@each
def test_it_claims_a_device_and_refuses_an_unknown_family(name: str) -> None:
    assert claimed(name)
    other = replace(claimed(name)[0], family="abacus")
    assert not flow(name).claims(other)
    with pytest.raises(ValueError, match=r"^[^\n]* family 'abacus'; known: [a-z0-9, ]+$"):
        flow(name).plan(netlist(), other)


@each
def test_equal_input_gives_equal_plans(name: str) -> None:
    assert list(plans(name)) == list(plans(name))
    assert [plan.digest for plan in plans(name)] == [plan.digest for plan in plans(name)]


@each
def test_the_digest_names_the_netlist_and_the_family(name: str) -> None:
    for target in claimed(name):
        variants = [netlist(), netlist(bits=9), netlist(word=4)]
        assert len({flow(name).plan(variant, target).digest for variant in variants}) == 3
    assert len({plan.digest for plan in plans(name)}) == len(claimed(name))


@each
def test_the_digest_names_the_settings(name: str) -> None:
    for field in fields(FLOWS[name]):
        changed = replace(flow(name), **{field.name: _another(getattr(flow(name), field.name))})
        claims = [target for target in claimed(name) if changed.claims(target)]
        claims = claims or [target for target in map(fpga, devices()) if changed.claims(target)]  # a board has only one
        digests = [
            (changed.plan(netlist(), target).digest, flow(name).plan(netlist(), target).digest) for target in claims
        ]
        same = field.name == "timeout_seconds"
        assert digests
        assert all((new == old) == same for new, old in digests), field.name


def _another(now: bool | int | float | str) -> bool | int | float | str:
    """A setting that is not `now`."""
    if isinstance(now, bool):
        return not now
    if isinstance(now, str):
        return {"area": "speed", "default": "icesugar_pro"}.get(now, f"{now}.1")  # the latter: a board
    return now + 1


@each
def test_no_path_of_this_machine_is_in_a_plan(name: str) -> None:
    for plan in plans(name):
        words = [word for command in plan.commands for word in command.argv]
        assert not any(PurePosixPath(word).is_absolute() for word in words)
        for _, content in plan.files:
            assert str(FOLDER.parents[1]).encode() not in content
            assert str(Path.home()).encode() + b"/" not in content


@each
def test_a_command_begins_with_a_tool_of_the_plan(name: str) -> None:
    for plan in plans(name):
        tools = dict(plan.tools)
        assert all(tools.values())
        assert {command.argv[0] for command in plan.commands} == tools.keys()
        assert all(command.timeout_seconds > 0 for command in plan.commands)
        assert plan.results


@each
def test_all_files_of_the_netlist_are_in_the_plan(name: str) -> None:
    for plan in plans(name):
        assert {file for file, _ in netlist().files} <= {file for file, _ in plan.files}


@each
def test_an_empty_folder_is_one_sentence(name: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=rf"^{re.escape(str(tmp_path))}\S* is no [^\n]*$"):
        flow(name).read(tmp_path)


def test_an_unknown_one_lists_the_known() -> None:
    with pytest.raises(ValueError, match=f"^no flow 'magic'; known: {', '.join(FLOWS)}$"):
        named("hwdse.flows", Flow, "magic")  # type: ignore[type-abstract]
