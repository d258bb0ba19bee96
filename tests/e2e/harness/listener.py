"""What takes connections: the part that all origins have in common."""

import socket
import ssl
import struct
import threading


def server_context(identity, alpn=(), client_ca=None):
    """A server's context with this certificate, which asks for one of `client_ca` if that is given."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(identity.file)
    if alpn:
        context.set_alpn_protocols(alpn)
    if client_ca:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(cadata=client_ca.pem.decode())
    return context


def cut(sock):
    """
    End both ways, from any thread. Who reads sees the end and gives the descriptor back: were that done under it, it would read
    from whatever has the number next.
    """
    try:
        socket.socket.shutdown(sock, socket.SHUT_RDWR)  # an SSLSocket's own would take its TLS away from under who reads
    except OSError:
        pass


def reset_at_close(sock):
    """RST will go out instead of FIN."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


class Listener:
    """
    Listens on 127.0.0.1. Each connection is served in a thread of its own by _serve(), which puts what it makes of it among
    `connections`, and what goes wrong among `failures`.
    """

    def __init__(self, context=None, port=None, receive_buffer=None):
        self._context = context  # of TLS; None: without
        self.connections, self.failures = [], []
        self._listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if receive_buffer:
            self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self._listener.bind(("127.0.0.1", port or 0))
        self._listener.listen(512)
        self.port = self._listener.getsockname()[1]
        self.address = "127.0.0.1:%d" % self.port
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def _serve(self, sock):
        raise NotImplementedError

    def drop_connections(self):
        for c in list(self.connections):
            c.close()

    def stop(self):
        """No more connections; those that are open are cut."""
        cut(self._listener)
        self._listener.close()
        self.drop_connections()
