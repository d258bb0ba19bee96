"""Ten thousand certificates: how long a start takes, its memory, and how long until one of them that changed is served."""
import contextlib
import os
import statistics
import threading
import time

import machine
from generator import Load, make_certificates
from machine import RoundFailed
from servers import NAME, served_certificate

CHANGES = 3
PATIENCE = 120.0  # seconds; 10,000 server blocks take their time


class Bundles:
    """A directory with a file for each name, certificate and key, that all peers read."""

    def __init__(self, directory, count):
        self.directory = os.path.join(directory, "bundles")
        self.names = [NAME] + [f"n{i:05}.{NAME}" for i in range(count - 1)]
        if not os.path.exists(self.directory):
            os.mkdir(self.directory, mode=0o755)
            for i in range(0, count, 1000):
                make_certificates(directory, self.directory, self.names[i : i + 1000])

    def path(self, name):
        return os.path.join(self.directory, name + ".pem")

    def change(self, name):
        """Another certificate for this name, put in place by a rename, as good tools do."""
        beside = os.path.dirname(self.directory)
        make_certificates(beside, beside, [name])
        os.rename(os.path.join(beside, name + ".pem"), self.path(name))


def until_served(server, name, other_than=None):
    """Seconds until a new connection gets a certificate for this name, and not the one before."""
    began = time.monotonic()
    while time.monotonic() - began < PATIENCE:
        with contextlib.suppress(OSError):
            if served_certificate(server.port, name) != other_than:
                return time.monotonic() - began
        time.sleep(0.0005)
    raise RoundFailed(f"not served within {PATIENCE:.0f} s; {server.last_words()}")


class Memory(threading.Thread):
    """The most that all processes of the server take, looked at now and then."""

    def __init__(self, server):
        super().__init__()
        self.server, self.kib, self.over = server, 0, threading.Event()

    def run(self):
        while not self.over.is_set():
            with contextlib.suppress(OSError):
                self.kib = max(self.kib, machine.pss_kib(self.server.pids()))
            self.over.wait(0.01)

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.join()


def change_one(server, bundles, name):
    before = served_certificate(server.port, name)
    bundles.change(name)
    server.reload()
    return until_served(server, name, before)


def latency(bench, server, seconds, meanwhile):
    """p99 of a steady load on kept connections."""
    with Load(bench, server, "/small", 16, seconds=seconds, rate=500) as load:
        load.go()
        meanwhile()
        return load.result(extra=PATIENCE)["p99_ms"]


def many(bench, server):
    bundles = Bundles(bench.directory, bench.options.bundles)
    server.stop()
    server.bundles, server.patience = bundles, PATIENCE
    with server.start(server.origin, bench.certificates[0]):
        until_served(server, bundles.names[-1])
        started = time.monotonic() - server.spawned
        after_start = machine.settled_pss_kib(server.process.pid)
        times = []
        for i in range(CHANGES):
            times.append(change_one(server, bundles, bundles.names[100 + i]))
            time.sleep(1)
        with Memory(server) as memory:
            change_one(server, bundles, bundles.names[200])
            time.sleep(1)  # for what goes on behind it
        quiet = latency(bench, server, bench.seconds, lambda: None)
        busy = latency(bench, server, max(bench.seconds, 1.5 * times[-1]), lambda: change_one(server, bundles, bundles.names[300]))
        return {"start_s": started, "mib": after_start / 1024, "served_ms": 1000 * statistics.median(times),
                "served_min_ms": 1000 * min(times), "peak_mib": memory.kib / 1024, "p99_quiet_ms": quiet, "p99_busy_ms": busy}
