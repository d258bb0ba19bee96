"""The origin and the three proxies: how each is configured, started, reloaded and ended.

All proxies do the same work: TLS 1.2 and 1.3 with the same certificate, one worker on one core, HTTP/1.1 to a kept
connection to the origin, the X-Forwarded fields set, no logs, no limit that the load could meet.
"""
import hashlib
import json
import os
import re
import resource
import shutil
import signal
import socket
import ssl
import subprocess
import time

from machine import RoundFailed, end, free_port, spawn, tree, wait_for_port

NAME = "bench.test"
MANY = 1000000000  # requests per connection
SMALL, LARGE = 1024, 1024 * 1024
MOST_CONNECTIONS = 8000
LETTERS = "".join(chr(c) for c in range(ord("A"), ord("Z") + 1)) * 64


def connection_limit():
    """Client connections that a proxy can hold: each may need another one to the origin."""
    return min(MOST_CONNECTIONS, resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 2 - 100)


class Certificate:
    """A self-signed ECDSA P-256 certificate, made for this run."""

    def __init__(self, directory, name):
        self.cert, self.key = (os.path.join(directory, f"{name}.{kind}") for kind in ("pem", "key"))
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                        "-days", "30", "-subj", f"/CN={NAME}/O={name}", "-addext", f"subjectAltName=DNS:{NAME}",
                        "-addext", "basicConstraints=critical,CA:FALSE",
                        "-keyout", self.key, "-out", self.cert], check=True, capture_output=True)
        with open(self.cert) as f:
            self.sha256 = hashlib.sha256(ssl.PEM_cert_to_DER_cert(f.read())).hexdigest()


class Server:
    """A process with a directory of its own and a port from the kernel."""
    program = ""
    version_option = "-v"

    def __init__(self, directory, path, cpus):
        self.directory, self.path, self.cpus = directory, path, cpus
        self.process = None
        self.patience = 10.0  # seconds for a start
        os.makedirs(directory, mode=0o755, exist_ok=True)

    def file(self, name, text=None):
        path = os.path.join(self.directory, name)
        if text is not None:
            with open(path + ".new", "w") as f:
                f.write(text)
            os.rename(path + ".new", path)
        return path

    @classmethod
    def find(cls, given):
        """The program's path, or None."""
        return shutil.which(given or cls.program, path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")

    @classmethod
    def version(cls, path):
        try:
            said = subprocess.run([path, cls.version_option], capture_output=True, text=True, timeout=10)
        except (OSError, subprocess.SubprocessError) as e:
            return f"unknown ({e})"
        found = re.search(r"\d+\.\d+[\w.+~-]*", said.stdout + said.stderr)
        return found.group(0) if found else "unknown"

    def start(self, *arguments):
        for attempt in range(3):  # somebody may take the port between the kernel's answer and our use of it
            self.port = free_port()
            self.configure(*arguments)
            with open(self.file("output"), "ab") as log:
                self.spawned = time.monotonic()
                self.process = spawn(self.argv(), self.cpus, log)
            if wait_for_port(self.port, self.process, self.patience):
                return self
            self.stop()
        raise RoundFailed(f"{self.program} does not start: {self.last_words()}")

    def stop(self):
        end(self.process)
        self.process = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def last_words(self):
        lines = []
        for name in ("output", "error.log"):
            if os.path.exists(self.file(name)):
                with open(self.file(name), errors="replace") as f:
                    lines += [line.strip() for line in f if line.strip()]
        return " | ".join(lines[-3:]) or "it said nothing"

    def pids(self):
        return tree(self.process.pid)


def nginx_frame(server, http):
    """What the origin and the proxy have in common; all that nginx writes stays in the server's directory."""
    temporary = "\n".join(f"    {kind}_temp_path {server.file(kind)};"
                          for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    return f"""
{"user root;" if os.geteuid() == 0 else ""}
daemon off;
worker_processes 1;
pid {server.file("pid")};
error_log {server.file("error.log")} error;
events {{ worker_connections 16384; }}
http {{
    access_log off;
    keepalive_timeout 600s;
    keepalive_requests {MANY};
    keepalive_time 24h;
{temporary}
{http}
}}
"""


class Origin(Server):
    """Plain HTTP/1.1 on the other core; the bodies lie in the page cache."""
    program = "nginx"

    def configure(self):
        small, large = LETTERS[:SMALL], (LETTERS * (LARGE // len(LETTERS) + 1))[:LARGE]
        self.bodies = {"/small": self.file("small", small), "/large": self.file("large", large)}
        self.file("nginx.conf", nginx_frame(self, f"""
    sendfile on;
    open_file_cache max=100 inactive=1h;
    server {{
        listen 127.0.0.1:{self.port} backlog=4096;
        location = /small {{ default_type text/plain; return 200 "{small}"; }}
        location = /large {{ default_type text/plain; alias {self.bodies["/large"]}; }}
        location = /slow {{ default_type text/plain; alias {self.bodies["/large"]}; limit_rate $arg_rate; }}
    }}"""))

    def argv(self):
        return [self.path, "-e", "stderr", "-p", self.directory, "-c", self.file("nginx.conf")]


class Proxy(Server):
    """One of those compared."""
    reload_signal = signal.SIGHUP
    before = ()  # of the command line: a tool to run it under
    bundles = None  # a directory of many certificates (many.py) in place of the one

    def configure(self, origin, certificate):
        self.origin = origin
        self.install(certificate)
        self.write_config()

    def install(self, certificate):
        with open(certificate.cert) as c, open(certificate.key) as k:
            cert, key = c.read(), k.read()
        self.file("cert.pem", cert)
        self.file("key.pem", key)
        self.file("both.pem", cert + key)

    def reload(self):
        self.process.send_signal(self.reload_signal)


class Nginx(Proxy):
    program = "nginx"

    def write_config(self):
        self.file("nginx.conf", nginx_frame(self, f"""
    ssl_protocols TLSv1.2 TLSv1.3;
    ssl_session_cache off;
    ssl_session_tickets on;
    proxy_max_temp_file_size 0;
    proxy_buffer_size 16k;
    proxy_buffers 8 16k;
    proxy_busy_buffers_size 32k;
    upstream origin {{
        server 127.0.0.1:{self.origin.port};
        keepalive 512;
        keepalive_requests {MANY};
        keepalive_time 24h;
        keepalive_timeout 600s;
    }}
    proxy_http_version 1.1;
    proxy_set_header Connection "";
    proxy_set_header Host $host;
    proxy_set_header X-Forwarded-For $remote_addr;
    proxy_set_header X-Forwarded-Proto $scheme;
    proxy_set_header X-Forwarded-Host $host;
    server_names_hash_max_size 32768;
    server_names_hash_bucket_size 128;
    {self.server_blocks()}"""))

    def server_blocks(self):
        if self.bundles is None:
            return self.server_block(NAME, self.file("cert.pem"), self.file("key.pem"), "backlog=4096")
        return "".join(self.server_block(name, self.bundles.path(name), self.bundles.path(name), "" if i else "backlog=4096")
                       for i, name in enumerate(self.bundles.names))

    def server_block(self, name, certificate, key, options):
        return f"""
    server {{
        listen 127.0.0.1:{self.port} ssl http2 {options};
        server_name {name};
        ssl_certificate {certificate};
        ssl_certificate_key {key};
        location / {{ proxy_pass http://origin; }}
    }}"""

    argv = Origin.argv


class Haproxy(Proxy):
    program = "haproxy"
    reload_signal = signal.SIGUSR2

    def write_config(self):
        self.file("haproxy.cfg", f"""
global
    maxconn {connection_limit()}
    nbthread 1
    ssl-default-bind-options ssl-min-ver TLSv1.2

defaults
    mode http
    timeout connect 5s
    timeout client 600s
    timeout server 600s
    timeout http-keep-alive 600s

frontend tls
    bind 127.0.0.1:{self.port} ssl crt {self.bundles.directory if self.bundles else self.file("both.pem")} alpn h2,http/1.1 backlog 4096
    http-request set-header X-Forwarded-For %[src]
    http-request set-header X-Forwarded-Proto https
    http-request set-header X-Forwarded-Host %[req.hdr(host)]
    default_backend origin

backend origin
    http-reuse always
    server origin 127.0.0.1:{self.origin.port}
""")

    def argv(self):
        return [self.path, "-W", "-f", self.file("haproxy.cfg")]


class Bascule(Proxy):
    program = "bascule"
    version_option = "--version"
    before = ()  # of the command line: a tool to run it under
    rotation = {"accept": ["another-root"]}  # each certificate here is its own

    def write_config(self):
        self.file("bascule.json", json.dumps({
            "threads": 1,
            **({"user": "root"} if self.before and os.geteuid() == 0 else {}),  # the tool writes beside us
            "admin": {"socket": self.file("admin.sock")},
            "log": {"level": "warning"},
            "reload": {"watch": self.bundles is not None},  # of one certificate the signal alone swaps
            "timeouts": {"idle": "600s"},
            "listeners": [{"address": f"127.0.0.1:{self.port}", "tls": True}],
            "bundles": {"bench": {**self.bundle(), "rotation": self.rotation}},
            "sites": [self.site()],
            "upstreams": {"origin": {"servers": [{"address": f"127.0.0.1:{self.origin.port}"}],
                                     "balance": "round_robin", "idle_connections": 512}},
        }, indent=2))

    def bundle(self):
        if self.bundles is not None:
            return {"directory": self.bundles.directory}
        return {"certificate": self.file("cert.pem"), "key": self.file("key.pem")}

    def site(self):
        if self.bundles is not None:
            return {"names": [NAME, "*." + NAME], "default": True, "upstream": "origin"}
        return {"names": [NAME], "default": True, "bundle": "bench", "upstream": "origin"}

    def argv(self):
        return [*self.before, self.path, "run", "-c", self.file("bascule.json")]


class Untracked(Bascule):
    """Without learning who the clients are before a rotation begins: what that costs is the difference."""

    rotation = {**Bascule.rotation, "track": False}


class H2o(Proxy):
    program = "h2o"
    version_option = "--version"

    def write_config(self):
        self.file("h2o.conf", f"""
{"user: root" if os.geteuid() == 0 else ""}
num-threads: 1
max-connections: {connection_limit()}
http2-idle-timeout: 600
http1-request-timeout: 600
error-log: {self.file("error.log")}
listen:
  host: 127.0.0.1
  port: {self.port}
  ssl:
    certificate-file: {self.file("cert.pem")}
    key-file: {self.file("key.pem")}
hosts:
  "{NAME}:{self.port}":
    paths:
      "/":
        proxy.reverse.url: "http://127.0.0.1:{self.origin.port}/"
        proxy.preserve-host: ON
        proxy.timeout.keepalive: 600000
""")

    def argv(self):
        return [self.path, "-c", self.file("h2o.conf")]


PROXIES = {"nginx": Nginx, "haproxy": Haproxy, "h2o": H2o, "bascule": Bascule, "untracked": Untracked}
COMPARED = ["nginx", "haproxy", "bascule"]


def served_certificate(port, name=NAME):
    """SHA-256 of the certificate that a new connection gets."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with socket.create_connection(("127.0.0.1", port), 5) as plain:
        with context.wrap_socket(plain, server_hostname=name) as s:
            return hashlib.sha256(s.getpeercert(binary_form=True)).hexdigest()


def seconds_until_served(port, certificate, limit=10.0):
    """How long until new connections get this certificate; None when they do not in time."""
    began = time.monotonic()
    while time.monotonic() - began < limit:
        try:
            if served_certificate(port) == certificate.sha256:
                return time.monotonic() - began
        except OSError:
            pass
        time.sleep(0.01)
    return None
