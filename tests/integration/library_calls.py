"""A program that calls a vendor's own libraries as it is told, line by line; each command is answered by one line. It knows
nothing of slices. Only what a handle's life takes is called: on the fake card nothing computes.

    load FILE               a library, for those after it too
    count                   how many cards there are
    alloc BYTES             "ok N" or "error CODE"
    free N
    create KIND             a handle: "ok" or "error CODE"
    work KIND               what makes it take the rest of its memory
    destroy KIND
"""
import ctypes

from line_calls import answer_lines

# What a new handle is, the functions that make and end it, and what comes between.
KINDS = {"blas": (ctypes.c_void_p, "cublasCreate_v2", "cublasDestroy_v2"),
         "fft": (ctypes.c_int, "cufftCreate", "cufftDestroy"),
         "rand": (ctypes.c_void_p, "curandCreateGenerator", "curandDestroyGenerator"),
         "dnn": (ctypes.c_void_p, "cudnnCreate", "cudnnDestroy")}
DEFAULT_GENERATOR = 100
NUMBERS = 1 << 16


class Calls:
    def __init__(self):
        self.libraries, self.handles, self.blocks = [], {}, []

    def function(self, name):
        return next(getattr(library, name) for library in self.libraries if hasattr(library, name))

    def load(self, file):
        self.libraries.append(ctypes.CDLL(file, mode=ctypes.RTLD_GLOBAL))
        return "ok"

    def count(self):
        cards = ctypes.c_int(-1)
        code = self.function("cudaGetDeviceCount")(ctypes.byref(cards))
        return f"error {code}" if code else f"count {cards.value}"

    def alloc(self, size):
        at = ctypes.c_void_p()
        code = self.function("cudaMalloc")(ctypes.byref(at), ctypes.c_size_t(int(size)))
        if code:
            return f"error {code}"
        self.blocks.append(at)
        return f"ok {len(self.blocks) - 1}"

    def free(self, number):
        return self.said(self.function("cudaFree")(self.blocks[int(number)]))

    def create(self, kind):
        handle_type, name, _ = KINDS[kind]
        handle = handle_type()
        code = self.function(name)(ctypes.byref(handle), *([DEFAULT_GENERATOR] if kind == "rand" else []))
        if not code:
            self.handles[kind] = handle
        return self.said(code)

    def work(self, kind):
        assert kind == "rand", kind
        return self.said(self.function("curandGenerateUniform")(self.handles[kind], self.blocks[0], ctypes.c_size_t(NUMBERS)))

    def destroy(self, kind):
        return self.said(self.function(KINDS[kind][2])(self.handles.pop(kind)))

    @staticmethod
    def said(code):
        return f"error {code}" if code else "ok"


if __name__ == "__main__":
    answer_lines(Calls())
