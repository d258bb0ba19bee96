"""What the kernel tells of a process."""

import os
import pathlib
import re


def open_descriptors(pid):
    return len(os.listdir("/proc/%d/fd" % pid))


def _kib(pid, what):
    status = pathlib.Path("/proc/%d/status" % pid).read_text()
    return int(re.search(r"^%s:\s+(\d+) kB" % what, status, re.M).group(1))


def resident_kib(pid):
    """Resident memory that it does not share with files."""
    return _kib(pid, "RssAnon")


def peak_kib(pid):
    """The most that it has had resident so far, files among it."""
    return _kib(pid, "VmHWM")
