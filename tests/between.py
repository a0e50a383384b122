"""A server between b2fields and the emulator that changes answers: a proxy, a wrong realm, a broken B2."""

import threading
from contextlib import contextmanager
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

HTML = b"<html><body><h1>404 Not Found</h1></body></html>"


@contextmanager
def between(emulator, change):
    """Give the realm of a server that answers as the emulator, but with what *change* makes of it.

    ``change(path, status, body)`` returns a status and a body; what the request asked for was done.
    """

    class Handler(BaseHTTPRequestHandler):
        def answer(self):
            sent = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            connection = HTTPConnection(urlsplit(emulator.realm).netloc)
            # With the Host of this server, so that the URLs in answers lead here.
            connection.request(self.command, self.path, sent, dict(self.headers))
            original = connection.getresponse()
            status, body = change(self.path, original.status, original.read())
            self.send_response(status)
            for name, value in original.getheaders():
                if name.lower() not in (
                    "content-length",
                    "transfer-encoding",
                    "connection",
                    "date",
                    "server",
                ):
                    self.send_header(name, value)
            length = original.headers["Content-Length"] if self.command == "HEAD" else len(body)
            self.send_header("Content-Length", str(length))
            self.end_headers()
            self.wfile.write(body)
            connection.close()

        do_GET = do_POST = do_HEAD = answer

        def log_message(self, *args):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()
