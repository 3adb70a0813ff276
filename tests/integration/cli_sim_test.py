"""`flexai sim openb` as people meet it: results of small lists, packed or not, and rows that cannot be used."""
import gzip
import json
import os
import pathlib
import pty
import re
import subprocess
import tempfile
import unittest
from xml.etree import ElementTree

FLEXAI = os.environ.get("FLEXAI_PROGRAM") or "build/release/bin/flexai"
REFERENCE = pathlib.Path(__file__).resolve().parents[2] / "docs/reference"
DEADLINE_S = 60
NODES = "sn,cpu_milli,memory_mib,gpu,model\n" + "".join(f"n{i:02},64000,262144,{2 + i % 3 * 3},M{i % 2}\n" for i in range(40))
PODS = "name,cpu_milli,memory_mib,num_gpu,gpu_milli,gpu_spec\n" + "".join(
    f"p{i:03},{1000 + i % 7 * 1500},4096,{0 if i % 9 == 0 else 1 + i % 30 // 29},{1000 if i % 30 == 29 else 250 + i % 4 * 250},"
    f"{'M1' if i % 11 == 0 else ''}\n" for i in range(200))


class Sim(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.nodes, self.pods = self.lists(folder.name, NODES, PODS)

    def lists(self, folder, nodes, pods):
        paths = pathlib.Path(folder) / "nodes.csv", pathlib.Path(folder) / "pods.csv"
        paths[0].write_text(nodes)
        paths[1].write_text(pods)
        return map(str, paths)

    def sim(self, *words, nodes=None, pods=None):
        return subprocess.run([FLEXAI, "sim", "openb", "--nodes", nodes or self.nodes, "--pods", pods or self.pods, *words],
                              capture_output=True, text=True, timeout=DEADLINE_S, stdin=subprocess.DEVNULL)

    def test_json_has_its_fields(self):
        done = self.sim("--policy", "fgd", "--seeds", "42-44", "-o", "json")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        found = json.loads(done.stdout)
        self.assertEqual(set(found), {"policy", "seeds", "decisions_per_second", "moves", "remote_pods", "at_arrival"})
        self.assertEqual((found["policy"], found["seeds"]), ("fgd", [42, 43, 44]))
        self.assertEqual(list(found["at_arrival"]), ["1.00", "1.30"])
        for at in found["at_arrival"].values():
            self.assertEqual(set(at), {"allocated_ratio", "fragmented_ratio"})
            self.assertEqual(set(at["allocated_ratio"]), {"mean", "stddev"})
            self.assertTrue(0.5 < at["allocated_ratio"]["mean"] <= 1, at)
        page = (REFERENCE / "json-fields.md").read_text()
        for name in [*found, "allocated_ratio", "fragmented_ratio", "mean", "stddev", "policies"]:
            self.assertIn(f"`{name}`", page)

    def test_remote_uses_cards_without_cpu(self):
        with tempfile.TemporaryDirectory() as folder:
            nodes, pods = self.lists(folder, NODES.split("\n")[0] + "\ncards,3000,4096,4,M\ncpu,64000,65536,0,none\n",
                                     "name,cpu_milli,memory_mib,num_gpu,gpu_milli\np,8000,1024,1,1000\n")
            found = [json.loads(self.sim("--seeds", "1", "--arrival", "1", "-o", "json", *words, nodes=nodes, pods=pods).stdout)
                     for words in ([], ["--remote"])]
        self.assertEqual([run["remote_pods"] for run in found], [0, 4])
        self.assertEqual([run["at_arrival"]["1.00"]["allocated_ratio"]["mean"] for run in found], [0, 1])

    def test_all_policies_twice_the_same(self):
        runs = [json.loads(self.sim("--policy", "all", "--seeds", "1,2", "-o", "json").stdout)["policies"] for _ in range(2)]
        for run in runs:
            self.assertEqual([policy["policy"] for policy in run],
                             ["flexai", "fgd", "bestfit", "packing", "clustering", "dotprod", "random"])
            for policy in run:
                policy.pop("decisions_per_second")
        self.assertEqual(*runs)

    def test_table(self):
        done = self.sim("--policy", "bestfit", "--seeds", "42", "--arrival", "0.5")
        self.assertRegex(done.stdout, r"\APOLICY +ARRIVED +ALLOCATED .*\nbestfit +50 % +\d+\.\d\d % +0\.00 .*\n\Z")

    def test_packed_files_read_the_same(self):
        packed = self.pods + ".gz"
        pathlib.Path(packed).write_bytes(gzip.compress(PODS.encode()))
        plain = self.sim("--seeds", "42", "-o", "json").stdout
        without_speed = [re.sub(r'"decisions_per_second".*', "", text)
                         for text in (plain, self.sim("--seeds", "42", "-o", "json", pods=packed).stdout)]
        self.assertEqual(*without_speed)

    def test_bad_rows_are_named_and_skipped_only_on_demand(self):
        lines = PODS.splitlines()
        lines[3] = "p002,many,1,1,1000,"
        lines[5] = "p004"
        pathlib.Path(self.pods).write_text("\n".join(lines))
        done = self.sim("--seeds", "1")
        self.assertEqual((done.returncode, done.stdout), (1, ""))
        self.assertEqual(done.stderr, f"flexai: {self.pods}:4: cpu_milli 'many' is not a whole number (and 1 more bad rows); "
                                      "mend it, or leave such rows out with --skip-bad\n")
        done = self.sim("--seeds", "1", "--skip-bad")
        self.assertEqual(done.returncode, 0)
        self.assertEqual(done.stderr, f"flexai: skipped {self.pods}:4: cpu_milli 'many' is not a whole number\n"
                                      f"flexai: skipped {self.pods}:6: 1 columns instead of 6\n")

    def test_refusals_say_what_to_do(self):
        for words, code, part in ((["--policy", "best"], 125, "no policy 'best'"), (["--seeds", "x"], 125, "seeds 'x'"),
                                  (["--arrival", "0"], 125, "arrival '0'"), (["--moves", "x"], 125, "moves 'x'"), (["-o", "xml"], 125, "xml"),
                                  (["--pods", "/nonexistent/list"], 1, "/nonexistent/list"), (["--pods", "/"], 1, "directory"),
                                  (["--pods", self.nodes], 1, "has no column name")):
            with self.subTest(words):
                done = self.sim(*words)
                self.assertEqual((done.returncode, done.stdout), (code, ""))
                self.assertRegex(done.stderr, r"\Aflexai: [^\n]+; [^\n]+\n\Z")
                self.assertIn(part, done.stderr)
        for words in (["sim", "philly"], ["sim", "helios"], ["sim", "openb"], ["sim"]):
            with self.subTest(words):
                done = subprocess.run([FLEXAI, *words], capture_output=True, text=True, timeout=DEADLINE_S)
                self.assertEqual(done.returncode, 125)
                self.assertRegex(done.stderr, r"\Aflexai: [^\n]+; [^\n]+\n\Z")

    def test_plots(self):
        picture = pathlib.Path(self.nodes).parent / "fill.svg"
        told = self.sim("--policy", "all", "--seeds", "1-2", "-o", "json").stdout
        drawn = self.sim("--policy", "all", "--seeds", "1-2", "-o", "json", "--plot", picture)
        without_speed = [re.sub(r'"decisions_per_second".*', "", text) for text in (told, drawn.stdout)]
        self.assertEqual(*without_speed)
        self.assertEqual(self.curves(picture), [84] * 14)  # seven policies in two fields; every 64th, and 1.3
        jobs = "timestamp,duration,num_gpus,cluster\n2017-10-02 00:00:00,172800,1,6214e9\n"
        self.assertEqual(self.philly(jobs, "--plot", picture)[1].returncode, 0)
        self.assertEqual(self.curves(picture), [9])  # two days, every six hours
        self.assertIn("cannot write", self.philly(jobs, "--plot", "/nonexistent/a.svg")[1].stderr)

    def curves(self, picture):
        lines = [node for node in ElementTree.parse(picture).iter() if node.tag.endswith("polyline")]
        return [len(line.get("points").split()) for line in lines]

    def philly(self, text, *words):
        jobs = pathlib.Path(self.nodes).parent / "jobs.csv.gz"
        jobs.write_bytes(gzip.compress(text.encode()))
        return jobs, subprocess.run([FLEXAI, "sim", "philly", "--jobs", jobs, *words], capture_output=True, text=True,
                                    timeout=DEADLINE_S, stdin=subprocess.DEVNULL)

    def test_philly(self):
        rows = [f"2017-10-02 {i // 60:02}:{i % 60:02}:00,{(i % 9 + 1) ** 4}.0,{1 << i % 5},x,6214e9" for i in range(200)]
        text = "timestamp,duration,num_gpus,gpu_time,cluster\n" + "\n".join(rows) + "\n"
        done = self.philly(text, "--scale", "0.05", "--policy", "all", "-o", "json")[1]
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        found = {one["policy"]: one for one in json.loads(done.stdout)["policies"]}
        self.assertEqual(list(found), ["flexai", "fifo", "fifo-skip", "sjf", "srtf", "backfill"])
        page = (REFERENCE / "json-fields.md").read_text()
        for one in found.values():
            self.assertEqual((one["jobs"], one["jobs_refused"], one["jobs_outside"], one["scale"]), (200, 0, 0, 0.05))
            for name in one:
                self.assertIn(f"`{name}`", page)
        self.assertEqual(found["flexai"]["late_heads"], 0)
        self.assertLess(found["flexai"]["mean_queue_seconds"], found["fifo"]["mean_queue_seconds"])
        self.assertLess(found["srtf"]["mean_queue_seconds"], found["sjf"]["mean_queue_seconds"])
        self.assertRegex(self.philly(text)[1].stdout, r"\APOLICY .*\nflexai +200 +\d+ .*\n\Z")

    def test_philly_refuses_what_it_cannot_use(self):
        text = "timestamp,duration,num_gpus,gpu_time,cluster\n2017-10-02 00:00:00,5,1,5,6214e9\nnever,5,1,5,6214e9\n"
        jobs, done = self.philly(text)
        self.assertEqual((done.returncode, done.stderr),
                         (1, f"flexai: {jobs}:3: timestamp 'never' is no time as 2017-10-01 07:01:55; "
                             "mend it, or leave such rows out with --skip-bad\n"))
        jobs, done = self.philly(text, "--skip-bad", "-o", "json")
        self.assertEqual(json.loads(done.stdout)["jobs"], 1)
        self.assertIn(f"skipped {jobs}:3", done.stderr)
        for words, code, part in ((["--policy", "best"], 125, "no policy 'best'"), (["--scale", "0"], 1, "scale '0'"),
                                  (["--from", "x"], 1, "'x' is no time"), (["--from", "2018-01-01", "--until", "2018-02-01", "--skip-bad"], 1, "no job")):
            with self.subTest(words):
                done = self.philly(text, *words)[1]
                self.assertEqual((done.returncode, done.stdout), (code, ""))
                self.assertIn(part, done.stderr)

    def test_a_terminal_sees_progress(self):
        ours, theirs = pty.openpty()
        done = subprocess.run([FLEXAI, "sim", "openb", "--nodes", self.nodes, "--pods", self.pods, "--seeds", "42-43"],
                              stdout=subprocess.PIPE, stderr=theirs, timeout=DEADLINE_S)
        os.close(theirs)
        shown = os.read(ours, 65536).decode()
        os.close(ours)
        self.assertEqual(done.returncode, 0)
        self.assertIn("flexai: seed 43, 2 of 2", shown)
        self.assertTrue(shown.endswith("\r\033[K"), repr(shown))


if __name__ == "__main__":
    unittest.main()
