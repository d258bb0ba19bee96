"""
A certificate is changed under a fleet of real programs. Some trust only the authority of the old one, some only that of the
new one, some both; all check what they are shown. Nobody may stay outside who was served before.
"""

import concurrent.futures
import os
import signal

import pytest

from harness import fleet, pki, proxy, wait
from harness.relay import Relay

pytestmark = [pytest.mark.slow, pytest.mark.fleet, pytest.mark.timeout(300 * wait.SLOW)]


@pytest.fixture(scope="module")
def programs():
    with proxy.directory() as directory:
        built = fleet.Programs(directory)
        yield built
        built.stop()


class Fleet:
    """One client of each kind for each trust, before a proxy with the old certificate."""

    def __init__(self, p, programs, directory, version, authorities, leaves):
        self.proxy = p
        self.leaves = leaves
        self.relay = Relay(p.port)
        self.directory = directory
        old, new = authorities
        self.trusts = {
            "old": fleet.Trust("old", directory, [old], leaves[:1]),
            "new": fleet.Trust("new", directory, [new], leaves[1:]),
            "both": fleet.Trust("both", directory, [old, new], leaves),
        }
        # A pinned one trusts both authorities and only its own keys: what it refuses it refuses for the key.
        self.pinned = {w: fleet.Trust("pinned-" + w, directory, [old, new], self._keys(w)) for w in self.trusts}
        self.all = []
        for i, kind in enumerate(fleet.KINDS):
            for j, word in enumerate(self.trusts):
                place = directory / ("%s-%s" % (kind.__name__, word))
                place.mkdir()
                source = "127.20.%d.%d" % (i, j + 1)
                self.all.append(kind(programs, self._trust(kind, word), self.relay.road(source), version, place))

    def _keys(self, word):
        return {"old": self.leaves[:1], "new": self.leaves[1:], "both": self.leaves}[word]

    def _trust(self, kind, word):
        return (self.pinned if kind in (fleet.PinnedCurl, fleet.PinnedWget) else self.trusts)[word]

    def of(self, *words):
        return [c for c in self.all if c.trust.word.replace("pinned-", "") in words]

    def change_trust(self, client, word):
        client.trust = self._trust(type(client), word)

    def visits(self, clients, times=1):
        """Each goes so often, one visit after the other; the clients side by side. By client: what came of each visit."""
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            return dict(zip(clients, pool.map(lambda c: [c.visit() for _ in range(times)], clients)))

    def all_get_in(self, clients, why):
        outside = [(c, c.said) for c, went in self.visits(clients).items() if not all(went)]
        assert not outside, "%s: %r" % (why, outside)

    def swap(self):
        self.leaves[1].files(self.proxy.directory)
        self.proxy.reload()

    def stop(self):
        self.relay.stop()


@pytest.fixture
def start(bascule, programs, directory, pki_directory, recorder, port):
    """A function that starts the fleet before a proxy with a rotation of these settings."""
    started = []
    authorities = [pki.Authority(n, directory=directory) for n in ("Old Root", "New Root")]
    leaves = [a.leaf(fleet.NAME) for a in authorities]

    def begin(version="1.3", threads=4, state=False, **rotation):
        # Programs that start slowly end slowly.
        rotation = dict({"accept": proxy.CHANGES, "rollback_clients": 0, "silent_within": "1m"}, **rotation)
        address = recorder(fleet.origin).address
        bundle = dict(leaves[0].files(directory), rotation=rotation)
        sites = [proxy.site(fleet.NAME, default=True)]  # Java asks for no server name without a dot
        over = {}
        if state:
            over["state_dir"] = str(directory / "state")
            os.mkdir(over["state_dir"], 0o700)
        p = bascule(proxy.config(port, bundle, address, sites=sites, threads=threads, **over))
        started.append(Fleet(p, programs, directory, version, authorities, leaves))
        return started[-1]

    yield begin
    for f in started:
        f.stop()


def listed(report, which):
    return {c["address"]: c for c in report[which]}


def addresses(clients):
    return {c.source for c in clients}


def tries_needed(c):
    return 3 if c.silent else 2


def all_return(f, clients):
    """Those who trust only the old one are outside at first, and inside from their second try on, the silent ones their third."""
    for c, went in f.visits(clients, times=3).items():
        needed = tries_needed(c)
        assert all(went[needed - 1 :]), "%r: %r: %s" % (c, went, c.said)
        assert c.tries_again or not any(went[: needed - 1]), "%r got in with a certificate that it does not trust: %r" % (c, went)


def move(f, clients):
    """They are given the new trust, half of them beside the old one, and go on visiting until none is on the list."""
    for i, c in enumerate(clients):
        f.change_trust(c, "both" if i % 2 else "new")

    def all_have_moved():
        f.visits([c for c in clients if c.source in on_list])
        on_list.intersection_update(listed(f.proxy.rotation()[1], "orphan_list"))
        return not on_list

    on_list = addresses(clients)
    wait.until(all_have_moved, lambda: "these to leave the list: %r" % on_list, deadline=6 * wait.DEADLINE)


def before_the_swap(f):
    f.all_get_in(f.of("old", "both"), "before the swap")
    assert not any(sum(f.visits(f.of("new")).values(), [])), "these have no reason to trust the old one"


# --- the story ---


@pytest.mark.parametrize("threads", [1, 4])
@pytest.mark.parametrize("version", ["1.2", "1.3"])
def test_nobody_is_left_behind(start, version, threads):
    f = start(version, threads)
    old, new, both = f.of("old"), f.of("new"), f.of("both")
    before_the_swap(f)

    f.swap()
    status, at_swap = f.proxy.rotation()
    assert status == 3 and not at_swap["may_retire"], "nobody has been shown it"
    assert addresses(old + both) == set(listed(at_swap, "untested_list")), "all who were served, and no others"
    assert at_swap["orphans"] == 0

    all_return(f, old)
    f.all_get_in(new + both, "who trusts the new one gets in at the first try")
    f.all_get_in(old + new + both, "and all of them stay in")

    status, report = f.proxy.rotation()
    assert status == 3 and not report["may_retire"]
    orphans = listed(report, "orphan_list")
    assert addresses(old) == set(orphans), "exactly those who trust only the old one"
    assert report["untested_list"] == []
    for c in old:
        assert orphans[c.source]["suspected"] == c.silent, (c, orphans[c.source])
        assert not orphans[c.source]["mixed"]
    # What was accepted of the old one since then was accepted by those on the list.
    known = listed(at_swap, "untested_list")
    rescues = sum(o["accepted_previous"] - known[a]["accepted_previous"] for a, o in orphans.items())
    accepted = [r["previous"]["handshakes"]["accepted"] for r in (at_swap, report)]
    assert accepted[1] - accepted[0] == rescues > 0, "somebody was given the old certificate without need"

    f.proxy.reconfigure(bundles={"main": {"rotation": {"retry": "1s", "retry_max": "1s"}}})
    move(f, old)
    status, report = f.proxy.rotation()
    assert status == 0 and report["may_retire"], report["reasons"]
    assert report["orphan_list"] == report["untested_list"] == []

    f.proxy.rotation("retire")
    f.all_get_in(f.all, "the old one is gone, and nobody needs it")
    assert all(line["tls"] == "TLSv" + version for line in f.proxy.access()), "of what was to be tried"


# --- on other ways ---


@pytest.mark.parametrize("version", ["1.2", "1.3"])
def test_in_stages(start, version):
    """Half of them first; held there, until all are told to come."""
    f = start(version, stages=[{"share": 50, "for": "1d"}])
    old, both = f.of("old"), f.of("both")
    f.all_get_in(old + both, "before the swap")
    f.swap()
    _, report = f.proxy.rotation("hold")
    assert report["phase"] == "held" and report["share_percent"] == 50
    for c, went in f.visits(old, times=4).items():
        assert went in ([True] * 4, [False] * (tries_needed(c) - 1) + [True] * (5 - tries_needed(c))), "%r: %r" % (c, went)
    f.all_get_in(both, "in the midst of the stages")
    status, held = f.proxy.rotation()
    assert status == 3
    first = set(listed(held, "orphan_list"))
    assert first < addresses(old), "only those of the first half have been asked, and it is not all"
    shown = held["current"]["handshakes"]["clients"]
    assert shown == len(both) - len(addresses(both) & set(listed(held, "untested_list")))
    # A client sees one certificate: nobody new has come by going again.
    f.visits(old + both)
    _, again = f.proxy.rotation()
    assert set(listed(again, "orphan_list")) == first and again["current"]["handshakes"]["clients"] == shown

    assert f.proxy.rotation("commit")[1]["phase"] == "complete"
    f.visits(old, times=2)  # two refusals, if they need so many
    f.all_get_in(old + both, "after the commit")
    status, report = f.proxy.rotation()
    assert status == 3 and set(listed(report, "orphan_list")) == addresses(old) and not report["untested_list"]


def test_rolled_back_and_begun_anew(start):
    f = start()
    old, new, both = f.of("old"), f.of("new"), f.of("both")
    before_the_swap(f)
    f.swap()
    all_return(f, old)
    f.all_get_in(new + both, "after the swap")

    status, report = f.proxy.rotation("rollback")
    assert status == 0 and report["phase"] == "rolled back" and not report["may_retire"]
    assert f.proxy.rotation()[0] == 3
    f.all_get_in(old + both, "who trusts the old one gets it at once")
    f.visits(new, times=2)
    f.all_get_in(new, "and who can not live with that is rescued by the new one")

    assert f.proxy.rotation("resume")[1]["phase"] == "complete"
    f.all_get_in(old + both, "the list is still known")
    f.all_get_in(new, "who trusts the new one gets it at once")
    assert set(listed(f.proxy.rotation()[1], "orphan_list")) == addresses(old)


def die(f):
    p, worker = f.proxy, f.proxy.worker
    p.wait_handed_over(f.of("both")[0].visit)
    os.kill(worker, signal.SIGKILL)
    wait.until(lambda: p.workers() not in ([], [worker]) and p.is_ready(), "the next worker")


def restart(f):
    f.proxy.restart()


@pytest.mark.parametrize("end, state", [(die, False), (restart, True)], ids=["the worker dies", "a restart"])
def test_it_goes_on_where_it_was(start, end, state):
    f = start(state=state)
    old, both = f.of("old"), f.of("both")
    f.all_get_in(old + both, "before the swap")
    f.swap()
    all_return(f, old)
    end(f)
    f.all_get_in(old + both, "afterwards")
    status, report = f.proxy.rotation()
    assert status == 3 and set(listed(report, "orphan_list")) == addresses(old)
