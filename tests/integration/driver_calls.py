"""A program that calls the driver's own library as it is told, line by line; each command is answered by one line. It knows
nothing of slices.

    open PATH NAMESPACE     the driver is what dlmopen finds there from now on: "ok"
    retain                  the context that libraries share: "ok" or "error CODE"
    release                 gives it up
    create                  a context of its own, which is current then: "ok N" or "error CODE"
    destroy N
    alloc BYTES             "ok N" or "error CODE"
    free N
    fill FUNCTION MILLISECONDS
                            sets or copies on the card by this function, waiting for each: "ok"
    begin FUNCTION          does so once, and waits for nothing: "ok" or "error CODE"
    streams N               makes so many: "ok"
    launch STREAM           a kernel of some milliseconds: "ok" or "error CODE"
    wait STREAM             until its work is done: "ok" or "error CODE"
    end STREAM              destroys it, done or not: "ok" or "error CODE"
    limit NAME BYTES        of stack, heap (from which kernels allocate) or pending: "ok" or "error CODE"
    limit_is NAME           "ok BYTES" or "error CODE"
    load BYTES [malloc] [lazily[BYTES]]
                            a kernel whose threads need so much, which may allocate, and of whose code so much is loaded at its first
                            launch: "ok N" or "error CODE"
    find BYTES [function] ...
                            the same in a library; or its function in the current context
    run N                   launches it: "ok" or "error CODE"
    run_ex N                by cuLaunchKernelEx
    unload N                the module or library that it is in: "ok" or "error CODE"
    graph N                 makes a graph of such a launch executable: "ok" or "error CODE"
    nodes N                 the same of a graph with so many nodes that do nothing
    replay                  launches the last of these: "ok" or "error CODE"
    other COMMAND           has another process of the slice do it: what that answers
    environment NAME        what the environment, as the driver would read it, says
"""
import ctypes
import os
import subprocess
import sys
import time

from line_calls import answer_lines

LIMITS = {"stack": 0, "heap": 2, "pending": 4}  # CUlimit


SIZE, FILL_BYTES = ctypes.c_size_t, 16 << 20
# What follows the addresses, by function: of as many addresses of FILL_BYTES.
FILLS = {"cuMemsetD8Async": (1, 0, SIZE(FILL_BYTES), None), "cuMemsetD32_v2": (1, 0, SIZE(FILL_BYTES // 4)),
         "cuMemcpyDtoDAsync_v2": (2, SIZE(FILL_BYTES), None), "cuMemcpyDtoD_v2": (2, SIZE(FILL_BYTES))}


class Calls:
    def __init__(self):
        self.library = None
        self.contexts, self.blocks, self.made, self.kernel, self.functions, self.codes = [], [], [], None, [], []
        self.graph_made = self.process = None

    @property
    def driver(self):
        if not self.library:
            self.library = ctypes.CDLL("libcuda.so.1")
            if code := self.library.cuInit(0):
                print(f"error {code}", flush=True)
        return self.library

    @staticmethod
    def said(code, made=None):
        return f"error {code}" if code else "ok" if made is None else f"ok {made}"

    def open(self, path, namespace):
        find = ctypes.CDLL(None).dlmopen
        find.restype, find.argtypes = ctypes.c_void_p, (ctypes.c_long, ctypes.c_char_p, ctypes.c_int)
        handle = find(int(namespace), path.encode(), os.RTLD_NOW | os.RTLD_LOCAL)
        if not handle:
            return "error"
        self.library = ctypes.CDLL(path, handle=handle)
        return self.said(self.library.cuInit(0) if namespace == "0" else 0)

    def retain(self):
        context = ctypes.c_void_p()
        code = self.driver.cuDevicePrimaryCtxRetain(ctypes.byref(context), 0)
        return self.said(code or self.driver.cuCtxSetCurrent(context))

    def release(self):
        return self.said(self.driver.cuDevicePrimaryCtxRelease_v2(0))

    def create(self):
        context = ctypes.c_void_p()
        code = self.driver.cuCtxCreate_v2(ctypes.byref(context), 0, 0)
        if not code:
            self.contexts.append(context)
        return self.said(code, len(self.contexts) - 1)

    def destroy(self, number):
        return self.said(self.driver.cuCtxDestroy_v2(self.contexts[int(number)]))

    def alloc(self, size):
        at = ctypes.c_uint64()
        code = self.driver.cuMemAlloc_v2(ctypes.byref(at), ctypes.c_size_t(int(size)))
        if not code:
            self.blocks.append(at)
        return self.said(code, len(self.blocks) - 1)

    def free(self, number):
        return self.said(self.driver.cuMemFree_v2(self.blocks[int(number)]))

    def begin(self, name):
        count, *rest = FILLS[name]
        while len(self.blocks) < count:
            self.alloc(FILL_BYTES)
        return self.said(getattr(self.driver, name)(*self.blocks[:count], *rest))

    def fill(self, name, milliseconds):
        end = time.monotonic() + int(milliseconds) / 1000
        said = "ok"
        while said == "ok" and time.monotonic() < end:
            said = self.begin(name)
            if code := self.driver.cuStreamSynchronize(None):
                return self.said(code)
        return said

    def streams(self, count):
        for _ in range(int(count)):
            self.made.append(ctypes.c_void_p())
            if code := self.driver.cuStreamCreate(ctypes.byref(self.made[-1]), 1):
                return self.said(code)
        return "ok"

    def launch(self, number):
        if not self.kernel:
            module, self.kernel = ctypes.c_void_p(), ctypes.c_void_p()
            self.driver.cuModuleLoadData(ctypes.byref(module), b"spin")
            self.driver.cuModuleGetFunction(ctypes.byref(self.kernel), module, b"spin")
        return self.said(self.driver.cuLaunchKernel(self.kernel, 1, 1, 1, 256, 1, 1, 0, self.made[int(number)], None, None))

    def wait(self, number):
        return self.said(self.driver.cuStreamSynchronize(self.made[int(number)]))

    def end(self, number):
        return self.said(self.driver.cuStreamDestroy_v2(self.made[int(number)]))

    def limit(self, name, size):
        return self.said(self.driver.cuCtxSetLimit(LIMITS[name], ctypes.c_size_t(int(size))))

    def limit_is(self, name):
        size = ctypes.c_size_t()
        return self.said(self.driver.cuCtxGetLimit(ctypes.byref(size), LIMITS[name]), size.value)

    @staticmethod
    def code(size, *more):
        return f".version 7.0\n.target sm_70\n.visible .entry k() {{ .local .align 8 .b8 own[{size}]; {' '.join(more)} }}\n".encode()

    def load(self, size, *more):
        module, function = ctypes.c_void_p(), ctypes.c_void_p()
        code = (self.driver.cuModuleLoadData(ctypes.byref(module), self.code(size, *more)) or
                self.driver.cuModuleGetFunction(ctypes.byref(function), module, b"k"))
        self.functions.append(function)
        self.codes.append(("cuModuleUnload", module))
        return self.said(code, len(self.functions) - 1)

    def find(self, size, *more):
        library, kernel = ctypes.c_void_p(), ctypes.c_void_p()
        code = (self.driver.cuLibraryLoadData(ctypes.byref(library), self.code(size, *more), None, None, 0, None, None, 0) or
                self.driver.cuLibraryGetKernel(ctypes.byref(kernel), library, b"k") or
                (self.driver.cuKernelGetFunction(ctypes.byref(kernel), kernel) if "function" in more else 0))
        self.functions.append(kernel)
        self.codes.append(("cuLibraryUnload", library))
        return self.said(code, len(self.functions) - 1)

    def run(self, number, stream=None):
        return self.said(self.driver.cuLaunchKernel(self.functions[int(number)], 1, 1, 1, 1, 1, 1, 0, stream, None, None))

    def run_ex(self, number):
        class Config(ctypes.Structure):  # CUlaunchConfig
            _fields_ = [("sizes", ctypes.c_uint * 6), ("shared", ctypes.c_uint), ("stream", ctypes.c_void_p), ("more", ctypes.c_void_p),
                        ("count", ctypes.c_uint)]
        config = Config((ctypes.c_uint * 6)(1, 1, 1, 1, 1, 1))
        return self.said(self.driver.cuLaunchKernelEx(ctypes.byref(config), self.functions[int(number)], None, None))

    def unload(self, number):
        unload, code = self.codes[int(number)]
        return self.said(getattr(self.driver, unload)(code))

    def graph(self, number):
        stream, graph = ctypes.c_void_p(), ctypes.c_void_p()
        self.driver.cuStreamCreate(ctypes.byref(stream), 1)
        self.driver.cuStreamBeginCapture_v2(stream, 2)
        launched = self.run(number, stream)
        self.driver.cuStreamEndCapture(stream, ctypes.byref(graph))
        if launched != "ok":
            return f"not captured: {launched}"
        return self.instantiate(graph)

    def nodes(self, count):
        graph, node = ctypes.c_void_p(), ctypes.c_void_p()
        self.driver.cuGraphCreate(ctypes.byref(graph), 0)
        for _ in range(int(count)):
            self.driver.cuGraphAddEmptyNode(ctypes.byref(node), graph, None, ctypes.c_size_t(0))
        return self.instantiate(graph)

    def instantiate(self, graph):
        made = ctypes.c_void_p()
        code = self.driver.cuGraphInstantiateWithFlags(ctypes.byref(made), graph, ctypes.c_ulonglong(0))
        self.graph_made = self.graph_made if code else made
        return self.said(code)

    def replay(self):
        return self.said(self.driver.cuGraphLaunch(self.graph_made, None))

    def other(self, *words):
        if not self.process:
            self.process = subprocess.Popen([sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        print(*words, file=self.process.stdin, flush=True)
        return self.process.stdout.readline().strip()

    def environment(self, name):
        assert self.driver  # which has read it
        getenv = ctypes.CDLL(None).getenv
        getenv.restype = ctypes.c_char_p
        value = getenv(name.encode())
        return "not set" if value is None else f"={value.decode()}"


if __name__ == "__main__":
    answer_lines(Calls())
