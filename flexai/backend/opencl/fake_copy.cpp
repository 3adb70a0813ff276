// The fake OpenCL driver: everything that moves bytes. Ranges are checked when a command is
// enqueued; the bytes move when the card gets there.
#include <string.h>

#include <utility>

#include "flexai/backend/opencl/fake_objects.h"

namespace flexai::fake {

using namespace backend::opencl::fake_driver;  // NOLINT: for the bodies below

namespace {

bool IsIn(uint64_t offset, uint64_t bytes, uint64_t size) {
  return offset <= size && bytes <= size - offset;
}

// A box of bytes in memory of some pitches.
struct Box {
  char* base = nullptr;
  size_t row = 0, slice = 0;
};

// Copies `region` (bytes x rows x slices) between two boxes.
void CopyBox(const Box& to, const Box& from, const size_t region[3]) {
  for (size_t z = 0; z < region[2]; ++z) {
    for (size_t y = 0; y < region[1]; ++y) {
      memmove(to.base + z * to.slice + y * to.row, from.base + z * from.slice + y * from.row,
              region[0]);
    }
  }
}

// Where a rectangle of a buffer begins; false if it leaves the buffer or its pitches make no sense.
bool RectOf(char* data, uint64_t size, const size_t* origin, const size_t* region, size_t row,
            size_t slice, Box* box) {
  if (row == 0) row = region[0];
  if (slice == 0) slice = row * region[1];
  if (row < region[0] || slice < row * region[1]) return false;
  const uint64_t begin = origin[2] * slice + origin[1] * row + origin[0];
  const uint64_t bytes = (region[2] - 1) * slice + (region[1] - 1) * row + region[0];
  if (size != 0 && !IsIn(begin, bytes, size)) return false;
  *box = {data + begin, row, slice};
  return true;
}

bool IsRegion(const size_t* origin, const size_t* region) {
  return origin && region && region[0] && region[1] && region[2];
}

// A box of an image: x counts elements; y counts layers of a 1D array.
bool ImageBox(Mem* mem, const size_t* origin, const size_t* region, Box* box) {
  if (!IsRegion(origin, region)) return false;
  const bool array1d = mem->type == cl::CL_MEM_OBJECT_IMAGE1D_ARRAY;
  const auto one = [](size_t side) { return side ? side : 1; };
  const size_t height = array1d ? one(mem->layers) : one(mem->height);
  const size_t depth = array1d ? 1 : one(mem->depth ? mem->depth : mem->layers);
  if (!IsIn(origin[0], region[0], mem->width) || !IsIn(origin[1], region[1], height) ||
      !IsIn(origin[2], region[2], depth)) {
    return false;
  }
  *box = {mem->data + origin[2] * mem->slice + origin[1] * mem->row + origin[0] * mem->element,
          mem->row, mem->slice};
  return true;
}

template <class C>
Mem* Buffer(C& call, cl::cl_mem handle) {
  auto* mem = Live<Mem>(handle);
  if (!mem) Fail(call, cl::CL_INVALID_MEM_OBJECT);
  return mem;
}

// Enqueues a copy of a box that keeps its memory objects alive until it has run.
template <class C>
void EnqueueBox(C& call, int64_t type, bool blocking, Box to, Box from, const size_t bytes[3],
                Ref<Mem> first, Ref<Mem> second = {}) {
  const size_t x = bytes[0], y = bytes[1], z = bytes[2];
  EnqueueCall(call, {type, blocking, CopyCost(x * y * z), false,
                     [to, from, x, y, z, first = std::move(first),
                      second = std::move(second)]() -> int64_t {
                       const size_t region[3] = {x, y, z};
                       CopyBox(to, from, region);
                       return 0;
                     }});
}

template <class C>
void Linear(C& call, int64_t type, bool blocking, char* to, char* from, size_t bytes,
            Ref<Mem> first, Ref<Mem> second = {}) {
  const size_t region[3] = {bytes, 1, 1};
  EnqueueBox(call, type, blocking, {to}, {from}, region, std::move(first), std::move(second));
}

char* Writable(const void* pointer) { return static_cast<char*>(const_cast<void*>(pointer)); }

template <class C>
void NewMap(C& call, int64_t type, Mem* mem, char* at) {
  call.result = at;
  if (EnqueueCall(call,
                  {type, call.blocking_map != 0, 0, false, [keep = Ref(mem)] { return 0; }})) {
    mem->maps.fetch_add(1);
    if (call.errcode_ret) *call.errcode_ret = 0;
  } else {
    call.result = nullptr;
  }
}

// Writes `pattern` over and over.
void Repeat(char* to, const std::string& pattern, size_t bytes) {
  for (size_t at = 0; at + pattern.size() <= bytes; at += pattern.size()) {
    memcpy(to + at, pattern.data(), pattern.size());
  }
}

}  // namespace

template <>
void Run(cl::ClEnqueueReadBufferCall& call) {
  Mem* mem = Buffer(call, call.buffer);
  if (!mem) return;
  if (!call.ptr || call.size == 0 || !IsIn(call.offset, call.size, mem->size)) {
    return Fail(call, cl::CL_INVALID_VALUE);
  }
  Linear(call, cl::CL_COMMAND_READ_BUFFER, call.blocking_read, Writable(call.ptr),
         mem->data + call.offset, call.size, Ref(mem));
}

template <>
void Run(cl::ClEnqueueWriteBufferCall& call) {
  Mem* mem = Buffer(call, call.buffer);
  if (!mem) return;
  if (!call.ptr || call.size == 0 || !IsIn(call.offset, call.size, mem->size)) {
    return Fail(call, cl::CL_INVALID_VALUE);
  }
  Linear(call, cl::CL_COMMAND_WRITE_BUFFER, call.blocking_write, mem->data + call.offset,
         Writable(call.ptr), call.size, Ref(mem));
}

template <>
void Run(cl::ClEnqueueCopyBufferCall& call) {
  Mem* from = Buffer(call, call.src_buffer);
  Mem* to = from ? Buffer(call, call.dst_buffer) : nullptr;
  if (!from || !to) return;
  if (call.size == 0 || !IsIn(call.src_offset, call.size, from->size) ||
      !IsIn(call.dst_offset, call.size, to->size)) {
    return Fail(call, cl::CL_INVALID_VALUE);
  }
  char* source = from->data + call.src_offset;
  char* target = to->data + call.dst_offset;
  if (source < target + call.size && target < source + call.size) {
    return Fail(call, cl::CL_MEM_COPY_OVERLAP);
  }
  Linear(call, cl::CL_COMMAND_COPY_BUFFER, false, target, source, call.size, Ref(from), Ref(to));
}

template <>
void Run(cl::ClEnqueueReadBufferRectCall& call) {
  Mem* mem = Buffer(call, call.buffer);
  if (!mem) return;
  Box from, to;
  if (!call.ptr || !call.host_origin || !IsRegion(call.buffer_origin, call.region) ||
      !RectOf(mem->data, mem->size, call.buffer_origin, call.region, call.buffer_row_pitch,
              call.buffer_slice_pitch, &from) ||
      !RectOf(Writable(call.ptr), 0, call.host_origin, call.region, call.host_row_pitch,
              call.host_slice_pitch, &to)) {
    return Fail(call, cl::CL_INVALID_VALUE);
  }
  EnqueueBox(call, cl::CL_COMMAND_READ_BUFFER_RECT, call.blocking_read, to, from, call.region,
             Ref(mem));
}

template <>
void Run(cl::ClEnqueueWriteBufferRectCall& call) {
  Mem* mem = Buffer(call, call.buffer);
  if (!mem) return;
  Box from, to;
  if (!call.ptr || !call.host_origin || !IsRegion(call.buffer_origin, call.region) ||
      !RectOf(mem->data, mem->size, call.buffer_origin, call.region, call.buffer_row_pitch,
              call.buffer_slice_pitch, &to) ||
      !RectOf(Writable(call.ptr), 0, call.host_origin, call.region, call.host_row_pitch,
              call.host_slice_pitch, &from)) {
    return Fail(call, cl::CL_INVALID_VALUE);
  }
  EnqueueBox(call, cl::CL_COMMAND_WRITE_BUFFER_RECT, call.blocking_write, to, from, call.region,
             Ref(mem));
}

template <>
void Run(cl::ClEnqueueCopyBufferRectCall& call) {
  Mem* source = Buffer(call, call.src_buffer);
  Mem* target = source ? Buffer(call, call.dst_buffer) : nullptr;
  if (!source || !target) return;
  Box from, to;
  if (!call.dst_origin || !IsRegion(call.src_origin, call.region) ||
      !RectOf(source->data, source->size, call.src_origin, call.region, call.src_row_pitch,
              call.src_slice_pitch, &from) ||
      !RectOf(target->data, target->size, call.dst_origin, call.region, call.dst_row_pitch,
              call.dst_slice_pitch, &to)) {
    return Fail(call, cl::CL_INVALID_VALUE);
  }
  EnqueueBox(call, cl::CL_COMMAND_COPY_BUFFER_RECT, false, to, from, call.region, Ref(source),
             Ref(target));
}

template <>
void Run(cl::ClEnqueueFillBufferCall& call) {
  Mem* mem = Buffer(call, call.buffer);
  if (!mem) return;
  const size_t unit = call.pattern_size;
  const bool power = unit != 0 && unit <= 128 && (unit & (unit - 1)) == 0;
  if (!call.pattern || !power || !IsIn(call.offset, call.size, mem->size) ||
      call.offset % unit != 0 || call.size % unit != 0) {
    return Fail(call, cl::CL_INVALID_VALUE);
  }
  const std::string pattern(static_cast<const char*>(call.pattern), unit);
  char* to = mem->data + call.offset;
  EnqueueCall(call, {cl::CL_COMMAND_FILL_BUFFER, false, CopyCost(call.size), false,
                     [keep = Ref(mem), to, pattern, bytes = call.size]() -> int64_t {
                       Repeat(to, pattern, bytes);
                       return 0;
                     }});
}

template <>
void Run(cl::ClEnqueueReadImageCall& call) {
  Mem* mem = Buffer(call, call.image);
  if (!mem) return;
  Box from;
  if (!call.ptr || !ImageBox(mem, call.origin, call.region, &from)) {
    return Fail(call, cl::CL_INVALID_VALUE);
  }
  const size_t bytes[3] = {call.region[0] * mem->element, call.region[1], call.region[2]};
  const size_t row = call.row_pitch ? call.row_pitch : bytes[0];
  const size_t slice = call.slice_pitch ? call.slice_pitch : row * bytes[1];
  EnqueueBox(call, cl::CL_COMMAND_READ_IMAGE, call.blocking_read, {Writable(call.ptr), row, slice},
             from, bytes, Ref(mem));
}

template <>
void Run(cl::ClEnqueueWriteImageCall& call) {
  Mem* mem = Buffer(call, call.image);
  if (!mem) return;
  Box to;
  if (!call.ptr || !ImageBox(mem, call.origin, call.region, &to)) {
    return Fail(call, cl::CL_INVALID_VALUE);
  }
  const size_t bytes[3] = {call.region[0] * mem->element, call.region[1], call.region[2]};
  const size_t row = call.input_row_pitch ? call.input_row_pitch : bytes[0];
  const size_t slice = call.input_slice_pitch ? call.input_slice_pitch : row * bytes[1];
  EnqueueBox(call, cl::CL_COMMAND_WRITE_IMAGE, call.blocking_write, to,
             {Writable(call.ptr), row, slice}, bytes, Ref(mem));
}

template <>
void Run(cl::ClEnqueueCopyImageCall& call) {
  Mem* source = Buffer(call, call.src_image);
  Mem* target = source ? Buffer(call, call.dst_image) : nullptr;
  if (!source || !target) return;
  Box from, to;
  if (source->element != target->element) return Fail(call, cl::CL_IMAGE_FORMAT_MISMATCH);
  if (!ImageBox(source, call.src_origin, call.region, &from) ||
      !ImageBox(target, call.dst_origin, call.region, &to)) {
    return Fail(call, cl::CL_INVALID_VALUE);
  }
  const size_t bytes[3] = {call.region[0] * source->element, call.region[1], call.region[2]};
  EnqueueBox(call, cl::CL_COMMAND_COPY_IMAGE, false, to, from, bytes, Ref(source), Ref(target));
}

template <>
void Run(cl::ClEnqueueCopyImageToBufferCall& call) {
  Mem* image = Buffer(call, call.src_image);
  Mem* buffer = image ? Buffer(call, call.dst_buffer) : nullptr;
  if (!image || !buffer) return;
  Box from;
  if (!ImageBox(image, call.src_origin, call.region, &from)) {
    return Fail(call, cl::CL_INVALID_VALUE);
  }
  const size_t bytes[3] = {call.region[0] * image->element, call.region[1], call.region[2]};
  if (!IsIn(call.dst_offset, bytes[0] * bytes[1] * bytes[2], buffer->size)) {
    return Fail(call, cl::CL_INVALID_VALUE);
  }
  EnqueueBox(call, cl::CL_COMMAND_COPY_IMAGE_TO_BUFFER, false,
             {buffer->data + call.dst_offset, bytes[0], bytes[0] * bytes[1]}, from, bytes,
             Ref(image), Ref(buffer));
}

template <>
void Run(cl::ClEnqueueCopyBufferToImageCall& call) {
  Mem* buffer = Buffer(call, call.src_buffer);
  Mem* image = buffer ? Buffer(call, call.dst_image) : nullptr;
  if (!image || !buffer) return;
  Box to;
  if (!ImageBox(image, call.dst_origin, call.region, &to)) {
    return Fail(call, cl::CL_INVALID_VALUE);
  }
  const size_t bytes[3] = {call.region[0] * image->element, call.region[1], call.region[2]};
  if (!IsIn(call.src_offset, bytes[0] * bytes[1] * bytes[2], buffer->size)) {
    return Fail(call, cl::CL_INVALID_VALUE);
  }
  EnqueueBox(call, cl::CL_COMMAND_COPY_BUFFER_TO_IMAGE, false, to,
             {buffer->data + call.src_offset, bytes[0], bytes[0] * bytes[1]}, bytes, Ref(image),
             Ref(buffer));
}

template <>
void Run(cl::ClEnqueueFillImageCall& call) {
  Mem* mem = Buffer(call, call.image);
  if (!mem) return;
  Box to;
  if (!call.fill_color || !ImageBox(mem, call.origin, call.region, &to)) {
    return Fail(call, cl::CL_INVALID_VALUE);
  }
  // A colour is four words; only formats of whole words take them as they are.
  if (mem->element % 4 != 0 || int64_t{mem->format.image_channel_data_type} < cl::CL_SIGNED_INT32) {
    return Fail(call, cl::CL_IMAGE_FORMAT_NOT_SUPPORTED);
  }
  const std::string color(static_cast<const char*>(call.fill_color), mem->element);
  const size_t x = call.region[0] * mem->element, y = call.region[1], z = call.region[2];
  EnqueueCall(call, {cl::CL_COMMAND_FILL_IMAGE, false, CopyCost(x * y * z), false,
                     [keep = Ref(mem), to, color, x, y, z]() -> int64_t {
                       for (size_t i = 0; i < z; ++i) {
                         for (size_t j = 0; j < y; ++j) {
                           Repeat(to.base + i * to.slice + j * to.row, color, x);
                         }
                       }
                       return 0;
                     }});
}

template <>
void Run(cl::ClEnqueueMapBufferCall& call) {
  Mem* mem = Buffer(call, call.buffer);
  if (!mem) return;
  if (call.size == 0 || !IsIn(call.offset, call.size, mem->size)) {
    return Fail(call, cl::CL_INVALID_VALUE);
  }
  NewMap(call, cl::CL_COMMAND_MAP_BUFFER, mem, mem->data + call.offset);
}

template <>
void Run(cl::ClEnqueueMapImageCall& call) {
  Mem* mem = Buffer(call, call.image);
  if (!mem) return;
  Box box;
  if (!call.image_row_pitch || !ImageBox(mem, call.origin, call.region, &box)) {
    return Fail(call, cl::CL_INVALID_VALUE);
  }
  *call.image_row_pitch = mem->row;
  if (call.image_slice_pitch) *call.image_slice_pitch = mem->depth || mem->layers ? mem->slice : 0;
  NewMap(call, cl::CL_COMMAND_MAP_IMAGE, mem, box.base);
}

template <>
void Run(cl::ClEnqueueUnmapMemObjectCall& call) {
  Mem* mem = Buffer(call, call.memobj);
  if (!mem) return;
  const char* at = static_cast<const char*>(call.mapped_ptr);
  if (mem->maps.load() == 0 || at < mem->data || at >= mem->data + mem->size) {
    return Fail(call, cl::CL_INVALID_VALUE);
  }
  mem->maps.fetch_sub(1);
  EnqueueCall(call,
              {cl::CL_COMMAND_UNMAP_MEM_OBJECT, false, 0, false, [keep = Ref(mem)] { return 0; }});
}

namespace {
template <class C>
void Migrate(C& call) {
  if (call.num_mem_objects == 0 || !call.mem_objects) return Fail(call, cl::CL_INVALID_VALUE);
  for (cl::cl_uint i = 0; i < call.num_mem_objects; ++i) {
    if (!Buffer(call, call.mem_objects[i])) return;
  }
  EnqueueCall(call, {cl::CL_COMMAND_MIGRATE_MEM_OBJECTS});
}
}  // namespace

template <>
void Run(cl::ClEnqueueMigrateMemObjectsCall& call) {
  Migrate(call);
}
template <>
void Run(cl::ClEnqueueMigrateMemObjectEXTCall& call) {
  Migrate(call);
}

template <>
void Run(cl::ClEnqueueSVMMemcpyCall& call) {
  if (!call.dst_ptr || !call.src_ptr) return Fail(call, cl::CL_INVALID_VALUE);
  Linear(call, cl::CL_COMMAND_SVM_MEMCPY, call.blocking_copy, Writable(call.dst_ptr),
         Writable(call.src_ptr), call.size, {});
}

template <>
void Run(cl::ClEnqueueSVMMemFillCall& call) {
  if (!call.svm_ptr || !call.pattern || call.pattern_size == 0 ||
      call.size % call.pattern_size != 0) {
    return Fail(call, cl::CL_INVALID_VALUE);
  }
  const std::string pattern(static_cast<const char*>(call.pattern), call.pattern_size);
  EnqueueCall(call, {cl::CL_COMMAND_SVM_MEMFILL, false, CopyCost(call.size), false,
                     [to = Writable(call.svm_ptr), pattern, bytes = call.size]() -> int64_t {
                       Repeat(to, pattern, bytes);
                       return 0;
                     }});
}

template <>
void Run(cl::ClEnqueueSVMMapCall& call) {
  if (!call.svm_ptr || call.size == 0) return Fail(call, cl::CL_INVALID_VALUE);
  EnqueueCall(call, {cl::CL_COMMAND_SVM_MAP, call.blocking_map != 0});
}
template <>
void Run(cl::ClEnqueueSVMUnmapCall& call) {
  if (!call.svm_ptr) return Fail(call, cl::CL_INVALID_VALUE);
  EnqueueCall(call, {cl::CL_COMMAND_SVM_UNMAP});
}
template <>
void Run(cl::ClEnqueueSVMMigrateMemCall& call) {
  if (call.num_svm_pointers == 0 || !call.svm_pointers) return Fail(call, cl::CL_INVALID_VALUE);
  EnqueueCall(call, {cl::CL_COMMAND_SVM_MIGRATE_MEM});
}

template <>
void Run(cl::ClEnqueueSVMFreeCall& call) {
  if (call.num_svm_pointers == 0 || !call.svm_pointers) return Fail(call, cl::CL_INVALID_VALUE);
  std::vector<void*> pointers(call.svm_pointers, call.svm_pointers + call.num_svm_pointers);
  EnqueueCall(call, {cl::CL_COMMAND_SVM_FREE, false, 0, false,
                     [pointers, notify = call.pfn_free_func, data = call.user_data,
                      queue = call.command_queue]() mutable -> int64_t {
                       const auto count = static_cast<cl::cl_uint>(pointers.size());
                       if (notify) {
                         notify(queue, count, pointers.data(), data);
                       } else {
                         for (void* at : pointers) Card::Instance().arena().Free(at);
                       }
                       return 0;
                     }});
}

}  // namespace flexai::fake
