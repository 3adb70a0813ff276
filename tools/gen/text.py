"""Words that every emitter uses: the head of a generated file, C++ spellings of model values."""
from model import CType
from read import BUILTIN


def head(table, comment="//"):
    return f"{comment} Generated from {table.path} by tools/gen; do not edit.\n"


def namespace(table):
    return f"flexai::api::{table.library.name}"


def pascal(name):
    return "".join(part[:1].upper() + part[1:] for part in name.split("_"))


def event_word(event):
    return "kNone" if event == "none" else "k" + "".join(p.capitalize() for p in event.split("."))


def handle_word(kind):
    return "HandleKind::k" + pascal(kind)


def cpp_type(ctype):
    return ctype.text()


def element_size(table, ctype):
    """C++ for the size of one element behind (or of) a parameter of this type."""
    if ctype.depth == 0:
        return f"sizeof({ctype.base})"
    inner = ctype.pointee()
    if inner.depth == 0 and inner.base == "void":
        return "1"
    return f"sizeof({inner.text()})"


def is_builtin(ctype: CType):
    return ctype.base in BUILTIN


def signature(function):
    params = ", ".join(p.type.text() for p in function.params)
    return f"{function.returns.type.text()}({params})"
