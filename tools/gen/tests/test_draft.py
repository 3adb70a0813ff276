"""What the drafting tool reads from headers and rules, and what the parity test leaves out."""
import pathlib
import sys
import tempfile
import tomllib
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

import draft
import emit_parity
import gen

RULES = """
table = '''
[library]
name = "bits"
soname = "libbits.so.1"
result = "bStatus"
headers = ["bits.h"]
versioned_headers = true
[library.errors]
ok = "B_OK"
resource_exhausted = "B_MEMORY"
unimplemented = "B_MEMORY"
internal = "B_MEMORY"
'''
[headers]
file = "bits.h"
functions = "b[A-Z]"
result = "bStatus"
source = "Manual"
[constants]
B_OK = 0
B_MEMORY = 2
[[rule]]
match = "bMake"
event = "memory.alloc"
notes = { thing = "new", size = "charge(bytes)" }
"""
OLD = """
#include <stddef.h>
typedef enum b_status { B_OK = 0, B_MEMORY = 2 } bStatus;
typedef struct thing_st* bThing;
typedef struct { int width; char name[8]; } bPlain;
typedef struct { union { int a; double b; } u; } bUnion;
bStatus bMake(bThing* thing, size_t size);
bStatus bLook(bThing thing, const bPlain* plain, bUnion* out);
bStatus bGone(void);
"""
NEW = OLD.replace("bStatus bGone(void);", "bStatus bMake_v2(bThing* thing, size_t size, int result);")


class Draft(unittest.TestCase):
    def setUp(self):
        with tempfile.TemporaryDirectory() as folder:
            rules, headers = tomllib.loads(RULES), []
            for version, text in (("1.0", OLD), ("2.0", NEW)):
                place = pathlib.Path(folder) / version
                place.mkdir()
                (place / "bits.h").write_text(text)
                headers.append(draft.Header(version, place, rules))
            table = pathlib.Path(folder) / "bits.toml"
            table.write_text(draft.Draft(headers, rules).text())
            self.table = gen.load(table)

    def test_rules_reach_every_variant(self):
        for name in ("bMake", "bMake_v2"):
            row = self.table.function(name)
            self.assertEqual((row.event, row.params[0].role.value, row.params[1].role.value), ("memory.alloc", "New", "Charge"))

    def test_versions_come_from_the_headers(self):
        self.assertEqual([(f.name, f.since, f.until) for f in self.table.functions],
                         [("bMake", "", ""), ("bLook", "", ""), ("bMake_v2", "2.0", ""), ("bGone", "", "2.0")])

    def test_plain_structs_have_fields_and_others_a_size(self):
        plain, union = self.table.types.struct["bPlain"], self.table.types.struct["bUnion"]
        self.assertEqual(([f[1] for f in plain.fields], plain.size), (["width", "name"], 12))
        self.assertEqual((union.fields, union.size, union.align), ((), 8, 8))

    def test_names_of_the_call_struct_are_avoided(self):
        self.assertEqual(self.table.function("bMake_v2").params[2].name, "outcome")

    def test_parity_leaves_out_what_its_headers_lack(self):
        text = emit_parity.generate(self.table)
        self.assertIn("#if FLEXAI_HEADER_VERSION >= 2000\n    {\"prototype of bMake_v2\"", text)
        self.assertIn("#if FLEXAI_HEADER_VERSION < 2000\n    {\"prototype of bGone\"", text)
        self.assertNotIn("#if FLEXAI_HEADER_VERSION >= 1000", text)


class Names(unittest.TestCase):
    def test_suffixes(self):
        self.assertEqual(draft.split_name("xCopy_v2_ptds"), ("xCopy", 2, "_ptds"))
        self.assertEqual(draft.split_name("xCopy"), ("xCopy", 1, ""))


if __name__ == "__main__":
    unittest.main()
