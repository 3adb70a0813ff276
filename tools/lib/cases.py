"""Counts the cases of a ctest run: GoogleTest writes one XML per program, ctest one line per program."""
import pathlib
import re
import shutil
import xml.etree.ElementTree as xml


class Cases:
    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)

    def environment(self):
        return {"GTEST_OUTPUT": f"xml:{self.folder}/", "CTEST_OUTPUT_ON_FAILURE": "1"}

    def ctest_options(self):
        return ["--output-junit", str(self.folder / "ctest.junit")]

    def count(self, _ok=None):
        """(passed, failed, skipped) over all programs; a program without an XML of its own is one case."""
        passed = failed = skipped = 0
        junit = self.folder / "ctest.junit"
        if not junit.exists():
            return 0, 1, 0
        for program in xml.parse(junit).getroot().iter("testcase"):
            ok = program.get("status") == "run"
            own = self.folder / (program.get("name") + ".xml")
            if program.get("status") in ("notrun", "disabled") or program.find("skipped") is not None:
                skipped += 1
            elif own.exists() and (root := xml.parse(own).getroot()).get("tests") is not None:
                bad = int(root.get("failures", 0)) + int(root.get("errors", 0))
                left_out = len(list(root.iter("skipped"))) + int(root.get("disabled", 0))
                passed += int(root.get("tests")) - bad - left_out
                skipped += left_out
                failed += bad if ok else max(1, bad)
            else:
                passed, failed = passed + int(ok), failed + int(not ok)
        return passed, failed, skipped


def unittest_count(log):
    """(passed, failed, skipped) from the end of a Python unittest log."""
    text = pathlib.Path(log).read_text(errors="replace")
    ran = re.findall(r"^Ran (\d+) tests?", text, re.MULTILINE)
    bad = sum(int(number) for number in re.findall(r"(?:failures|errors)=(\d+)", text))
    left_out = sum(int(number) for number in re.findall(r"skipped=(\d+)", text))
    total = sum(map(int, ran))
    return total - bad - left_out, bad, left_out
