"""The PROXY protocol as its specification has it, written and read here a second time."""

import ipaddress
import struct

from . import wire
from .listener import server_context

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
ALPN, AUTHORITY, CRC32C, NOOP, UNIQUE_ID, SSL = 1, 2, 3, 4, 5, 0x20
SSL_VERSION, SSL_CN, SSL_CIPHER = 0x21, 0x22, 0x23


def v1(source="192.0.2.7", destination="198.51.100.1", source_port=4711, port=443):
    family = "TCP6" if ":" in source else "TCP4"
    return ("PROXY %s %s %s %d %d\r\n" % (family, source, destination, source_port, port)).encode()


def tlv(kind, value):
    return struct.pack(">BH", kind, len(value)) + value


def ssl(version="TLSv1.3", client=1, verify=1, more=b""):
    return tlv(SSL, struct.pack(">BI", client, verify) + (tlv(SSL_VERSION, version.encode()) if version else b"") + more)


def v2(source="192.0.2.7", destination="198.51.100.1", source_port=4711, port=443, *, tlvs=b"", command=0x21):
    a, b = ipaddress.ip_address(source), ipaddress.ip_address(destination)
    family = 0x11 if a.version == 4 else 0x21
    block = a.packed + b.packed + struct.pack(">HH", source_port, port) + tlvs
    return SIGNATURE + struct.pack(">BBH", command, family, len(block)) + block


LOCAL = SIGNATURE + b"\x20\x00\x00\x00"


def _tlvs(data):
    found = {}
    while data:
        kind, length = struct.unpack(">BH", data[:3])
        assert kind not in found and len(data) >= 3 + length
        found[kind], data = data[3 : 3 + length], data[3 + length :]
    return found


def read(exactly):
    """The header that a connection begins with; `exactly(n)` reads n bytes. A dict of what it tells."""
    start = exactly(6)
    if start == b"PROXY ":
        while not start.endswith(b"\r\n"):
            start += exactly(1)
        words = start[:-2].decode("ascii").split(" ")
        if words[1] == "UNKNOWN":
            return {"version": 1}
        assert len(words) == 6 and words[1] == ("TCP6" if ":" in words[2] else "TCP4")
        return {"version": 1, "from": (words[2], int(words[4])), "to": (words[3], int(words[5]))}
    start += exactly(10)
    assert start[:12] == SIGNATURE and start[12] == 0x21
    block = exactly(struct.unpack(">H", start[14:])[0])
    size = {0: 0, 0x11: 4, 0x21: 16}[start[13]]
    told = {"version": 2}
    if size:
        ends = [str(ipaddress.ip_address(block[i : i + size])) for i in (0, size)]
        ports = struct.unpack(">HH", block[2 * size : 2 * size + 4])
        told["from"], told["to"] = zip(ends, ports)
        block = block[2 * size + 4 :]
    values = _tlvs(block)
    if SSL in values:
        client, verify = struct.unpack(">BI", values[SSL][:5])
        told["ssl"] = {"client": client, "verify": verify}
        told["ssl"].update({k: v.decode() for k, v in _tlvs(values[SSL][5:]).items()})
    for kind, name in ((AUTHORITY, "authority"), (UNIQUE_ID, "unique_id"), (ALPN, "alpn")):
        if kind in values:
            told[name] = values[kind]
    return told


class Header:
    """A script of the recording origin: reads the header first, then does `script`. `told` has what they told, in order."""

    def __init__(self, script, identity=None):
        self.script = script
        self.told = []
        self.context = server_context(identity) if identity else None

    def __call__(self, c):
        def exactly(n):
            data = b""
            while len(data) < n:
                more = c.socket.recv(n - len(data))
                if not more:
                    raise wire.Ended("in the header")
                data += more
            return data

        self.told.append(read(exactly))
        if self.context:
            c.socket = self.context.wrap_socket(c.socket, server_side=True)
        self.script(c)
