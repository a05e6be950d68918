"""Build plans: digests, the cache, and tools that crash, hang or leave nothing."""

import json
import os
import pickle
import re
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hwdse.build import BuildError, BuildPlan, Command, OverfullError, Programs, beside, run, run_all, seconds
from hwdse.progress import mark

TOOL = (sys.executable, "-c")


def plan(code: str = "open('out', 'w').write('done')", **changes: Any) -> BuildPlan:
    """A plan whose tool, `py`, runs `code`."""
    command = Command(("py", code), 60.0, "py.log")
    return replace(BuildPlan((("in", b"text"),), (command,), (("py", "3"),), ("out",)), **changes)


PROGRAMS: Programs = {"py": TOOL}


def fails(message: str) -> AbstractContextManager[object]:
    """Expects a BuildError with the whole of `message`."""
    return pytest.raises(BuildError, match=f"^{re.escape(message)}$")


def alive(pid: int) -> bool:
    """Whether a process runs; one that is dead but has not been waited for does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def wait_for(condition: Callable[[], bool]) -> None:
    """Fails where `condition` does not come true."""
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


# ---- the value -----------------------------------------------------------------------------------


def test_equal_plans_have_equal_digests() -> None:
    assert plan() == plan()
    assert plan().digest == plan().digest
    assert re.fullmatch("[0-9a-f]{32}", plan().digest)
    two = (("a", b"1"), ("b", b"2"))
    assert plan(files=two).digest == plan(files=two[::-1]).digest


@pytest.mark.parametrize(
    "changes",
    [
        {"files": (("in", b"other"),)},
        {"files": (("other", b"text"),)},
        {"files": ()},
        {"commands": (Command(("py", "pass"), 60.0, "py.log"),)},
        {"commands": ()},
        {"tools": (("py", "4"),)},
        {"results": ("in",)},
    ],
    ids=str,
)
def test_what_decides_the_result_changes_the_digest(changes: dict[str, Any]) -> None:
    assert plan(**changes).digest != plan().digest


def test_a_timeout_does_not() -> None:
    (command,) = plan().commands
    assert plan(commands=(replace(command, timeout_seconds=1.0),)).digest == plan().digest


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"files": (("/in", b""),)}, "a plan's files lie in its own folder, unlike '/in'"),
        ({"results": ("../out",)}, "a plan's files lie in its own folder, unlike '../out'"),
        ({"commands": (Command(("py",), 1, ""),)}, "a plan's files lie in its own folder, unlike ''"),
        ({"files": (("in", b"1"), ("in", b"2"))}, "a plan writes a file once, but 'in' 2 times"),
        ({"tools": (("a", "1"), ("b", "2"))}, "a plan lists its tools, but not 'py'; known: a, b"),
    ],
)
def test_a_plan_that_is_none(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        plan(**changes)


# ---- one run -------------------------------------------------------------------------------------


def test_a_run(tmp_path: Path) -> None:
    what = plan("import shutil; print('hello'); shutil.copy('in', 'out'); open('between', 'w').write('x')")
    folder = run(what, tmp_path, PROGRAMS)
    assert folder == tmp_path / what.digest[:2] / what.digest
    assert (folder / "out").read_bytes() == b"text"
    assert (folder / "py.log").read_text() == "hello\n"
    assert sorted(path.name for path in folder.iterdir()) == ["done.json", "in", "out", "py.log"]
    assert json.loads((folder / "done.json").read_text())["digest"] == what.digest
    assert list((tmp_path / "tmp").iterdir()) == []


def test_the_seconds_of_each_command(tmp_path: Path) -> None:
    wait = Command(("py", "import time; time.sleep(0.2)"), 60, "wait.log")
    folder = run(plan(commands=(wait, plan().commands[0])), tmp_path, PROGRAMS)
    waited, other = seconds(folder)
    assert 0.2 < waited < 20
    assert 0 < other < 20
    (folder / "done.json").write_text("{}")  # as runs were finished before this was measured
    assert seconds(folder) == ()
    (folder / "done.json").unlink()
    with pytest.raises(ValueError, match=rf"^{re.escape(str(folder))} is no finished run: FileNotFoundError: .*$"):
        seconds(folder)


def test_a_finished_run_is_not_run_again(tmp_path: Path) -> None:
    folder = run(plan(), tmp_path, PROGRAMS)
    assert run(plan(), tmp_path, {}) == folder


def test_commands_run_one_after_the_other_in_folders_of_their_own(tmp_path: Path) -> None:
    commands = (
        Command(("py", "open('a', 'w').write('1')"), 60, "a.log"),
        plan("open('out', 'w').write(open('a').read())").commands[0],
    )
    assert (run(plan(commands=commands, files=(("sub/in", b""),)), tmp_path, PROGRAMS) / "out").read_text() == "1"


def test_a_tool_that_crashes_once(tmp_path: Path) -> None:
    code = "import os; again = os.path.exists('mark'); open('mark', 'w'); open('out', 'w').write('x'); exit(not again)"
    assert (run(plan(code), tmp_path, PROGRAMS) / "out").read_text() == "x"


@pytest.mark.parametrize(
    ("code", "what"),
    [
        ("exit(3)", "py failed with exit status 3, 2 times"),
        ("print('ERROR: no gate\\n\\n1 error'); exit(1)", "py failed with exit status 1, 2 times (ERROR: no gate)"),
        (
            "print('ERROR: no place\\nInfo: CARRY: 9/ 9 100%\\nInfo: LC: 12/   8   150%\\nLC: 12/ 8 150%'); exit(1)",
            "py failed with exit status 1, 2 times (ERROR: no place; LC: 12 of 8)",
        ),
        ("print('so it\\nends here'); exit(1)", "py failed with exit status 1, 2 times (ends here)"),
        ("import os; os.abort()", "py was ended by SIGABRT, 2 times"),
        ("pass", "py left no out"),
        ("open('out', 'w'); print('fine')", "py left no out (fine)"),
    ],
)
def test_a_tool_that_fails(tmp_path: Path, code: str, what: str) -> None:
    bad = plan(code)
    with fails(f"{what}; see {tmp_path / 'failed' / bad.digest}"):
        run(bad, tmp_path, PROGRAMS)
    assert (tmp_path / "failed" / bad.digest / "py.log").exists()
    assert not bad.folder(tmp_path).exists()
    with pytest.raises(BuildError):
        run(bad, tmp_path, PROGRAMS)  # in the place of the first failure


def test_a_tool_that_prints_garbage(tmp_path: Path) -> None:
    bad = plan("import sys; sys.stdout.buffer.write(bytes(range(128, 256)) * 9); exit(1)")
    with pytest.raises(BuildError, match=r"^py failed with exit status 1, 2 times \(\ufffd{200}\); see \S+$"):
        run(bad, tmp_path, PROGRAMS)


@pytest.mark.parametrize(("used", "kind"), [(5, OverfullError), (3, BuildError)])
def test_a_device_that_is_too_small_is_an_error_of_its_own(used: int, kind: type[BuildError], tmp_path: Path) -> None:
    with pytest.raises(BuildError) as caught:
        run(plan(f"print('Info: DP16KD: {used}/ 4 125%'); exit(1)"), tmp_path, PROGRAMS)
    assert type(caught.value) is kind


def test_a_tool_that_hangs_is_ended_with_its_children(tmp_path: Path) -> None:
    child = "import subprocess; p = subprocess.Popen(['sleep', '60']); open('pid', 'w').write(str(p.pid)); p.wait()"
    bad = plan(commands=(Command(("py", child), 1.0, "py.log"),))
    folder = tmp_path / "failed" / bad.digest
    with fails(f"py was not done after 1 s; see {folder}"):
        run(bad, tmp_path, PROGRAMS)
    pid = int((folder / "pid").read_text())
    wait_for(lambda: not alive(pid))


def test_a_tool_that_is_missing(tmp_path: Path) -> None:
    failed = tmp_path / "failed" / plan().digest
    with fails(f"py is not on this machine; see {failed}"):
        run(plan(), tmp_path, {})
    with fails(f"py cannot be run: there is no program /no/such; see {failed}"):
        run(plan(), tmp_path, {"py": ("/no/such",)})


def test_a_disk_that_is_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = run(plan(), tmp_path, PROGRAMS)

    def full(path: Path, content: bytes) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with fails(f"cannot write to {tmp_path}: No space left on device"):
        run(plan(files=(("in", b"other"),)), tmp_path, PROGRAMS)
    assert run(plan(), tmp_path, PROGRAMS) == folder
    assert list((tmp_path / "tmp").iterdir()) == []


def test_another_process_that_is_faster(tmp_path: Path) -> None:
    code = "import os, sys; p = sys.argv[1]; os.makedirs(p); open(p + '/done.json', 'w'); open(p + '/theirs', 'w');"
    code += "open('out', 'w').write('x')"
    mine = plan()
    place = mine.folder(tmp_path)
    assert run(mine, tmp_path, {"py": (*TOOL, code, str(place))}) == place
    assert (place / "theirs").exists()


def test_a_folder_that_is_not_finished_is_replaced(tmp_path: Path) -> None:
    place = plan().folder(tmp_path)
    place.mkdir(parents=True)
    (place / "old").touch()
    assert run(plan(), tmp_path, PROGRAMS) == place
    assert not (place / "old").exists()


def test_an_interrupt_ends_the_tool(tmp_path: Path) -> None:
    code = f"""
        import signal, sys; from pathlib import Path; from hwdse.build import *
        signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background ignores it
        tool = "import os, time; open({str(tmp_path / "pid")!r}, 'w').write(str(os.getpid())); time.sleep(60)"
        plan = BuildPlan((), (Command(("py", tool), 60.0, "log"),), (("py", "3"),), ())
        run(plan, Path({str(tmp_path)!r}), {{"py": (sys.executable, "-c")}})
    """
    root = Path(__file__).parents[2]
    process = subprocess.Popen([*TOOL, textwrap.dedent(code)], cwd=root, stderr=subprocess.PIPE, text=True)
    pid = tmp_path / "pid"
    wait_for(lambda: pid.exists() and pid.read_text() != "")
    process.send_signal(signal.SIGINT)
    assert "KeyboardInterrupt" in process.communicate(timeout=20)[1]
    wait_for(lambda: not alive(int(pid.read_text())))
    assert list((tmp_path / "tmp").iterdir()) == []


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_a_killed_run_goes_on_behind_its_last_command(tmp_path: Path, how: signal.Signals) -> None:
    again, began, cache = tmp_path / "again", tmp_path / "began", tmp_path / "cache"
    first = f"open({str(tmp_path / 'first')!r}, 'a').write('x'); open('one', 'w').write('1')"
    second = f"""
import os, time
open('out', 'w').write('not yet')
if not os.path.exists({str(again)!r}):
    open({str(began)!r}, 'w').write(str(os.getpid()))
    time.sleep(60)
open('out', 'w').write(open('one').read() + '2')
"""
    commands = (Command(("py", first), 60.0, "1.log"), Command(("py", second), 60.0, "2.log"))
    two = plan(commands=commands)
    (tmp_path / "plan").write_bytes(pickle.dumps(two))
    code = f"""
        import pickle, signal, sys; from pathlib import Path; from hwdse.build import run
        signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background ignores it
        two = pickle.loads(Path({str(tmp_path / "plan")!r}).read_bytes())
        run(two, Path({str(cache)!r}), {{"py": (sys.executable, "-c")}})
    """
    process = subprocess.Popen([*TOOL, textwrap.dedent(code)], cwd=Path(__file__).parents[2], stderr=subprocess.DEVNULL)
    wait_for(lambda: began.exists() and began.read_text() != "")
    process.send_signal(how)
    process.wait(timeout=20)
    again.touch()
    assert len(list((cache / "tmp").iterdir())) == 1
    folder = run(two, cache, PROGRAMS)
    assert ((folder / "out").read_text(), (tmp_path / "first").read_text()) == ("12", "x")
    assert len(seconds(folder)) == 2
    assert sorted(path.name for path in folder.iterdir()) == ["1.log", "2.log", "done.json", "in", "out"]
    assert list((cache / "tmp").iterdir()) == []
    if alive(int(began.read_text())):  # nobody ends the tools of a process that is killed
        os.kill(int(began.read_text()), signal.SIGKILL)


def test_a_run_that_goes_on_elsewhere_is_left_alone(tmp_path: Path) -> None:
    other = tmp_path / "tmp" / f"{plan().digest}.{os.getpid()}.other"
    other.mkdir(parents=True)
    (other / "out").write_text("theirs")
    mark(other, [1.0])
    assert (run(plan(), tmp_path, PROGRAMS) / "out").read_text() == "done"
    assert (other / "out").read_text() == "theirs"


# ---- many runs -----------------------------------------------------------------------------------


def test_a_plan_beside_other_work(tmp_path: Path) -> None:
    with beside(plan(), tmp_path, PROGRAMS) as finished:
        assert finished() == plan().folder(tmp_path)
    assert (finished() / "out").read_text() == "done"


def test_work_that_fails_ends_the_plan_beside_it(tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    slow = plan(f"import os, time; open({str(pid)!r}, 'w').write(str(os.getpid())); time.sleep(60)")

    def work() -> None:
        with beside(slow, tmp_path / "cache", PROGRAMS):
            wait_for(lambda: pid.exists() and pid.read_text() != "")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        work()
    assert not alive(int(pid.read_text()))
    assert not slow.folder(tmp_path / "cache").exists()


def writes(text: str, seconds: float = 0) -> BuildPlan:
    """A plan that takes some time."""
    return plan(f"import time; time.sleep({seconds}); open('out', 'w').write({text!r})")


def test_in_order_of_completion(tmp_path: Path) -> None:
    slow, fast = writes("slow", 2), writes("fast")
    found = list(run_all([slow, fast], tmp_path, PROGRAMS, workers=2))
    assert found == [(fast, fast.folder(tmp_path)), (slow, slow.folder(tmp_path))]


def test_equal_plans_are_run_once(tmp_path: Path) -> None:
    count = plan("import os; os.mkdir('../../ran'); open('out', 'w').write('x')")  # fails the second time
    assert list(run_all([count, count, count], tmp_path, PROGRAMS, workers=2)) == [(count, count.folder(tmp_path))]


def test_a_failure_is_an_outcome(tmp_path: Path) -> None:
    bad, good = plan("exit(1)"), writes("good")
    found = dict(run_all([bad, good], tmp_path, PROGRAMS, workers=1))
    assert found[good] == good.folder(tmp_path)
    assert str(found[bad]) == f"py failed with exit status 1, 2 times; see {tmp_path / 'failed' / bad.digest}"


def test_no_plans(tmp_path: Path) -> None:
    assert list(run_all([], tmp_path, {}, workers=2)) == []


def test_closing_ends_what_runs_and_keeps_what_is_finished(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    pids.mkdir()
    hang = "import os, time; open(f'{0}/{os.getpid()}', 'w'); time.sleep(60)".replace("{0}", str(pids))
    first, others = writes("first"), [plan(hang + f"  # {i}") for i in range(4)]
    runs = run_all([first, *others], tmp_path, PROGRAMS, workers=2)
    assert next(runs) == (first, first.folder(tmp_path))
    wait_for(lambda: len(os.listdir(pids)) == 2)
    start = time.monotonic()
    runs.close()
    assert time.monotonic() - start < 20
    assert len(os.listdir(pids)) == 2
    wait_for(lambda: not any(alive(int(pid)) for pid in os.listdir(pids)))
    assert run(first, tmp_path, {}) == first.folder(tmp_path)
    assert not (tmp_path / "failed").exists()
    assert list((tmp_path / "tmp").iterdir()) == []
