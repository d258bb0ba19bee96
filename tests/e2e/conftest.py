"""Fixtures of the end-to-end tests. What they hand out they also end, and what went wrong they print."""

import contextlib
import itertools
import pathlib
import signal
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))

from harness import origins, pki, proxy, wait  # noqa: E402
from harness.before import Before  # noqa: E402
from harness.node import Node  # noqa: E402
from harness.pair import Pair  # noqa: E402
from harness.ports import free_port  # noqa: E402
from harness.proxy import PROXIES, Proxies  # noqa: E402

# A shell that starts the tests in the background has them ignore SIGINT, and all that they start: some send it.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def directory():
    with proxy.directory() as path:
        yield path


@pytest.fixture(scope="session")
def pki_directory():
    with proxy.directory() as path:
        yield path


@pytest.fixture(scope="session")
def ca(pki_directory):
    """The authority that clients trust."""
    return pki.Authority("Test Root", directory=pki_directory)


@pytest.fixture(scope="session")
def other_ca(pki_directory):
    """An authority that nobody has reason to trust."""
    return pki.Authority("Other Root", directory=pki_directory)


@pytest.fixture(scope="session")
def identity(ca):
    """A certificate for site.test, issued by an intermediate."""
    return ca.intermediate("Test Intermediate").leaf("site.test", "*.site.test")


@pytest.fixture
def bascule(request, directory):
    """A function that starts a proxy with a config."""
    with Proxies.scope(request, directory) as proxies:
        yield proxies


@pytest.fixture
def recorder(request):
    """A function that starts a recording origin."""
    started = []

    def start(script=origins.echo, **options):
        started.append(origins.Recorder(script, **options))
        return started[-1]

    yield start
    for r in started:
        r.stop()


@pytest.fixture
def nginx(directory):
    """A function that starts an nginx."""
    started = []

    def start(name=None, **options):
        started.append(origins.Nginx(directory, name or "nginx%d" % len(started), **options))
        return started[-1]

    yield start
    for n in started:
        n.stop()


@pytest.fixture
def node():
    """A function that starts a program in Node."""
    started = []

    def start(name, *arguments):
        started.append(Node(name, *arguments))
        return started[-1]

    yield start
    for n in started:
        n.stop()


@pytest.fixture
def port():
    return free_port()


@pytest.fixture
def echo(recorder):
    """A recording origin that answers with what it was sent."""
    return recorder()


@pytest.fixture
def simple(bascule, directory, identity, echo, port):
    """The proxy with one site, site.test, before `echo`. Called with what differs from that."""

    def start(*addresses, prefix=(), **over):
        contents = proxy.config(port, identity.files(directory), *(addresses or (echo.address,)), **over)
        return bascule(contents, prefix=prefix)

    return start


@pytest.fixture
def served(bascule, directory, identity, recorder, port):
    """The same before an origin by a script; both."""

    def start(script=origins.echo, **over):
        origin = recorder(script)
        return bascule(proxy.config(port, identity.files(directory), origin.address, **over)), origin

    return start


@pytest.fixture
def leaves(ca):
    """Two certificates for site.test that follow each other."""
    return ca.leaf("site.test"), ca.leaf("site.test")


@pytest.fixture
def swap(bascule, directory, leaves, recorder, port):
    """The proxy with the first of two certificates; .put(leaf) writes another one."""

    def start(script=origins.echo, **over):
        p = bascule(proxy.config(port, leaves[0].files(directory), recorder(script).address, **over))
        p.put = lambda leaf: leaf.files(directory)
        return p

    return start


@pytest.fixture
def pair(request, bascule, directory, identity, ca, port):
    """The proxy between two versions of HTTP; harness/pair.py has the combinations."""
    with contextlib.ExitStack() as stack:
        pair = Pair(request.param, stack, bascule, directory, identity, ca, port)
        yield pair
        failures = [f for o in pair.origins for f in o.failures]
        assert not failures, "an origin was sent what it should not have been: %r" % failures


@pytest.fixture
def rotating(bascule, directory, leaves, port):
    """The proxy with the first of two certificates; each .rotate() has it serve the other one."""

    def start(*addresses, **over):
        p = bascule(proxy.config(port, leaves[0].files(directory), *addresses, **over))
        following = itertools.cycle([leaves[1], leaves[0]])

        def rotate():
            leaf = next(following)
            leaf.files(directory)
            p.reload()
            assert proxy.served(p) == leaf.certificate.serial_number

        p.rotate = rotate
        return p

    return start


@pytest.fixture
def before(bascule, directory, identity, ca, port):
    """The proxy before origins of HTTP/2, of which nothing may go wrong that its test does not know."""
    with contextlib.ExitStack() as stack:
        before = Before(stack, bascule, directory, identity, ca, port)
        yield before
        failures = [f for o in before.origins for f in o.failures]
        assert not failures, "the first of %d: %r" % (len(failures), failures[0])


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    report = (yield).get_result()
    if report.failed:
        for node in item.listchain():
            for proxies in node.stash.get(PROXIES, []):
                report.sections.extend(proxies.logs())


def pytest_collection_modifyitems(items):
    for item in items:
        if not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(120 * wait.SLOW))
