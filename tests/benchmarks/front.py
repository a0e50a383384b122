"""nginx before a site that delivers by accel, and the same nginx straight before B2."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..serving.nginx import snippet_without_tls
from . import servers
from .sites import Site

STRAIGHT = "/straight/"
CONFIGURATION = """\
daemon off;
# One process and no master: it would hand its worker to another user when started by root.
master_process off;
pid {folder}/nginx.pid;
error_log stderr error;
events {{ worker_connections 64; }}
http {{
    access_log off;
    client_body_temp_path {folder}/nginx-temporary;
    proxy_temp_path {folder}/nginx-temporary;
    fastcgi_temp_path {folder}/nginx-temporary;
    uwsgi_temp_path {folder}/nginx-temporary;
    scgi_temp_path {folder}/nginx-temporary;
    upstream b2fields_s3 {{ server {b2}; keepalive 32; }}
    upstream b2fields_native {{ server {b2}; keepalive 32; }}
    server {{
        listen 127.0.0.1:{port};
        set $b2fields_s3_host {b2};
        set $b2fields_native_host {b2};
        include {folder}/b2fields.conf;
        location / {{
            proxy_pass {site};
            proxy_set_header Host $host;
        }}
        location {straight} {{
            proxy_pass http://b2fields_native{files};
            proxy_http_version 1.1;
            proxy_set_header Host {b2};
            proxy_set_header Connection "";
            proxy_set_header Authorization {token};
            proxy_max_temp_file_size 0;
        }}
    }}
}}
"""


@contextmanager
def nginx(site: Site, b2: Site, folder: Path) -> Iterator[tuple[Site, Site]]:
    """Give the *site* as seen through nginx, and B2 as seen through the same nginx."""
    (folder / "b2fields.conf").write_text(snippet_without_tls())
    configuration, port = folder / "front.conf", servers.free_port()
    configuration.write_text(
        CONFIGURATION.format(
            folder=folder,
            port=port,
            site=site.server.url,
            b2=b2.server.url.removeprefix("http://"),
            files=b2.path,
            token=b2.headers["authorization"],
            straight=STRAIGHT,
        )
    )
    command = [servers.find_nginx(), "-e", "stderr", "-p", str(folder), "-c", str(configuration)]
    with servers.listening(port, command) as server:
        yield Site(server, site.path, site.headers), Site(server, STRAIGHT, {})
