"""A PostgreSQL server of the tests' own: in a temporary folder, on a free port, gone afterwards."""

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest


def program(name: str) -> str:
    """The path of a program of PostgreSQL; skips the test where there is none."""
    places = [str(folder) for folder in sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)]  # Debian's
    found = shutil.which(name) or shutil.which(name, path=os.pathsep.join(places))
    if found is None:
        pytest.skip(f"PostgreSQL is not installed: there is no {name}")
    return found


def server_user() -> str | None:
    """Who runs the server: PostgreSQL refuses root."""
    if os.getuid() != 0:
        return None
    known = {entry.pw_name for entry in pwd.getpwall()}
    return next(name for name in ("postgres", "nobody") if name in known)


@dataclass(frozen=True)
class PostgreSql:
    """A running server."""

    folder: Path
    port: int

    @property
    def url(self) -> str:
        return f"postgresql+psycopg://hwdse@127.0.0.1:{self.port}/postgres"

    def control(self, *arguments: str) -> None:
        """Runs pg_ctl and waits until it is done."""
        command = (program("pg_ctl"), "-D", str(self.folder / "data"), "-w", "-l", str(self.folder / "log"))
        call(self.folder, *command, *arguments)

    def start(self) -> None:
        options = f"-k {self.folder} -p {self.port} -c listen_addresses=127.0.0.1 -c fsync=off"
        self.control("-o", options, "start")

    def crash(self) -> None:
        """What a power cut does."""
        self.control("-m", "immediate", "stop")


def call(folder: Path, *command: str) -> None:
    user = server_user()
    with (folder / "calls").open("a") as output:  # a file: the server keeps it open
        subprocess.run(command, cwd=folder, user=user, group=user and pwd.getpwnam(user).pw_gid, check=True,
                       stdin=subprocess.DEVNULL, stdout=output, stderr=output, timeout=120)  # fmt: skip


@contextmanager
def postgresql() -> Iterator[PostgreSql]:
    """A server with one superuser, `hwdse`, who needs no password."""
    pytest.importorskip("psycopg", reason="the driver psycopg is not installed")
    initdb = program("initdb")
    folder = Path(tempfile.mkdtemp(prefix="hwdse-postgresql-"))  # not pytest's: only its owner may enter that
    try:
        if (user := server_user()) is not None:
            shutil.chown(folder, user)
        call(folder, initdb, "-D", str(folder / "data"), "-U", "hwdse", "-A", "trust", "-E", "UTF8", "--no-sync")
        server = PostgreSql(folder, free_port())
        server.start()
        try:
            yield server
        finally:
            server.crash()
    finally:
        shutil.rmtree(folder)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
