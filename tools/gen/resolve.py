"""Works out what each parameter means: shape, role, handle kind, count. Refuses a row whose notes do not fit its types."""
from dataclasses import replace

import expr
from model import CType, Direction, Returns, Role, Shape, TableError
from read import BUILTIN, parse_notes

SHAPE_NOTES = {"count": Shape.ARRAY, "bytes": Shape.BYTES, "cstr": Shape.CSTRING, "list0": Shape.LIST0,
               "strings": Shape.STRINGS, "blobs": Shape.BLOBS, "opaque": Shape.OPAQUE, "callback": Shape.CALLBACK}
ROLE_NOTES = {"handle": Role.HANDLE, "new": Role.NEW, "drop": Role.DROP, "charge": Role.CHARGE, "error": Role.ERROR}
OTHER_NOTES = {"optional", "filled", "query", "queue"}


class Resolver:
    """Resolves the functions of one table, one after the other."""

    def __init__(self, table, return_notes):
        self.table, self.return_notes = table, return_notes

    def fail(self, row, what, cure):
        raise TableError(self.table.path, row, what, cure)

    def known_type(self, row, where, ctype):
        if ctype.base not in BUILTIN and not self.table.types.kind(ctype.base):
            self.fail(row, f"{where}: unknown type '{ctype.base}'", "declare it under [type.*]")

    def types(self):
        types = self.table.types
        for name, under in types.scalar.items():
            if under not in BUILTIN and under not in types.scalar and under != "void*":
                self.fail(f"type.scalar.{name}", f"unknown type '{under}'", "name a C++ type such as uint32_t")
        for name, under in types.enum.items():
            if types.kind(under) not in ("scalar", "enum") and under not in BUILTIN:
                self.fail(f"type.enum.{name}", f"unknown type '{under}'", "declare it under [type.scalar]")
        for name in types.since:
            if not types.kind(name):
                self.fail(f"type.since.{name}", "unknown type", "declare it under [type.*]")
        for struct in types.struct.values():
            for ctype, field, _ in struct.fields:
                self.known_type(f"type.struct.{struct.name}", f"field '{field}'", ctype)
        for callback in types.callback.values():
            for ctype, name in callback.params:
                self.known_type(f"type.callback.{callback.name}", f"param '{name}'", ctype)

    def handle_kind(self, row, where, ctype, note):
        implied = self.table.types.handle.get(ctype.base, "")
        stated = note.argument if note else ""
        if implied and stated and implied != stated:
            self.fail(row, f"{where}: '{ctype.base}' is a handle of kind '{implied}', not '{stated}'",
                      f"write {note.name}({implied})")
        kind = stated or implied
        if note and not kind:
            self.fail(row, f"{where}: {note.name} needs the kind of handle", f"write {note.name}(kind)")
        return kind

    def shape(self, row, where, param):
        shapes = [n for n in param.notes if n.name in SHAPE_NOTES]
        if len(shapes) > 1:
            self.fail(row, f"{where}: '{shapes[0].name}' and '{shapes[1].name}' contradict each other", "keep one")
        if self.table.types.kind(param.type.base) == "callback":
            return Shape.CALLBACK
        if shapes:
            if not param.type.depth and shapes[0].name not in ("opaque", "callback"):
                self.fail(row, f"{where}: '{shapes[0].name}' is for pointers", "drop the note or write a pointer type")
            return SHAPE_NOTES[shapes[0].name]
        if not param.type.depth:
            return Shape.VALUE
        if param.type.depth > 1 or param.type.base in ("void", "char", "unsigned char"):
            self.fail(row, f"{where}: nothing says how much is behind '{param.type.text()}'",
                      "add bytes(n), count(n), cstr, strings(...) or opaque")
        return Shape.ONE

    def expression(self, row, where, function, note):
        try:
            node = expr.parse(note.argument)
        except expr.ExprError as error:
            self.fail(row, f"{where}: {note.name}: {error}", "see the grammar in api/README.md")
        for name, how, field in expr.names(node):
            self.expression_name(row, where, function, note, name, how, field)
        return node

    def expression_name(self, row, where, function, note, name, how, field):
        other = function.param(name)
        if not other:
            self.fail(row, f"{where}: {note.name}({note.argument}) reads '{name}', which is no parameter",
                      f"parameters are {', '.join(p.name for p in function.params)}")
        if how == "value" and other.type.depth:
            self.fail(row, f"{where}: {note.name}({note.argument}) reads the pointer '{name}' as a number",
                      f"write *{name}, {name}[0] or {name}->field")
        if how != "value" and not other.type.depth:
            self.fail(row, f"{where}: {note.name}({note.argument}) follows '{name}', which is no pointer",
                      f"write {name}")
        struct = self.table.types.struct.get(other.type.base)
        if how == "field" and (not struct or field not in [f[1] for f in struct.fields]):
            self.fail(row, f"{where}: '{other.type.base}' has no field '{field}'",
                      f"declare it under [type.struct.{other.type.base}]")

    def named_param(self, row, where, function, note, name):
        other = function.param(name)
        if not other:
            self.fail(row, f"{where}: {note.name}({note.argument}) names '{name}', which is no parameter",
                      f"parameters are {', '.join(p.name for p in function.params)}")
        return other

    def role(self, row, where, param):
        roles = [n for n in param.notes if n.name in ROLE_NOTES]
        if len(roles) > 1:
            self.fail(row, f"{where}: '{roles[0].name}' and '{roles[1].name}' contradict each other", "keep one")
        if roles and roles[0].name in ("charge", "error"):
            return ROLE_NOTES[roles[0].name], ""
        kind = self.handle_kind(row, where, param.type, roles[0] if roles else None)
        role = ROLE_NOTES[roles[0].name] if roles else (Role.HANDLE if kind else Role.NONE)
        if role == Role.NEW and param.direction == Direction.IN:
            self.fail(row, f"{where}: new is for what the call hands out", "write 'out'")
        if role == Role.DROP and param.direction != Direction.IN:
            self.fail(row, f"{where}: drop is for what the caller hands in", "write 'in'")
        return role, kind

    def param(self, row, function, param):
        where = f"param {param.position + 1} '{param.name}'"
        self.known_type(row, where, param.type)
        for note in param.notes:
            if note.name not in SHAPE_NOTES and note.name not in ROLE_NOTES and note.name not in OTHER_NOTES:
                known = sorted([*SHAPE_NOTES, *ROLE_NOTES, *OTHER_NOTES])
                self.fail(row, f"{where}: unknown note '{note.name}'", f"notes are {', '.join(known)}")
        shape = self.shape(row, where, param)
        role, kind = self.role(row, where, param)
        if param.direction != Direction.IN and not param.type.depth:
            self.fail(row, f"{where}: '{param.direction.value}' needs a pointer", "write 'in', or a pointer type")
        if param.direction != Direction.IN and param.type.depth == 1 and param.type.const:
            self.fail(row, f"{where}: nothing can be written through '{param.type.text()}'", "write 'in'")
        if role == Role.ERROR and (param.direction != Direction.OUT or param.type != CType(
                self.table.library.result, False, (False,))):
            self.fail(row, f"{where}: error is for 'out {self.table.library.result}*'", "correct type or note")
        out = replace(param, shape=shape, role=role, handle_kind=kind, optional=bool(param.note("optional")))
        return self.references(row, where, function, out)

    def references(self, row, where, function, param):
        changes = {}
        for note in param.notes:
            if note.name in ("count", "bytes"):
                changes["count"] = self.expression(row, where, function, note)
            elif note.name in ("strings", "blobs"):
                count, _, lengths = (a.strip() for a in note.argument.partition(","))
                changes["count"] = self.expression(row, where, function, replace(note, argument=count))
                if lengths:
                    self.named_param(row, where, function, note, lengths)
                elif note.name == "blobs":
                    self.fail(row, f"{where}: blobs needs the lengths", "write blobs(count, lengths)")
                changes["lengths"] = lengths
            elif note.name == "filled":
                other = self.named_param(row, where, function, note, note.argument)
                if other.direction == Direction.IN or other.type.depth != 1:
                    self.fail(row, f"{where}: filled({note.argument}) must name an 'out' number", "correct the name")
                changes["filled"] = note.argument
            elif note.name == "query":
                other = self.named_param(row, where, function, note, note.argument)
                if self.table.types.kind(other.type.base) != "enum" or other.type.depth:
                    self.fail(row, f"{where}: query({note.argument}) must name an enum", "correct the name")
                changes["query"] = note.argument
            elif note.name == "charge":
                text = param.name if note.argument == "bytes" else note.argument
                changes["charge"] = self.expression(row, where, function, replace(note, argument=text))
            elif note.name == "queue":
                changes["queue"] = self.expression(row, where, function, replace(note, argument=note.argument or param.name))
        return replace(param, **changes)

    def returns(self, row, function):
        ctype, where = function.returns.type, "returns"
        self.known_type(row, where, ctype)
        try:
            notes = parse_notes(self.return_notes[function.name])
        except ValueError as error:
            self.fail(row, f"{where}: cannot read the note at '{error}'", "notes are new(kind), handle(kind), opaque")
        for note in notes:
            if note.name not in ("new", "handle", "opaque", "cstr"):
                self.fail(row, f"{where}: unknown note '{note.name}'", "notes are new(kind), handle(kind), opaque")
        if ctype.depth == 0 and ctype.base == "void":
            return Returns(ctype, "void")
        if ctype.depth == 0 and ctype.base == self.table.library.result:
            return Returns(ctype, "status")
        role_note = next((n for n in notes if n.name in ("new", "handle")), None)
        kind = self.handle_kind(row, where, ctype, role_note)
        role = ROLE_NOTES[role_note.name] if role_note else (Role.HANDLE if kind else Role.NONE)
        shape = Shape.CSTRING if any(n.name == "cstr" for n in notes) else Shape.OPAQUE if ctype.depth else Shape.VALUE
        if ctype.depth == 0 and self.table.types.kind(ctype.base) == "handle":
            return Returns(ctype, "handle", role, kind)
        if ctype.depth:
            return Returns(ctype, "pointer", role, kind, shape)
        return Returns(ctype, "value", role, kind)

    def table_resolved(self):
        self.types()
        functions = []
        for function in self.table.functions:
            row = f"fn.{function.name}"
            params = tuple(self.param(row, function, p) for p in function.params)
            functions.append(replace(function, params=params, returns=self.returns(row, function)))
        return replace(self.table, functions=tuple(functions))


def resolve(table, return_notes):
    """`table` with every meaning worked out, or TableError."""
    return Resolver(table, return_notes).table_resolved()
