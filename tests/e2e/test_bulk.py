"""A gigabyte each way in bounded memory, in each combination of versions."""

import contextlib
import os

import pytest

from harness import proxy, wait
from harness.client import curl
from harness.h2peers import Nghttpd
from harness.pair import each

BULK = 1 << 30


@pytest.fixture
def sparse(directory):
    """A gigabyte that takes no room."""
    path = directory / "bulk"
    with open(path, "wb") as f:
        f.truncate(BULK)
    os.chmod(directory, 0o755)
    os.chmod(path, 0o644)
    return path


@pytest.fixture
def nghttpd():
    """A function that starts nghttpd, which serves files and takes uploads; its address."""
    with contextlib.ExitStack() as stack:

        def start(root):
            server = Nghttpd(root, "-w", "20", "-W", "24")
            stack.callback(server.stop)
            return server.address

        yield start


def swallow(c):
    """A script that counts what it is sent."""
    request = c.request_head()
    left, room = int(request.get("content-length")) - len(c.reader.buffer), bytearray(1 << 20)
    while left > 0:
        n = c.socket.recv_into(room)
        assert n > 0
        left -= n
    c.answer(body="%d left" % left)


def bulk(pair, address, ca, *options):
    """One transfer by curl; what it says of it."""
    pair.proxy = pair._start(pair.config(address), environment=proxy.MEASURED)
    before = pair.proxy.peak_memory
    options += ("--http2" if pair.h2_front else "--http1.1", "--max-time", str(int(120 * wait.SLOW)))
    done = curl(pair.proxy.port, "/bulk", "-w", "%{http_version} %{http_code} %{size_download} %{size_upload}", "-H", "Expect:",
                *options, ca=ca, deadline=120 * wait.SLOW)  # fmt: skip
    assert done.returncode == 0, done
    grown = pair.proxy.peak_memory - before
    assert grown < 8 * max(1, wait.SLOW), "%d MiB for a body that streams" % grown
    return done.stdout.split("\n")[-1].split()


@each
@pytest.mark.slow
def test_a_gigabyte_down(pair, ca, sparse, nginx, nghttpd):
    if pair.h2_back:
        address = nghttpd(sparse.parent)
    else:
        origin = nginx()
        os.link(sparse, origin.files / "bulk")
        address = origin.address
    assert bulk(pair, address, ca, "-o", "/dev/null") == ["2" if pair.h2_front else "1.1", "200", str(BULK), "0"]


@each
@pytest.mark.slow
def test_a_gigabyte_up(pair, ca, sparse, recorder, nghttpd):
    if pair.h2_back:
        address = nghttpd(sparse.parent)
    else:
        address = recorder(swallow).address
    version, status, _, sent = bulk(pair, address, ca, "-o", "/dev/null", "-T", sparse)
    assert (version, status, sent) == ("2" if pair.h2_front else "1.1", "200", str(BULK))
