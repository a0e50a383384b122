"""A real nginx before the test project, configured as the package's own nginx.conf says."""

import re
import socket
import subprocess
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

import b2fields

SNIPPET = Path(b2fields.__file__).with_name("nginx.conf")

_CONFIGURATION = """
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log stderr error;
events {{ worker_connections 256; }}
http {{
    access_log off;
    client_body_temp_path {folder}/temporary;
    proxy_temp_path {folder}/temporary;
    fastcgi_temp_path {folder}/temporary;
    uwsgi_temp_path {folder}/temporary;
    scgi_temp_path {folder}/temporary;
    upstream b2fields_s3 {{ server {b2}; keepalive 8; }}
    upstream b2fields_native {{ server {b2}; keepalive 8; }}
    server {{
        listen 127.0.0.1:{port};
        set $b2fields_s3_host {b2};
        set $b2fields_native_host {b2};
        include {folder}/b2fields.conf;
        location / {{
            proxy_pass http://127.0.0.1:{site};
            proxy_set_header Host $host;
        }}
    }}
}}
"""


def snippet_without_tls():
    """Return the package's nginx.conf for the emulator, which has no TLS."""
    return re.sub(r"(?m)^ *proxy_ssl_.*\n", "", SNIPPET.read_text()).replace("https://", "http://")


@contextmanager
def nginx(program, folder, site, realm):
    """Run nginx before the *site* on this port, with the emulator for B2, and give its own port."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    (folder / "b2fields.conf").write_text(snippet_without_tls())
    values = {"folder": folder, "b2": urlsplit(realm).netloc, "port": port, "site": site}
    (folder / "nginx.conf").write_text(_CONFIGURATION.format(**values))
    command = [program, "-e", "stderr", "-p", str(folder), "-c", str(folder / "nginx.conf")]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        try:
            end = time.monotonic() + 10
            while process.poll() is None and time.monotonic() < end:
                with suppress(OSError), socket.create_connection(("127.0.0.1", port)):
                    break
                time.sleep(0.02)
            assert process.poll() is None, process.stderr.read()
            yield port
        finally:
            process.terminate()
