"""
Many clients, each with an address of its own on the loopback network, side by side in a few processes of their own.

As a program it reads JSON (port, name, version, authorities: a list of PEM, and visits: pairs of address and index of the
authority that it trusts) and writes what came of each visit, in their order.
"""

import collections
import json
import socket
import ssl
import subprocess
import sys

WORKERS = 3
REQUEST = b"GET / HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n"


def visit(contexts, port, name, source, which):
    """Served; refused, by the alert of this client; or what else came of it."""
    with socket.socket() as raw:
        raw.settimeout(60)
        raw.bind((source, 0))
        raw.connect(("127.0.0.1", port))
        try:
            with contexts[which].wrap_socket(raw, server_hostname=name) as s:
                s.sendall(REQUEST % name.encode())
                return "served" if s.recv(64).startswith(b"HTTP/1.1 ") else "ended"
        except ssl.SSLCertVerificationError:
            return "refused"
        except OSError as e:
            return repr(e)


def main():
    job = json.load(sys.stdin)
    contexts = []
    for pem in job["authorities"]:
        context = ssl.create_default_context(cadata=pem)
        context.minimum_version = context.maximum_version = ssl.TLSVersion[job["version"]]
        contexts.append(context)
    json.dump([visit(contexts, job["port"], job["name"], *v) for v in job["visits"]], sys.stdout)


class Crowd:
    def __init__(self, port, name, *authorities, version="TLSv1_3"):
        """`authorities`: lists of those that a client may trust, to be named by their index."""
        pems = ["".join(a.pem.decode() for a in each) for each in authorities]
        self.job = {"port": port, "name": name, "authorities": pems, "version": version}

    def visit(self, visits):
        """How often each came of it. The visits of different clients are side by side."""
        visits = list(visits)
        parts = [p for p in (visits[i::WORKERS] for i in range(WORKERS)) if p]
        running = [subprocess.Popen(["/usr/bin/python3", "-I", __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in parts]
        for process, part in zip(running, parts):
            process.stdin.write(json.dumps(dict(self.job, visits=part)))
            process.stdin.close()
        came = collections.Counter()
        for process in running:
            with process:
                came.update(json.load(process.stdout))
        return came


if __name__ == "__main__":
    main()
