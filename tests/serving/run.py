"""Serve the test project on a free port, and print it: ``python -m tests.serving.run asgi|gunicorn|wsgi``."""

import os
import socket
import sys

import django
from django.core.management import call_command
from django.db import connections


def serve_asgi(bound):
    import uvicorn
    from django.core.asgi import get_asgi_application

    uvicorn.Server(uvicorn.Config(get_asgi_application(), log_level="critical", lifespan="off")).run([bound])


def serve_gunicorn(bound):
    from gunicorn.app import wsgiapp

    from b2fields import B2Storage

    # A connection of the parent's, which the worker that it forks must leave alone.
    B2Storage().exists("nothing")
    sys.argv[1:] = [
        *("--bind", f"fd://{bound.fileno()}", "--preload", "--worker-class", "gthread", "--threads", "8"),
        # It would be a file of the user's, one for all servers at once.
        "--no-control-socket",
        *("--graceful-timeout", "1", "--log-level", "critical"),
        "django.core.wsgi:get_wsgi_application()",
    ]
    wsgiapp.run()


def serve_wsgi(bound):
    # What runserver does, but on a socket that is open already.
    from django.core.servers.basehttp import ThreadedWSGIServer, WSGIRequestHandler
    from django.core.wsgi import get_wsgi_application

    server = ThreadedWSGIServer(bound.getsockname(), WSGIRequestHandler, bind_and_activate=False)
    server.socket.close()
    server.socket = bound
    server.server_name, server.server_port = "localhost", bound.getsockname()[1]
    server.setup_environ()
    server.daemon_threads = True
    server.set_app(get_wsgi_application())
    server.serve_forever()


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.serving.settings")
    django.setup()
    from django.contrib.auth.models import User

    call_command("migrate", run_syncdb=True, verbosity=0)
    User.objects.create_superuser("admin", password="admin")
    connections.close_all()
    listening = socket.create_server(("127.0.0.1", 0))
    print(listening.getsockname()[1], flush=True)
    {"asgi": serve_asgi, "gunicorn": serve_gunicorn, "wsgi": serve_wsgi}[sys.argv[1]](listening)
