"""What is generated: toy's text is that of api/toy/golden, and facts about tables that hold for every library."""
import contextlib
import io
import pathlib
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

import gen
import read
from model import Role, Shape

TABLES = sorted(gen.ROOT.glob("api/*/*.toml"))


class Outputs(unittest.TestCase):
    def test_toy_is_golden(self):
        table = gen.load(gen.ROOT / "api/toy/toy.toml", "api/toy/toy.toml")
        for name, text in gen.generate(table).items():
            with self.subTest(name=name):
                self.assertEqual((gen.golden_folder() / name).read_text(), text)

    def test_golden_has_nothing_else(self):
        names = {p.name for p in gen.golden_folder().iterdir()} - {".clang-format"}
        self.assertEqual(names, set(gen.OUTPUTS))

    def test_a_changed_golden_is_noticed(self):
        table = gen.load(gen.ROOT / "api/toy/toy.toml", "api/toy/toy.toml")
        outputs = gen.generate(table)
        outputs["types.h"] += "\n"
        with contextlib.redirect_stderr(io.StringIO()) as said:
            self.assertEqual(gen.compare_golden(outputs), 1)
        self.assertIn("api/toy/golden/types.h: differs from what is generated now", said.getvalue())

    def test_unchanged_output_is_not_touched(self):
        with tempfile.TemporaryDirectory() as folder:
            arguments = ["--table", str(gen.ROOT / "api/toy/toy.toml"), "--out", folder]
            self.assertEqual(gen.main(arguments), 0)
            path = pathlib.Path(folder) / "toy/calls.h"
            before = path.stat().st_mtime_ns
            self.assertEqual(gen.main(arguments), 0)
            self.assertEqual(path.stat().st_mtime_ns, before)

    def test_a_bad_table_ends_with_1_and_one_line(self):
        with tempfile.NamedTemporaryFile("w", suffix=".toml") as file:
            file.write("[library]\n")
            file.flush()
            with contextlib.redirect_stderr(io.StringIO()) as said:
                self.assertEqual(gen.main(["--table", file.name, "--out", "/nowhere"]), 1)
        self.assertEqual(said.getvalue().count("\n"), 1)

    def test_ids_are_fnv1a(self):
        self.assertEqual(read.fnv1a(""), 0x811C9DC5)
        self.assertEqual(read.fnv1a("a"), 0xE40C292C)
        self.assertEqual(read.fnv1a("foobar"), 0xBF9CF968)


class EveryTable(unittest.TestCase):
    def test_toy_uses_every_feature_of_the_grammar(self):
        table = gen.load(gen.ROOT / "api/toy/toy.toml", "api/toy/toy.toml")
        params = [p for f in table.functions for p in f.params]
        self.assertEqual({p.shape for p in params}, set(Shape))
        self.assertEqual({p.role for p in params}, set(Role))
        self.assertEqual({f.wire for f in table.functions}, {"sync", "async", "local", "refuse"})
        self.assertEqual({f.returns.kind for f in table.functions}, {"status", "handle", "pointer", "value", "void"})
        self.assertEqual({p.direction.value for p in params}, {"in", "out", "inout"})
        for feature in ("custom", "extension", "errors", "door", "reason", "until"):
            self.assertTrue(any(getattr(f, feature) for f in table.functions), feature)
        for feature in ("filled", "query", "charge", "queue", "lengths", "optional"):
            self.assertTrue(any(getattr(p, feature) for p in params), feature)

    def test_what_a_creating_call_makes_has_a_kind(self):
        for path in TABLES:
            for function in gen.load(path, gen.repository_name(path)).functions:
                for thing in [*function.params, function.returns]:
                    if thing.role in (Role.NEW, Role.DROP, Role.HANDLE):
                        self.assertTrue(thing.handle_kind, f"{path}: {function.name}")

    def test_every_allocation_can_be_charged_and_every_exported_row_has_a_version(self):
        for path in TABLES:
            table = gen.load(path, gen.repository_name(path))
            for function in table.functions:
                if table.library.namespace_version and not function.extension:
                    self.assertTrue(function.since, f"{path}: {function.name} says no since")


if __name__ == "__main__":
    unittest.main()
