"""Bad rows: each defect of a table gives one exact sentence with file, row, what is wrong and the cure."""
import hashlib
import pathlib
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

import gen
from model import TableError

GOOD = """
[library]
name = "bad"
soname = "libbad.so.1"
result = "b_status"
doors = ["badFind"]
slots = 2
[library.errors]
ok = "B_OK"
resource_exhausted = "B_MEMORY"
unimplemented = "B_MEMORY"
internal = "B_MEMORY"
[library.reserved]
1 = "badOther"
[type.scalar]
b_status = "int32_t"
[type.enum]
b_info = "b_status"
[type.handle]
b_thing = "thing"
[type.struct.b_box]
size = 8
fields = ["size_t width"]
[type.callback]
b_notify = "void(b_thing thing, void* data)"
[query.b_info]
B_PARENT = "thing"
[constants]
B_OK = 0
B_MEMORY = -1
B_PARENT = 3
[fn.badMake]
slot = 0
event = "memory.alloc"
params = ["in size_t size : charge(bytes)", "out b_thing* thing : new", "in const b_box* box", "in void* data : bytes(size)"]
wire = "sync"
fake = "alloc"
source = "Manual, 1"
[fn.badFind]
returns = "void* : opaque"
params = ["in const char* name : cstr"]
wire = "local"
source = "Manual, 2"
"""

FN = "fn.badMake: "
STRUCT = 'size = 8\nfields = ["size_t width"]'
# (what is replaced, by what, the exact error after "api/bad/bad.toml: ")
CASES = [
    (STRUCT, STRUCT + "\nalign = 8", "type.struct.b_box: needs either fields or align; "
     "list the fields, or write align = 8 for a struct that is only a size"),
    (STRUCT, "size = 8", "type.struct.b_box: 'fields' is missing; add fields = ..."),
    ("[constants]", "[type.since]\nb_bag = \"2.0\"\n[constants]", "type.since.b_bag: unknown type; declare it under [type.*]"),
    ('doors = ["badFind"]', 'doors_by_hand = ["badLook"]',
     "library: door 'badLook' is no function of the table; add its row or correct the name"),
    ('"in size_t size : charge(bytes)"', '"in sizee_t size"',
     FN + "param 1 'size': unknown type 'sizee_t'; declare it under [type.*]"),
    ('"in size_t size', '"inn size_t size',
     FN + "param 1 'inn size_t size : charge(bytes)': direction 'inn' is not in, out or inout; start with 'in type name'"),
    ('"in const b_box* box"', '"in box"',
     FN + "param 3 'in box': no 'type name' after the direction; write 'in type name : notes'"),
    ("bytes(size)", "bytes(", FN + "param 4 'in void* data : bytes(': cannot read the note at '('; "
     "notes are words like count(n) or optional"),
    ("bytes(size)", "bites(size)", FN + "param 4 'data': unknown note 'bites'; notes are blobs, bytes, callback, charge, "
     "count, cstr, drop, error, filled, handle, list0, new, opaque, optional, query, queue, strings"),
    ("bytes(size)", "bytes(size) queue(box->depth)", FN + "param 4 'data': 'b_box' has no field 'depth'; "
     "declare it under [type.struct.b_box]"),
    ("charge(bytes)\", \"out b_thing* thing : new", "charge(bytes) queue\", \"out b_thing* thing : new queue(size)",
     FN + "'size' and 'thing' are both its queue; keep the one that its work goes to"),
    ("bytes(size)", "optional", FN + "param 4 'data': nothing says how much is behind 'void*'; "
     "add bytes(n), count(n), cstr, strings(...) or opaque"),
    ("bytes(size)", "bytes(sice)", FN + "param 4 'data': bytes(sice) reads 'sice', which is no parameter; "
     "parameters are size, thing, box, data"),
    ("bytes(size)", "bytes(box)", FN + "param 4 'data': bytes(box) reads the pointer 'box' as a number; "
     "write *box, box[0] or box->field"),
    ("bytes(size)", "bytes(size[0])", FN + "param 4 'data': bytes(size[0]) follows 'size', which is no pointer; write size"),
    ("bytes(size)", "bytes(box->heigth)", FN + "param 4 'data': 'b_box' has no field 'heigth'; "
     "declare it under [type.struct.b_box]"),
    ("bytes(size)", "bytes(size +)", FN + "param 4 'data': bytes: 'size +' ends or turns where 'a value' is due; "
     "see the grammar in api/README.md"),
    ("bytes(size)", "bytes(size) opaque", FN + "param 4 'data': 'bytes' and 'opaque' contradict each other; keep one"),
    ("bytes(size)", "bytes(size) filled(size)", FN + "param 4 'data': filled(size) must name an 'out' number; "
     "correct the name"),
    ("bytes(size)", "bytes(size) query(size)", FN + "param 4 'data': query(size) must name an enum; correct the name"),
    ("bytes(size)", "blobs(size)", FN + "param 4 'data': blobs needs the lengths; write blobs(count, lengths)"),
    ("charge(bytes)", "count(size)", FN + "param 1 'size': 'count' is for pointers; drop the note or write a pointer type"),
    ("charge(bytes)", "charge(bytes) drop(thing)", FN + "param 1 'size': 'charge' and 'drop' contradict each other; keep one"),
    ("out b_thing* thing : new", "out b_thing* thing : new(box)",
     FN + "param 2 'thing': 'b_thing' is a handle of kind 'thing', not 'box'; write new(thing)"),
    ("out b_thing* thing : new", "out size_t* thing : new",
     FN + "param 2 'thing': new needs the kind of handle; write new(kind)"),
    ("out b_thing* thing : new", "in b_thing* thing : new",
     FN + "param 2 'thing': new is for what the call hands out; write 'out'"),
    ("out b_thing* thing : new", "out b_thing* thing : drop",
     FN + "param 2 'thing': drop is for what the caller hands in; write 'in'"),
    ("out b_thing* thing : new", "out b_thing thing",
     FN + "param 2 'thing': 'out' needs a pointer; write 'in', or a pointer type"),
    ("out b_thing* thing : new", "out const b_thing* thing",
     FN + "param 2 'thing': nothing can be written through 'const b_thing*'; write 'in'"),
    ("out b_thing* thing : new", "out b_thing* thing : error",
     FN + "param 2 'thing': error is for 'out b_status*'; correct type or note"),
    ("out b_thing* thing : new", "out b_thing* thing",
     FN + "event memory.alloc, but nothing is new; mark the new object with new(kind)"),
    ("out b_thing* thing", "out b_thing* size", FN + "two params are called 'size'; rename one"),
    ("b_box* box", "b_box* class",
     FN + "param 'class' is a word of C++ or of the call struct; write class_"),
    ("b_box* box", "b_box* box\", \"in b_notify notify",
     FN + "param 'notify' is a callback, which no codec can carry; add custom = true, or wire = \"local\" or \"refuse\""),
    ('wire = "sync"', 'wire = "sink"', FN + "unknown wire class 'sink'; classes are sync, async, local, refuse"),
    ('wire = "sync"', 'wire = "refuse"', FN + "wire = \"refuse\" says no reason; add reason = \"...\""),
    ('wire = "sync"\n', '', FN + "'wire' is missing; add wire = ..."),
    ('wire = "sync"', 'wire = "async"\nslots = 1', FN + "unknown key 'slots'; known keys: custom, door, errors, event, "
     "extension, fake, params, reason, returns, since, slot, source, until, wire"),
    ('"in void* data : bytes(size)"], ', '', None),
    ('"memory.alloc"', '"memory.aloc"', FN + "unknown event 'memory.aloc'; events are none, device.list, device.query, "
     "context.create, context.destroy, memory.alloc, memory.free, memory.hold, memory.info, copy, module.load, launch, launch.graph, stream.create, "
     "stream.destroy, sync"),
    ('fake = "alloc"', 'fake = "alok"', FN + "unknown fake body 'alok'; bodies are alloc, free, copy, ok, query, custom, nothing, none"),
    ('source = "Manual, 1"\n', '', FN + "'source' is missing; name the chapter of the vendor's manual"),
    ('slot = 0', 'slot = 1', FN + "slot 1 is taken by 'reserved'; correct the number"),
    ('slot = 0', 'slot = 2', FN + "slot 2 is past the 2 of the table; correct [library] slots or the number"),
    ('slot = 0\n', '', "library: nobody fills slot 0; give it to a row or list it in reserved"),
    ('slot = 0', 'slot = 0\nerrors = { ok = "B_NONE" }',
     FN + "errors: unknown constant 'B_NONE'; declare it under [constants]"),
    ('slot = 0', 'slot = 0\ndoor = { badLook = "x" }', FN + "unknown door 'badLook'; list it in [library] doors"),
    ('slot = 0', 'slot = 0\nreturns = "b_status* *x : new"',
     FN + "returns 'b_status* *x : new' is no type; write returns = \"type : notes\""),
    ('returns = "void* : opaque"', 'returns = "void* : count(n)"',
     "fn.badFind: returns: unknown note 'count'; notes are new(kind), handle(kind), opaque"),
    ('doors = ["badFind"]', 'doors = ["badSeek"]',
     "library: door 'badSeek' is no function of the table; add its row or correct the name"),
    ('doors = ["badFind"]', 'doors = ["badMake"]', "fn.badMake: a door takes one name (cstr) and returns a pointer; "
     "correct the row, or take it out of [library] doors and write the door by hand"),
    ('internal = "B_MEMORY"\n', '', "library: errors: 'internal' is missing; add internal = \"CONSTANT\""),
    ('internal = ', 'internl = ', "library: errors: unknown code 'internl'; codes are ok, cancelled, unknown, "
     "invalid_argument, deadline_exceeded, not_found, already_exists, permission_denied, resource_exhausted, "
     "failed_precondition, aborted, out_of_range, unimplemented, internal, unavailable, data_loss"),
    ('result = "b_status"', 'result = "b_thing"',
     "library: result 'b_thing' is no scalar or enum; declare it under [type.scalar]"),
    ('soname = "libbad.so.1"\n', '', "library: 'soname' is missing; add soname = ..."),
    ('[library]', '[lib]\n[library]', "(top): unknown key 'lib'; known keys: constants, fn, library, query, type"),
    ('b_status = "int32_t"', 'b_status = "int31_t"',
     "type.scalar.b_status: unknown type 'int31_t'; name a C++ type such as uint32_t"),
    ('b_info = "b_status"', 'b_info = "b_thing"',
     "type.enum.b_info: unknown type 'b_thing'; declare it under [type.scalar]"),
    ('fields = ["size_t width"]', 'fields = ["width"]',
     "type.struct.b_box: field 'width' is no declaration; write 'type name' or 'type name[4]'"),
    ('fields = ["size_t width"]', 'fields = ["size_x width"]',
     "type.struct.b_box: field 'width': unknown type 'size_x'; declare it under [type.*]"),
    ('"void(b_thing thing, void* data)"', '"void"',
     "type.callback.b_notify: 'void' is no signature; write 'void(cl_event event, void* user_data)'"),
    ('"void(b_thing thing, void* data)"', '"void(b_thin thing)"',
     "type.callback.b_notify: param 'thing': unknown type 'b_thin'; declare it under [type.*]"),
    ('B_PARENT = "thing"', 'B_PARENTT = "thing"',
     "query.b_info: unknown constant 'B_PARENTT'; declare it under [constants]"),
    ('B_PARENT = "thing"', 'B_PARENT = "box"',
     "query.b_info: unknown kind of handle 'box'; declare it under [type.handle]"),
    ('[query.b_info]', '[query.b_inf]', "query.b_inf: unknown type 'b_inf'; declare it under [type.enum]"),
    ('B_OK = 0', 'B_OK = "0"', "constants: 'B_OK' is no integer; write B_OK = 0"),
]
CASES = [case for case in CASES if case[2]]


def load(text):
    with tempfile.NamedTemporaryFile("w", suffix=".toml") as file:
        file.write(text)
        file.flush()
        return gen.load(file.name, "api/bad/bad.toml")


class Errors(unittest.TestCase):
    def test_good_table_passes(self):
        self.assertEqual(load(GOOD).functions[0].name, "badMake")

    def test_each_defect_has_its_sentence(self):
        for old, new, sentence in CASES:
            with self.subTest(new=new, sentence=sentence):
                self.assertIn(old, GOOD)
                with self.assertRaises(TableError) as caught:
                    load(GOOD.replace(old, new, 1))
                self.assertEqual(str(caught.exception), "api/bad/bad.toml: " + sentence)

    def test_one_way_call_may_not_answer(self):
        text = GOOD.replace('wire = "sync"', 'wire = "async"').replace("b_box* box", "b_box* box\", \"out size_t* left")
        with self.assertRaises(TableError) as caught:
            load(text)
        self.assertEqual(str(caught.exception), "api/bad/bad.toml: fn.badMake: one way (wire = \"async\"), but 'left' "
                         "waits for an answer; write wire = \"sync\"")

    def test_colliding_ids_are_refused(self):
        # Two names of the library "bad" with the same 32-bit FNV-1a, found by search.
        one, other = collision()
        row = '\n[fn.{}]\nparams = []\nwire = "local"\nsource = "Manual, 3"\n'
        with self.assertRaises(TableError) as caught:
            load(GOOD + row.format(one) + row.format(other))
        self.assertIn(f"fn.{other}: its id ", str(caught.exception))
        self.assertIn(f"is that of '{one}'; rename the library or row", str(caught.exception))

    def test_broken_toml_names_file_and_line(self):
        with self.assertRaises(TableError) as caught:
            load("[library\n")
        self.assertRegex(str(caught.exception), r"^api/bad/bad.toml: \(file\): not TOML: .*line 1.*; see toml.io$")


def collision():
    """Two function names with equal ids: a birthday search, about 100,000 tries."""
    from read import fnv1a
    seen = {}
    for number in range(400000):
        name = "x" + hashlib.md5(str(number).encode()).hexdigest()[:8]
        if seen.setdefault(fnv1a(f"bad.{name}"), name) != name:
            return seen[fnv1a(f"bad.{name}")], name
    raise AssertionError("no collision found")


if __name__ == "__main__":
    unittest.main()
