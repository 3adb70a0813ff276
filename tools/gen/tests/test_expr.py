"""The arithmetic of byte counts: what it accepts, what C++ it becomes, what it refuses."""
import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

import expr


class Expr(unittest.TestCase):
    def test_cpp(self):
        for text, cpp in [
            ("n", "uint64_t(call.n)"),
            ("16", "uint64_t{16}"),
            ("*n", "intercept::At(call.n, 0)"),
            ("n[2]", "intercept::At(call.n, 2)"),
            ("d->size", "(call.d ? uint64_t(call.d->size) : 0)"),
            ("a + 2 * b", "intercept::Plus(uint64_t(call.a), intercept::Times(uint64_t{2}, uint64_t(call.b)))"),
            ("(a - 1) * b", "intercept::Times(intercept::Minus(uint64_t(call.a), uint64_t{1}), uint64_t(call.b))"),
            ("max(a, b)", "intercept::Most(uint64_t(call.a), uint64_t(call.b))"),
        ]:
            with self.subTest(text=text):
                self.assertEqual(expr.to_cpp(expr.parse(text)), cpp)

    def test_names(self):
        self.assertEqual(expr.names(expr.parse("a + b[1] * max(*c, d->e)")),
                         [("a", "value", ""), ("b", "index", ""), ("c", "deref", ""), ("d", "field", "e")])

    def test_refuses(self):
        for text in ["", "a +", "a b", "a / b", "a[b]", "(a", "max(a)", "->a", "a[1", "1 + , 2"]:
            with self.subTest(text=text):
                self.assertRaises(expr.ExprError, expr.parse, text)


if __name__ == "__main__":
    unittest.main()
