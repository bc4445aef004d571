"""Runs a built function for one event, under a Runtime API of this process."""

import contextlib
import http.server
import os
import pathlib
import subprocess
import threading

BINARIES = pathlib.Path(__file__).resolve().parent.parent / "target" / "local"
SECONDS = 60


class RuntimeApi(http.server.BaseHTTPRequestHandler):
    """Hands out one event, and keeps what the function reports."""

    def do_GET(self):
        if self.server.handed_out.is_set():
            # A second poll: the function waits for its next event.
            threading.Event().wait(30)
            return
        self.server.handed_out.set()
        self.send_response(200)
        headers = {"Lambda-Runtime-Aws-Request-Id": "sample", "Lambda-Runtime-Deadline-Ms": "4102444800000"}
        headers |= {"Lambda-Runtime-Invoked-Function-Arn": "arn:aws:lambda:us-east-1:111122223333:function:sample"}
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("content-length", str(len(self.server.event)))
        self.end_headers()
        self.wfile.write(self.server.event)

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        self.server.reported = (self.path.rpartition("/")[2], body)
        self.send_response(202)
        self.send_header("content-length", "0")
        self.end_headers()
        self.server.answered.set()

    def log_message(self, *_):
        pass


@contextlib.contextmanager
def serving(handler, **members):
    """A server on a free port of the loopback interface."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    vars(server).update(members)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()


def invoked(function, event, variables):
    """What a function does about an event, a text: `response` or `error`, the body that it reports, and what it prints.
    A function that does not start or answer is an AssertionError."""
    state = {"event": event.encode(), "reported": None}
    state |= {name: threading.Event() for name in ("handed_out", "answered")}
    with serving(RuntimeApi, **state) as server:
        names = {
            "PATH": os.environ["PATH"],
            "AWS_LAMBDA_FUNCTION_NAME": function,
            "AWS_LAMBDA_FUNCTION_VERSION": "1",
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "256",
        }
        names |= variables | {"AWS_LAMBDA_RUNTIME_API": f"127.0.0.1:{server.server_port}"}
        command = [BINARIES / function / "bootstrap"]
        with subprocess.Popen(command, env=names, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
            # A process that fills the pipe would wait for its reader.
            printed = []
            reader = threading.Thread(target=lambda: printed.append(process.stdout.read()), daemon=True)
            reader.start()
            try:
                answered = server.answered.wait(SECONDS)
            finally:
                process.kill()
            reader.join()
        output = printed[0].decode()
        if not answered or not server.handed_out.is_set():
            raise AssertionError(f"{function} did not {'start' if answered else 'answer'}: {output}")
        kind, body = server.reported
        return kind, body, output
