"""The checks themselves: each finds the fault it is for, names the place, and lets the good case pass."""
import importlib
import pathlib
import subprocess
import sys
import tempfile
import unittest

TOOLS = pathlib.Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TOOLS), str(TOOLS / "lib")]

import cases
import check_docs
import check_layers
import check_libraries
import check_links
import check_sizes
import check_words
import steps


class Project(unittest.TestCase):
    """A tiny project in a temporary folder, with the real tools/layers.toml."""

    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.root = pathlib.Path(self.folder.name)
        self.write("tools/layers.toml", (TOOLS / "layers.toml").read_text())

    def write(self, name, text=""):
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def found(self, check, part):
        """The problems of `check` that speak of `part`."""
        return [problem for problem in importlib.import_module(check).problems(self.root) if part in problem]


class Layers(Project):
    def test_upward_include_is_refused_with_its_line(self):
        self.write("flexai/base/x.h", '#pragma once\n#include "flexai/slice/y.h"\n')
        self.write("flexai/slice/y.h", '#include "flexai/base/x.h"\n')
        self.assertEqual(self.found("check_layers", "flexai/"),
                         ["flexai/base/x.h:2: includes flexai/slice/y.h: flexai/base may use nothing of ours"])

    def test_peers_never_see_each_other(self):
        self.write("flexai/slice/x.h", '#include "flexai/remote/wire/y.h"\n')
        self.assertEqual(len(self.found("check_layers", "flexai/slice/x.h:1")), 1)

    def test_backend_does_not_see_another_or_its_table(self):
        self.write("api/one/one.toml")
        self.write("api/two/two.toml")
        self.write("flexai/backend/one/x.cpp", '#include "one/calls.h"\n#include "two/calls.h"\n#include "flexai/backend/two/y.h"\n')
        lines = [problem.split(" ")[0] for problem in self.found("check_layers", "flexai/backend")]
        self.assertEqual(lines, ["flexai/backend/one/x.cpp:2:", "flexai/backend/one/x.cpp:3:"])

    def test_heavy_library_in_user_process_is_refused_but_not_in_tests(self):
        self.write("flexai/slice/x.cpp", "#include <nlohmann/json.hpp>\n")
        self.write("flexai/slice/x_test.cpp", "#include <nlohmann/json.hpp>\n")
        self.assertEqual(len(self.found("check_layers", "nlohmann")), 1)

    def test_pure_code_has_no_clock(self):
        self.write("flexai/slice/arbiter.cpp", "#include <chrono>\n")
        self.write("flexai/slice/ledger.cpp", "#include <chrono>\n")
        self.assertEqual([problem.split(":")[0] for problem in self.found("check_layers", "chrono")], ["flexai/slice/arbiter.cpp"])

    def test_unknown_folder_needs_a_floor(self):
        self.write("flexai/attic/x.h")
        self.assertEqual(len(self.found("check_layers", "has no floor")), 1)

    def test_floors_themselves_go_down(self):
        rules = {"a": {"floor": 1, "uses": ["b"]}, "b": {"floor": 1, "uses": []}}
        self.assertEqual(len(list(check_layers.check_rules(rules))), 1)


class Words(Project):
    def test_vendor_outside_its_place(self):
        self.write("flexai/slice/x.h", "// as cuMemAlloc does\n// the CUDA context\nint opencl_size; int kCudaSize; int ship; int scanned;\n")
        self.assertEqual([problem.split(":")[1] for problem in self.found("check_words", "flexai/slice")], ["2", "3"])

    def test_vendor_in_its_backend(self):
        self.write("flexai/backend/opencl/x.h", "// OpenCL\n")
        self.assertEqual(self.found("check_words", "flexai/"), [])


class Sizes(Project):
    def test_long_file_needs_a_reason(self):
        self.write("flexai/a.cpp", "int x;\n" * 501)
        self.write("flexai/b.cpp", "// Longer than 500 lines because it is one table.\n" + "int x;\n" * 501)
        self.write("flexai/c.cpp", "int x;\n" * 500)
        self.assertEqual([problem.split(":")[0] for problem in self.found("check_sizes", "lines, 500")], ["flexai/a.cpp"])

    def test_long_function(self):
        self.write("flexai/a.cpp", "void F() {\n" + "  x();\n" * 59 + "}\nint G(int a) {\n" + "  x();\n" * 58 + "}\n")
        self.assertEqual(self.found("check_sizes", "a function"), ["flexai/a.cpp:1: a function of 61 lines, 60 are allowed"])

    def test_sleep_in_test(self):
        self.write("flexai/a_test.cpp", 'usleep(3);\nusleep(3);  // poll\n// usleep(3);\nf("sleep(1)");\n')
        self.write("flexai/a.cpp", "usleep(3);\n")
        self.write("tests/bench/a.cpp", "usleep(3);\n")
        self.assertEqual([problem.split(": ")[0] for problem in self.found("check_sizes", "sleeps")], ["flexai/a_test.cpp:1"])

    def test_folder_without_readme_and_long_readme(self):
        self.write("flexai/base/x.h")
        self.write("flexai/model/x.h")
        self.write("flexai/model/README.md", "x\n" * 61)
        self.assertEqual(len(self.found("check_sizes", "flexai/base: has no README")), 1)
        self.assertEqual(len(self.found("check_sizes", "flexai/model/README.md: more than 60")), 1)


class Links(Project):
    def test_broken_link_and_anchor(self):
        self.write("docs/a.md", "[x](b.md) [y](b.md#two-words) [z](b.md#none) [q](c.md) [web](https://example.org/)\n`[s](t.md)`\n")
        self.write("docs/b.md", "# Two words\n")
        self.assertEqual(self.found("check_links", "link to"), ["docs/a.md:1: link to b.md#none: the page has no such heading",
                                                               "docs/a.md:1: link to c.md: no such file"])

    def test_named_files_and_symbols_exist(self):
        self.write("flexai/slice/ledger.cpp", "Status Ledger::Reserve(Bytes bytes) {}\n")
        self.write("ARCHITECTURE.md", "`flexai/slice/ledger.cpp` `Ledger::Reserve`\n`flexai/slice/ledger.cpp` `Ledger::Release`\n"
                                      "`flexai/slice/none.cpp`\n`flexai/slice/ledger.cpp` decides, says `Somebody`\n```\n`flexai/x.h`\n```\n")
        self.assertEqual(self.found("check_links", "ARCHITECTURE"), [
            "ARCHITECTURE.md:2: names Ledger::Release in flexai/slice/ledger.cpp, which has no such word",
            "ARCHITECTURE.md:3: names flexai/slice/none.cpp, which does not exist"])


class Docs(unittest.TestCase):
    def run_page(self, text):
        return subprocess.run(["bash", "-c", check_docs.script("p.md", text)], capture_output=True, text=True)

    def test_only_marked_blocks_run_and_prompts_are_left_out(self):
        ran = self.run_page("```sh\nexit 9\n```\n<!-- run -->\n```sh\n$ echo hello\nsome output\n```\n")
        self.assertEqual((ran.returncode, ran.stdout), (0, "hello\n"))

    def test_failure_names_the_line(self):
        ran = self.run_page("a\n<!-- run -->\n```sh\nfalse\ntrue\n```\n")
        self.assertEqual((ran.returncode, ran.stdout), (1, "p.md:3: status 1, expected 0\n"))

    def test_expected_status(self):
        self.assertEqual(self.run_page("<!-- run exit=75 -->\n```sh\n(exit 75)\n```\n").returncode, 0)


class Libraries(unittest.TestCase):
    SOURCE = 'extern "C" __attribute__((visibility("default"))) int flexai_ok() { return 1; }\n'

    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.root = pathlib.Path(self.folder.name)
        self.map = self.root / "x.map"
        self.map.write_text("FLEXAI_1 { global: flexai_ok; local: *; };\n")

    def problems(self, source, *options, glibc=None):
        (self.root / "x.cpp").write_text(source)
        library = self.root / "libx.so"
        subprocess.run(["g++", "-shared", "-fPIC", "-O1", str(self.root / "x.cpp"), "-o", str(library), "-static-libstdc++",
                        "-static-libgcc", *(options or [f"-Wl,--version-script={self.map}"])], check=True)
        return list(check_libraries.check_library(library, self.map, glibc)) + list(check_libraries.check_loading(library))

    def test_good_library(self):
        self.assertEqual(self.problems(self.SOURCE), [])

    def test_stdout_and_exit(self):
        found = self.problems("#include <stdio.h>\n#include <stdlib.h>\n" + self.SOURCE.replace("return 1", 'printf("%d", 1); exit(0)'))
        self.assertEqual([problem.split(":")[0] for problem in found], ["calls exit", "calls printf"])

    def test_export_of_too_much_and_too_little(self):
        found = self.problems("int Surplus() { return 2; }\n", "-Wl,--no-undefined")
        self.assertIn("exports the C++ symbol _Z7Surplusv", found)
        self.assertIn("does not export flexai_ok, which is in x.map", found)

    def test_needed_library(self):
        found = self.problems(self.SOURCE, f"-Wl,--version-script={self.map}", "-Wl,--no-as-needed", "-lresolv")
        self.assertEqual(len([problem for problem in found if problem.startswith("needs libresolv")]), 1)

    def test_young_symbol(self):
        source = "#include <stdlib.h>\n" + self.SOURCE.replace("return 1", "return system(0)")
        self.assertIn("needs system", [problem.split(" of ")[0] for problem in self.problems(source, glibc=(2, 1))])
        self.assertEqual(self.problems(source, glibc=(99,)), [])

    def test_constructor_that_opens_a_file(self):
        found = self.problems('#include <fcntl.h>\nstatic int x = open("/dev/null", 0);\n' + self.SOURCE)
        self.assertEqual(found, ["loading it opens or closes files"])


class Scripts(Project):
    def test_shell_scripts_parse(self):
        for script in ("bootstrap", "demo", "test", "new_adr", "lib/steps.sh", "../.ci/run"):
            ran = subprocess.run(["bash", "-n", str(TOOLS / script)], capture_output=True, text=True)
            self.assertEqual((ran.returncode, ran.stderr), (0, ""), script)

    def new_adr(self, *words):
        return subprocess.run([str(TOOLS / "new_adr"), *words], capture_output=True, text=True,
                              env={"FLEXAI_ROOT": str(self.root), "PATH": "/usr/bin:/bin"})

    def test_next_decision_page_and_its_line(self):
        self.write("docs/adr/README.md", "| [0041](0041-a.md) | A |\n")
        self.write("docs/adr/0041-a.md", "# 0041 A\n")
        self.assertEqual(self.new_adr("Two Words, of C++").stdout, "docs/adr/0042-two-words-of-c.md\n")
        self.assertIn("| [0042](0042-two-words-of-c.md) | Two Words, of C++ |", (self.root / "docs/adr/README.md").read_text())
        self.assertEqual(self.found("check_links", "docs/adr/README.md"), [])

    def test_decision_needs_a_title(self):
        self.assertEqual([self.new_adr(*words).returncode for words in ((), ("",), ("--help",), ("a", "b"))], [2, 2, 2, 2])

    def test_new_backend_refuses_names_that_cannot_be(self):
        for words in (["Big"], ["a-b"], ["x", "--soname", "x.dll"], []):
            ran = subprocess.run([str(TOOLS / "new_backend"), *words, "--root", str(self.root)], capture_output=True)
            self.assertEqual(ran.returncode, 2, words)

    def test_bootstrap_names_its_targets(self):
        ran = subprocess.run([str(TOOLS / "bootstrap"), "everything"], capture_output=True, text=True)
        self.assertEqual(ran.returncode, 1)
        self.assertIn("say build, demo, test or compat", ran.stderr)


class Counting(unittest.TestCase):
    def test_cases_of_programs(self):
        with tempfile.TemporaryDirectory() as folder:
            seen = cases.Cases(folder + "/r")
            self.assertEqual(seen.count(), (0, 1, 0))  # ctest wrote nothing: that is a failure
            (seen.folder / "ctest.junit").write_text(
                '<testsuite><testcase name="a" status="run"/><testcase name="b" status="fail"/><testcase name="c" status="run"/></testsuite>')
            (seen.folder / "a.xml").write_text('<testsuites tests="5" failures="0" errors="0" disabled="1"><testcase><skipped/></testcase></testsuites>')
            (seen.folder / "b.xml").write_text('<testsuites tests="4" failures="0" errors="0" disabled="0"/>')
            self.assertEqual(seen.count(), (3 + 4 + 1, 1, 2))

    def test_failed_step_fails_the_run_and_skips_what_needs_it(self):
        run = steps.Steps("test-steps")
        run.say = lambda *_: None
        run.run("good", ["true"])
        run.run("after", ["true"], needs=("bad",))
        self.assertEqual((run.passed, run.failed, run.results["after"]), (1, 1, "skipped"))
        self.assertEqual(run.finish(), 1)


if __name__ == "__main__":
    unittest.main()
