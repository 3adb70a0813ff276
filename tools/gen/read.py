"""Reads one .toml table into model.Table. Knows the grammar of rows; whether a row makes sense is check.py's business."""
import re
import tomllib

from model import (CallbackType, CType, Direction, Function, Library, Note, Param, Returns, StructType, Table,
                   TableError, Types)

BUILTIN = {
    "void": "void", "char": "char", "int": "int", "unsigned char": "unsigned char",
    "unsigned int": "unsigned int", "size_t": "size_t", "float": "float", "double": "double",
    "int8_t": "int8_t", "int16_t": "int16_t", "int32_t": "int32_t", "int64_t": "int64_t",
    "uint8_t": "uint8_t", "uint16_t": "uint16_t", "uint32_t": "uint32_t", "uint64_t": "uint64_t",
    "intptr_t": "intptr_t", "uintptr_t": "uintptr_t",
}
LIBRARY_KEYS = {"name", "soname", "result", "errors", "symbol_versions", "headers", "header_defines", "slots",
                "slot_struct", "reserved", "doors", "doors_by_hand", "versioned_headers", "backend", "passes"}
FUNCTION_KEYS = {"event", "params", "returns", "wire", "reason", "fake", "since", "until", "source", "custom", "slot",
                 "extension", "door", "errors"}
NOTE = re.compile(r"\s*([a-z_0-9]+)(\()?")


def fnv1a(text):
    """32-bit FNV-1a: the id of a function on the wire and in traces."""
    value = 0x811C9DC5
    for byte in text.encode():
        value = ((value ^ byte) * 0x01000193) & 0xFFFFFFFF
    return value


def parse_type(text):
    """`const cl_uint * const *` as a CType; None if the text is no type."""
    tokens = re.findall(r"[A-Za-z_]\w*|\*|\S", text)
    words, pointers, const = [], [], False
    for token in tokens:
        if token == "*":
            pointers.append(False)
        elif token == "const":
            if pointers:
                pointers[-1] = True
            else:
                const = True
        elif re.fullmatch(r"[A-Za-z_]\w*", token) and not pointers:
            words.append(token)
        else:
            return None
    return CType(" ".join(words), const, tuple(pointers)) if words else None


def parse_notes(text):
    """`count(n) optional` as Notes; arguments may hold brackets. Raises ValueError with the word at fault."""
    notes, at = [], 0
    text = text.strip()
    while at < len(text):
        m = NOTE.match(text, at)
        if not m:
            raise ValueError(text[at:].strip())
        at, argument = m.end(), ""
        if m.group(2):
            depth, start = 1, at
            while at < len(text) and depth:
                depth += (text[at] == "(") - (text[at] == ")")
                at += 1
            if depth:
                raise ValueError(text[start - 1:])
            argument = text[start:at - 1].strip()
        notes.append(Note(m.group(1), argument))
        while at < len(text) and text[at] == " ":
            at += 1
    return tuple(notes)


def split_declaration(text):
    """`const cl_uint* list` as (CType, "list"); None if there is no name or no type."""
    m = re.fullmatch(r"\s*(.*?[\s*])([A-Za-z_]\w*)\s*", text)
    if not m:
        return None
    ctype = parse_type(m.group(1))
    return (ctype, m.group(2)) if ctype else None


class Reader:
    """Turns the parsed TOML of one file into a Table."""

    def __init__(self, path, document):
        self.path, self.document = path, document

    def fail(self, row, what, cure):
        raise TableError(self.path, row, what, cure)

    def check_keys(self, row, mapping, known):
        for key in mapping:
            if key not in known:
                self.fail(row, f"unknown key '{key}'", f"known keys: {', '.join(sorted(known))}")

    def need(self, row, mapping, key):
        if key not in mapping:
            self.fail(row, f"'{key}' is missing", f"add {key} = ...")
        return mapping[key]

    def library(self):
        row, data = "library", self.document.get("library")
        if data is None:
            self.fail(row, "the table has no [library]", "add [library] with name, soname, result, errors")
        self.check_keys(row, data, LIBRARY_KEYS)
        return Library(
            name=self.need(row, data, "name"), soname=self.need(row, data, "soname"),
            result=self.need(row, data, "result"), errors=dict(self.need(row, data, "errors")),
            namespace_version=data.get("symbol_versions", ""), headers=tuple(data.get("headers", ())),
            header_defines=tuple(data.get("header_defines", ())), slots=data.get("slots", 0),
            slot_struct=data.get("slot_struct", ""),
            reserved={int(k): v for k, v in data.get("reserved", {}).items()}, doors=tuple(data.get("doors", ())),
            doors_by_hand=tuple(data.get("doors_by_hand", ())), versioned_headers=data.get("versioned_headers", False),
            backend=data.get("backend", ""), passes=tuple(data.get("passes", ())))

    def types(self):
        data = self.document.get("type", {})
        self.check_keys("type", data, {"scalar", "enum", "handle", "struct", "callback", "since"})
        structs, callbacks = {}, {}
        for name, body in data.get("struct", {}).items():
            structs[name] = self.struct(name, body)
        for name, text in data.get("callback", {}).items():
            callbacks[name] = self.callback(name, text)
        return Types(dict(data.get("scalar", {})), dict(data.get("enum", {})), dict(data.get("handle", {})), structs,
                     callbacks, dict(data.get("since", {})))

    def struct(self, name, body):
        row = f"type.struct.{name}"
        self.check_keys(row, body, {"size", "fields", "align", "since"})
        fields = []
        for text in body.get("fields", ()) if "align" in body else self.need(row, body, "fields"):
            m = re.fullmatch(r"(.*?)(?:\[(\d+)\])?", text.strip())
            declared = split_declaration(m.group(1))
            if not declared:
                self.fail(row, f"field '{text}' is no declaration", "write 'type name' or 'type name[4]'")
            fields.append((declared[0], declared[1], int(m.group(2) or 0)))
        return StructType(name, self.need(row, body, "size"), tuple(fields), body.get("align", 0),
                          body.get("since", ""))

    def callback(self, name, text):
        row = f"type.callback.{name}"
        m = re.fullmatch(r"\s*(.*?)\s*\(\s*(.*?)\s*\)\s*", text)
        returns = parse_type(m.group(1)) if m else None
        if not returns:
            self.fail(row, f"'{text}' is no signature", "write 'void(cl_event event, void* user_data)'")
        params = []
        for part in [p for p in m.group(2).split(",") if p.strip()]:
            declared = split_declaration(part)
            if not declared:
                self.fail(row, f"'{part.strip()}' is no declaration", "write 'type name'")
            params.append(declared)
        return CallbackType(name, returns, tuple(params))

    def param(self, row, position, text):
        head, _, notes = text.partition(" : ")
        direction, _, declaration = head.strip().partition(" ")
        where = f"param {position + 1} '{text}'"
        if direction not in ("in", "out", "inout"):
            self.fail(row, f"{where}: direction '{direction}' is not in, out or inout", "start with 'in type name'")
        declared = split_declaration(declaration)
        if not declared:
            self.fail(row, f"{where}: no 'type name' after the direction", "write 'in type name : notes'")
        try:
            parsed = parse_notes(notes)
        except ValueError as error:
            self.fail(row, f"{where}: cannot read the note at '{error}'", "notes are words like count(n) or optional")
        return Param(declared[1], Direction(direction), declared[0], parsed, position)

    def function(self, index, name, data, library):
        row = f"fn.{name}"
        self.check_keys(row, data, FUNCTION_KEYS)
        text = data.get("returns", library.result)
        head, _, notes = text.partition(" : ")
        ctype = parse_type(head)
        if not ctype:
            self.fail(row, f"returns '{text}' is no type", "write returns = \"type : notes\"")
        params = tuple(self.param(row, i, p) for i, p in enumerate(self.need(row, data, "params")))
        returns = Returns(ctype, "value")
        function = Function(
            name=name, index=index, id=fnv1a(f"{library.name}.{name}"), event=data.get("event", "none"),
            wire=self.need(row, data, "wire"), returns=returns, params=params, fake=data.get("fake", ""),
            reason=data.get("reason", ""), since=str(data.get("since", "")), until=str(data.get("until", "")),
            source=data.get("source", ""), custom=data.get("custom", False), slot=data.get("slot", -1),
            extension=data.get("extension", ""), door=dict(data.get("door", {})), errors=dict(data.get("errors", {})))
        return function, notes

    def table(self):
        self.check_keys("(top)", self.document, {"library", "type", "constants", "query", "fn"})
        library, types = self.library(), self.types()
        functions, return_notes = [], {}
        for index, (name, data) in enumerate(self.document.get("fn", {}).items()):
            function, notes = self.function(index, name, data, library)
            functions.append(function)
            return_notes[name] = notes
        constants = dict(self.document.get("constants", {}))
        queries = {k: dict(v) for k, v in self.document.get("query", {}).items()}
        return Table(self.path, library, types, constants, queries, tuple(functions)), return_notes


def read(path, shown=None):
    """The unresolved Table in the file `path`, and the text of each function's return notes.

    `shown` is the name that errors give the file; by default the path as it was given.
    """
    shown = shown or str(path)
    with open(path, "rb") as file:
        try:
            document = tomllib.load(file)
        except tomllib.TOMLDecodeError as error:
            raise TableError(shown, "(file)", f"not TOML: {error}", "see toml.io") from error
    return Reader(shown, document).table()
