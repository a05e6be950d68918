"""The evaluation store: nothing that was put in is lost, and a file that is something else is left alone."""

import os
import re
import signal
import sqlite3
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from hwdse import database
from hwdse.claims import Claims
from hwdse.cost import FpgaCost, LayerCost, Resources, Term
from hwdse.design import Design, Quantizer
from hwdse.evaluation import Accuracy
from hwdse.store import APPLICATION, Store
from tests.hwdse.postgresql import PostgreSql

ROOT = Path(__file__).parents[2]
ACCURACY = Accuracy("search", 9, "ff80", 0.1 + 0.2, 31.4)
DESIGN = Design.of({"fc": Quantizer.parse("e2m1:channel")}, {"x": Quantizer.parse("uint4")})
COST = FpgaCost(
    (LayerCost("fc", (Term("all", Resources(7)),), 1, 1),), 1, 2, 100.0, "ecp5_85f", "yosys 0.70", "measured"
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "evaluations.sqlite"


def test_accuracies(path: Path) -> None:
    with Store(path) as store:
        store.put_accuracy("d1", "c1", ACCURACY)
        store.put_accuracy("d1", "c1", replace(ACCURACY, split="test"))
    with Store(path) as store:
        assert store.accuracy("d1", "c1", "search") == ACCURACY
        assert store.accuracy("d1", "c1", "test") == replace(ACCURACY, split="test")
        assert store.accuracy("d1", "c2", "search") is None
        assert store.accuracy("d2", "c1", "search") is None


def test_the_last_word_counts(path: Path) -> None:
    with Store(path) as store:
        store.put_accuracy("d1", "c1", ACCURACY)
        store.put_accuracy("d1", "c1", replace(ACCURACY, loss=0.5))
        assert store.accuracy("d1", "c1", "search") == replace(ACCURACY, loss=0.5)


def test_designs(path: Path) -> None:
    with Store(path) as store:
        store.add(DESIGN)
        store.add(DESIGN)
        assert store.design(DESIGN.digest) == DESIGN
        with pytest.raises(ValueError, match=rf"^the evaluation store {path} has no design d1$"):
            store.design("d1")


def test_a_design_that_is_known_is_not_written_again(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Store(path) as store:
        store.add(DESIGN)
    with Store(path) as store:
        monkeypatch.setattr(type(store.database), "write", None)
        store.add(DESIGN)
        with pytest.raises(TypeError):
            store.add(replace(DESIGN, hardware=not DESIGN.hardware))


def test_measurements(path: Path) -> None:
    with Store(path) as store:
        for cost in (COST, replace(COST, model="vivado"), replace(COST, clock_mhz=50.0), replace(COST, device="u250")):
            store.put_measurement("d1", "c1", cost)
        found = store.measurements("d1", "c1", "ecp5_85f")
        assert found == (replace(COST, model="vivado"), replace(COST, clock_mhz=50.0), COST)
        assert store.measurements("d2", "c1", "ecp5_85f") == ()


def test_failures(path: Path) -> None:
    with Store(path) as store:
        store.put_failure("d1", "c1", "layer 'fc' is too wide")
        assert store.failure("d1", "c1") == "layer 'fc' is too wide"
        assert store.failure("d1", "c2") is None


def test_two_at_once(path: Path) -> None:
    with Store(path) as one, Store(path) as two:
        one.put_failure("d1", "c1", "a")
        two.put_failure("d2", "c1", "b")
        assert (one.failure("d2", "c1"), two.failure("d1", "c1")) == ("b", "a")


def test_a_file_of_another_program_is_refused_and_kept(path: Path) -> None:
    with sqlite3.connect(path) as other:
        other.execute("CREATE TABLE x (y)")
    other.close()
    before = path.read_bytes()
    with pytest.raises(ValueError, match=rf"^{path} is no evaluation store$"):
        Store(path)
    assert path.read_bytes() == before


def test_another_schema_is_refused_and_kept(path: Path) -> None:
    Store(path).close()
    with sqlite3.connect(path) as later:
        later.execute("PRAGMA user_version = 7")
    later.close()
    before = path.read_bytes()
    message = rf"^the evaluation store {path} has schema 7, and this hwdse reads 2$"
    with pytest.raises(ValueError, match=message):
        Store(path)
    assert path.read_bytes() == before


def test_a_file_without_claims_is_given_them(path: Path) -> None:
    """As hwdse 0.1 wrote it before several processes could share a study."""
    with Store(path) as store:
        store.put_accuracy("d1", "c1", ACCURACY)
    with sqlite3.connect(path) as older:
        older.execute("DROP TABLE claims")
        older.execute("PRAGMA user_version = 1")
    older.close()
    for _ in range(2):
        with Store(path) as store:
            assert store.accuracy("d1", "c1", "search") == ACCURACY
            assert store.database.read("PRAGMA user_version") == [(2,)]
            assert Claims(store.database, "we").claim("x")


def test_a_server_holds_what_a_file_does(server: PostgreSql) -> None:
    with Store(server.url) as one, Store(server.url) as two:
        one.put_accuracy("d1", "c1", ACCURACY)
        one.put_accuracy("d1", "c1", replace(ACCURACY, loss=0.5))
        one.put_failure("d1", "c1", "a")
        one.put_failure("d1", "c1", "b")
        one.add(DESIGN)
        one.add(DESIGN)
        for cost in (COST, replace(COST, model="vivado"), replace(COST, clock_mhz=1 / 3), replace(COST, model="Yosys")):
            one.put_measurement("d1", "c1", cost)
        assert two.accuracy("d1", "c1", "search") == replace(ACCURACY, loss=0.5)
        assert two.failure("d1", "c1") == "b"
        assert two.design(DESIGN.digest) == DESIGN
        found = two.measurements("d1", "c1", "ecp5_85f")
        assert [(cost.model, cost.clock_mhz) for cost in found] == [
            ("Yosys", 100.0), ("vivado", 100.0), ("yosys 0.70", 1 / 3), ("yosys 0.70", 100.0),
        ]  # fmt: skip
        with pytest.raises(
            ValueError, match=rf"^the evaluation store {server.url} has no design d1$".replace("+", r"\+")
        ):
            two.design("d1")


def test_a_server_that_comes_back_has_lost_nothing(server: PostgreSql) -> None:
    with Store(server.url) as store:
        store.put_failure("d2", "c1", "before")
        server.crash()
        with ThreadPoolExecutor(1) as thread:
            answer = thread.submit(store.failure, "d2", "c1")  # asked while there is no server
            time.sleep(0.5)
            server.start()
            assert answer.result(60) == "before"


def test_a_server_that_is_not_there() -> None:
    pytest.importorskip("psycopg", reason="the driver psycopg is not installed")
    url = "postgresql+psycopg://me:secret@127.0.0.1:1/none"
    shown = r"postgresql\+psycopg://me:\*\*\*@127.0.0.1:1/none"
    with pytest.raises(ValueError, match=rf"^the evaluation store {shown} cannot be used: .*connection failed.*$"):
        Store(url)


def test_a_server_that_does_not_come_back(server: PostgreSql, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "PATIENCE_SECONDS", 0.5)
    with Store(server.url) as store:
        server.crash()
        try:
            message = rf"^the evaluation store {re.escape(server.url)} was lost, run again to continue: .*$"
            with pytest.raises(ValueError, match=message):
                store.failure("d2", "c1")
        finally:
            server.start()


def test_other_servers_are_refused() -> None:
    message = r"^an evaluation store is an SQLite file or a postgresql:// URL, not 'mysql://me:\*\*\*@host/db'$"
    with pytest.raises(ValueError, match=message):
        Store("mysql://me:secret@host/db")


def test_a_file_that_is_no_database(path: Path) -> None:
    path.write_text("no database" * 1000)
    with pytest.raises(ValueError, match=rf"^the evaluation store {path} cannot be used: file is not a database$"):
        Store(path)


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    path = tmp_path / "nowhere" / "x.sqlite"
    message = rf"^the evaluation store {path} cannot be used: unable to open database file$"
    with pytest.raises(ValueError, match=message):
        Store(path)


def test_a_damaged_value(path: Path) -> None:
    with Store(path) as store:
        store.put_accuracy("d1", "c1", ACCURACY)
        with sqlite3.connect(path) as other:
            other.execute("UPDATE accuracies SET value = '[]'")
        other.close()
        message = rf"^the evaluation store {path} cannot be used: no Accuracy in this JSON: \[\] is no dict$"
        with pytest.raises(ValueError, match=message):
            store.accuracy("d1", "c1", "search")


def test_a_new_file_is_marked(path: Path) -> None:
    Store(path).close()
    assert int.from_bytes(path.read_bytes()[68:72], "big") == APPLICATION  # sqlite.org/fileformat.html
    assert [f.name for f in path.parent.iterdir()] == [path.name]


WRITER = """
import itertools, sys
from pathlib import Path
from hwdse.evaluation import Accuracy
from hwdse.store import Store
with Store(Path(sys.argv[1])) as store:
    for i in itertools.count():
        store.put_accuracy(f"{sys.argv[2]}.{i}", "c", Accuracy("search", 8, "ff", i / 3, None))
        print(i, flush=True)
"""


def test_writers_that_are_killed_lose_nothing(path: Path) -> None:
    """Several processes make the file and write to it at once; each is killed in the middle of it."""
    for round_ in range(3):
        names = [f"{round_}.{k}" for k in range(2)]
        writers = [
            subprocess.Popen([sys.executable, "-c", WRITER, str(path), name], stdout=subprocess.PIPE, cwd=ROOT)
            for name in names
        ]
        said = [process.stdout.readline() for process in writers if process.stdout is not None]
        time.sleep(0.1)
        for process in writers:
            os.kill(process.pid, signal.SIGKILL)
        output = [process.communicate()[0] for process in writers]
        with Store(path) as store:
            for name, first, rest in zip(names, said, output, strict=True):
                last = int((first + rest).splitlines()[-1])
                for i in range(last + 1):
                    assert store.accuracy(f"{name}.{i}", "c", "search") == Accuracy("search", 8, "ff", i / 3, None)


def test_many_make_the_tables_of_a_server_at_once(server: PostgreSql) -> None:
    with Store(server.url) as store:
        for table in ("designs", "accuracies", "measurements", "failures", "claims"):
            store.database.write(f"DROP TABLE @{table}")

    def opened(name: str) -> bool:
        with Store(server.url) as store:
            return Claims(store.database, name).claim(name)

    with ThreadPoolExecutor(6) as threads:
        assert list(threads.map(opened, "abcdef")) == 6 * [True]
