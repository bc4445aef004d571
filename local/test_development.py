"""Tests that every function starts with local/functions.env, as `cargo lambda watch` starts it, and answers."""

import json
import os
import pathlib
import re
import subprocess
import tomllib
import unittest

import client
from invoked import BINARIES, invoked

ROOT = pathlib.Path(__file__).resolve().parent.parent
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


@unittest.skipUnless(BINARIES.exists(), "local/prepare builds the functions")
class Functions(unittest.TestCase):
    def answer_alone(self, function, event):
        # A port at which nothing listens, whether or not `make run` runs.
        closed = {name: value.replace(":4566", ":9") for name, value in environment().items()}
        return invoked(function, event.read_text(), closed)[:2]

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
class LocalStack(unittest.TestCase):
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
        kind, body, _ = invoked("authorizer", sample, variables)
        self.assertEqual(kind, "response", body)
        self.assertEqual(json.loads(body)["policyDocument"]["Statement"][0]["Effect"], "Allow")
        person.log_out(token, {}, 200)
        kind, body, _ = invoked("authorizer", sample, variables)
        self.assertEqual((kind, json.loads(body)["errorMessage"]), ("error", "Unauthorized"))


if __name__ == "__main__":
    unittest.main()
