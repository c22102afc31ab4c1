"""An S3 server on loopback: moto's, and before it what networks and busy stores do to requests."""

import logging
import socket
import threading
from contextlib import contextmanager

KEY, SECRET = "AKIAOFATEST", "the-secret-of-a-test"
SLOW_DOWN = b"<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>"
DENIED = b"<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>"
ANSWERS = {"busy": ("503 Slow Down", SLOW_DOWN), "denied": ("403 Forbidden", DENIED)}


class Faults:
    """A WSGI application before another: it notes each request, and spoils those that `spoil` names.

    ``spoil`` is asked with method and path (with its query) of each request. It says None, or

    - ``busy``, ``denied``: answered with 503 SlowDown, or 403, and not done;
    - ``dropped``: the connection breaks before anything is done;
    - ``lost``: done, but the connection breaks before the answer;
    - ``cut``: done, but the connection breaks in the middle of the answer.
    """

    def __init__(self, app):
        self.app, self.asked, self.spoil = app, [], lambda method, path: None
        self._lock = threading.Lock()

    def __call__(self, environ, start):
        method, path = environ["REQUEST_METHOD"], environ["PATH_INFO"]
        path += f"?{environ['QUERY_STRING']}" if environ["QUERY_STRING"] else ""
        with self._lock:
            self.asked.append((method, path))
            fault = self.spoil(method, path)
        if fault in ANSWERS:
            status, body = ANSWERS[fault]
            start(status, [("Content-Type", "application/xml"), ("Content-Length", str(len(body)))])
            return [body] if method != "HEAD" else []
        return self.app(environ, start) if fault is None else self._broken(fault, environ, start)

    def _broken(self, fault, environ, start):
        body = b"" if fault == "dropped" else b"".join(self.app(environ, start))
        if fault == "cut":
            yield body[: len(body) // 2]
        environ["werkzeug.socket"].shutdown(socket.SHUT_RDWR)
        raise ConnectionResetError

    def times(self, method, part=""):
        """How many requests were made of a method, with this part in their path."""
        return sum(asked == method and part in path for asked, path in self.asked)


def each(*faults, method=None, part=""):
    """Spoil the first requests of a method with this part in their path: one after the other by each of the faults."""
    left = list(faults)

    def spoil(asked, path):
        return left.pop(0) if left and asked == (method or asked) and part in path else None

    return spoil


@contextmanager
def serving_s3():
    """Serve S3 with one bucket, ``bucket``: its `Faults`, and the environment in which clients find it."""
    from moto.backends import get_backend
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
    from werkzeug.serving import make_server

    logging.getLogger("werkzeug").setLevel(logging.CRITICAL)
    faults = Faults(DomainDispatcherApplication(create_backend_app))
    get_backend("s3")["123456789012"]["aws"].create_bucket("bucket", "us-east-1")
    server = make_server("127.0.0.1", 0, faults, threaded=True, request_handler=MotoRequestHandler)
    threading.Thread(target=server.serve_forever, args=[0.02], daemon=True).start()
    faults.environment = {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{server.server_port}",
        "AWS_ACCESS_KEY_ID": KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    try:
        yield faults
    finally:
        server.shutdown()
        server.server_close()
