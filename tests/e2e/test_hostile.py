"""Clients and origins that mean harm: nobody else may pay for it, nor be given what was meant for another."""

import socket
import subprocess
import threading

import pytest

from harness import proxy, wait, wire
from harness.proxy import Stopped

EVIL = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nEVIL"


# --- bytes behind a response ---


def sends_late(answer, late):
    """An origin that gives each first request on a connection this answer, and those bytes when it is told to."""
    go, gone, connections = threading.Event(), threading.Event(), []

    def script(c):
        connections.append(c)
        while True:
            if c.request().target == "/trap":
                c.send(answer)
                assert go.wait(wait.DEADLINE)
                c.send(late)
                gone.set()
            else:
                c.answer(body="honest")

    return script, go, gone, connections


@pytest.mark.parametrize(
    "method, answer",
    [
        ("GET", b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"),
        ("GET", b"HTTP/1.1 200 OK\r\nContent-Length: 65495\r\n\r\n" + b"x" * 65495),  # as much as one read takes
        ("HEAD", b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(EVIL)),
        ("HEAD", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"),
        ("GET", b"HTTP/1.1 304 Not Modified\r\nContent-Length: %d\r\n\r\n" % len(EVIL)),
    ],
    ids=["behind a body", "behind a body of one full read", "body of a HEAD", "chunked body of a HEAD", "body of a 304"],
)
def test_nobody_is_given_what_an_origin_sends_behind_a_response(simple, recorder, method, answer):
    script, go, gone, connections = sends_late(answer, EVIL)
    p = simple(recorder(script).address, threads=1)
    with p.client() as trap, p.client() as victim:
        trap.request(method, "/trap")
        with Stopped(p.worker):
            victim.send_request("GET", "/")
            go.set()
            wait.until(lambda: gone.is_set() or connections[0].closed.is_set(), "the origin to have sent it")
            wait.until(lambda: unread(connections[0]) == 0, "the origin's bytes to arrive")
        assert victim.response().body == b"honest"
    assert len(connections) == 2


def unread(connection):
    """Bytes that the origin has written and the proxy's kernel has not taken."""
    import fcntl
    import struct
    import termios

    try:
        return struct.unpack("i", fcntl.ioctl(connection.socket, termios.TIOCOUTQ, b"\0" * 4))[0]
    except (OSError, ValueError):
        return 0  # closed


def test_a_head_answered_without_a_length_keeps_its_connection(simple, recorder):
    script, go, _, connections = sends_late(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", b"")
    p = simple(recorder(script).address, threads=1)
    go.set()
    with p.client() as c:
        c.request("HEAD", "/trap")
        c.request()
    assert len(connections) == 1


# --- floods ---


def fill(s, block):
    """Send copies of `block` until the sockets on the way are full."""
    s.setblocking(False)
    rest = memoryview(block)
    try:
        while True:
            rest = rest[s.send(rest) :] or memoryview(block)
    except BlockingIOError:
        return


def take_all(s):
    """Read until nothing has come for a moment, or the end."""
    while wait.readable(s, 0.3 * wait.SLOW):
        if not s.recv(1 << 20):
            return


def test_requests_that_the_proxy_answers_itself_cost_no_memory(simple):
    """Pipelined in their thousands: each read holds many, and an exchange lives until the end of the turn."""
    p = simple(listeners=[proxy.listener(tls=False)], threads=1)
    before = p.peak_memory
    clients = [socket.create_connection(("127.0.0.1", p.port)) for _ in range(3)]
    with Stopped(p.worker):
        for s in clients:
            fill(s, b"GET / HTTP/1.1\r\nHost: nobody.test\r\n\r\n" * 1000)
    for s in clients:
        take_all(s)
        s.close()
    assert p.counter("requests") > 10000
    assert p.peak_memory - before < 32 * max(1, wait.SLOW)


def test_a_flood_of_key_updates_ends_the_connection(simple, ca):
    p = simple()
    command = ["openssl", "s_client", "-connect", "127.0.0.1:%d" % p.port, "-servername", "site.test", "-tls1_3"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as s:
        told, most = 0, 20000  # the proxy may be slow to read them
        try:
            # A command is seen only when it stands alone in what is read: wait for each to be acknowledged.
            for _ in range(most):
                s.stdin.write(b"k\n")
                s.stdin.flush()
                while b"KEYUPDATE" not in (line := s.stderr.readline()):
                    if not line:
                        raise BrokenPipeError
                told += 1
        except BrokenPipeError:
            pass
        try:
            s.stdin.close()
        except BrokenPipeError:
            pass
        s.wait(wait.DEADLINE)
    assert 16 <= told < most


# --- ends ---


def test_a_client_that_closed_its_half_may_read_slowly(simple, recorder):
    size = 20_000_000

    def large(c):
        c.request()
        c.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size + b"x" * size)

    p = simple(recorder(large).address, listeners=[proxy.listener(tls=False)])
    with socket.socket() as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        s.settimeout(wait.DEADLINE)
        s.connect(("127.0.0.1", p.port))
        s.sendall(b"GET / HTTP/1.1\r\nHost: site.test\r\nConnection: close\r\n\r\n")
        s.shutdown(socket.SHUT_WR)
        reader = wire.Reader(s.recv)
        assert len(reader.response("GET").body) == size


# --- the admin socket ---


@pytest.mark.parametrize(
    "name, known",
    [("main", True), ("m%61in", True), ("m%+1in", False), ("%6dain%", False), ("main%00", False), ("%", False), ("", False),
     ("..%2fmain", False), ("main" * 1000, False), ("%ff%fe", False)],
)  # fmt: skip
def test_the_name_of_a_rotation(simple, name, known):
    assert simple().admin("GET", "/v1/rotations/" + name).status == (200 if known else 404)


@pytest.mark.parametrize(
    "order",
    ["retire?compromised", "retire?compromised=no", "retire?compromized=1", "retire?", "retire?compromised=1&x", "rollback?to=",
     "rollback?to=0", "rollback?to=1&to=2", "rollback?too=1", "commit?now", "rollback/x", "retire/", "burn"],
)  # fmt: skip
def test_an_order_to_a_rotation_that_is_not_understood(simple, directory, ca, order):
    p = simple()
    ca.intermediate("Another Intermediate").leaf("site.test").files(directory)
    p.reconfigure(bundles={"main": {"rotation": {"accept": ["lost-names"]}}})
    assert p.admin("GET", "/v1/rotations/main").json()["phase"] == "complete"
    assert p.admin("POST", "/v1/rotations/main/" + order).status in (404, 409)
    assert p.admin("GET", "/v1/rotations/main").json()["phase"] == "complete"
    assert p.admin("POST", "/v1/rotations/main/retire?compromised=1").status == 200
    assert p.admin("GET", "/v1/rotations/main").json()["phase"] == "settled"
