"""A reload looks only at those bundles of a directory that have changed; whatever changes before the signal is seen by it."""

import os
import pathlib
import re
import shutil
import signal
import threading

import pytest

from harness import pki, proxy, wait

# No poll, which would find later what a reload has missed.
WATCH = {"watch": True, "poll": 0}

SOME = "of the directories' bundles, those of"


class Many:
    """A proxy with a directory of bundles: one.test, two.test, and whatever else a test puts there."""

    def __init__(self, start, ca, directory, port, origin):
        self.ca, self.start, self.port, self.origin = ca, start, port, origin
        self.outside = directory
        self.bundles = directory / "bundles"
        self.bundles.mkdir()
        self.leaf("two").combined(self.bundles, "two")

    def leaf(self, name):
        return self.ca.leaf("%s.test" % name)

    def run(self):
        self.p = self.start(
            {
                "listeners": [proxy.listener(self.port)],
                "bundles": {"*": {"directory": str(self.bundles)}},
                "sites": [{"names": ["*.test"], "upstream": "origin"}],
                "upstreams": {"origin": proxy.upstream(self.origin.address)},
                "reload": WATCH,
            }
        )
        self.settle()
        return self.p

    def settle(self):
        """Until reloads know that nothing else has changed: a look at everything has ended since the last load."""
        def knows():
            before = self.p.log.count(SOME)
            self.p.reload()
            return self.p.log.count(SOME) > before

        if self.told:
            wait.until(knows, "the reload that needs not look at everything")
        else:
            self.p.status()

    def reload(self, some=True):
        """
        Reload as an administrator does who wants the answer. `some`: without a look at everything; else there mostly is one,
        unless the watch was faster. What it misses is served nevertheless 100 ms later, so look at once.
        """
        before = self.p.log.count(SOME)
        done = self.p.command("reload")
        assert done.returncode == 0, done.stdout + done.stderr
        assert not some or not self.told or self.p.log.count(SOME) > before

    def expect(self, name, leaf):
        with self.p.client(name + ".test") as c:
            assert c.serial == leaf.serial, "%s.test does not have the new certificate" % name


def serves(p, name, leaf):
    with p.client(name + ".test") as c:
        return c.serial == leaf.serial


@pytest.fixture(params=[0o755, 0o700], ids=["anyone's", "root's"])
def many(request, bascule, ca, directory, port, echo):
    """The worker may look into the directory, and watch it; or only root may, and then each reload looks at everything."""
    os.chmod(directory, request.param)
    m = Many(bascule, ca, directory, port, echo)
    m.told = request.param == 0o755
    return m


def test_a_file_is_replaced(many):
    many.leaf("one").combined(many.bundles, "one")
    many.run()
    for write in (pki.write, pki.write_in_place, pki.write):
        new = many.leaf("one")
        write(many.bundles / "one.pem", new.chain_pem + new.key_pem)
        many.reload()
        many.expect("one", new)
        many.settle()


def test_a_file_comes_and_goes(many):
    many.run()
    new = many.leaf("one")
    new.combined(many.bundles, "one")
    many.reload()
    many.expect("one", new)
    many.settle()
    (many.bundles / "one.pem").unlink()
    many.reload()
    with pytest.raises(Exception):
        many.expect("one", new)
    many.settle()
    new.combined(many.bundles, "x")
    os.rename(many.bundles / "x.pem", many.bundles / "one.pem")
    many.reload()
    many.expect("one", new)


def test_a_file_is_written_and_not_closed(many):
    many.leaf("one").combined(many.bundles, "one")
    many.run()
    new = many.leaf("one")
    with open(many.bundles / "one.pem", "wb", buffering=0) as f:
        f.write(new.chain_pem + new.key_pem)
        many.reload()
        many.expect("one", new)


def test_a_pair_of_files(many):
    old = many.leaf("one")
    pki.write(many.bundles / "one.crt", old.chain_pem)
    pki.write(many.bundles / "one.key", old.key_pem)
    many.run()
    new = many.leaf("one")
    pki.write(many.bundles / "one.crt", new.chain_pem)
    many.p.command("reload")
    many.expect("one", old)
    pki.write(many.bundles / "one.key", new.key_pem)
    many.p.command("reload")
    many.expect("one", new)


def test_a_file_with_another_name_elsewhere(many):
    many.leaf("one").combined(many.bundles, "one")
    os.link(many.bundles / "one.pem", many.outside / "another-name")
    many.run()
    new = many.leaf("one")
    pki.write_in_place(many.outside / "another-name", new.chain_pem + new.key_pem)
    many.reload()
    many.expect("one", new)


def test_a_link_is_replaced_and_what_it_leads_to(many):
    for i in range(3):
        many.leaf("one").combined(many.outside / "archive", "v%d" % i)
    os.symlink("../archive/v0.pem", many.bundles / "one.pem")
    many.run()
    new = many.leaf("one")
    new.combined(many.outside / "archive", "v1")
    os.symlink("../archive/v1.pem", many.bundles / ".new")
    os.replace(many.bundles / ".new", many.bundles / "one.pem")
    many.reload()
    many.expect("one", new)
    new = many.leaf("one")
    new.combined(many.outside / "archive", "v1")
    many.reload(some=False)  # it leads elsewhere now, and nobody had watched there
    many.expect("one", new)
    many.settle()
    new = many.leaf("one")
    new.combined(many.outside / "archive", "v1")
    many.reload()
    many.expect("one", new)


def test_certbot(many):
    """live/NAME/ with links into archive/NAME/, where a renewal puts a new file; as it is, and seen by the worker."""
    live, archive = many.bundles / "one", many.outside / "archive" / "one"
    live.mkdir()
    archive.mkdir(parents=True)

    def renew(i):
        leaf = many.leaf("one")
        for kind, content in (("fullchain", leaf.chain_pem), ("privkey", leaf.key_pem)):
            pki.write(archive / ("%s%d.pem" % (kind, i)), content)
            link = live / (kind + ".pem")
            link.unlink(missing_ok=True)
            os.symlink("../../archive/one/%s%d.pem" % (kind, i), link)
        return leaf

    pki.write(many.bundles / "README", b"This directory contains your keys and certificates.\n")
    renew(1)
    many.run()
    for i in (2, 3):
        leaf = renew(i)
        many.reload()
        many.expect("one", leaf)
        many.settle()


def test_kubernetes(many):
    """A volume of a secret per bundle: tls.crt leads through ..data, which is replaced."""
    folder = many.bundles / "one"

    def swap(version):
        leaf = many.leaf("one")
        pki.write(folder / version / "tls.crt", leaf.chain_pem)
        pki.write(folder / version / "tls.key", leaf.key_pem)
        os.symlink(version, folder / "..data_tmp")
        os.replace(folder / "..data_tmp", folder / "..data")
        return leaf

    swap("..1")
    for name in ("tls.crt", "tls.key"):
        os.symlink("..data/" + name, folder / name)
    many.run()
    for i in (2, 3):
        leaf = swap("..%d" % i)
        many.reload()
        many.expect("one", leaf)
        shutil.rmtree(folder / ("..%d" % (i - 1)))
        many.settle()


def test_kubernetes_one_volume(many):
    """All bundles in one secret: the directory itself holds ..data, and every bundle may change with it."""
    def swap(version):
        leaf = many.leaf("one")
        pki.write(many.bundles / version / "one.crt", leaf.chain_pem)
        pki.write(many.bundles / version / "one.key", leaf.key_pem)
        os.symlink(version, many.bundles / "..data_tmp")
        os.replace(many.bundles / "..data_tmp", many.bundles / "..data")
        return leaf

    swap("..1")
    for name in ("one.crt", "one.key"):
        os.symlink("..data/" + name, many.bundles / name)
    many.run()
    leaf = swap("..2")
    many.reload(some=False)
    many.expect("one", leaf)


def test_the_directory_is_another_one(many):
    """No event tells that a directory above has been replaced."""
    above = many.outside / "above"
    above.mkdir()
    os.rename(many.bundles, above / "bundles")
    many.bundles = above / "bundles"
    many.leaf("one").combined(many.bundles, "one")
    many.run()
    shutil.copytree(above, many.outside / "next")
    new = many.leaf("one")
    new.combined(many.outside / "next" / "bundles", "one")
    os.rename(above, many.outside / "before")
    os.rename(many.outside / "next", above)
    many.reload(some=False)
    many.expect("one", new)


def test_more_changes_than_the_kernel_remembers(many):
    many.leaf("one").combined(many.bundles, "one")
    p = many.run()
    queue = int(pathlib.Path("/proc/sys/fs/inotify/max_queued_events").read_text())
    if queue > 100000:
        pytest.skip("the queue is too long to be filled")
    seen = many.leaf("two")
    seen.combined(many.bundles, "two")
    wait.until(lambda: serves(p, "two", seen), "the look that the watch causes: after it, none is under way")
    assert p.status()
    worker = p.worker
    os.kill(worker, signal.SIGSTOP)
    try:
        for i in range(queue // 2 + 1000):
            (many.bundles / (".%d" % i)).touch()  # made, changed, closed
        new = many.leaf("one")
        new.combined(many.bundles, "one")
        since = len(p.log)
        p.send_signal(signal.SIGHUP)
        p.wait_log("SIGHUP: reloading", since)
    finally:
        os.kill(worker, signal.SIGCONT)
    p.wait_log("reloaded: ", since)
    many.expect("one", new)  # what is forgotten is served 100 ms later


def test_changes_while_it_loads(many):
    """Whatever was there before the signal is served after it, however much comes behind it."""
    many.leaf("one").combined(many.bundles, "one")
    p = many.run()
    stop = threading.Event()

    def disturb():
        i = 0
        while not stop.is_set():
            leaf = disturbing[i % 2]
            leaf.combined(many.bundles, "two")
            i += 1

    disturbing = [many.leaf("two"), many.leaf("two")]
    t = threading.Thread(target=disturb)
    t.start()
    try:
        for _ in range(10):
            new = many.leaf("one")
            new.combined(many.bundles, "one")
            assert p.command("reload").returncode == 0
            many.expect("one", new)
    finally:
        stop.set()
        t.join()
    disturbing[0].combined(many.bundles, "two")
    p.command("reload")
    many.expect("two", disturbing[0])


def test_a_refused_reload_forgets_nothing(many):
    many.leaf("one").combined(many.bundles, "one")
    p = many.run()
    new = many.leaf("one")
    new.combined(many.bundles, "one")
    good = p.config_path.read_text()
    p.config_path.write_text("{")
    assert p.command("reload").returncode != 0
    p.config_path.write_text(good)
    many.p.command("reload")
    many.expect("one", new)


def test_a_damaged_bundle_does_not_hide_the_next_change(many):
    many.leaf("one").combined(many.bundles, "one")
    p = many.run()
    pki.write(many.bundles / "one.pem", b"nothing\n")
    p.command("reload")
    many.settle()
    new = many.leaf("two")
    new.combined(many.bundles, "two")
    p.command("reload")
    many.expect("two", new)
    assert re.search('"one": held', p.log)
    new = many.leaf("one")
    new.combined(many.bundles, "one")
    p.command("reload")
    many.expect("one", new)


def test_what_is_wrong_does_not_drown_among_what_is_fine(many):
    for i in range(60):
        shutil.copy(many.bundles / "two.pem", many.bundles / ("copy%d.pem" % i))
    (many.bundles / "broken.pem").write_text("no certificate\n")
    p = many.run()
    p.restart()
    status = p.command("status").stdout
    assert re.search(r"^  broken +missing ", status, re.M) and re.search(r"^  61 loaded; --json lists them$", status, re.M), status
    assert not re.search(r"^  copy1 +loaded", status, re.M)
    assert len([o for o in p.status()["last_reload"]["outcomes"] if o["outcome"] == "loaded"]) == 61
