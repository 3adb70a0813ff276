"""A program that uses several cards as it is told, line by line; each command is answered by one line. It knows nothing of
slices. Cards count as the driver shows them.

    devices                 "ok N"
    use CARD                its shared context becomes current, here and for what follows
    alloc BYTES             on the card in use: "ok N" or "error CODE"
    physical CARD BYTES     memory without an address: "ok N" or "error CODE"
    pooled CARD BYTES       from that card's pool, whichever card is in use: "ok N" or "error CODE"
    free N
    memory                  of the card in use: "ok FREE TOTAL"
    shown CARD              what the management library says of it: "ok USED TOTAL"
    work                    launches and waits on every card at once from now on
    done                    how often each card has come to the end of a launch: "ok N N..."
"""
import ctypes
import threading

from line_calls import answer_lines

POINTER, SIZE = ctypes.c_void_p, ctypes.c_size_t


class Calls:
    def __init__(self):
        self.driver = ctypes.CDLL("libcuda.so.1")
        self.blocks, self.ended = [], []
        count = ctypes.c_int()
        if code := self.driver.cuInit(0) or self.driver.cuDeviceGetCount(ctypes.byref(count)):
            print(f"error {code}", flush=True)
        self.contexts = [self.context(card) for card in range(count.value)]

    def context(self, card):
        context = POINTER()
        code = self.driver.cuDevicePrimaryCtxRetain(ctypes.byref(context), card)
        return context if not code else None

    def made(self, code, give, handle):
        if code:
            return f"error {code}"
        self.blocks.append((give, handle))
        return f"ok {len(self.blocks) - 1}"

    def devices(self):
        return f"ok {len(self.contexts)}"

    def use(self, card):
        code = self.driver.cuCtxSetCurrent(self.contexts[int(card)])
        return f"error {code}" if code else "ok"

    def alloc(self, size):
        at = ctypes.c_uint64()
        return self.made(self.driver.cuMemAlloc_v2(ctypes.byref(at), SIZE(int(size))), self.driver.cuMemFree_v2, at)

    def physical(self, card, size):
        # Pinned memory on a card; no other field matters here.
        properties = (ctypes.c_uint32 * 8)(1, 0, 1, int(card))
        handle = ctypes.c_uint64()
        code = self.driver.cuMemCreate(ctypes.byref(handle), SIZE(int(size)), ctypes.byref(properties), ctypes.c_uint64(0))
        return self.made(code, self.driver.cuMemRelease, handle)

    def pooled(self, card, size):
        pool, at = POINTER(), ctypes.c_uint64()
        code = self.driver.cuDeviceGetDefaultMemPool(ctypes.byref(pool), int(card))
        code = code or self.driver.cuMemAllocFromPoolAsync(ctypes.byref(at), SIZE(int(size)), pool, None)
        return self.made(code, lambda block: self.driver.cuMemFreeAsync(block, None), at)

    def free(self, number):
        give, handle = self.blocks[int(number)]
        code = give(handle)
        return f"error {code}" if code else "ok"

    def memory(self):
        free, total = SIZE(), SIZE()
        code = self.driver.cuMemGetInfo_v2(ctypes.byref(free), ctypes.byref(total))
        return f"error {code}" if code else f"ok {free.value} {total.value}"

    def shown(self, card):
        management, handle, name = ctypes.CDLL("libnvidia-ml.so.1"), POINTER(), (ctypes.c_ubyte * 16)()
        memory = (ctypes.c_ulonglong * 3)()  # total, free, used
        self.driver.cuDeviceGetUuid_v2(ctypes.byref(name), int(card))
        text = bytes(name).hex()
        uuid = "GPU-" + "-".join(text[begin:end] for begin, end in ((0, 8), (8, 12), (12, 16), (16, 20), (20, 32)))
        code = management.nvmlInit_v2() or management.nvmlDeviceGetHandleByUUID(uuid.encode(), ctypes.byref(handle))
        code = code or management.nvmlDeviceGetMemoryInfo(handle, ctypes.byref(memory))
        return f"error {code}" if code else f"ok {memory[2]} {memory[0]}"

    def launch_on(self, card):
        module, kernel = POINTER(), POINTER()
        self.driver.cuCtxSetCurrent(self.contexts[card])
        self.driver.cuModuleLoadData(ctypes.byref(module), b"flexai_spin")
        self.driver.cuModuleGetFunction(ctypes.byref(kernel), module, b"flexai_spin")
        while not self.driver.cuLaunchKernel(kernel, 1, 1, 1, 256, 1, 1, 0, None, None, None) and not self.driver.cuStreamSynchronize(None):
            self.ended[card] += 1

    def work(self):
        self.ended = [0] * len(self.contexts)
        for card in range(len(self.contexts)):
            threading.Thread(target=self.launch_on, args=(card,), daemon=True).start()
        return "ok"

    def done(self):
        return " ".join(["ok", *map(str, self.ended)])


if __name__ == "__main__":
    answer_lines(Calls())
