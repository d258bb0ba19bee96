"""Debian's Chromium without a screen, which trusts what the test says."""

import os
import shutil
import signal
import subprocess

from . import wait
from .client import run

FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--no-proxy-server",
         "--disable-background-networking", "--disable-component-update")  # fmt: skip


def home_that_trusts(home, authorities):
    """A home whose user trusts these authorities, pairs of name and file: the database lies where Chromium looks."""
    database = home / ".pki" / "nssdb"
    if not database.exists():
        database.mkdir(parents=True)
        _certutil(database, "-N", "--empty-password")
        for name, file in authorities:
            _certutil(database, "-A", "-n", name, "-t", "C,,", "-i", file)
    return home


def _certutil(database, *arguments):
    done = run("certutil", "-d", "sql:%s" % database, *arguments)
    assert done.returncode == 0, done.stderr


class Browser:
    """A page that stays open. What it has to say it asks its origin for."""

    def __init__(self, directory, ca, port, target, name="site.test"):
        home = home_that_trusts(directory / "browser", [(ca.name, ca.file)])
        self.profile = home / "profile"
        self._log = open(home / "output", "wb")
        self.process = subprocess.Popen(
            ["chromium", *FLAGS, "--user-data-dir=%s" % self.profile, "--remote-debugging-port=0",
             "--host-resolver-rules=MAP %s 127.0.0.1" % name, "https://%s:%d%s" % (name, port, target)],
            stdin=subprocess.DEVNULL, stdout=self._log, stderr=self._log, env=dict(os.environ, HOME=str(home)),
        )  # fmt: skip

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(3 * wait.DEADLINE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self._log.close()
        shutil.rmtree(self.profile, ignore_errors=True)
