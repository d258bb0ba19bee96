"""`./bootstrap run` in a copy of the tree that is built already: its ports, its config, its certificates."""

import os
import re
import shutil
import signal
import subprocess

import pytest

from harness import wait
from harness.ports import free_port
from harness.proxy import BINARY, TREE

NAMES = ("PORT", "HTTP_PORT", "NODE1_PORT", "NODE2_PORT")


@pytest.fixture
def tree(directory):
    """What bootstrap looks at. There is nothing to configure or to compile."""
    for name in ("src", "tests", "build", "certs-example"):
        (directory / name).mkdir()
    shutil.copytree(TREE / "conf", directory / "conf")
    shutil.copy(TREE / "bootstrap", directory)
    for name in ("configure.ac", "Makefile.am", "Makefile.in", "build/Makefile", "build/.configured", "configure"):
        (directory / name).write_text("all:\n" if name == "build/Makefile" else "")
    (directory / "configure").chmod(0o755)
    (directory / "build" / "bascule").symlink_to(BINARY)
    os.chmod(directory, 0o755)
    return directory


class Run:
    def __init__(self, tree, ports):
        self.output = tree / "output"
        with open(self.output, "wb") as output:
            self.process = subprocess.Popen(
                ["./bootstrap", "run"], cwd=tree, stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                env=dict(os.environ, **{k: str(v) for k, v in ports.items()}),
            )  # fmt: skip

    @property
    def said(self):
        return self.output.read_text()

    def serves(self):
        wait.until(lambda: "Ctrl-C stops everything" in self.said or self.process.poll() is not None, "the proxy to serve", 3 * wait.DEADLINE)
        assert self.process.poll() is None, self.said
        return self

    def refused(self):
        assert self.process.wait(3 * wait.DEADLINE) == 1
        assert "bascule serves" not in self.said
        return self.said

    def stop(self):
        self.process.send_signal(signal.SIGINT)
        assert self.process.wait(3 * wait.DEADLINE) == 0, self.said
        return self.said


@pytest.fixture
def bootstrap(tree):
    started = []

    def start(ports):
        started.append(Run(tree, ports))
        return started[-1]

    yield start
    for r in started:
        if r.process.poll() is None:
            r.process.send_signal(signal.SIGTERM)
            r.process.wait()


@pytest.fixture
def ports():
    return {name: free_port() for name in NAMES}


@pytest.mark.parametrize("wrong", ["99999", "65536", "0", "080", "http", "-1", "123456"])
def test_a_number_that_is_no_port(bootstrap, ports, wrong):
    said = bootstrap(dict(ports, HTTP_PORT=wrong)).refused()
    assert "HTTP_PORT=%s: not a port number; choose one from 1 to 65535" % wrong in said


def test_a_port_given_twice(bootstrap, ports):
    said = bootstrap(dict(ports, NODE2_PORT=ports["PORT"])).refused()
    assert re.search("NODE2_PORT=%d: another of the four has this port" % ports["PORT"], said)


def test_a_config_with_changes_is_kept(bootstrap, tree, ports):
    config = tree / "certs-example" / "example.json"
    bootstrap(ports).serves().stop()
    made = config.read_text()
    assert "../certs-example" not in made, "it lies there itself"
    said = bootstrap(ports).serves().stop()
    assert "has your changes" not in said and config.read_text() == made
    config.write_text(made.replace('"5s"', '"6s"'))
    said = bootstrap(ports).serves().stop()
    assert "certs-example/example.json has your changes and is kept" in said
    assert '"6s"' in config.read_text()
    # Other ports than it has: neither is right to be ignored.
    other = free_port()
    said = bootstrap(dict(ports, NODE1_PORT=other)).refused()
    assert "has your changes, but not port %d" % other in said
    config.unlink()
    bootstrap(dict(ports, NODE1_PORT=other)).serves().stop()
    assert ":%d" % other in config.read_text() and '"5s"' in config.read_text()


def test_other_ports_without_changes(bootstrap, tree, ports):
    bootstrap(ports).serves().stop()
    other = {name: free_port() for name in NAMES}
    bootstrap(other).serves().stop()
    text = (tree / "certs-example" / "example.json").read_text()
    assert all(":%d" % n in text for n in other.values())


def test_a_pair_that_does_not_match(bootstrap, tree, ports):
    bootstrap(ports).serves().stop()
    shutil.copy(tree / "certs-example" / "server-next.key", tree / "certs-example" / "server.key")
    said = bootstrap(ports).refused()
    assert re.search(r"server\.pem: the private key in \S+server\.key belongs to none", said), said
