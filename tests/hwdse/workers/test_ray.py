"""A Ray cluster of two nodes on this machine: it does what one process does, and a node may die."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from importlib.util import find_spec
from pathlib import Path

import pytest

from hwdse.workers import Workers, hire
from hwdse.workers.in_process import InProcess
from tests.hwdse.workers.test_pool import JOBS, check_fails, done
from tests.hwdse.workers.toy import Toy, maker, refuse

ROOT = Path(__file__).parents[3]
CLUSTER = """
import sys
from ray.cluster_utils import Cluster
small = {"num_cpus": 1, "object_store_memory": 80_000_000, "include_dashboard": False}
cluster = Cluster(initialize_head=True, head_node_args=small)
second = cluster.add_node(num_cpus=1, object_store_memory=80_000_000)
cluster.wait_for_nodes()
print(cluster.address, flush=True)
for line in sys.stdin:
    cluster.remove_node(second, allow_graceful=False)
    print("removed", flush=True)
cluster.shutdown()
"""
needs_ray = pytest.mark.skipif(find_spec("ray") is None, reason="ray is not installed")


@pytest.fixture
def cluster() -> Iterator[subprocess.Popen[str]]:
    """Two nodes with a core each, in a process of their own; a line to it removes the second."""
    process = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", CLUSTER], text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL, cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT), "RAY_USAGE_STATS_ENABLED": "0"},
    )  # fmt: skip
    yield process
    process.communicate(timeout=60)
    assert process.returncode == 0


def said(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


@needs_ray
@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning", "ignore::ResourceWarning")
def test_a_cluster_of_two_nodes(cluster: subprocess.Popen[str], tmp_path: Path) -> None:
    """The same outcomes as here, from both nodes; then a node and a worker die, and nothing is lost."""
    workers = Workers(2, "ray", said(cluster))
    toy = Toy(tmp_path, deadly="int6", deaths=1, seconds=0.2)
    (tmp_path / "here").mkdir()
    here = done(InProcess(Toy(tmp_path / "here")), JOBS)
    with closing(hire(workers, toy, maker(toy))) as executor:
        assert done(executor, JOBS) == here
        assert len({line.split()[0] for line in toy.log}) >= 2  # on two nodes: each has one core
        assert {line.split()[2] for line in toy.log} == {"1"}
        for one in JOBS:
            executor.submit(one)
        assert cluster.stdin is not None
        print("remove", file=cluster.stdin, flush=True)
        assert said(cluster) == "removed"
        assert done(executor, JOBS) == here
    check_fails(hire(workers, toy, refuse), ValueError, r"^no model 'digits-mlpp'$")


@needs_ray
@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning", "ignore::ResourceWarning")
def test_a_cluster_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"^the Ray cluster 127.0.0.1:1 cannot be used: .*Connection refused$"):
        hire(Workers(1, "ray", "127.0.0.1:1"), Toy(tmp_path), refuse)


def test_without_ray(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    message = r"^executor 'ray' needs the package ray: pip install 'hwdse\[ray\]'$"
    with pytest.raises(ValueError, match=message):
        hire(Workers(1, "ray"), Toy(tmp_path), refuse)
