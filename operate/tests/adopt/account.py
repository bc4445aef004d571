"""Runs the command against the account in memory."""

import contextlib
import copy
import io
import pathlib
import tempfile
import unittest
from unittest import mock

from gatehouse_operate.adopt import cli

from . import fake


class Account(unittest.TestCase):
    """A pool with three foreign triggers, two REST APIs and an HTTP API, and the deployed stack."""

    def setUp(self):
        self.aws = fake.Fake()
        # No test loses power.
        self.enterContext(mock.patch("os.fsync"))
        self.enterContext(mock.patch("time.sleep"))
        self.aws.add_rest_api(
            "shop", {"GET /orders": [], "POST /orders": ["orders/all", "orders/write"]}, ("prod", "test")
        )
        self.aws.rest["shop"]["routes"]["GET /health"] = {"httpMethod": "GET", "authorizationType": "NONE"}
        self.aws.rest["shop"]["snapshots"] = {
            key: copy.deepcopy(self.aws.rest["shop"]["routes"]) for key in self.aws.rest["shop"]["snapshots"]
        }
        routes = {"GET /stock": ["stock/read"], "ANY /files/{proxy+}": [], "GET /open": None}
        self.aws.add_http_api("store", routes, (("$default", True), ("fixed", False)))
        self.aws.today = None
        self.folder = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory())) / "adopt"

    def run_command(self, *arguments, expect=0):
        """The command's output and errors."""
        written = io.StringIO()
        with contextlib.redirect_stdout(written), contextlib.redirect_stderr(written):
            with mock.patch.object(cli, "Aws", lambda *_: self.aws):
                status = cli.main([arguments[0], "--dir", str(self.folder), *arguments[1:]])
        self.assertEqual(status, expect, written.getvalue())
        return written.getvalue()

    def plan(self, *arguments, expect=0):
        if "--trigger" not in arguments:
            arguments += ("--trigger", "PostConfirmation")
        return self.run_command("plan", "--user-pool", fake.POOL_ID, "--stack", "gatehouse", *arguments, expect=expect)

    def apply(self, *arguments, expect=0):
        return self.run_command("apply", "--yes", "--settle", "0", "--confirm", self.asked(), *arguments, expect=expect)

    def undo(self, *arguments, expect=0):
        return self.run_command("undo", "--yes", "--settle", "0", *arguments, expect=expect)

    def asked(self):
        """Every finding that apply asks to confirm."""
        return ",".join(one["id"] for one in self.planned()["needs"] if one["level"] == "confirm")

    def planned(self):
        return cli.json.loads((self.folder / "plan.json").read_text())

    def assert_applied(self):
        """Every route of the pool's authorizers is served by Gatehouse's, and the trigger is attached."""
        for stage in self.aws.rest["shop"]["stages"].values():
            served = self.aws.rest["shop"]["snapshots"][stage["deploymentId"]]
            kinds = {route: one["authorizationType"] for route, one in served.items()}
            self.assertEqual(kinds, {"GET /orders": "CUSTOM", "POST /orders": "CUSTOM", "GET /health": "NONE"})
        kinds = {one["RouteKey"]: one["AuthorizationType"] for one in self.aws.http["store"]["routes"].values()}
        self.assertEqual(kinds, {"GET /stock": "CUSTOM", "ANY /files/{proxy+}": "CUSTOM", "GET /open": "NONE"})
        (fixed,) = [one for one in self.aws.http["store"]["stages"].values() if not one["AutoDeploy"]]
        served = self.aws.http["store"]["snapshots"][fixed["DeploymentId"]]
        self.assertEqual({one["AuthorizationType"] for one in served.values()}, {"CUSTOM", "NONE"})
        self.assertIn("PostConfirmation", self.aws.pool["LambdaConfig"])
