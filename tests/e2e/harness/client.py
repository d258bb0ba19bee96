"""Clients: one that sends exact bytes over TLS, and the well-known ones."""

import json
import os
import socket
import ssl
import subprocess
import threading

from cryptography import x509

from . import wait, wire

TLS12, TLS13 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3


def tls_context(ca=None, identity=None, version=None, hostname=True, ciphers=None):
    """
    A client context that trusts `ca` alone (None: anything). `identity` is the client certificate; `version` pins
    the protocol; `hostname` False skips the check of the name.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = bool(ca and hostname)
    if ca:
        context.load_verify_locations(cadata=ca.pem.decode())
    else:
        context.verify_mode = ssl.CERT_NONE
    if identity:
        context.load_cert_chain(identity.file)
    if version:
        context.minimum_version = context.maximum_version = version
    if ciphers:
        context.set_ciphers(ciphers)
    return context


class Client:
    """One connection to the proxy. Everything is sent as given; everything received is read strictly."""

    def __init__(self, port, name="site.test", *, host="127.0.0.1", context=None, session=None, tls=True,
                 receive_buffer=None, **options):
        self.raw = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
        if receive_buffer:
            self.raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.raw.settimeout(wait.DEADLINE)
        self.name = name
        try:
            self.raw.connect((host, port))
            self.socket = self.raw
            if tls:
                context = context or tls_context(**options)
                self.socket = self.raw = context.wrap_socket(self.raw, server_hostname=name, session=session)
        except BaseException:
            self.raw.close()
            raise
        self.reader = wire.Reader(self.socket.recv)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.socket.close()

    # --- sending ---

    def send(self, data):
        self.socket.sendall(data if isinstance(data, bytes) else data.encode("latin-1"))

    def send_request(self, method="GET", target="/", fields=(), body=None, host=None, version="HTTP/1.1"):
        lines = ["%s %s %s" % (method, target, version), "Host: %s" % (host or self.name)]
        fields = list(fields.items() if isinstance(fields, dict) else fields)
        lines += ["%s: %s" % f for f in fields]
        named = [n.lower() for n, _ in fields]
        if body is not None and "transfer-encoding" not in named and "content-length" not in named:
            lines.append("Content-Length: %d" % len(body))
        self.send("\r\n".join(lines) + "\r\n\r\n")
        if body:
            self.send(body)

    # --- receiving ---

    def response(self, method="GET"):
        return self.reader.response(method)

    def request(self, method="GET", target="/", fields=(), body=None, **more):
        self.send_request(method, target, fields, body, **more)
        return self.response(method)

    def ended(self):
        """Wait for the peer's end of the connection; True when nothing but the end came."""
        try:
            return self.reader.buffer == b"" and self.socket.recv(1) == b""
        except (ConnectionResetError, BrokenPipeError):
            return True

    def rest(self):
        """All that comes until the end, a reset counting as one."""
        data = self.reader.buffer
        try:
            while True:
                part = self.socket.recv(65536)
                if not part:
                    return data
                data += part
        except (ConnectionResetError, BrokenPipeError):
            return data

    # --- the handshake ---

    @property
    def certificate(self):
        return x509.load_der_x509_certificate(self.socket.getpeercert(binary_form=True))

    @property
    def serial(self):
        return self.certificate.serial_number

    @property
    def version(self):
        return self.socket.version()

    @property
    def resumed(self):
        return self.socket.session_reused

    @property
    def session(self):
        return self.socket.session


def answered(port, name="site.test", method="GET", target="/", fields=(), body=None, **options):
    """One request on a connection of its own."""
    with Client(port, name, **options) as c:
        return c.request(method, target, fields, body)


# --- the others' programs ----------------------------------------------------------------------------------------


def run(*arguments, data=None, environment=None, deadline=None):
    """A program's end: status and output, text. Never waits for longer than the deadline."""
    text = not isinstance(data, bytes)
    return subprocess.run(
        [str(a) for a in arguments],
        input=data,
        stdin=subprocess.DEVNULL if data is None else None,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=text,
        errors="replace" if text else None,
        env=dict(os.environ, **(environment or {})),
        timeout=deadline or 3 * wait.DEADLINE,
    )


def curl(port, target="/", *options, name="site.test", ca=None, scheme="https", data=None, deadline=None):
    """curl against the proxy under a name of ours."""
    trust = ["--cacert", ca.file] if ca else ["--insecure"]
    return run(
        "curl", "--silent", "--show-error", "--max-time", int(2 * wait.DEADLINE), "--noproxy", "*",
        "--connect-to", "%s:%d:127.0.0.1:%d" % (name, port, port), *trust, *options,
        "%s://%s:%d%s" % (scheme, name, port, target), data=data, deadline=deadline,
    )  # fmt: skip


def s_client(port, *options, data="", name="site.test", host="127.0.0.1"):
    """openssl s_client; `name` None sends no server name."""
    sni = ["-servername", name] if name else ["-noservername"]
    return run("openssl", "s_client", "-connect", "%s:%d" % (host, port), *sni, *options, data=data)


def gnutls_cli(port, *options, data="", name="site.test"):
    """gnutls-cli, whose input stays open until the proxy has closed."""
    process = subprocess.Popen(
        ["gnutls-cli", "--port", str(port), "--sni-hostname", name, "--verify-hostname", name, *options, "127.0.0.1"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    process.stdin.write(data.encode())
    process.stdin.flush()
    with process:
        timer = threading.Timer(2 * wait.DEADLINE, process.kill)
        timer.start()
        output = process.stdout.read().decode(errors="replace")
        timer.cancel()
        process.stdin.close()
    return output


NODE_GET = """
const https = require('https');
const [port, name, ca, path] = process.argv.slice(1);
const agent = new https.Agent({ keepAlive: true, maxSockets: 1, ca: ca ? require('fs').readFileSync(ca) : undefined });
const one = () => new Promise((done, fail) => {
  const request = https.get({ host: '127.0.0.1', port, servername: name, path, agent, headers: { host: name } }, answer => {
    let body = '';
    answer.on('data', d => body += d);
    answer.on('end', () => done({ status: answer.statusCode, body, reused: request.reusedSocket }));
  });
  request.on('error', fail);
});
(async () => {
  const answers = [await one(), await one()];
  agent.destroy();
  console.log(JSON.stringify(answers));
})().catch(e => { console.error(e.code || e.message); process.exit(1); });
"""


def node_get(port, target="/", name="site.test", ca=None):
    """Two requests by Node's https client on one connection: a list of status, body, reused; or the error's code."""
    done = run("node", "-e", NODE_GET, str(port), name, ca.file if ca else "", target)
    return json.loads(done.stdout) if done.returncode == 0 else done.stderr.strip()


def wrk(port, *options, name="site.test", seconds=1, connections=8):
    return run("wrk", "-t1", "-c%d" % connections, "-d%ds" % seconds, "-H", "Host: " + name, *options,
               "https://127.0.0.1:%d/" % port)  # fmt: skip
