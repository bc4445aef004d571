"""The arithmetic and the judgements of the benchmarks' report (`benches/report`)."""

import json
import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "benches/report"))

import results  # noqa: E402
import text  # noqa: E402


def us(value):
    return {"median": value, "low": value, "high": value, "runs": 1}


class Files(unittest.TestCase):
    def test_results_are_json_with_one_measurement_a_line(self):
        part = {"part": "start", "machine": {"processors": 2}, "results": [{"name": "a"}, {"name": "b", "us": us(1)}]}
        written = results.as_json(part)
        self.assertEqual(json.loads(written), part)
        self.assertIn('\n  {"name": "a"},\n', written)


class Exponents(unittest.TestCase):
    def test_a_power_law_has_its_exponent(self):
        for power in (0, 0.5, 1, 2):
            points = [(size, us(3 * size**power)) for size in (1, 10, 100, 1_000, 10_000)]
            self.assertAlmostEqual(results.exponent(points), power)
            self.assertAlmostEqual(results.exponent(points, least=100), power)

    def test_a_constant_part_weighs_less_in_large_sizes(self):
        points = [(size, us(20 + 0.01 * size)) for size in (1, 10, 100, 1_000, 10_000, 100_000)]
        self.assertLess(results.exponent(points), results.exponent(points, least=1_000))

    def test_two_points_are_no_curve(self):
        self.assertIsNone(results.exponent([(1, us(1)), (10, us(10))]))


class Goals(unittest.TestCase):
    def shown(self, value, bound=("at most", 22), name="instructions", load=0.5):
        goal = (name, bound, lambda _: value, "The certificates take the rest.")
        parts = {"start": {"load": [load, 2.0], "machine": {"processors": 2}}}
        return "\n".join(text.goals(results.Results(parts), "start", [goal]))

    def test_a_goal_that_is_missed_says_so_with_its_cause(self):
        self.assertIn("| instructions | at most 22 | 22.1 | no |", self.shown(22.1))
        self.assertIn("The certificates take the rest.", self.shown(22.1))
        self.assertIn("| no |", self.shown(2.99, ("at least", 3)))

    def test_a_goal_that_is_reached_has_no_cause(self):
        self.assertIn("| yes |", self.shown(22.0))
        self.assertNotIn("certificates", self.shown(21.9))
        self.assertIn("| yes |", self.shown(3, ("at least", 3)))

    def test_a_goal_without_a_measurement_is_not_shown(self):
        self.assertEqual(self.shown(None), "")

    def test_a_ratio_of_times_is_not_judged_on_a_busy_machine(self):
        for value in (1, 30):
            self.assertIn("| not judged", self.shown(value, name="CPU, x", load=2.5))
            self.assertNotIn("| not judged", self.shown(value, name="CPU, x"))
            self.assertNotIn("| not judged", self.shown(value, load=2.5))


class Figures(unittest.TestCase):
    def test_three_digits(self):
        for value, shown in ((0, "0"), (0.012346, "0.0123"), (1.1, "1.10"), (13.94, "13.9"), (20045, "20,045")):
            self.assertEqual(text.number(value), shown)

    def test_what_saturates_first(self):
        for used, first, most in (
            ({"nginx": 0.5, "forward-auth": 1.0}, "forward-auth", "13,333"),
            ({"nginx": 0.9, "wrk": 0.1}, "nginx", "11,111"),
        ):
            shown = text.limit({"used": used, "rate": 10_000}, 2)
            self.assertEqual((shown[0], shown[2]), (first, most))


if __name__ == "__main__":
    unittest.main()
