"""Origins: a real nginx, and one that records each byte it is sent and answers as it is told."""

import json
import pathlib
import ssl
import threading

from . import wait, wire
from .listener import Listener, cut, reset_at_close, server_context
from .ports import free_port
from .program import Program


# --- the recording origin ----------------------------------------------------------------------------------------


class Connection:
    """One connection to the recording origin. `received` is what came, byte for byte."""

    def __init__(self, sock):
        self.socket = sock
        self.received = bytearray()
        self.requests = []
        self.closed = threading.Event()
        self.reader = wire.Reader(self._recv)
        self._thread = threading.get_ident()

    def _recv(self, n):
        data = self.socket.recv(n)
        self.received += data
        return data

    def request(self):
        """The next request, whole. A client that waits for it is told to go on."""
        request = self.reader.request_head()
        if (request.get("expect") or "").lower() == "100-continue":
            self.send("HTTP/1.1 100 Continue\r\n\r\n")
        self.reader.body_of(request)
        self.requests.append(request)
        return request

    def request_head(self):
        request = self.reader.request_head()
        self.requests.append(request)
        return request

    def send(self, data):
        self.socket.sendall(data if isinstance(data, bytes) else data.encode("latin-1"))

    def answer(self, status="200 OK", body=b"", fields=()):
        body = body if isinstance(body, bytes) else body.encode()
        lines = ["HTTP/1.1 " + status, "Content-Length: %d" % len(body)] + ["%s: %s" % f for f in fields]
        self.send(("\r\n".join(lines) + "\r\n\r\n").encode("latin-1") + body)

    def reset(self):
        """Close with RST instead of FIN."""
        reset_at_close(self.socket)
        self.socket.close()

    def close(self):
        """From any thread; its own gives the descriptor back."""
        cut(self.socket)
        if threading.get_ident() == self._thread:
            self.socket.close()

    def wait_for_end(self):
        """Read until the peer has closed."""
        try:
            while self._recv(65536):
                pass
        except OSError:
            pass


def echo(c):
    """Answer each request with what was seen of it, as JSON; a HEAD with the same head."""
    while True:
        r = c.request()
        seen = {
            "method": r.method,
            "target": r.target,
            "version": r.version,
            "fields": [[n.decode("latin-1"), v.decode("latin-1")] for n, v in r.fields],
            "trailers": [[n.decode("latin-1"), v.decode("latin-1")] for n, v in r.trailers],
            "body": r.body.decode("latin-1") if len(r.body) < 65536 else None,
            "length": len(r.body),
        }
        body = json.dumps(seen).encode()
        head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body)
        c.send(head if r.method == "HEAD" else head + body)


def reply(raw, close=False):
    """A script: each request is answered with these bytes."""

    def script(c):
        while True:
            c.request()
            c.send(raw)
            if close:
                return

    return script


def by_target(answers, default=b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"):
    """A script: the target chooses the bytes to answer with; a callable is called with connection and request."""

    def script(c):
        while True:
            request = c.request()
            answer = answers.get(request.target, default)
            if callable(answer):
                if answer(c, request) is False:
                    return
            else:
                c.send(answer)

    return script


def endless(stuck, patience=1):
    """A script: an answer that does not end; `stuck` is called when for so many seconds nothing more of it is taken."""

    def script(c):
        c.request_head()
        c.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        c.socket.settimeout(patience)
        try:
            while True:
                c.send(b"8000\r\n" + bytes(0x8000) + b"\r\n")
        except TimeoutError:
            stuck()
        c.wait_for_end()

    return script


class Gate:
    """A script that holds each answer back until it is released, so that tests need no guess about time."""

    def __init__(self, body=b"released"):
        self.body = body
        self.arrived = threading.Semaphore(0)
        self.released = threading.Semaphore(0)

    def __call__(self, c):
        while True:
            request = c.request()
            if request.target.startswith("/free"):
                c.answer(body=b"free")
                continue
            self.arrived.release()
            self.released.acquire()
            c.answer(body=self.body)

    def wait_arrived(self):
        assert self.arrived.acquire(timeout=wait.DEADLINE), "the request did not arrive at the origin"

    def release(self, n=1):
        self.released.release(n)


class Recorder(Listener):
    """The recording origin: `script` is run for each connection in a thread of its own."""

    def __init__(self, script=echo, identity=None, client_ca=None, port=None, receive_buffer=None, alpn=()):
        self.script = script
        context = server_context(identity, alpn, client_ca) if identity else None
        super().__init__(context, port, receive_buffer)

    def _serve(self, sock):
        c = Connection(sock)
        if self._context:
            try:
                c.socket = self._context.wrap_socket(sock, server_side=True)
            except (ssl.SSLError, OSError) as e:
                self.failures.append(e)
                sock.close()
                return
        self.connections.append(c)
        try:
            self.script(c)
        except (wire.Ended, OSError):
            pass
        except wire.Malformed as e:
            self.failures.append(e)
        finally:
            c.close()
            c.closed.set()

    @property
    def requests(self):
        """Every request so far, of all connections."""
        return [r for c in list(self.connections) for r in list(c.requests)]

    @property
    def last(self):
        return self.requests[-1]

    @property
    def targets(self):
        return [r.target for r in self.requests]

    def forget(self):
        """Drop what was recorded so far; connections that stay open go on recording anew."""
        self.failures.clear()
        for c in list(self.connections):
            c.received, c.requests = bytearray(), []
        self.connections = [c for c in self.connections if not c.closed.is_set()]


# --- nginx -------------------------------------------------------------------------------------------------------

NGINX_CONFIG = """
daemon off;
master_process off;
worker_processes 1;
pid {directory}/nginx.pid;
error_log stderr notice;
events {{ worker_connections 1024; }}
http {{
    log_format seen '$request_method $request_uri $status $http_host';
    access_log {directory}/access.log seen;
    default_type text/plain;
    keepalive_timeout 300s;
    keepalive_requests 1000000;
    client_max_body_size 0;
    client_body_temp_path {directory}/body;
    proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;
    server {{
        listen 127.0.0.1:{port}{ssl};
        server_name _;
        root {directory}/files;
        {certificate}
        add_header X-Origin {name} always;
        {body}
    }}
}}
"""

NGINX_BODY = """
        location = /name { return 200 "$hostport"; }
        location / { try_files $uri @hello; }
        location @hello { return 200 "hello\\n"; }
        location = /empty { return 204; }
        location = /moved { return 302 /elsewhere; }
        location = /missing { return 404 "nothing here\\n"; }
        location /put/ { dav_methods PUT DELETE; create_full_put_path on; }
"""


class Nginx(Program):
    """Debian's nginx, with files to serve under `files`."""

    def __init__(self, directory, name="nginx", identity=None, body=None, lines="", proxy_protocol=False, http2=False):
        self.directory = pathlib.Path(directory) / name
        self.name = name
        self.files = self.directory / "files"
        self.files.mkdir(parents=True)
        for part in ("body", "proxy", "fastcgi", "uwsgi", "scgi"):
            (self.directory / part).mkdir()
        port = free_port()
        certificate = ""
        if identity:
            certificate = "ssl_certificate {0}; ssl_certificate_key {0};".format(identity.file)
        text = NGINX_CONFIG.format(
            directory=self.directory, port=port, name=name, certificate=certificate,
            ssl=(" ssl" if identity else "") + (" proxy_protocol" if proxy_protocol else "") + (" http2" if http2 else ""),
            body=lines + (NGINX_BODY if body is None else body),
        ).replace("$hostport", name)  # fmt: skip
        config = self.directory / "nginx.conf"
        config.write_text(text)
        super().__init__(["nginx", "-p", self.directory, "-c", config], port, self.directory / "error.log")

    def served(self):
        """The requests that nginx has logged: tuples of method, target, status, Host."""
        path = self.directory / "access.log"
        lines = path.read_text().splitlines() if path.exists() else []
        return [tuple(line.split(" ", 3)) for line in lines]

    def file(self, name, data):
        (self.files / name).write_bytes(data)
