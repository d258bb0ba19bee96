"""Links that lead to certificates by another way than before, though to the same, or for a moment nowhere: the watch goes along."""

import os
import shutil
import time

import pytest

from harness import pki, proxy, wait
from harness.proxy import served
from test_one_of_many import WATCH, Many, serves


@pytest.fixture(params=[0o755, 0o700], ids=["anyone's", "root's"])
def ways(request, bascule, ca, directory, port, echo):
    """The worker may look at what lies there, or only root may."""
    os.chmod(directory, request.param)
    m = Many(bascule, ca, directory, port, echo)
    m.told = request.param == 0o755
    return m


def rest(m):
    """Until the look behind the last load or event has been taken."""
    time.sleep(0.4)
    m.p.status()


def lead(link, target):
    """By a rename, so that it always leads somewhere."""
    beside = link.parent / (".new-" + link.name)
    os.symlink(target, beside)
    os.replace(beside, link)


def noticed(m, leaf):
    wait.until(lambda: serves(m.p, "one", leaf), "the new certificate, without a reload")


def renew(m, path):
    leaf = m.leaf("one")
    pki.write(path, leaf.combined_pem)
    return leaf


def link_to_archive(m):
    """Returns what renews."""
    path = m.outside / "archive" / "v.pem"
    path.parent.mkdir()
    renew(m, path)
    os.chmod(path.parent, 0o700)
    lead(m.bundles / "one.pem", "../archive/v.pem")
    return lambda: renew(m, path)


def folder(m):
    path = m.bundles / "one"
    path.mkdir(mode=0o700)

    def put():
        leaf = m.leaf("one")
        pki.write(path / "tls.crt", leaf.chain_pem)
        pki.write(path / "tls.key", leaf.key_pem)
        return leaf

    put()
    return put


@pytest.mark.parametrize("layout", [link_to_archive, folder])
def test_after_reloads_that_found_nothing(ways, layout):
    """The file of the bundle lies where only root may look."""
    put = layout(ways)
    ways.told = False
    ways.run()
    for _ in range(2):
        ways.p.reload()
        rest(ways)
        noticed(ways, put())
        rest(ways)
    pki.write(ways.bundles / "two.pem", ways.leaf("two").combined_pem)
    assert ways.p.command("rotation", "start", "two").returncode == 0
    rest(ways)
    noticed(ways, put())


def test_a_directory_becomes_roots(ways):
    renew(ways, ways.bundles / "one.pem")
    ways.run()
    os.chmod(ways.bundles, 0o700)
    ways.p.reload()
    rest(ways)
    noticed(ways, renew(ways, ways.bundles / "one.pem"))


def test_a_link_leads_to_the_same_content_elsewhere(ways):
    for place in ("a", "b"):
        (ways.outside / place).mkdir()
    renew(ways, ways.outside / "a" / "v.pem")
    lead(ways.bundles / "one.pem", "../a/v.pem")
    ways.run()
    shutil.copy(ways.outside / "a" / "v.pem", ways.outside / "b" / "v.pem")
    lead(ways.bundles / "one.pem", "../b/v.pem")
    rest(ways)
    noticed(ways, renew(ways, ways.outside / "b" / "v.pem"))
    rest(ways)
    leaf = renew(ways, ways.outside / "b" / "v.pem")
    ways.p.reload()
    ways.expect("one", leaf)


def test_a_link_leads_to_the_same_file_by_another_way(ways):
    for place in ("archive", "way1", "way2"):
        (ways.outside / place).mkdir()
    renew(ways, ways.outside / "archive" / "v.pem")
    for way in ("way1", "way2"):
        lead(ways.outside / way / "current", "../archive/v.pem")
    lead(ways.bundles / "one.pem", "../way1/current")
    ways.run()
    lead(ways.bundles / "one.pem", "../way2/current")
    ways.p.reload()
    rest(ways)
    leaf = renew(ways, ways.outside / "archive" / "w.pem")
    lead(ways.outside / "way2" / "current", "../archive/w.pem")
    noticed(ways, leaf)


def test_one_that_is_refused_leads_elsewhere(ways):
    for place in ("a", "b"):
        (ways.outside / place).mkdir()
        (ways.outside / place / "v.pem").write_text("no certificate")
    good = renew(ways, ways.outside / "v.pem")
    lead(ways.bundles / "one.pem", "../v.pem")
    ways.run()
    for place in ("a", "b"):
        lead(ways.bundles / "one.pem", "../%s/v.pem" % place)
        rest(ways)
        assert serves(ways.p, "one", good)
    noticed(ways, renew(ways, ways.outside / "b" / "v.pem"))


@pytest.mark.parametrize("link,reload", [("one.pem", False), ("one.pem", True), ("one", True)])
def test_a_link_leads_nowhere_for_a_moment(ways, link, reload):
    """Its bundle has not gone: the last good generation stays in service, and is told of. (A folder's return the poll sees.)"""
    there = ways.outside / "there" / link
    there.parent.mkdir()

    def put():
        if link == "one.pem":
            return renew(ways, there)
        leaf = ways.leaf("one")
        pki.write(there / "tls.crt", leaf.chain_pem)
        pki.write(there / "tls.key", leaf.key_pem)
        return leaf

    old = put()
    lead(ways.bundles / link, "../there/" + link)
    ways.run()
    os.rename(there, ways.outside / "away")
    ways.p.reload() if reload else rest(ways)
    assert serves(ways.p, "one", old)
    outcomes = {o["bundle"]: o for o in ways.p.status()["last_reload"]["outcomes"]}
    assert outcomes["one"]["outcome"] == "held" and "No such file" in outcomes["one"]["text"]
    new = put()
    if reload:
        ways.p.reload()
        ways.expect("one", new)
    else:
        noticed(ways, new)


def test_releases_come_and_go(bascule, directory, ca, echo, port):
    """Where nothing leads any more nobody looks: it is no warning that it is not there."""
    os.chmod(directory, 0o755)
    leaves = [ca.leaf("site.test") for _ in range(4)]
    link = directory / "site.pem"
    leaves[0].combined(directory / "releases" / "0", "site")
    lead(link, "releases/0/site.pem")
    p = bascule(proxy.config(port, {"combined": str(link)}, echo.address, reload=WATCH))
    for i, leaf in enumerate(leaves[1:], 1):
        leaf.combined(directory / "releases" / str(i), "site")
        lead(link, "releases/%d/site.pem" % i)
        wait.until(lambda leaf=leaf: served(p) == leaf.serial, "the new release")
        time.sleep(0.3)
        shutil.rmtree(directory / "releases" / str(i - 1))
        time.sleep(0.3)
    p.reload()
    time.sleep(0.3)
    p.status()
    assert "can not be watched" not in p.log
