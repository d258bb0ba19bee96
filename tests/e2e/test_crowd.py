"""A fleet too large for real programs: ten thousand clients, each with its own address, counted to the last one."""

import pytest

from harness import pki, proxy, wait
from harness.crowd import Crowd

OLD, NEW, BOTH = range(3)
NAME = "site.test"
MANY = wait.fewer(10000, 1000)

pytestmark = [pytest.mark.slow, pytest.mark.threads, pytest.mark.timeout(300 * wait.SLOW)]


@pytest.fixture
def start(bascule, directory, port):
    """A function that starts a proxy whose rotations have these settings, and a crowd before it."""
    authorities = [pki.Authority(n, directory=directory) for n in ("Old Root", "New Root")]
    leaves = [a.leaf(NAME) for a in authorities]

    def begin(**rotation):
        site = {"names": [NAME], "bundle": "main", "routes": [{"path": "^/nowhere$", "upstream": "origin"}]}  # all get 404
        bundle = dict(leaves[0].files(directory), rotation=dict(rotation, accept=proxy.CHANGES))
        p = bascule(proxy.config(port, bundle, "127.0.0.1:9", sites=[site], log={"level": "notice", "access": None}))
        p.swap = lambda: (leaves[1].files(directory), p.reload())
        return p, Crowd(port, NAME, authorities[:1], authorities[1:], authorities)

    return begin


def address(i, network=64):
    """The i-th of a crowd: 250 in each network of 256."""
    return "127.%d.%d.%d" % (network + i // 62500, i // 250 % 250, i % 250 + 1)


def counts(p):
    """Of all generations what there is to count, in one dictionary."""
    _, r = p.rotation()
    found = {k: r[k] for k in ("orphans", "untested", "not_tracked", "resumed")}
    for which in ("previous", "current"):
        h = r[which]["handshakes"] if r[which] else {}
        found[which] = tuple(h.get(k) for k in ("accepted", "rejected", "silent", "clients"))
    return found


def wait_counts(p, **expected):
    """An alert may arrive after the client has gone."""
    wait.until(lambda: counts(p).items() >= expected.items(), lambda: "%r: %r" % (expected, counts(p)), deadline=2 * wait.DEADLINE)


def test_ten_thousand_are_counted_to_the_last_one(start):
    p, crowd = start(rollback_clients=0)
    # Of each hundred: three trust only the old one, two stay away for now, all others trust both.
    orphans = [i for i in range(MANY) if i % 100 in (7, 31, 32)]
    away = [i for i in range(MANY) if i % 100 in (50, 99)]
    there = [i for i in range(MANY) if i % 100 not in (50, 99)]
    good = len(there) - len(orphans)
    trusts = dict.fromkeys(range(MANY), BOTH) | dict.fromkeys(orphans, OLD)

    assert crowd.visit((address(i), trusts[i]) for i in range(MANY)) == {"served": MANY}
    p.swap()
    wait_counts(p, orphans=0, untested=MANY, previous=(MANY, 0, 0, MANY), current=(0, 0, 0, 0))

    assert crowd.visit((address(i), trusts[i]) for i in there) == {"served": good, "refused": len(orphans)}
    first = dict(orphans=len(orphans), untested=len(away), not_tracked=0, current=(good, len(orphans), 0, good))
    wait_counts(p, previous=(MANY, 0, 0, MANY), **first)
    assert crowd.visit((address(i), OLD) for i in orphans) == {"served": len(orphans)}, "all of them, the second time"
    wait_counts(p, previous=(MANY + len(orphans), 0, 0, MANY), **first)
    status, report = p.rotation()
    assert status == 3
    assert {c["address"] for c in report["orphan_list"]} == {address(i) for i in orphans}
    assert {c["address"] for c in report["untested_list"]} == {address(i) for i in away}
    assert report["current"]["handshakes"]["alerts"] == {"unknown_ca": len(orphans)}

    # They move: now they trust only the new one, and say so when they are shown the old one.
    assert crowd.visit((address(i), NEW) for i in orphans) == {"refused": len(orphans)}
    wait_counts(p, previous=(MANY + len(orphans), len(orphans), 0, MANY), **first)
    assert crowd.visit((address(i), NEW) for i in orphans) == {"served": len(orphans)}
    assert crowd.visit((address(i), BOTH) for i in away) == {"served": len(away)}
    wait_counts(p, orphans=0, untested=0, not_tracked=0, resumed=0, current=(MANY, len(orphans), 0, MANY))
    status, report = p.rotation()
    assert status == 0 and report["may_retire"], report["reasons"]


def spread(i):
    """The i-th of those who come from everywhere: four in each network, so five thousand in 1,250."""
    return "127.%d.%d.%d" % (64 + i // 1000, i // 4 % 250, i % 4 + 1)


@pytest.mark.parametrize("room", [600, 65536])
def test_a_flood_of_fake_refusals_moves_nothing(start, room):
    """Five thousand strangers refuse what they are shown, whatever it is. They fill no list, and roll nothing back."""
    strangers = wait.fewer(5000, 1000)
    p, crowd = start(rollback_clients=10, rollback_networks=3, rollback_share=10, clients=room)
    known = [address(i * 97, network=100) for i in range(60)]
    orphans = known[:5]
    assert crowd.visit((a, BOTH) for a in known) == {"served": 60}
    p.swap()
    assert crowd.visit((a, OLD if a in orphans else BOTH) for a in known) == {"served": 55, "refused": 5}
    wait_counts(p, orphans=5, untested=0, current=(55, 5, 0, 55))

    fakes = [spread(i) for i in range(strangers)]
    crowd_of_liars = Crowd(p.port, NAME, [pki.Authority("Nobody", directory=p.directory)])
    assert crowd_of_liars.visit((a, 0) for a in fakes) == {"refused": strangers}
    wait_counts(p, current=(55, 5 + strangers, 0, 55))
    status, report = p.rotation()
    assert status == 3 and report["phase"] == "complete" and "rolled back" not in p.log
    assert not set(orphans) - {c["address"] for c in report["orphan_list"]}, "those who matter keep their places"
    assert report["orphans"] <= min(room, 5 + strangers)
    assert crowd.visit((a, OLD) for a in orphans) == {"served": 5}
    assert crowd.visit((a, NEW) for a in known[5:]) == {"served": 55}

    # They refuse the one they are rescued with as well: nobody waits for such, so the list is that of the fleet again.
    assert crowd_of_liars.visit((a, 0) for a in fakes) == {"refused": strangers}
    if room > strangers:
        wait_counts(p, orphans=5, untested=0)
    status, report = p.rotation()
    assert report["phase"] == "complete" and "rolled back" not in p.log
    assert set(orphans) <= {c["address"] for c in report["orphan_list"]}


def test_those_who_were_served_in_a_few_networks_roll_nothing_back(start):
    """The same as clients of old: they had themselves served from seven networks, in many guises, and come first."""
    p, crowd = start()
    known = [address(i * 250, network=100) for i in range(160)]
    attackers = ["127.32.%d.%d" % (i % 7, i // 7 + 1) for i in range(140)]
    assert crowd.visit((a, BOTH) for a in known + attackers) == {"served": 300}
    p.swap()
    assert crowd.visit((a, OLD) for a in attackers) == {"refused": 140}
    wait_counts(p, orphans=140, untested=160)
    assert p.rotation()[1]["phase"] == "complete"
    assert crowd.visit((a, BOTH) for a in known) == {"served": 160}
    wait_counts(p, orphans=140, untested=0)
    assert p.rotation()[1]["phase"] == "complete" and "rolled back" not in p.log
