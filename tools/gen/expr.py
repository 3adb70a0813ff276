"""The tiny arithmetic of byte counts: numbers, parameters, `p[0]`, `*p`, `p->field`, + - * and max(a, b).

Everything is unsigned 64-bit and saturates: sums and products stop at the largest number, differences at 0. A null
pointer counts as 0, so that an expression never follows one.
"""
import re
from dataclasses import dataclass

TOKEN = re.compile(r"\s*(?:(\d+)|([A-Za-z_]\w*)|(->|[-+*()\[\],]))")


class ExprError(Exception):
    """The text is no expression of this grammar."""


@dataclass(frozen=True)
class Number:
    value: int


@dataclass(frozen=True)
class Name:
    name: str


@dataclass(frozen=True)
class Index:
    name: str
    index: int


@dataclass(frozen=True)
class Deref:
    name: str


@dataclass(frozen=True)
class Field:
    name: str
    field: str


@dataclass(frozen=True)
class Binary:
    op: str
    left: object
    right: object


class _Parser:
    def __init__(self, text):
        self.text, self.tokens, at = text, [], 0
        text = text.rstrip()
        while at < len(text):
            m = TOKEN.match(text, at)
            if not m:
                raise ExprError(f"'{text}' has an unknown sign at column {at + 1}")
            self.tokens.append(m.group(1) or m.group(2) or m.group(3))
            at = m.end()
        self.at = 0

    def peek(self):
        return self.tokens[self.at] if self.at < len(self.tokens) else ""

    def take(self, want=None):
        token = self.peek()
        if not token or (want and token != want):
            raise ExprError(f"'{self.text}' ends or turns where '{want or 'a value'}' is due")
        self.at += 1
        return token

    def sum(self):
        node = self.product()
        while self.peek() in ("+", "-"):
            node = Binary(self.take(), node, self.product())
        return node

    def product(self):
        node = self.atom()
        while self.peek() == "*":
            self.take()
            node = Binary("*", node, self.atom())
        return node

    def atom(self):
        token = self.take()
        if token == "(":
            node = self.sum()
            self.take(")")
            return node
        if token == "*":
            return Deref(self.take())
        if token.isdigit():
            return Number(int(token))
        if token == "max":
            self.take("(")
            left = self.sum()
            self.take(",")
            right = self.sum()
            self.take(")")
            return Binary("max", left, right)
        if not re.fullmatch(r"[A-Za-z_]\w*", token):
            raise ExprError(f"'{self.text}' has '{token}' where a value is due")
        if self.peek() == "[":
            self.take()
            index = self.take()
            if not index.isdigit():
                raise ExprError(f"'{self.text}' has an index that is no number")
            self.take("]")
            return Index(token, int(index))
        if self.peek() == "->":
            self.take()
            return Field(token, self.take())
        return Name(token)


def parse(text):
    """The tree of `text`, or ExprError."""
    parser = _Parser(text)
    node = parser.sum()
    if parser.peek():
        raise ExprError(f"'{text}' goes on with '{parser.peek()}' after its end")
    return node


def names(node):
    """Every parameter that `node` reads, with the way it is read: value, index, deref, field."""
    if isinstance(node, Binary):
        return names(node.left) + names(node.right)
    if isinstance(node, Name):
        return [(node.name, "value", "")]
    if isinstance(node, Index):
        return [(node.name, "index", "")]
    if isinstance(node, Deref):
        return [(node.name, "deref", "")]
    if isinstance(node, Field):
        return [(node.name, "field", node.field)]
    return []


WORDS = {"+": "Plus", "-": "Minus", "*": "Times", "max": "Most"}


def to_cpp(node, prefix="call."):
    """C++ that computes `node` with the saturating functions of param.h; parameters are read from `prefix`."""
    if isinstance(node, Number):
        return f"uint64_t{{{node.value}}}"
    if isinstance(node, Name):
        return f"uint64_t({prefix}{node.name})"
    if isinstance(node, Index):
        return f"intercept::At({prefix}{node.name}, {node.index})"
    if isinstance(node, Deref):
        return f"intercept::At({prefix}{node.name}, 0)"
    if isinstance(node, Field):
        return f"({prefix}{node.name} ? uint64_t({prefix}{node.name}->{node.field}) : 0)"
    return f"intercept::{WORDS[node.op]}({to_cpp(node.left, prefix)}, {to_cpp(node.right, prefix)})"
