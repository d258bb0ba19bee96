"""Processes and what the kernel says of them: start pinned, count CPU time and memory, end for certain."""
import contextlib
import ctypes
import os
import signal
import socket
import subprocess
import time

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
libc = ctypes.CDLL(None, use_errno=True)


class BenchError(Exception):
    """Something that makes the whole run impossible; its text is for the user."""


class RoundFailed(Exception):
    """One measurement that does not count, with the reason; the others go on."""


def adopt_orphans():
    """Whatever a server leaves behind becomes our child, so that end_all() finds it."""
    libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def spawn(argv, cpus, log, **options):
    """Start a process pinned to `cpus`, away from the terminal's signals, that does not outlive this one."""
    def prepare():
        os.sched_setaffinity(0, cpus)
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)

    options.setdefault("stdin", subprocess.DEVNULL)
    options.setdefault("stdout", log)
    return subprocess.Popen(argv, stderr=log, start_new_session=True, preexec_fn=prepare, **options)


def children(pid):
    found = []
    with contextlib.suppress(OSError):
        for task in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{task}/children") as f:
                found += [int(child) for child in f.read().split()]
    return found


def tree(pid):
    """The process and all that descend from it."""
    pids = [pid]
    for p in pids:
        pids += children(p)
    return pids


def cpu_and_wait_ns(pids):
    """(time on a CPU, time ready but waiting for one) of all threads: the kernel's own count, in nanoseconds."""
    on_cpu = waiting = 0
    for pid in pids:
        with contextlib.suppress(OSError):
            for task in os.listdir(f"/proc/{pid}/task"):
                with open(f"/proc/{pid}/task/{task}/schedstat") as f:
                    fields = f.read().split()
                on_cpu += int(fields[0])
                waiting += int(fields[1])
    return on_cpu, waiting


def memory_files(pid):
    """Those that the process holds open, {inode: KiB}, and the inodes of those that it maps."""
    held, mapped = {}, set()
    with contextlib.suppress(OSError):
        with open(f"/proc/{pid}/maps") as f:
            mapped = {int(line.split()[4]) for line in f if "/memfd:" in line}
        for fd in os.listdir(f"/proc/{pid}/fd"):
            with contextlib.suppress(OSError):
                if os.readlink(f"/proc/{pid}/fd/{fd}").startswith("/memfd:"):
                    st = os.stat(f"/proc/{pid}/fd/{fd}")
                    held[st.st_ino] = st.st_blocks // 2
    return held, mapped


def pss_kib(pids):
    """Proportional set size: pages that several processes share count once. And memory files, which nobody maps mostly."""
    total, held, mapped = 0, {}, set()
    for pid in pids:
        with contextlib.suppress(OSError), open(f"/proc/{pid}/smaps_rollup") as f:
            total += sum(int(line.split()[1]) for line in f if line.startswith("Pss:"))
        more_held, more_mapped = memory_files(pid)
        held |= more_held
        mapped |= more_mapped
    return total + sum(kib for inode, kib in held.items() if inode not in mapped)


def settled_pss_kib(pid, limit=5.0):
    """The memory of a process tree once it has stopped changing."""
    last, until = None, time.monotonic() + limit
    while time.monotonic() < until:
        now = pss_kib(tree(pid))
        if now == last:
            break
        last = now
        time.sleep(0.3)
    return now


def end(process, patience=5.0):
    """SIGTERM to a server, then SIGKILL to whatever of its processes is still there."""
    if process is None or process.poll() is not None:
        return
    pids = tree(process.pid)
    process.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(patience)
    ours = set(tree(os.getpid()))  # an id that the kernel has given to somebody else is not among them
    for pid in pids:
        if pid in ours:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
    process.wait()


def end_all():
    """The last resort: every process that descends from this one. Nothing may interrupt it."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    for pid in tree(os.getpid())[1:]:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    with contextlib.suppress(ChildProcessError):
        while True:
            os.waitpid(-1, 0)


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def wait_for_port(port, process, limit=10.0):
    """False when the process ended, or nothing listens in time."""
    until = time.monotonic() + limit
    while time.monotonic() < until and process.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return True
        time.sleep(0.02)
    return False


def describe():
    """The machine, for the report."""
    model = ""
    with contextlib.suppress(OSError), open("/proc/cpuinfo") as f:
        model = next((line.split(":", 1)[1].strip() for line in f if line.startswith("model name")), "")
    return {"cpu": model, "cpus": os.cpu_count(), "kernel": os.uname().release, "machine": os.uname().machine,
            "load_average": os.getloadavg()[0]}
