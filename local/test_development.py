"""Tests that every function starts with local/functions.env, as `cargo lambda watch` starts it, and answers."""

import http.server
import json
import os
import pathlib
import re
import subprocess
import threading
import tomllib
import unittest

import client

ROOT = pathlib.Path(__file__).resolve().parent.parent
BINARIES = ROOT / "target" / "lambda"
FUNCTIONS = sorted(folder.name for folder in (ROOT / "functions").iterdir())


def environment():
    """The variables of the file that CargoLambda.toml names."""
    config = tomllib.loads((ROOT / "CargoLambda.toml").read_text())
    return parsed((ROOT / config["watch"]["env_file"]).read_text())


def parsed(text):
    return dict(line.split("=", 1) for line in text.splitlines() if line and not line.startswith("#"))


def documented():
    """By function, its variables and their defaults, from docs/configuration.md, which is generated from Config::VARS."""
    sections = re.split(r"^## ", (ROOT / "docs/configuration.md").read_text(), flags=re.MULTILINE)[1:]
    rows = {one.partition("\n")[0]: re.findall(r"^\| `(\w+)` \| (.*?) \|", one, re.MULTILINE) for one in sections}
    return {name: dict(found) for name, found in rows.items() if name in FUNCTIONS}


def events(function):
    return sorted(file for file in (ROOT / "events" / function).glob("*.json") if not file.name.endswith(".expected.json"))


class Environment(unittest.TestCase):
    def test_it_sets_every_required_variable(self):
        given = environment()
        self.assertEqual(sorted(documented()), FUNCTIONS)
        for function, variables in documented().items():
            required = {name for name, default in variables.items() if default == "required"}
            self.assertEqual(required - given.keys(), set(), function)

    def test_every_variable_is_read_by_a_function_or_by_the_sdk(self):
        known = {name for variables in documented().values() for name in variables}
        self.assertEqual({name for name in environment() if not name.startswith("AWS_")} - known, set())

    def test_no_call_leaves_the_machine(self):
        given = environment()
        for name in ("AWS_ENDPOINT_URL", "JWKS_URI", "CONNECTIONS_URL"):
            self.assertRegex(given[name], r"^http://127\.0\.0\.1:\d+", name)
        self.assertEqual((given["AWS_ACCESS_KEY_ID"], given["AWS_SECRET_ACCESS_KEY"]), ("test", "test"))
        self.assertFalse([name for name in given if name.endswith(("_SECRET", "_SECRET_ARN", "_TOKEN"))])

    def test_every_function_has_a_sample_event(self):
        for function in FUNCTIONS:
            self.assertTrue(events(function), function)


class RuntimeApi(http.server.BaseHTTPRequestHandler):
    """Hands out one event, and keeps what the function reports."""

    def do_GET(self):
        if self.server.handed_out.is_set():
            # A second poll: the function waits for its next event.
            threading.Event().wait(30)
            return
        self.server.handed_out.set()
        self.send_response(200)
        deadline = self.server.deadline
        headers = {"Lambda-Runtime-Aws-Request-Id": "sample", "Lambda-Runtime-Deadline-Ms": deadline}
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


class Starts:
    def answer(self, function, event, variables):
        """What the function reports for the event: `response` or `error`, and its body."""
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), RuntimeApi)
        server.daemon_threads = True
        server.event, server.deadline = event.encode(), "4102444800000"
        server.handed_out, server.answered, server.reported = threading.Event(), threading.Event(), None
        threading.Thread(target=server.serve_forever, daemon=True).start()
        variables = variables | {
            "PATH": os.environ["PATH"],
            "AWS_LAMBDA_RUNTIME_API": f"127.0.0.1:{server.server_port}",
            "AWS_LAMBDA_FUNCTION_NAME": function,
            "AWS_LAMBDA_FUNCTION_VERSION": "1",
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "256",
        }
        command = [BINARIES / function / "bootstrap"]
        process = subprocess.Popen(command, env=variables, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        try:
            answered = server.answered.wait(60)
            process.kill()
            output = process.communicate()[0].decode()
            self.assertTrue(answered, f"{function}: {output}")
            self.assertTrue(server.handed_out.is_set(), f"{function} did not start: {server.reported} {output}")
            return server.reported
        finally:
            process.kill()
            process.wait()
            process.stdout.close()
            server.shutdown()
            server.server_close()


@unittest.skipUnless(BINARIES.exists(), "local/prepare builds the functions")
class Functions(Starts, unittest.TestCase):
    def answer_alone(self, function, event):
        # A port at which nothing listens, whether or not `make run` runs.
        closed = {name: value.replace(":4566", ":9") for name, value in environment().items()}
        return self.answer(function, event.read_text(), closed)

    def test_every_function_starts_and_answers_a_sample_event(self):
        for function in FUNCTIONS:
            with self.subTest(function):
                kind, body = self.answer_alone(function, events(function)[0])
                self.assertIn(kind, ("response", "error"))
                json.loads(body)

    def test_the_authorizer_refuses_a_placeholder_for_a_token(self):
        kind, body = self.answer_alone("authorizer", ROOT / "events/authorizer/rest-request.json")
        self.assertEqual((kind, json.loads(body)["errorMessage"]), ("error", "Unauthorized"))


@unittest.skipUnless("GATEHOUSE_STACK" in os.environ, "stack.py exec starts a stack to play this against")
class LocalStack(Starts, unittest.TestCase):
    def test_with_the_values_of_a_stack_the_authorizer_decides(self):
        state = json.loads(os.environ["GATEHOUSE_STACK"])
        # As the running stack's state, which `stack.py env` reads.
        script = "import json, os, stack; print(stack.environment(json.loads(os.environ['GATEHOUSE_STACK'])))"
        python = ROOT / ".tools/ministack/bin/python"
        result = subprocess.run([python, "-c", script], cwd=ROOT / "local", capture_output=True, text=True, check=True)
        variables = parsed(result.stdout)
        self.assertGreater(variables.keys(), environment().keys())
        person = client.Person(state, lambda _: None)
        person.sign_up()
        token = person.log_in().access
        sample = (ROOT / "events/authorizer/rest-request.json").read_text().replace("{{ACCESS_TOKEN}}", token)
        kind, body = self.answer("authorizer", sample, variables)
        self.assertEqual(kind, "response", body)
        self.assertEqual(json.loads(body)["policyDocument"]["Statement"][0]["Effect"], "Allow")
        person.log_out(token, {}, 200)
        kind, body = self.answer("authorizer", sample, variables)
        self.assertEqual((kind, json.loads(body)["errorMessage"]), ("error", "Unauthorized"))


if __name__ == "__main__":
    unittest.main()
