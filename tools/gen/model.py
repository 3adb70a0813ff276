"""The values that pass from the reader to the emitters: one table of one vendor library.

Everything here is frozen; names are those of the table, derived facts (shape, role, count) are filled in by resolve.py.
"""
from dataclasses import dataclass, field
from enum import Enum


class TableError(Exception):
    """One defect of a table: file, row, what is wrong, how to cure it."""

    def __init__(self, path, row, what, cure):
        super().__init__(f"{path}: {row}: {what}; {cure}")
        self.path, self.row, self.what, self.cure = path, row, what, cure


class Direction(Enum):
    IN = "in"
    OUT = "out"
    INOUT = "inout"


class Shape(Enum):
    """How the memory behind a parameter is laid out."""
    VALUE = "Value"          # the parameter itself is all there is
    ONE = "One"              # points to one element
    ARRAY = "Array"          # points to Count() elements
    BYTES = "Bytes"          # points to Count() bytes
    CSTRING = "CString"      # zero-terminated text
    LIST0 = "List0"          # key, value, key, value, ..., 0
    STRINGS = "Strings"      # Count() pointers to text, with optional lengths (0 = zero-terminated)
    BLOBS = "Blobs"          # Count() pointers to bytes, with exact lengths
    OPAQUE = "Opaque"        # a pointer that is never followed
    CALLBACK = "Callback"    # a function of the application


class Role(Enum):
    """What a parameter means, beyond its bytes."""
    NONE = "None"
    HANDLE = "Handle"        # names an object that exists
    NEW = "New"              # receives the name of an object made by this call
    DROP = "Drop"            # names an object that this call gives up
    CHARGE = "Charge"        # the bytes that this call asks for
    ERROR = "Error"          # receives the vendor's error code


@dataclass(frozen=True)
class CType:
    """A C type: `const base *const *`, pointers from the inside out, True where a pointer itself is const."""
    base: str
    const: bool = False
    pointers: tuple = ()

    @property
    def depth(self):
        return len(self.pointers)

    def pointee(self):
        return CType(self.base, self.const, self.pointers[:-1])

    def text(self):
        out = ("const " if self.const else "") + self.base
        for const in self.pointers:
            out += "* const" if const else "*"
        return out


@dataclass(frozen=True)
class Note:
    """One word of a parameter's meaning: `count(num_devices)` is Note("count", "num_devices")."""
    name: str
    argument: str = ""


@dataclass(frozen=True)
class Param:
    name: str
    direction: Direction
    type: CType
    notes: tuple = ()
    position: int = 0
    # filled by resolve.py
    shape: Shape = Shape.VALUE
    role: Role = Role.NONE
    handle_kind: str = ""
    optional: bool = False
    count: object = None       # expr.Node
    filled: str = ""           # the out parameter that says how much was written
    lengths: str = ""          # the parameter with the lengths of strings or blobs
    query: str = ""            # the parameter that says what an answer is about
    charge: object = None      # expr.Node
    queue: object = None       # expr.Node

    def note(self, name):
        for n in self.notes:
            if n.name == name:
                return n
        return None


@dataclass(frozen=True)
class Returns:
    """What the function itself returns; kind is status, handle, pointer, value or void."""
    type: CType
    kind: str
    role: Role = Role.NONE
    handle_kind: str = ""
    shape: Shape = Shape.VALUE


@dataclass(frozen=True)
class Function:
    name: str
    index: int
    id: int
    event: str
    wire: str
    returns: Returns
    params: tuple
    fake: str = ""
    reason: str = ""
    since: str = ""
    until: str = ""
    source: str = ""
    custom: bool = False
    slot: int = -1
    extension: str = ""        # not exported: reached by a look-up only
    door: dict = field(default_factory=dict)
    errors: dict = field(default_factory=dict)

    @property
    def call(self):
        return self.name[0].upper() + self.name[1:] + "Call"

    def param(self, name):
        for p in self.params:
            if p.name == name:
                return p
        return None


@dataclass(frozen=True)
class StructType:
    name: str
    size: int
    fields: tuple              # of (CType, name, array length or 0); none where only size and alignment are known
    align: int = 0             # of a struct without fields
    since: str = ""            # the first version of the headers that gives it this size


@dataclass(frozen=True)
class CallbackType:
    name: str
    returns: CType
    params: tuple              # of (CType, name)


@dataclass(frozen=True)
class Types:
    scalar: dict               # name -> C++ type
    enum: dict                 # name -> scalar or enum name
    handle: dict               # name -> kind
    struct: dict               # name -> StructType
    callback: dict             # name -> CallbackType
    since: dict = field(default_factory=dict)  # name -> the first version of the headers that has it

    def kind(self, name):
        for kind in ("scalar", "enum", "handle", "struct", "callback"):
            if name in getattr(self, kind):
                return kind
        return None


@dataclass(frozen=True)
class Library:
    name: str
    soname: str
    result: str                # type of a status
    errors: dict               # Code name -> constant name
    namespace_version: str     # prefix of symbol versions ("TOY_"), empty when symbols have none
    headers: tuple             # vendor headers for the parity test
    header_defines: tuple
    slots: int                 # size of the dispatch table, 0 when there is none
    slot_struct: str           # vendor's name of the dispatch table
    reserved: dict             # slot -> the vendor's name of a slot that nobody fills
    doors: tuple               # functions through which other functions leave the library
    doors_by_hand: tuple = ()  # the same, with a look-up that the backend writes
    versioned_headers: bool = False  # the parity test leaves out what its version of the headers lacks
    backend: str = ""          # the folder of the backend that serves it, where that is not the library's name
    passes: tuple = ()         # symbols that are exported without a row: calls of them go straight to the driver

    @property
    def exported_header(self):
        """Where the backend declares what exports.cpp needs."""
        return (f"flexai/backend/{self.backend}/{self.name}_exported.h" if self.backend
                else f"flexai/backend/{self.name}/exported.h")


@dataclass(frozen=True)
class Table:
    path: str
    library: Library
    types: Types
    constants: dict            # name -> int
    queries: dict              # enum type -> {constant name: handle kind}
    functions: tuple

    def function(self, name):
        for f in self.functions:
            if f.name == name:
                return f
        return None

    @property
    def handle_kinds(self):
        kinds = list(dict.fromkeys(self.types.handle.values()))
        for f in self.functions:
            for p in list(f.params) + [f.returns]:
                if p.handle_kind and p.handle_kind not in kinds:
                    kinds.append(p.handle_kind)
        return kinds
