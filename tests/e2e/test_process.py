"""Supervisor and worker: signals, deaths, files, privileges, and running out of descriptors."""

import contextlib
import os
import pathlib
import signal
import socket
import threading

import pytest

from harness import client, origins, pki, proxy, wait
from harness.origins import Gate
from harness.ports import free_port
from harness.process import open_descriptors


def status_of(pid):
    """The lines of /proc/PID/status."""
    text = pathlib.Path("/proc/%d/status" % pid).read_text()
    return dict(line.split(":\t", 1) for line in text.splitlines() if ":\t" in line)


def has_ended(pid):
    return not pathlib.Path("/proc/%d" % pid).exists() or status_of(pid)["State"][0] == "Z"


def refuses(port):
    with socket.socket() as s:
        return s.connect_ex(("127.0.0.1", port)) != 0


# --- the worker dies ---


def test_a_killed_worker_is_replaced_without_a_refused_connection(simple):
    """Connections that come meanwhile wait; only what the dead worker had accepted is lost."""
    p = simple()
    refused, lost, served, stopping = [], [], [], threading.Event()
    context = client.tls_context()

    def clients():
        while not stopping.is_set():
            with contextlib.ExitStack() as stack:
                s = stack.enter_context(socket.socket())
                s.settimeout(3 * wait.DEADLINE)
                try:
                    s.connect(("127.0.0.1", p.port))
                except OSError as e:
                    refused.append(e)
                    continue
                try:
                    t = stack.enter_context(context.wrap_socket(s, server_hostname="site.test"))
                    t.sendall(b"GET / HTTP/1.1\r\nHost: site.test\r\nConnection: close\r\n\r\n")
                    assert t.recv(12) == b"HTTP/1.1 200"
                    served.append(1)
                except (OSError, AssertionError) as e:
                    lost.append(e)

    threads = [threading.Thread(target=clients) for _ in range(4)]
    for t in threads:
        t.start()
    try:
        for kills in range(1, 4):
            enough = len(served) + 20
            wait.until(lambda: len(served) >= enough, "requests to be served")
            old = p.worker
            os.kill(old, signal.SIGKILL)
            wait.until(lambda: p.workers() not in ([], [old]), "another worker")
        enough = len(served) + 20
        wait.until(lambda: len(served) >= enough, "the last worker to serve")
    finally:
        stopping.set()
        for t in threads:
            t.join()
    assert not refused
    assert len(lost) <= kills * len(threads), lost
    p.wait_log(r"worker.*(signal|killed|SIGKILL|9)")
    assert p.process.poll() is None


def test_a_new_worker_has_the_newest_config(simple, directory, ca):
    p = simple()
    new = ca.leaf("site.test")
    new.files(directory)
    p.reload()
    os.kill(p.worker, signal.SIGKILL)
    wait.until(lambda: p.workers() and p.is_ready(), "another worker")
    with p.client() as c:
        assert c.serial == new.serial


def test_the_worker_ends_when_the_supervisor_is_gone(simple):
    p = simple()
    worker = p.worker
    os.kill(p.process.pid, signal.SIGKILL)
    p.process.wait()
    wait.until(lambda: has_ended(worker), "the worker's end", 3 * wait.DEADLINE)
    wait.until(lambda: refuses(p.port), "the port to be free")
    p.start()
    assert p.get().status == 200


# --- signals ---


@pytest.mark.threads
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_stop(simple, number):
    p = simple()
    with p.client() as c:
        assert c.request().status == 200
        worker = p.worker
        assert p.stop(number) == 0
        assert c.ended()
    assert not pathlib.Path("/proc/%d" % worker).exists()
    assert refuses(p.port)
    assert not p.admin_socket.exists() or refuses_unix(p.admin_socket)


def refuses_unix(path):
    with socket.socket(socket.AF_UNIX) as s:
        return s.connect_ex(str(path)) != 0


@pytest.mark.threads
def test_quit_finishes_what_is_in_flight(simple, recorder):
    gate = Gate()
    p = simple(recorder(gate).address, drain_timeout="1h")
    with p.client() as busy, p.client() as idle:
        assert idle.request(target="/free").status == 200
        busy.send_request()
        gate.wait_arrived()
        p.send_signal(signal.SIGQUIT)
        assert idle.ended(), "an idle connection is closed"
        wait.until(lambda: refuses(p.port), "new connections to be refused")
        assert p.process.poll() is None
        gate.release()
        answer = busy.response()
        assert answer.body == b"released"
        assert answer.get("Connection") == "close"
        assert busy.ended()
    assert p.process.wait(wait.DEADLINE) == 0


def test_quit_has_a_deadline(simple, recorder):
    gate = Gate()
    p = simple(recorder(gate).address, drain_timeout="300ms")
    with p.client() as c:
        c.send_request()
        gate.wait_arrived()
        p.send_signal(signal.SIGQUIT)
        assert p.process.wait(3 * wait.DEADLINE) == 0
        c.rest()


def test_quit_may_be_cut_short(simple, recorder):
    gate = Gate()
    p = simple(recorder(gate).address, drain_timeout="1h")
    with p.client() as c:
        c.send_request()
        gate.wait_arrived()
        p.send_signal(signal.SIGQUIT)
        wait.until(lambda: refuses(p.port), "new connections to be refused")
        assert p.stop(signal.SIGTERM) == 0
        c.rest()


def test_quit_of_an_idle_proxy(simple):
    p = simple(drain_timeout="1h")
    p.send_signal(signal.SIGQUIT)
    assert p.process.wait(wait.DEADLINE) == 0


def test_logs_are_opened_again(simple, directory):
    error = directory / "error.log"
    p = simple(log={"error": str(error), "level": "debug"})
    p.get("/one")
    p.access(1)
    for path in (p.access_path, error):
        path.rename(path.with_suffix(".1"))
    p.send_signal(signal.SIGUSR1)
    wait.until(lambda: p.access_path.exists() and error.exists(), "new log files")
    p.get("/two")
    assert "/two" in str(p.access(1)) and "/one" not in p.access_path.read_text()
    assert "/one" in p.access_path.with_suffix(".1").read_text()
    assert "/two" not in p.access_path.with_suffix(".1").read_text()


def test_logs_are_opened_again_with_the_last_descriptor(simple):
    """All threads write to one."""
    most = 48
    p = simple(prefix=["prlimit", "--nofile=%d:%d" % (most, most)])
    with contextlib.ExitStack() as crowd:
        c = crowd.enter_context(p.client())
        c.request()
        p.access(1)
        p.access_path.rename(p.access_path.with_suffix(".1"))
        for n in range(open_descriptors(p.worker) + 1, most):
            crowd.enter_context(socket.create_connection(("127.0.0.1", p.port)))
            wait.until(lambda: open_descriptors(p.worker) == n, "the connection to be accepted")
        p.send_signal(signal.SIGUSR1)
        wait.until(p.access_path.exists, "the new log file")
        wait.until(lambda: c.request().status == 200 and p.access(), "a line in it")
        assert open_descriptors(p.worker) == most - 1, "the old one is closed"


@pytest.fixture
def unread(directory):
    """A pipe that is full, and what makes a program's standard error of it: a pair of descriptor and prefix."""
    path = directory / "unread"
    os.mkfifo(path)
    pipe = os.open(path, os.O_RDWR | os.O_NONBLOCK)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(pipe, b"x" * 4095 + b"\n")
    yield pipe, ["sh", "-c", 'exec "$@" 2>>"$0"', str(path)]
    os.close(pipe)


def lines_of(pipe):
    found = b""
    with contextlib.suppress(BlockingIOError):
        while True:
            found += os.read(pipe, 65536)
    return [line for line in found.decode().splitlines() if not line.startswith("xxx")]


@pytest.mark.threads
def test_a_log_that_nobody_reads_stops_nothing(simple, unread):
    pipe, prefix = unread
    p = simple(prefix=prefix, log={"level": "info"})  # nothing is said of a connection that has ended well, at some time
    for _ in range(2):
        for _ in range(20):
            with p.client(tls=False) as c:
                c.send("no handshake\r\n\r\n")
                c.rest()
            assert p.get().status == 200
        p.reload()
    assert p.counter("error_lines_lost") > 0
    assert lines_of(pipe) == []
    p.reload()
    lines = lines_of(pipe)
    lost = p.counter("error_lines_lost")
    workers = [line.split(": ", 1)[1] for line in lines if "[%d]" % p.worker in line]
    assert workers[0] == "%d lines were lost: nobody read the log" % lost
    assert any("config generation %d is in service" % p.generation in line for line in workers[1:])
    assert any("lines were lost" in line for line in lines if "[%d]" % p.process.pid in line), "the supervisor's own"
    assert sum("lost" in line for line in lines) == 2


def test_an_access_log_that_nobody_reads_stops_nothing(simple, unread, directory):
    pipe, prefix = unread
    error = directory / "error.log"
    p = simple(prefix=prefix, log={"access": "/dev/stderr", "error": str(error)})
    for _ in range(20):
        assert p.get("/unread").status == 200
    wait.until(lambda: p.counter("access_lines_lost") == 20, "the lines to be lost")
    assert "lost: nobody read the log" in error.read_text()
    assert lines_of(pipe) == []
    p.get("/read")
    wait.until(lambda: any("/read" in line for line in lines_of(pipe)), "a line to get through")
    assert p.counter("access_lines_lost") == 20


def test_a_reload_is_not_lost_to_a_worker_that_stands_still(simple):
    p = simple()
    before, said = p.generation, p.log.count("SIGUSR1: logs reopened")
    os.kill(p.worker, signal.SIGSTOP)
    for n in range(100):  # more commands than its socket holds
        p.send_signal(signal.SIGUSR1)
        wait.until(lambda: p.log.count("SIGUSR1: logs reopened") > said + n, "the supervisor to pass it on")
    p.send_signal(signal.SIGHUP)
    wait.until(lambda: "SIGHUP: reloading" in p.log, "the supervisor to pass that on")
    os.kill(p.worker, signal.SIGCONT)
    wait.until(lambda: p.generation > before, "the reload")


# --- files ---


def test_the_pid_file(simple, bascule, directory):
    path = directory / "bascule.pid"
    p = simple(pid_file=str(path))
    assert path.read_text().strip() == str(p.process.pid)
    with pytest.raises(proxy.StartFailed) as failed:
        bascule(proxy.merge(p.contents, {"listeners": [proxy.listener(free_port())], "admin": None, "log": None}))
    assert failed.value.status != 0
    assert str(path) in failed.value.log
    assert path.read_text().strip() == str(p.process.pid)
    assert p.get().status == 200
    assert p.stop() == 0
    assert not path.exists()


def test_a_stale_pid_file_is_no_obstacle(simple, directory):
    path = directory / "bascule.pid"
    path.write_text("1\n")
    p = simple(pid_file=str(path))
    assert path.read_text().strip() == str(p.process.pid)
    p.kill()
    p.start()
    assert path.read_text().strip() == str(p.process.pid)


def test_a_secret_file_is_made(simple, directory):
    path = directory / "secret"
    simple(secret_file=str(path))
    assert len(path.read_bytes()) >= 32
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_secret_too_short_is_refused(simple, directory):
    with pytest.raises(proxy.StartFailed) as failed:
        simple(secret_file=pki.write(directory / "secret", b"short"))
    assert "secret" in failed.value.log


class Manager:
    """A service manager, as far as it is told how we are."""

    def __init__(self, path):
        self.path = str(path)
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(self.path)
        os.chmod(self.path, 0o666)
        self.socket.settimeout(wait.DEADLINE)

    @contextlib.contextmanager
    def environment(self):
        os.environ["NOTIFY_SOCKET"] = self.path
        try:
            yield
        finally:
            del os.environ["NOTIFY_SOCKET"]

    def until(self, word):
        """The lines up to the message with one that begins so."""
        seen = []
        while not any(line.startswith(word) for line in seen):
            seen += self.socket.recv(4096).decode().splitlines()
        return seen


@pytest.fixture
def manager(directory):
    m = Manager(directory / "notify")
    yield m
    m.socket.close()


def test_sd_notify(simple, manager):
    with manager.environment():
        p = simple()
    manager.until("READY=1")
    p.reload()
    assert any(line.startswith("MONOTONIC_USEC=") for line in manager.until("RELOADING=1"))
    manager.until("READY=1")
    assert p.stop() == 0
    manager.until("STOPPING=1")


def test_sd_notify_asks_for_time_while_it_drains(simple, recorder, manager):
    """So that the unit's limit need not be that of the config."""
    gate = Gate()
    with manager.environment():
        p = simple(recorder(gate).address, drain_timeout="1h")
    with p.client() as c:
        c.send_request()
        gate.wait_arrived()
        manager.until("READY=1")
        p.send_signal(signal.SIGQUIT)
        assert not any(line.startswith("EXTEND") for line in manager.until("STOPPING=1")), "a manager that waits for no stop takes no notice"
        for _ in range(2):
            asked = manager.until("EXTEND_TIMEOUT_USEC=")[-1]
            assert int(asked.partition("=")[2]) >= 10_000_000
        gate.release()
        c.rest()
    assert p.process.wait(wait.DEADLINE) == 0


# --- privileges ---


needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can drop privileges")


@needs_root
def test_the_worker_has_no_privileges(simple):
    p = simple(prefix=["setpriv", "--groups", "4,24", "--"])
    lines = status_of(p.worker)
    assert all(int(uid) != 0 for uid in lines["Uid"].split())
    assert all(int(gid) != 0 for gid in lines["Gid"].split())
    assert lines["Groups"].split() in ([], [lines["Gid"].split()[0]])
    for capabilities in ("CapInh", "CapPrm", "CapEff", "CapAmb"):
        assert int(lines[capabilities], 16) == 0
    assert lines["NoNewPrivs"] == "1"


@needs_root
def test_keys_of_root_are_loaded_again(simple, directory, ca):
    """Nobody but root may read the key, or even enter its directory; the worker, who may not, loads it anew."""
    p = simple()
    assert (directory / "bundle.key").stat().st_mode & 0o777 == 0o600
    assert directory.stat().st_mode & 0o777 == 0o700
    for _ in range(3):
        new = ca.leaf("site.test")
        new.files(directory)
        p.reload()
        with p.client() as c:
            assert c.serial == new.serial


@needs_root
def test_another_user(simple):
    p = simple(user="daemon")
    import pwd

    assert status_of(p.worker)["Uid"].split()[0] == str(pwd.getpwnam("daemon").pw_uid)


@needs_root
def test_a_user_that_does_not_exist(simple):
    with pytest.raises(proxy.StartFailed) as failed:
        simple(user="no-such-user")
    assert "no-such-user" in failed.value.log


# --- out of descriptors ---


def test_out_of_descriptors(simple, echo):
    """New connections are refused, the old go on, and all is well again when some are closed."""
    p = simple(threads=1, connections=1000, prefix=["prlimit", "--nofile=40:40"])
    with p.client() as old:
        assert old.request().status == 200
        crowd = []
        for _ in range(60):
            s = socket.socket()
            s.connect(("127.0.0.1", p.port))
            crowd.append(s)
        p.wait_log(r"(?i)descriptor|too many open files")
        for _ in range(20):
            assert old.request().status == 200
        for s in crowd:
            s.close()
        wait.until(lambda: _served(p), "new connections to be served again")
        assert old.request().status == 200


def _served(p):
    try:
        return p.get().status == 200
    except Exception:  # whatever the refusal looks like
        return False


def test_no_descriptor_is_left_behind(simple, recorder):
    """A thousand connections of every kind, and as many descriptors as before."""
    answer = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok"
    p = simple(recorder(origins.reply(answer, close=True)).address)

    def settled():
        seen = [open_descriptors(p.worker) for _ in range(3)]
        return seen[0] == seen[1] == seen[2] and p.counter("connections_open") == 0 and seen[0]

    p.get()
    p.reload()
    before = wait.until(settled, "the descriptors to settle")
    for i in range(wait.fewer(200, 20)):
        p.get()
        with p.client() as c:
            c.send("GET / HT")
        with p.client(tls=False) as c:
            c.send("garbage\r\n\r\n")
        with p.client() as c:
            c.send_request("POST", "/", {"Content-Length": "100"})
        if i % 50 == 0:
            p.reload()
    wait.until(lambda: p.counter("connections_open") == 0, "all connections to be closed")
    wait.until(lambda: open_descriptors(p.worker) <= before, "the descriptors to be closed")
