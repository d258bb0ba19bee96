"""The proxy under test: one supervisor with its worker, in a directory of its own."""

import contextlib
import copy
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import tempfile

import pytest

from . import process, wait, wire
from .client import Client, run
from .ports import free_port

TREE = pathlib.Path(__file__).resolve().parents[3]
BINARY = os.environ.get("BASCULE", str(TREE / "bascule"))

# What a sanitizer leaves behind in the error log.
SANITIZER = re.compile(
    r"ERROR: (Address|Leak)Sanitizer|WARNING: ThreadSanitizer|: runtime error: |SUMMARY: \w*Sanitizer|:DEADLYSIGNAL"
)
SANITIZER_OPTIONS = {
    "ASAN_OPTIONS": "detect_leaks=1:detect_stack_use_after_return=1:abort_on_error=0:exitcode=99",
    "UBSAN_OPTIONS": "print_stacktrace=1:halt_on_error=1:exitcode=99",
    "TSAN_OPTIONS": "halt_on_error=0:exitcode=99:second_deadlock_stack=1",
}

# For tests that measure memory: what is freed is used again at once, as it is without a sanitizer.
MEASURED = {"ASAN_OPTIONS": SANITIZER_OPTIONS["ASAN_OPTIONS"] + ":quarantine_size_mb=1"}


def merge(base, over):
    """`over` laid on `base`: objects are merged, anything else replaces; None removes the key."""
    result = copy.deepcopy(base)
    for key, value in over.items():
        if value is None:
            result.pop(key, None)
        elif isinstance(value, dict) and isinstance(result.get(key), dict):
            result[key] = merge(result[key], value)
        else:
            result[key] = copy.deepcopy(value)
    return result


def upstream(*addresses, **more):
    """An upstream's entry: addresses, or pairs of address and weight."""
    servers = [{"address": a} if isinstance(a, str) else {"address": a[0], "weight": a[1]} for a in addresses]
    return dict({"servers": servers}, **more)


def site(*names, bundle="main", **more):
    return dict({"names": list(names), "bundle": bundle, "upstream": "origin"}, **more)


def config(port, bundle, *origins, names=("site.test",), **over):
    """The config of most tests: one TLS listener, one site, one upstream; `over` is merged into it."""
    base = {
        "listeners": [{"address": "127.0.0.1:%d" % port, "tls": True}],
        "bundles": {"main": bundle},
        "sites": [site(*names)],
        "upstreams": {"origin": upstream(*origins)},
    }
    return merge(base, over)


class StartFailed(Exception):
    """The process ended before it was ready. `status` is its exit status, `log` what it said."""

    def __init__(self, status, log):
        super().__init__("bascule ended with %s:\n%s" % (status, log))
        self.status = status
        self.log = log


class Bascule:
    """A running proxy. Made by the fixture `bascule`, which also ends it and looks at how it ended."""

    def __init__(self, directory, contents, *, environment=None, prefix=(), program=BINARY):
        self.directory = pathlib.Path(directory)
        self.config_path = self.directory / "bascule.json"
        self.admin_socket = self.directory / "admin.sock"
        self.access_path = self.directory / "access.log"
        self.output_path = self.directory / "output.log"
        self.environment = environment or {}
        self.prefix = list(prefix)
        self.program = program
        self.process = None
        self.expected_status = 0
        self.configure(contents)

    @property
    def peak_memory(self):
        """Of the worker, in MiB."""
        return process.peak_kib(self.worker) // 1024

    # --- config ---

    def configure(self, contents):
        """Write the config; text is written as it is. Takes effect with the next start or reload."""
        if isinstance(contents, str):
            self.config_path.write_text(contents)
            return
        base = {
            "threads": 2,
            "admin": {"socket": str(self.admin_socket)},
            "log": {"level": "debug", "access": str(self.access_path), "format": "json"},
            "reload": {"watch": False},
            "drain_timeout": "5s",
        }
        self.contents = merge(base, contents)
        temporary = self.config_path.with_name(".bascule.json.new")
        temporary.write_text(json.dumps(self.contents, indent=2))
        os.replace(temporary, self.config_path)

    def change(self, **over):
        """Lay `over` on the config and write it."""
        self.configure(merge(self.contents, over))

    @property
    def port(self):
        return int(self.contents["listeners"][0]["address"].rsplit(":", 1)[1])

    # --- the process ---

    def start(self, ready=True):
        with open(self.output_path, "ab") as output:
            self.process = subprocess.Popen(
                [*self.prefix, self.program, "run", "-c", str(self.config_path)],
                stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                env=dict(SANITIZER_OPTIONS, **dict(os.environ, **self.environment)),
            )  # fmt: skip
        if ready:
            wait.until(self.is_ready, "the proxy to be ready")
        return self

    def is_ready(self):
        if self.process.poll() is not None:
            raise StartFailed(self.process.returncode, self.log)
        try:
            return bool(self.status())
        except (OSError, ValueError):
            return False

    def send_signal(self, number):
        self.process.send_signal(number)

    def stop(self, number=signal.SIGTERM):
        """End it and return its exit status."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        try:
            return self.process.wait(3 * wait.DEADLINE)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError("still running long after signal %d" % number) from None

    def kill(self):
        for pid in [self.process.pid] + self.workers():
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        self.process.wait()

    def restart(self):
        assert self.stop() == 0
        return self.start()

    def workers(self):
        """The supervisor's living children."""
        try:
            pids = pathlib.Path("/proc/%d/task/%d/children" % (self.process.pid, self.process.pid)).read_text().split()
        except OSError:
            return []
        return [int(p) for p in pids if _state(int(p)) not in (None, "Z")]

    @property
    def worker(self):
        found = wait.until(self.workers, "a worker")
        assert len(found) == 1, "more than one worker: %r" % found
        return found[0]

    def finish(self):
        """The end of a test: it must still run, and end by itself when it is told to."""
        if self.process is None:
            return
        status = self.process.poll()
        if status is None:
            status = self.stop()
        assert status == self.expected_status, "ended with status %s" % status
        assert not SANITIZER.search(self.log), "a sanitizer's report is in the log"

    # --- reload ---

    def reload(self, expect=True):
        """SIGHUP, and wait until the new config serves (or, with expect=False, until it has been refused)."""
        before = self.status()
        self.send_signal(signal.SIGHUP)
        if expect:
            wait.until(lambda: self.generation > before["generation"], "the reload to take effect")
        else:
            wait.until(lambda: self.status()["last_reload"] != before["last_reload"], "the reload to be refused")
            assert self.generation == before["generation"]

    def reconfigure(self, contents=None, **over):
        if contents is None:
            self.change(**over)
        else:
            self.configure(contents)
        self.reload()

    # --- looking inside ---

    def command(self, *arguments, **options):
        """A subcommand of the binary on this proxy's config."""
        return run(BINARY, *arguments, "-c", self.config_path, environment=SANITIZER_OPTIONS, **options)

    def rotation(self, word="status", name="main", *more):
        """`bascule rotation …`: its exit status, and what it tells of the rotation afterwards."""
        done = self.command("rotation", word, name, "--json", *more)
        assert done.stdout, done.stderr
        return done.returncode, json.loads(done.stdout)

    def held_states(self):
        """The inodes of the states of rotations that the supervisor holds in memory: each hand-over is another one."""
        found = set()
        for link in pathlib.Path("/proc/%d/fd" % self.process.pid).iterdir():
            try:
                if "bascule-state" in os.readlink(link):
                    found.add(link.stat().st_ino)
            except OSError:
                pass
        return found

    def wait_handed_over(self, teach=lambda: None):
        """Until the supervisor has what the worker has learned up to now; `teach` has it learn something if all is handed over."""
        before = self.held_states()
        teach()
        wait.until(lambda: self.held_states() != before, "the rotation to be handed over", deadline=4 * wait.DEADLINE)

    def admin(self, method, path):
        """One request to the admin socket."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as s:
            s.settimeout(wait.DEADLINE)
            s.connect(str(self.admin_socket))
            fields = "Host: bascule\r\nConnection: close\r\nContent-Length: 0\r\n"
            s.sendall(("%s %s HTTP/1.1\r\n%s\r\n" % (method, path, fields)).encode())
            return wire.Reader(s.recv).response(method)

    def status(self):
        try:
            return self.admin("GET", "/v1/status").json()
        except Exception as e:  # a worker that is going away answers nothing, or half of it
            raise OSError(str(e)) from e

    @property
    def generation(self):
        try:
            return self.status()["generation"]
        except OSError:
            return -1

    def metrics(self):
        """The counters, by name without the prefix."""
        found = {}
        for line in self.admin("GET", "/metrics").text.splitlines():
            if line and not line.startswith("#"):
                name, value = line.rsplit(" ", 1)
                found[name] = float(value)
        return found

    def counter(self, name):
        """A counter or gauge, its labels summed up."""
        wanted = ("bascule_" + name, "bascule_%s_total" % name)
        return sum(value for sample, value in self.metrics().items() if sample.partition("{")[0] in wanted)

    @property
    def log(self):
        return self.output_path.read_text(errors="replace") if self.output_path.exists() else ""

    def wait_log(self, pattern, since=0):
        """Wait for a line that matches; the match."""
        return wait.until(lambda: re.search(pattern, self.log[since:], re.M), "a line in the log: " + pattern)

    def access(self, expect=None):
        """The access log's lines, as objects; waits until there are `expect` of them."""
        def lines():
            text = self.access_path.read_text(errors="strict") if self.access_path.exists() else ""
            return text[: text.rfind("\n") + 1].splitlines()  # the last may be under way

        if expect is not None:
            wait.until(lambda: len(lines()) >= expect, lambda: "%d lines in the access log: %r" % (expect, lines()))
        return [json.loads(line) for line in lines()]

    # --- clients ---

    def client(self, name="site.test", **options):
        return Client(options.pop("port", self.port), name, **options)

    def get(self, target="/", name="site.test", fields=(), **options):
        with self.client(name, **options) as c:
            return c.request("GET", target, fields)


def _state(pid):
    try:
        return pathlib.Path("/proc/%d/stat" % pid).read_text().rsplit(")", 1)[1].split()[0]
    except OSError:
        return None


def served(p, name="site.test"):
    """The serial that a new handshake shows."""
    with p.client(name) as c:
        return c.serial


# What holds back a certificate of another authority, and one made a second before another.
CHANGES = ["another-root", "earlier-expiry"]


def listener(port=None, host="127.0.0.1", tls=True, **more):
    port = port or free_port(host)
    return dict({"address": ("[%s]:%d" if ":" in host else "%s:%d") % (host, port), "tls": tls}, **more)


class Stopped:
    """
    The worker stands still within: what is sent meanwhile waits in its sockets, so that it finds the client's request and
    the origin's bytes in the same turn, the request first.
    """

    def __init__(self, pid):
        self.pid = pid

    def __enter__(self):
        os.kill(self.pid, signal.SIGSTOP)
        state = pathlib.Path("/proc/%d/stat" % self.pid)
        wait.until(lambda: state.read_text().rsplit(")", 1)[1].split()[0] == "T", "the worker to stop")

    def __exit__(self, *_):
        os.kill(self.pid, signal.SIGCONT)


# --- several, for a test or a module -----------------------------------------------------------------------------

PROXIES = pytest.StashKey()


@contextlib.contextmanager
def directory():
    """
    A directory of our own, removed afterwards. Its path is short, because a Unix socket's must fit into 108 bytes, and
    only root may enter it, so that the unprivileged worker depends on what the supervisor opens for it.
    """
    path = pathlib.Path(tempfile.mkdtemp(prefix="bsc-", dir="/tmp"))
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


class Proxies:
    """Starts proxies, and answers for how they end."""

    def __init__(self, directory):
        self.directory = directory
        self.running = []

    @classmethod
    @contextlib.contextmanager
    def scope(cls, request, place=None):
        """For the life of a fixture. On failure the report of the test holds the logs."""
        with contextlib.ExitStack() as stack:
            proxies = cls(place or stack.enter_context(directory()))
            request.node.stash.setdefault(PROXIES, []).append(proxies)
            yield proxies
            proxies.finish()

    def __call__(self, contents, **options):
        """Start one with this config and wait until it serves."""
        path = self.directory
        while (path / "bascule.json").exists():
            path = path / "next"
        path.mkdir(exist_ok=True)
        p = Bascule(path, contents, **options)
        self.running.append(p)
        try:
            return p.start()
        except StartFailed:
            self.running.remove(p)
            raise

    def logs(self):
        """What to show when a test fails: pairs of title and text."""
        for p in self.running:
            yield "log of the proxy", _tail(p.log)
            if p.access_path.exists():
                yield "access log", _tail(p.access_path.read_text(errors="replace"))

    def finish(self):
        failures = []
        for p in self.running:
            try:
                p.finish()
            except AssertionError as e:
                failures.append("%s\n%s" % (e, _tail(p.log)))
            finally:
                if p.process and p.process.poll() is None:
                    p.kill()
        assert not failures, "\n".join(failures)


def _tail(text, most=20000):
    return text if len(text) <= most else "…\n" + text[-most:]
