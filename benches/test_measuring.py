"""What the scripts make of what they measured. Run by `tests/it/benches.rs`, or `python3 -m unittest discover benches`."""

import json
import pathlib
import tempfile
import unittest

import goals
import instructions
import report
import run


def rows(tool, walls, **about):
    key = {"case": "noop", "kind": "apps", "n": 1_000, "models": 1, "latency": 20, "tool": tool}
    cost = {"user": 0.01, "system": 0.0, "peak": 20_000_000, "calls": 3, "bytes": 1_000}
    return [key | cost | {"run": index, "wall": wall} | about for index, wall in enumerate(walls)]


class Instructions(unittest.TestCase):
    def test_more_than_the_margin_fails(self):
        baseline = {"load": 1_000_000, "plan": 2_000_000}
        for counts, expected in (
            ({"load": 1_000_000, "plan": 2_000_000}, True),
            ({"load": 1_049_000, "plan": 1_000_000}, True),
            ({"load": 1_051_000, "plan": 1_000_000}, False),
            ({"load": 1_000_000}, False),
            ({"load": 1_000_000, "plan": 2_000_000, "apply": 1}, False),
        ):
            with self.subTest(counts=counts):
                lines, is_fine = instructions.compare(baseline, counts)
                self.assertEqual(is_fine, expected, lines)
                self.assertEqual(any(line.startswith("FAILED") for line in lines), not expected)

    def test_the_baseline_has_every_count(self):
        baseline = json.loads(instructions.BASELINE.read_text())
        self.assertEqual(list(baseline["instructions"]), list(instructions.COUNTS))


class Goals(unittest.TestCase):
    def test_a_goal_is_beside_the_floor_and_loading(self):
        for wall, expected in ((0.079, True), (0.081, False)):
            table = run.medians(rows("floor", [0.05]) + rows("validate", [0.02]) + rows("reconcile", [wall, wall, 9.0]))
            found = list(goals.goals(table))
            self.assertEqual([is_met for *_, is_met in found], [True, expected], found)

    def test_a_plan_may_ask_for_one_thing_more_than_the_floor(self):
        for calls, expected in ((4, True), (5, False)):
            found = list(goals.goals(run.medians(rows("floor", [0.05]) + rows("reconcile", [0.06], calls=calls))))
            self.assertEqual([is_met for *_, is_met in found], [expected], found)

    def test_what_was_not_measured_has_no_goal(self):
        self.assertEqual(list(goals.goals({})), [])


class Results(unittest.TestCase):
    def test_cases_that_the_same_program_ran_before_are_kept(self):
        with tempfile.TemporaryDirectory() as directory:
            path = pathlib.Path(directory, "results.json")
            for program, walls, case, expected in (
                ("a", [1.0], "noop", [1.0]),
                ("a", [2.0], "percent", [1.0, 2.0]),
                ("a", [3.0, 4.0], "noop", [3.0, 4.0, 2.0]),
                ("b", [5.0], "percent", [5.0]),
            ):
                run.write(path, {"program": program}, rows("reconcile", walls, case=case))
                self.assertEqual([row["wall"] for row in json.loads(path.read_text())["runs"]], expected)


class Report(unittest.TestCase):
    def test_the_page_and_the_plots_belong_to_the_results(self):
        for path, text in report.made(json.loads(report.RESULTS.read_text())).items():
            self.assertEqual(path.read_text(), text, f"{path}: run benches/report.py")

    def test_the_table_has_the_ratio_to_floor_and_loading(self):
        table = run.medians(rows("floor", [0.05]) + rows("validate", [0.03]) + rows("reconcile", [0.16]))
        self.assertIn("| 2.0 | 10 µs | 20 MB |", report.against_floor(table)[2])

    def test_a_peer_that_is_not_there_is_named(self):
        text = "\n".join(report.peers(run.medians(rows("reconcile", [0.1]) + rows("ansible", [2.0]))))
        self.assertIn("| Ansible | 2.000 | 0.01 s | 3 | 20 MB | 20 × |", text)
        self.assertTrue(text.endswith("Not measured, because not installed on that machine: Python client, OpenTofu."), text)

    def test_a_plot_puts_ten_times_as_much_a_decade_higher(self):
        axis = report.Axis([10, 1_000], 0, 200)
        self.assertEqual([axis.at(value) for value in axis.ticks()], [0, 100, 200])


if __name__ == "__main__":
    unittest.main()
