"""A program that calls the driver's own library as it is told, line by line; each command is answered by one line. It knows
nothing of slices.

    retain                  the context that libraries share: "ok" or "error CODE"
    release                 gives it up
    create                  a context of its own, which is current then: "ok N" or "error CODE"
    destroy N
    alloc BYTES             "ok N" or "error CODE"
    free N
    environment NAME        what the environment, as the driver would read it, says
"""
import ctypes

from line_calls import answer_lines


class Calls:
    def __init__(self):
        self.driver = ctypes.CDLL("libcuda.so.1")
        self.contexts, self.blocks = [], []
        if code := self.driver.cuInit(0):
            print(f"error {code}", flush=True)

    @staticmethod
    def said(code, made=None):
        return f"error {code}" if code else "ok" if made is None else f"ok {made}"

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

    @staticmethod
    def environment(name):
        getenv = ctypes.CDLL(None).getenv
        getenv.restype = ctypes.c_char_p
        value = getenv(name.encode())
        return "not set" if value is None else f"={value.decode()}"


if __name__ == "__main__":
    answer_lines(Calls())
