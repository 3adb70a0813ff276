"""Checks a resolved table as a whole: ids, slots, events, wire classes, error codes, queries."""
import re

from model import Role, Shape, TableError

EVENTS = ("none", "device.list", "device.query", "context.create", "context.destroy", "memory.alloc", "memory.free",
          "memory.hold", "memory.info", "copy", "module.load", "launch", "launch.graph", "stream.create", "stream.destroy", "sync")
WIRES = ("sync", "async", "local", "refuse")
FAKES = ("alloc", "free", "copy", "ok", "query", "custom", "nothing", "none")
CODES = ("ok", "cancelled", "unknown", "invalid_argument", "deadline_exceeded", "not_found", "already_exists",
         "permission_denied", "resource_exhausted", "failed_precondition", "aborted", "out_of_range", "unimplemented",
         "internal", "unavailable", "data_loss")
RESERVED_NAMES = {"result", "function", "v", "alignas", "alignof", "and", "asm", "auto", "bool", "break", "case", "catch", "char", "class", "const",
                  "continue", "default", "delete", "do", "double", "else", "enum", "explicit", "export", "extern", "false",
                  "float", "for", "friend", "goto", "if", "inline", "int", "long", "mutable", "namespace", "new", "not",
                  "operator", "or", "private", "protected", "public", "register", "requires", "return", "short", "signed",
                  "sizeof", "static", "struct", "switch", "template", "this", "throw", "true", "try", "typedef", "typeid",
                  "typename", "union", "unsigned", "using", "virtual", "void", "volatile", "while", "xor"}


class Checker:
    def __init__(self, table):
        self.table = table

    def fail(self, row, what, cure):
        raise TableError(self.table.path, row, what, cure)

    def errors(self, row, errors):
        for code, constant in errors.items():
            if code not in CODES:
                self.fail(row, f"errors: unknown code '{code}'", f"codes are {', '.join(CODES)}")
            if constant not in self.table.constants:
                self.fail(row, f"errors: unknown constant '{constant}'", "declare it under [constants]")

    def library(self):
        library = self.table.library
        if self.table.types.kind(library.result) not in ("scalar", "enum"):
            self.fail("library", f"result '{library.result}' is no scalar or enum", "declare it under [type.scalar]")
        self.errors("library", library.errors)
        for code in ("ok", "internal", "resource_exhausted", "unimplemented"):
            if code not in library.errors:
                self.fail("library", f"errors: '{code}' is missing", f"add {code} = \"CONSTANT\"")
        for name, value in self.table.constants.items():
            if not isinstance(value, int) or isinstance(value, bool):
                self.fail("constants", f"'{name}' is no integer", f"write {name} = 0")

    def unique(self):
        ids, slots = {}, dict.fromkeys(self.table.library.reserved, "reserved")
        for function in self.table.functions:
            row = f"fn.{function.name}"
            if function.id in ids:
                self.fail(row, f"its id {function.id:#010x} is that of '{ids[function.id]}'", "rename the library or row")
            ids[function.id] = function.name
            if function.slot >= 0:
                if function.slot in slots:
                    self.fail(row, f"slot {function.slot} is taken by '{slots[function.slot]}'", "correct the number")
                if function.slot >= self.table.library.slots:
                    self.fail(row, f"slot {function.slot} is past the {self.table.library.slots} of the table",
                              "correct [library] slots or the number")
                slots[function.slot] = function.name
        for slot in range(self.table.library.slots):
            if slot not in slots:
                self.fail("library", f"nobody fills slot {slot}", "give it to a row or list it in reserved")

    def function(self, function):
        row = f"fn.{function.name}"
        if function.event not in EVENTS:
            self.fail(row, f"unknown event '{function.event}'", f"events are {', '.join(EVENTS)}")
        if function.wire not in WIRES:
            self.fail(row, f"unknown wire class '{function.wire}'", f"classes are {', '.join(WIRES)}")
        if function.fake and function.fake not in FAKES:
            self.fail(row, f"unknown fake body '{function.fake}'", f"bodies are {', '.join(FAKES)}")
        if function.wire == "refuse" and not function.reason:
            self.fail(row, "wire = \"refuse\" says no reason", "add reason = \"...\"")
        if not function.source:
            self.fail(row, "'source' is missing", "name the chapter of the vendor's manual")
        self.errors(row, function.errors)
        self.params(row, function)

    def params(self, row, function):
        seen = set()
        for param in function.params:
            if param.name in seen:
                self.fail(row, f"two params are called '{param.name}'", "rename one")
            if param.name in RESERVED_NAMES:
                self.fail(row, f"param '{param.name}' is a word of C++ or of the call struct", f"write {param.name}_")
            seen.add(param.name)
            if param.shape == Shape.CALLBACK and function.wire in ("sync", "async") and not function.custom:
                self.fail(row, f"param '{param.name}' is a callback, which no codec can carry",
                          "add custom = true, or wire = \"local\" or \"refuse\"")
        if function.wire == "async" and not function.custom:
            self.asynchronous(row, function)
        queues = [p.name for p in function.params if p.queue is not None]
        if len(queues) > 1:
            self.fail(row, f"'{queues[0]}' and '{queues[1]}' are both its queue", "keep the one that its work goes to")
        if function.event == "memory.alloc" and function.returns.role != Role.NEW and not any(
                p.role == Role.NEW for p in function.params):
            self.fail(row, "event memory.alloc, but nothing is new", "mark the new object with new(kind)")

    def asynchronous(self, row, function):
        """A one-way call may hand out names (minted by the caller) and its error code, nothing else."""
        for param in function.params:
            if param.direction.value != "in" and param.role not in (Role.NEW, Role.ERROR):
                self.fail(row, f"one way (wire = \"async\"), but '{param.name}' waits for an answer",
                          "write wire = \"sync\"")

    def queries(self):
        for enum, answers in self.table.queries.items():
            row = f"query.{enum}"
            if self.table.types.kind(enum) not in ("enum", "scalar"):
                self.fail(row, f"unknown type '{enum}'", "declare it under [type.enum]")
            for constant, kind in answers.items():
                if constant not in self.table.constants:
                    self.fail(row, f"unknown constant '{constant}'", "declare it under [constants]")
                if kind not in self.table.handle_kinds:
                    self.fail(row, f"unknown kind of handle '{kind}'", "declare it under [type.handle]")

    def doors(self):
        for door in self.table.library.doors:
            function = self.table.function(door)
            if not function:
                self.fail("library", f"door '{door}' is no function of the table", "add its row or correct the name")
            if function.returns.kind != "pointer" or len([p for p in function.params if p.shape == Shape.CSTRING]) != 1:
                self.fail(f"fn.{door}", "a door takes one name (cstr) and returns a pointer",
                          "correct the row, or take it out of [library] doors and write the door by hand")
        for door in self.table.library.doors_by_hand:
            if not self.table.function(door):
                self.fail("library", f"door '{door}' is no function of the table", "add its row or correct the name")
        for function in self.table.functions:
            for door in function.door:
                if door not in (*self.table.library.doors, *self.table.library.doors_by_hand):
                    self.fail(f"fn.{function.name}", f"unknown door '{door}'", "list it in [library] doors")

    def structs(self):
        for struct in self.table.types.struct.values():
            if bool(struct.fields) == bool(struct.align):
                self.fail(f"type.struct.{struct.name}", "needs either fields or align",
                          "list the fields, or write align = 8 for a struct that is only a size")
        for name in [*self.table.types.struct, *self.table.types.callback, *self.table.types.handle]:
            if not re.fullmatch(r"[A-Za-z_]\w*", name):
                self.fail(f"type.{name}", "is no name", "use letters, digits and _")

    def run(self):
        self.library()
        self.structs()
        for function in self.table.functions:
            self.function(function)
        self.unique()
        self.queries()
        self.doors()


def check(table):
    """Returns quietly, or raises the first TableError."""
    Checker(table).run()
