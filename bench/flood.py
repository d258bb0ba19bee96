"""Five thousand strangers refuse the certificate: what each handshake of all others costs before and after."""
import json
import os
import socket
import ssl
import subprocess
import sys

import instructions
from generator import Load
from machine import RoundFailed, end
from servers import NAME, seconds_until_served

STRANGERS = 5000
REFUSED_AT_LEAST = STRANGERS * 99 // 100
PATIENCE = 180  # seconds
COUNTED = 200   # handshakes


def address(i):
    """The i-th stranger: four in each /24, as far apart as 127.0.0.0/8 lets them."""
    network = i // 4
    return f"127.{64 + network // 250}.{network % 250}.{1 + i % 4}"


def refuse(context, port, source):
    """True when this client said so with an alert."""
    with socket.socket() as raw:
        raw.settimeout(30)
        raw.bind((source, 0))
        raw.connect(("127.0.0.1", port))
        try:
            context.wrap_socket(raw, server_hostname=NAME).close()
        except ssl.SSLCertVerificationError:
            return True
        except OSError:
            return False
    return False


def flood(bench, server):
    """In a process of its own, on the CPUs of the load."""
    with open(os.path.join(bench.directory, "flood.log"), "wb") as log:
        process = subprocess.Popen([sys.executable, os.path.abspath(__file__), str(server.port)], stdout=subprocess.PIPE, stderr=log,
                                   start_new_session=True)
    try:
        refused = json.loads(process.communicate(timeout=PATIENCE)[0] or b"0")
    except subprocess.TimeoutExpired:
        raise RoundFailed(f"{STRANGERS} strangers took longer than {PATIENCE} s") from None
    finally:
        end(process)
    if refused < REFUSED_AT_LEAST:
        raise RoundFailed(f"only {refused} of {STRANGERS} strangers got as far as to refuse; {server.last_words()}")


def change_certificate(bench, server):
    server.install(bench.certificates[1])
    server.reload()
    if seconds_until_served(server.port, bench.certificates[1], PATIENCE) is None:
        raise RoundFailed(f"the new certificate was not served; {server.last_words()}")


def around_a_flood(bench, server, measure):
    """A certificate changes; `measure` of the others' handshakes, the flood, and again."""
    change_certificate(bench, server)
    measure()  # whatever is warmed up only once
    before = measure()
    flood(bench, server)
    after = measure()
    if seconds_until_served(server.port, bench.certificates[1]) is None:
        raise RoundFailed("the flood has brought the old certificate back")
    return before, after


def count_handshakes(bench, server):
    """Instructions for one of them; also with its request, on a connection of its own."""
    def work():
        with Load(bench, server, "/small", 1, seconds=PATIENCE, requests=COUNTED, reconnect=True) as load:
            load.go()
            load.checked_result()
    return instructions.counted(server, work) / COUNTED


def flooded(bench, server, handshake):
    before, after = around_a_flood(bench, server, lambda: handshake(bench, server))
    figures = {**after, "slower": 100 * (after["cpu_us"] / before["cpu_us"] - 1), "before_us": before["cpu_us"]}
    if hasattr(server, "before") and instructions.under_callgrind(server):
        server.stop()
        with server.start(server.origin, bench.certificates[0]):
            before, after = around_a_flood(bench, server, lambda: count_handshakes(bench, server))
        figures |= {"more": 100 * (after / before - 1), "before_k": before / 1000, "after_k": after / 1000}
    return figures


if __name__ == "__main__":
    trusts_nobody = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    print(sum(refuse(trusts_nobody, int(sys.argv[1]), address(i)) for i in range(STRANGERS)))
