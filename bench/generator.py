"""The load generator (load.c, slot.c), built for each run, and its runs."""
import contextlib
import json
import os
import select
import shlex
import subprocess
import time

from machine import BenchError, RoundFailed, end, spawn
from servers import NAME

FLAGS = ["-std=gnu17", "-D_GNU_SOURCE", "-O2"]


def compiled(directory, name, sources):
    """The program, made in `directory` when it is not there yet."""
    program = os.path.join(directory, name)
    if os.path.exists(program):
        return program
    here = os.path.dirname(os.path.abspath(__file__))
    compiler = shlex.split(os.environ.get("CC", "cc"))
    try:
        subprocess.run([*compiler, *FLAGS, "-o", program, *(os.path.join(here, s) for s in sources), "-lssl", "-lcrypto"],
                       check=True, capture_output=True, text=True)
    except FileNotFoundError:
        raise BenchError(f"{compiler[0]} is not there; install a C compiler (apt-get install gcc)") from None
    except subprocess.CalledProcessError as e:
        raise BenchError(f"{name} does not compile (is libssl-dev installed?):\n{e.stderr}") from None
    return program


def build(directory):
    return compiled(directory, "load", ["load.c", "slot.c"])


def make_certificates(directory, into, names):
    """A self-signed certificate with its key for each name, NAME.pem; the program lies in `directory`."""
    subprocess.run([compiled(directory, "certs", ["certs.c"]), into, *names], check=True)


class Load:
    """One run of the generator; when made, its connections are open and have made their first request."""

    def __init__(self, bench, server, path, connections, seconds=1.0, rate=0, requests=0, reconnect=False, cold=False):
        body = bench.origin.bodies["/large" if path.startswith("/slow") else path]
        argv = [bench.load_program, "-p", str(server.port), "-s", NAME, "-u", path, "-b", body, "-c", str(connections),
                "-t", str(seconds), "-r", str(rate), "-n", str(requests)]
        argv += ["-x"] * reconnect + ["-w"] * cold
        self.seconds, self.server = seconds, server
        self.log = os.path.join(bench.directory, "load.log")
        with open(self.log, "wb") as log:
            self.process = spawn(argv, bench.load_cpus, log, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                 bufsize=0)
        self.unread = b""
        try:
            self.line(30)
        except BaseException:
            self.stop()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def stop(self):
        self.process.stdin.close()
        end(self.process)
        self.process.stdout.close()

    def line(self, limit):
        until = time.monotonic() + limit
        while b"\n" not in self.unread:
            ready, _, _ = select.select([self.process.stdout], [], [], max(0, until - time.monotonic()))
            more = os.read(self.process.stdout.fileno(), 65536) if ready else b""
            if not more:
                with open(self.log, errors="replace") as f:
                    said = f.read().strip()
                raise RoundFailed(said or f"the load generator stood still for {limit:.0f} s; "
                                          f"the server said: {self.server.last_words()}")
            self.unread += more
        first, self.unread = self.unread.split(b"\n", 1)
        return first

    def go(self):
        with contextlib.suppress(BrokenPipeError):  # it ended over failures; the result tells
            self.process.stdin.write(b"go\n")

    def result(self, extra=30):
        """The counts, when the run is over; failed requests are in them."""
        return json.loads(self.line(self.seconds + extra))

    def checked_result(self):
        """The counts of a run in which every request was served, in full, as the scenario wants it."""
        result = self.result()
        if result["failures"]:
            kinds = ", ".join(f"{n} {kind}" for kind, n in result["failed"].items() if n)
            raise RoundFailed(f"{result['failures']} requests failed ({kinds}); the first: {result['first_failure']}")
        if not result["requests"]:
            raise RoundFailed("no request was made")
        return result

    def let_go(self):
        """End held connections; how many of them the server had closed by itself."""
        self.process.stdin.close()
        return self.checked_result()["closed"]
