"""Tests of local/checkov.py: it accepts explained findings only."""

import importlib.util
import unittest

import stack

SPEC = importlib.util.spec_from_file_location("checkov_judge", stack.ROOT / "local" / "checkov.py")
CHECKOV = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(CHECKOV)
QUEUE = ("CKV_AWS_27", "RetryQueue", "is encrypted")


class Judge(unittest.TestCase):
    def judged(self, exceptions, *found):
        return list(CHECKOV.judge(exceptions, found))

    def test_explained_finding(self):
        self.assertEqual([], self.judged({"CKV_AWS_27": {"resources": ["*Queue"], "reason": "why"}}, QUEUE))

    def test_finding_without_an_exception(self):
        self.assertEqual(["RetryQueue: CKV_AWS_27 is encrypted"], self.judged({}, QUEUE))

    def test_finding_on_another_resource(self):
        exceptions = {"CKV_AWS_27": {"resources": ["RetryQueue"], "reason": "why"}}
        other = ("CKV_AWS_27", "OtherQueue", "is encrypted")
        self.assertEqual(["OtherQueue: CKV_AWS_27 is encrypted"], self.judged(exceptions, QUEUE, other))

    def test_exception_that_nothing_needs(self):
        exceptions = {"CKV_AWS_27": {"resources": ["RetryQueue", "Gone*"], "reason": "why"}}
        wrong = ["local/checkov.yaml: CKV_AWS_27 no longer finds Gone*; remove it"]
        self.assertEqual(wrong, self.judged(exceptions, QUEUE))

    def test_exception_without_a_reason(self):
        exceptions = {"CKV_AWS_27": {"resources": ["RetryQueue"], "reason": " "}}
        self.assertEqual(["local/checkov.yaml: CKV_AWS_27 has no reason"], self.judged(exceptions, QUEUE))


if __name__ == "__main__":
    unittest.main()
