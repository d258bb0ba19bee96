"""Instructions that a process executes, counted by valgrind's callgrind: the same on a quiet machine and on a busy one."""
import os
import re
import shutil
import subprocess

from machine import RoundFailed

VALGRIND = ["valgrind", "-q", "--tool=callgrind", "--trace-children=yes", "--instr-atstart=no", "--separate-threads=yes"]


def under_callgrind(server):
    """The server's command line from now on, so that counted() works; False when there is no valgrind."""
    if shutil.which(VALGRIND[0]) is None or shutil.which("vgdb") is None:
        return False
    server.before = [*VALGRIND, f"--callgrind-out-file={server.file('callgrind')}.%p"]
    server.patience = 60.0
    return True


def control(server, *command):
    """To each process of the server, which all are under valgrind. By vgdb: callgrind_control says OK whatever comes of it."""
    for pid in server.pids():
        try:
            subprocess.run(["vgdb", f"--pid={pid}", *command], check=True, capture_output=True, text=True, timeout=60)
        except subprocess.SubprocessError as e:
            raise RoundFailed(f"{e} {e.stderr or ''}") from None


def counted(server, work):
    """
    Instructions of the server during this work: of the thread that has most to do. What others do by the clock, they do more
    often between two handshakes here, where these take a hundred times as long.
    """
    control(server, "instrumentation", "on")
    control(server, "zero")
    work()
    control(server, "dump")
    control(server, "instrumentation", "off")
    most = 0
    for name in os.listdir(server.directory):
        if re.fullmatch(r"callgrind\.\d+\.\d+(-\d+)?", name):
            with open(server.file(name)) as f:
                most = max([most] + [int(line.split()[1]) for line in f if line.startswith(("summary:", "totals:"))])
            os.unlink(server.file(name))
    if most == 0:
        raise RoundFailed("callgrind has counted nothing")
    return most
