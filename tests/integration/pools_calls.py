"""A program that takes memory of cards in ways where the driver decides by itself what it holds, line by line; each command is
answered by one line. It knows nothing of slices. Cards count as the driver shows them.

    use CARD                its shared context becomes current
    leave                   no context is current
    stream                  of the current context: "ok N" or "error CODE"
    pool PLACE              of a card, or "host": "ok N" or "error CODE"
    destroy POOL
    from POOL BYTES         "ok N" or "error CODE"
    in STREAM BYTES         in order, from whichever pool is the stream's: "ok N" or "error CODE"
    graph CARD BYTES        one that takes them on a card: "ok N" or "error CODE"
    launch GRAPH
    capture BYTES           memory that a captured graph will take, in the thread's own default stream
    capture-in STREAM BYTES the same: "ok N" or "error CODE", of the graph
    physical BYTES          without an address: "ok N" or "error CODE"
    release N
    sparse                  an array without memory of its own: "ok N" or "error CODE"
    map ARRAY N             puts the memory into it
    multicast               an object for several cards: "ok N" or "error CODE"
    bind MULTICAST N        puts the memory to it
    race THREADS ROUNDS BYTES   memory without an address, made and released by threads at once
    free N                  in order, in the default stream
    free-now N
    wait                    for all of the current context
    wait-for STREAM
    memory                  of the card in use: "ok FREE TOTAL"
"""
import ctypes
import threading

from line_calls import answer_lines

POINTER, SIZE = ctypes.c_void_p, ctypes.c_size_t
ON_CARD, ON_HOST = 1, 2  # CUmemLocationType


class Calls:
    def __init__(self):
        self.driver = ctypes.CDLL("libcuda.so.1")
        self.blocks, self.pools, self.streams, self.contexts, self.graphs = [], [], [], [], []
        self.arrays, self.multicasts = [], []
        count = ctypes.c_int()
        if code := self.driver.cuInit(0) or self.driver.cuDeviceGetCount(ctypes.byref(count)):
            print(f"error {code}", flush=True)
        for card in range(count.value):
            self.contexts.append(POINTER())
            self.driver.cuDevicePrimaryCtxRetain(ctypes.byref(self.contexts[-1]), card)
        self.use(0)

    @staticmethod
    def said(code, made=None, among=None):
        if code or among is None:
            return f"error {code}" if code else "ok"
        among.append(made)
        return f"ok {len(among) - 1}"

    def use(self, card):
        return self.said(self.driver.cuCtxSetCurrent(self.contexts[int(card)]))

    def leave(self):
        return self.said(self.driver.cuCtxSetCurrent(None))

    def stream(self):
        stream = POINTER()
        return self.said(self.driver.cuStreamCreate(ctypes.byref(stream), 1), stream, self.streams)

    def pool(self, place):
        # Pinned memory; no other field matters here.
        where = (ON_HOST, 0) if place == "host" else (ON_CARD, int(place))
        properties, pool = (ctypes.c_uint32 * 22)(1, 0, *where), POINTER()
        return self.said(self.driver.cuMemPoolCreate(ctypes.byref(pool), ctypes.byref(properties)), pool, self.pools)

    def destroy(self, pool):
        return self.said(self.driver.cuMemPoolDestroy(self.pools[int(pool)]))

    def take(self, pool, size):
        at = ctypes.c_uint64()
        code = self.driver.cuMemAllocFromPoolAsync(ctypes.byref(at), SIZE(int(size)), self.pools[int(pool)], None)
        return self.said(code, at, self.blocks)

    def take_in(self, stream, size):
        at = ctypes.c_uint64()
        return self.said(self.driver.cuMemAllocAsync(ctypes.byref(at), SIZE(int(size)), self.streams[int(stream)]), at, self.blocks)

    def graph(self, card, size):
        # CUDA_MEM_ALLOC_NODE_PARAMS: the pool's properties, two words for who may use it, the size, the address.
        graph, node, ready = POINTER(), POINTER(), POINTER()
        parameters = (ctypes.c_uint32 * 30)(1, 0, ON_CARD, int(card))
        ctypes.c_uint64.from_buffer(parameters, 104).value = int(size)
        code = self.driver.cuGraphCreate(ctypes.byref(graph), 0)
        code = code or self.driver.cuGraphAddMemAllocNode(ctypes.byref(node), graph, None, SIZE(0), ctypes.byref(parameters))
        code = code or self.driver.cuGraphInstantiateWithFlags(ctypes.byref(ready), graph, ctypes.c_uint64(0))
        return self.said(code, ready, self.graphs)

    def launch(self, graph):
        return self.said(self.driver.cuGraphLaunch(self.graphs[int(graph)], None))

    def capture(self, size):
        at, graph = ctypes.c_uint64(), POINTER()
        code = self.driver.cuStreamBeginCapture_v2_ptsz(None, 2)
        code = code or self.driver.cuMemAllocAsync_ptsz(ctypes.byref(at), SIZE(int(size)), None)
        return self.said(self.driver.cuStreamEndCapture_ptsz(None, ctypes.byref(graph)) or code)

    def capture_in(self, stream, size):
        at, graph, ready = ctypes.c_uint64(), POINTER(), POINTER()
        code = self.driver.cuStreamBeginCapture_v2(self.streams[int(stream)], 0)
        code = code or self.driver.cuMemAllocAsync(ctypes.byref(at), SIZE(int(size)), self.streams[int(stream)])
        code = self.driver.cuStreamEndCapture(self.streams[int(stream)], ctypes.byref(graph)) or code
        code = code or self.driver.cuGraphInstantiateWithFlags(ctypes.byref(ready), graph, ctypes.c_uint64(0))
        return self.said(code, ready, self.graphs)

    def physical(self, size):
        properties, handle = (ctypes.c_uint32 * 8)(1, 0, ON_CARD, 0), ctypes.c_uint64()
        return self.said(self.driver.cuMemCreate(ctypes.byref(handle), SIZE(int(size)), properties, ctypes.c_uint64(0)), handle, self.blocks)

    def release(self, number):
        return self.said(self.driver.cuMemRelease(self.blocks[int(number)]))

    def sparse(self):
        # CUDA_ARRAY3D_DESCRIPTOR: three sizes, then format, channels and flags.
        description, array = (ctypes.c_uint64 * 5)(4096, 4096, 0, 1 | 4 << 32, 0x40), POINTER()
        return self.said(self.driver.cuArray3DCreate_v2(ctypes.byref(array), description), array, self.arrays)

    def map(self, array, number):
        # CUarrayMapInfo: the array, which part of it, the operation and the kind of handle, the handle.
        info = (ctypes.c_uint64 * 12)(0, self.arrays[int(array)].value, 0, 0, 0, 0, 0, 1, self.blocks[int(number)].value, 0, 1, 0)
        return self.said(self.driver.cuMemMapArrayAsync(info, 1, None))

    def multicast(self):
        properties, made = (ctypes.c_uint64 * 4)(2, 64 << 20, 0, 0), ctypes.c_uint64()
        return self.said(self.driver.cuMulticastCreate(ctypes.byref(made), properties), made, self.multicasts)

    def bind(self, multicast, number):
        zero = ctypes.c_uint64(0)
        return self.said(self.driver.cuMulticastBindMem(self.multicasts[int(multicast)], zero, self.blocks[int(number)], zero,
                                                        SIZE(64 << 20), zero))

    def race(self, threads, rounds, size):
        def work():
            properties, handle = (ctypes.c_uint32 * 8)(1, 0, ON_CARD, 0), ctypes.c_uint64()
            for _ in range(int(rounds)):
                if not self.driver.cuMemCreate(ctypes.byref(handle), SIZE(int(size)), properties, ctypes.c_uint64(0)):
                    self.driver.cuMemRelease(handle)
        workers = [threading.Thread(target=work) for _ in range(int(threads))]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        return "ok"

    def free(self, number):
        return self.said(self.driver.cuMemFreeAsync(self.blocks[int(number)], None))

    def free_now(self, number):
        return self.said(self.driver.cuMemFree_v2(self.blocks[int(number)]))

    def wait(self):
        return self.said(self.driver.cuCtxSynchronize())

    def wait_for(self, stream):
        return self.said(self.driver.cuStreamSynchronize(self.streams[int(stream)]))

    def memory(self):
        free, total = SIZE(), SIZE()
        code = self.driver.cuMemGetInfo_v2(ctypes.byref(free), ctypes.byref(total))
        return f"error {code}" if code else f"ok {free.value} {total.value}"


if __name__ == "__main__":
    for word, method in ("from", "take"), ("in", "take_in"), ("free-now", "free_now"), ("wait-for", "wait_for"), ("capture-in", "capture_in"):
        setattr(Calls, word, getattr(Calls, method))
    answer_lines(Calls())
