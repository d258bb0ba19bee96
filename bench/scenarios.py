"""What is measured: each scenario is a function from a started server to a dictionary of figures."""
import collections
import contextlib
import re
import shutil
import signal
import time

import instructions
import machine
from flood import count_handshakes, flooded
from generator import Load
from machine import RoundFailed
from many import many
from servers import LARGE, NAME, seconds_until_served

MIB = 1024 * 1024

# Columns of the table: key, heading, format. The first is what peers are compared by, unless `compared` is False.
Scenario = collections.namedtuple("Scenario", "title measure columns max_rounds compared about")


def cpu_round(bench, server, path, connections, reconnect=False):
    """CPU time of all processes of the proxy while the generator runs, by the scheduler's count."""
    with Load(bench, server, path, connections, seconds=bench.seconds, reconnect=reconnect) as load:
        pids = server.pids()
        cpu, waited = machine.cpu_and_wait_ns(pids)
        began = time.monotonic()
        load.go()
        result = load.checked_result()
        wall = (time.monotonic() - began) * 1e9
        cpu_after, waited_after = machine.cpu_and_wait_ns(pids)
    if result["resumed"]:
        raise RoundFailed(f"{result['resumed']} handshakes were resumed")
    if reconnect and result["handshakes"] != result["requests"]:
        raise RoundFailed(f"{result['handshakes']} handshakes for {result['requests']} requests")
    if not reconnect and result["handshakes"]:
        raise RoundFailed(f"the server closed kept connections: {result['handshakes']} were opened again")
    used = cpu_after - cpu
    return {"cpu_us": used / 1000 / result["requests"],
            "cpu_us_per_mib": used / 1000 / (result["body_bytes"] / MIB),
            "requests": result["requests"],
            "per_second": result["requests"] / result["seconds"],
            "p50_ms": result["p50_ms"], "p99_ms": result["p99_ms"],
            "busy": 100 * used / wall, "waited": 100 * (waited_after - waited) / wall}


def keepalive(bench, server):
    return cpu_round(bench, server, "/small", bench.options.connections)


def handshake(bench, server):
    return cpu_round(bench, server, "/small", bench.options.connections, reconnect=True)


def h2(bench, server):
    """The same by HTTP/2, many requests at a time: h2load, from nghttp2, is the generator."""
    program = shutil.which("h2load")
    if program is None:
        raise RoundFailed("h2load is not installed (nghttp2-client)")
    argv = [program, "-c", "16", "-m", "16", "-D", str(max(1, round(bench.seconds))), "--warm-up-time=1",
            f"--connect-to=127.0.0.1:{server.port}", f"https://{NAME}:{server.port}/small"]
    with open(server.file("h2load"), "wb") as out:
        process = machine.spawn(argv, bench.load_cpus, out)
    time.sleep(1)  # its warming up
    pids = server.pids()
    cpu, waited = machine.cpu_and_wait_ns(pids)
    began = time.monotonic()
    process.wait(bench.seconds + 20)
    wall = (time.monotonic() - began) * 1e9
    cpu_after, waited_after = machine.cpu_and_wait_ns(pids)
    with open(server.file("h2load")) as f:
        said = f.read()
    done = re.search(r"requests: (\d+) total, (\d+) started, (\d+) done, (\d+) succeeded, (\d+) failed", said)
    if done is None or int(done[4]) == 0 or int(done[5]) > 0 or "protocol: h2" not in said.replace("Application protocol", "protocol"):
        raise RoundFailed("h2load: " + " | ".join(said.strip().splitlines()[-6:]))
    requests, used = int(done[4]), cpu_after - cpu
    return {"cpu_us": used / 1000 / requests, "requests": requests, "per_second": requests / bench.seconds,
            "busy": 100 * used / wall, "waited": 100 * (waited_after - waited) / wall}


def flood(bench, server):
    return flooded(bench, server, handshake)


def large(bench, server):
    return cpu_round(bench, server, "/large", 8)


def idle(bench, server):
    """What 2,000 more connections add to the memory once the first 200 have warmed everything up."""
    n = bench.options.idle_connections
    with Load(bench, server, "/small", n // 10) as first:
        before = machine.settled_pss_kib(server.process.pid)
        with Load(bench, server, "/small", n) as rest:
            after = machine.settled_pss_kib(server.process.pid)
            closed = rest.let_go() + first.let_go()
    if closed:
        raise RoundFailed(f"the server closed {closed} of the idle connections")
    return {"kib": (after - before) / n, "before_mib": before / 1024, "after_mib": after / 1024}


def parse_strace(text):
    """{name: calls} of the table that strace -c prints."""
    calls = {}
    for line in text.splitlines():
        fields = line.split()
        if len(fields) >= 5 and fields[3].isdigit() and fields[-1] != "total":
            calls[fields[-1]] = calls.get(fields[-1], 0) + int(fields[3])
    return calls


@contextlib.contextmanager
def traced(bench, pids):
    """strace counts the calls of these processes; the dictionary is filled in at the end."""
    calls = {}
    table, log = (f"{bench.directory}/strace.{kind}" for kind in ("table", "log"))
    argv = ["strace", "-f", "-c", "-o", table]
    for pid in pids:
        argv += ["-p", str(pid)]
    with open(log, "wb") as out:
        process = machine.spawn(argv, bench.load_cpus, out)
    try:
        until = time.monotonic() + 10
        while True:
            with open(log) as f:
                said = f.read()
            if said.count("attached") >= len(pids):
                break
            if process.poll() is not None or time.monotonic() > until:
                raise RoundFailed(f"strace can not attach: {said.strip() or 'no answer'}")
            time.sleep(0.02)
        yield calls
        process.send_signal(signal.SIGINT)
        process.wait(10)
        with open(table) as f:
            calls.update(parse_strace(f.read()))
    finally:
        machine.end(process)


def syscalls(bench, server):
    if shutil.which("strace") is None:
        raise RoundFailed("strace is not installed")
    with Load(bench, server, "/small", bench.options.connections, seconds=60, requests=3000) as load:
        with traced(bench, server.pids()) as calls:
            load.go()
            requests = load.checked_result()["requests"]
    top = sorted(calls.items(), key=lambda item: -item[1])[:5]
    return {"calls": sum(calls.values()) / requests, "requests": requests,
            "top": ", ".join(f"{name} {n / requests:.2f}" for name, n in top),
            "each": {name: n / requests for name, n in calls.items()}}


def counted(bench, server):
    """Where a difference is smaller than noise: what is executed for a full handshake with its request."""
    if not hasattr(server, "before"):
        raise RoundFailed("only bascule's can be counted: --peers bascule,untracked")
    if not instructions.under_callgrind(server):
        raise RoundFailed("valgrind is not installed")
    server.stop()
    with server.start(server.origin, bench.certificates[0]):
        count_handshakes(bench, server)  # whatever is done once
        return {"thousands": count_handshakes(bench, server) / 1000}


class Peak:
    """The most processes and memory that a server reached."""

    def __init__(self, server):
        self.server = server
        self.processes, self.kib = 0, 0
        self.sample()
        self.kib_before = self.kib

    def sample(self):
        pids = self.server.pids()
        self.processes = max(self.processes, len(pids))
        self.kib = max(self.kib, machine.pss_kib(pids))

    def watch(self, seconds):
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            self.sample()
            time.sleep(0.05)


def swap(bench, server):
    """SIGHUP after SIGHUP, two certificates in turn, under three kinds of steady load."""
    swaps, every = bench.options.swaps, bench.options.swap_every
    period = (swaps + 1) * every
    slow = f"/slow?rate={max(1, int(LARGE / period))}"
    with contextlib.ExitStack() as stack:
        loads = [stack.enter_context(load) for load in (
            Load(bench, server, "/small", 64, seconds=period, rate=bench.options.swap_rate),
            Load(bench, server, "/small", 16, seconds=period, rate=bench.options.swap_rate / 10, reconnect=True),
            Load(bench, server, slow, swaps, seconds=swaps * every, rate=1 / every, cold=True))]
        peak = Peak(server)
        for load in loads:
            load.go()
        served = []
        for i in range(swaps):
            peak.watch(every)
            certificate = bench.certificates[(i + 1) % 2]
            server.install(certificate)
            server.reload()
            served.append(seconds_until_served(server.port, certificate))
            if served[-1] is None:
                raise RoundFailed(f"swap {i + 1} of {swaps}: the new certificate was not served within 10 s")
        peak.watch(every)
        kept, new, slow = (load.result(extra=2 * period + 60) for load in loads)
    known = {c.sha256 for c in bench.certificates}
    return swap_figures(peak, served, (kept, new, slow), known)


def swap_figures(peak, served, results, known):
    kept, new, slow = results
    reasons = [r["first_failure"] for r in results if r["failures"]]
    return {"failed": sum(r["failures"] for r in results),
            "requests": sum(r["requests"] for r in results),
            "failed_kept": kept["failures"], "failed_new": new["failures"], "failed_slow": slow["failures"],
            "first_failure": reasons[0] if reasons else "",
            "reopened": kept["reopened"] + slow["reopened"],
            "processes": peak.processes, "before_mib": peak.kib_before / 1024, "peak_mib": peak.kib / 1024,
            "p99_kept_ms": kept["p99_ms"], "p99_new_ms": new["p99_ms"],
            "served_ms": 1000 * sorted(served)[len(served) // 2],
            "certificates": len(known & set(new["certificates"])), "swaps": len(served)}


CPU_COLUMNS = [("cpu_us", "CPU us/request", ".1f"), ("per_second", "requests/s", ".0f"), ("p99_ms", "p99 ms", ".2f"),
               ("busy", "busy %", ".0f"), ("waited", "waited %", ".0f")]

SCENARIOS = {
    "keepalive": Scenario("Keep-alive, 1 KB", keepalive, CPU_COLUMNS, None, True,
                          "GET of 1 KB on kept connections"),
    "handshake": Scenario("A new connection for each request, full handshake, 1 KB", handshake, CPU_COLUMNS, None, True,
                          "a TLS connection for each GET of 1 KB, never resumed"),
    "h2": Scenario("HTTP/2, 16 connections with 16 requests at a time, 1 KB", h2,
                   [c for c in CPU_COLUMNS if c[0] != "p99_ms"], None, True, "GET of 1 KB over HTTP/2; see --peers for h2o"),
    "large": Scenario("Keep-alive, 1 MB", large,
                      [CPU_COLUMNS[0], ("cpu_us_per_mib", "CPU us/MiB", ".0f"), *CPU_COLUMNS[1:]], None, True,
                      "GET of 1 MB on kept connections"),
    "idle": Scenario("Memory for each idle connection", idle,
                     [("kib", "KiB/connection", ".2f"), ("before_mib", "MiB before", ".1f"),
                      ("after_mib", "MiB after", ".1f")], 3, True, "memory that an idle TLS connection takes"),
    "syscalls": Scenario("System calls for each request, keep-alive, 1 KB", syscalls,
                         [("calls", "calls/request", ".2f"), ("top", "most frequent", "")], 2, True,
                         "system calls for each request, by strace"),
    "instructions": Scenario("Instructions for a full handshake and its request", counted,
                             [("thousands", "thousands", ".1f")], 3, False,
                             "what is executed for a handshake, by callgrind; with --peers bascule,untracked"),
    "flood": Scenario("A full handshake after 5,000 strangers have refused the certificate", flood,
                      [("slower", "slower by %", "+.1f"), ("before_us", "CPU us before", ".1f"), ("cpu_us", "after", ".1f"),
                       ("more", "more instructions %", "+.2f"), ("before_k", "thousands before", ".0f"), ("after_k", "after", ".0f"),
                       ("waited", "waited %", ".0f")], 3, False,
                      "handshakes of others before and after 5,000 refusals of a new certificate"),
    "many": Scenario("Many certificates: a start, and one of them changed", many,
                     [("served_ms", "served after ms", ".1f"), ("start_s", "start s", ".2f"), ("mib", "MiB", ".1f"),
                      ("peak_mib", "peak", ".1f"), ("p99_quiet_ms", "p99 quiet ms", ".2f"),
                      ("p99_busy_ms", "p99 reloading ms", ".2f")], 1, True,
                     "10,000 certificates: start, memory, one changed until it is served"),
    "swap": Scenario("Certificate swaps under load", swap,
                     [("failed", "failed", ".0f"), ("requests", "of", ".0f"), ("reopened", "reopened", ".0f"),
                      ("processes", "processes", ".0f"), ("before_mib", "MiB before", ".1f"),
                      ("peak_mib", "peak", ".1f"), ("p99_kept_ms", "p99 kept ms", ".2f"),
                      ("p99_new_ms", "new ms", ".2f"), ("served_ms", "served after ms", ".0f"),
                      ("certificates", "certificates", ".0f")], 1, False,
                     "certificate swaps by a signal: what fails, what is opened again, processes and memory"),
}

BY_NAME_ONLY = {"instructions"}  # not what peers can be asked
