"""The times that `make run`, `make test` and `make build` print of themselves."""

import os
import time
import unittest
from unittest import mock

import elapsed


class Elapsed(unittest.TestCase):
    def test_words(self):
        for seconds, words in ((0.2, "0 s"), (19.6, "20 s"), (59.7, "1 min 0 s"), (412, "6 min 52 s"), (4000, "66 min 40 s")):
            with self.subTest(seconds):
                self.assertEqual(elapsed.words(seconds), words)

    def test_make_says_when_it_began(self):
        with mock.patch.dict(os.environ, {"GATEHOUSE_BEGAN": str(int(time.time()) - 240)}):
            self.assertIn(elapsed.since(elapsed.began()), ("4 min 0 s", "4 min 1 s"))
        with mock.patch.dict(os.environ):
            os.environ.pop("GATEHOUSE_BEGAN", None)
            self.assertEqual(elapsed.since(elapsed.began()), "0 s")

    def test_processor_time_is_that_of_programs(self):
        with mock.patch("resource.getrusage", return_value=mock.Mock(ru_utime=90.0, ru_stime=2.4)):
            self.assertEqual(elapsed.processor_time(), "1 min 32 s")
