// The fake OpenCL driver: buffers, images, pipes, shared virtual memory. Every byte comes from the
// card's arena; past its end the API's own out-of-memory code is the answer, as from a real card.
#include <string.h>

#include "flexai/backend/opencl/fake_objects.h"

namespace flexai::fake {

using namespace backend::opencl::fake_driver;  // NOLINT: for the bodies below

namespace {

constexpr uint64_t kHostFlags = static_cast<uint64_t>(cl::CL_MEM_USE_HOST_PTR);
constexpr uint64_t kCopyFlags = static_cast<uint64_t>(cl::CL_MEM_COPY_HOST_PTR);
constexpr uint64_t kAllocHostFlags = static_cast<uint64_t>(cl::CL_MEM_ALLOC_HOST_PTR);

uint64_t MostBytes() { return Card::Instance().config().memory_bytes / 4; }

bool FlagsAreValid(uint64_t flags) {
  const auto more_than_one = [](uint64_t bits) { return (bits & (bits - 1)) != 0; };
  constexpr uint64_t kAccess = 1 | 2 | 4;
  constexpr uint64_t kHostAccess = 128 | 256 | 512;
  if (more_than_one(flags & kAccess) || more_than_one(flags & kHostAccess)) return false;
  return !(flags & kHostFlags) || !(flags & (kCopyFlags | kAllocHostFlags));
}

// Memory for `mem`, whose size, flags and host pointer are set; the error, or 0.
int64_t Fill(Mem* mem) {
  const bool wants_host = (mem->flags & (kHostFlags | kCopyFlags)) != 0;
  if (wants_host != (mem->host_ptr != nullptr)) return cl::CL_INVALID_HOST_PTR;
  mem->held = Card::Instance().arena().Allocate(mem->size);
  if (!mem->held) return cl::CL_MEM_OBJECT_ALLOCATION_FAILURE;
  mem->data = static_cast<char*>(mem->held);
  if (mem->flags & kCopyFlags) memcpy(mem->data, mem->host_ptr, mem->size);
  if (mem->flags & kHostFlags) mem->data = static_cast<char*>(mem->host_ptr);
  if (!(mem->flags & kHostFlags)) mem->host_ptr = nullptr;
  return 0;
}

template <class C>
void Finish(C& call, Mem* mem, int64_t error) {
  if (error == 0) return Give(call, mem);
  Release(mem);
  Fail(call, error);
}

template <class C>
void NewBuffer(C& call) {
  auto* context = Live<Context>(call.context);
  if (!context) return Fail(call, cl::CL_INVALID_CONTEXT);
  if (!FlagsAreValid(call.flags)) return Fail(call, cl::CL_INVALID_VALUE);
  if (call.size == 0 || call.size > MostBytes()) return Fail(call, cl::CL_INVALID_BUFFER_SIZE);
  auto* mem = Make<Mem>();
  mem->context = Ref(context);
  mem->flags = call.flags ? call.flags : static_cast<uint64_t>(cl::CL_MEM_READ_WRITE);
  mem->size = call.size;
  mem->host_ptr = call.host_ptr;
  if constexpr (requires { call.properties; }) mem->properties = ListOf(call.properties);
  Finish(call, mem, Fill(mem));
}

size_t ElementSize(const cl::cl_image_format& format) {
  size_t channels = 0;
  switch (int64_t{format.image_channel_order}) {
    case cl::CL_R:
    case cl::CL_A:
    case cl::CL_INTENSITY:
    case cl::CL_LUMINANCE:
    case cl::CL_DEPTH:
      channels = 1;
      break;
    case cl::CL_RG:
    case cl::CL_RA:
      channels = 2;
      break;
    case cl::CL_RGBA:
    case cl::CL_BGRA:
    case cl::CL_ARGB:
      channels = 4;
      break;
    default:
      return 0;
  }
  switch (int64_t{format.image_channel_data_type}) {
    case cl::CL_SNORM_INT8:
    case cl::CL_UNORM_INT8:
    case cl::CL_SIGNED_INT8:
    case cl::CL_UNSIGNED_INT8:
      return channels;
    case cl::CL_SNORM_INT16:
    case cl::CL_UNORM_INT16:
    case cl::CL_SIGNED_INT16:
    case cl::CL_UNSIGNED_INT16:
    case cl::CL_HALF_FLOAT:
      return 2 * channels;
    case cl::CL_SIGNED_INT32:
    case cl::CL_UNSIGNED_INT32:
    case cl::CL_FLOAT:
      return 4 * channels;
    default:
      return 0;
  }
}

constexpr size_t kMostSide = 8192;

// Sizes of an image; the error, or 0. Rows are packed, as the arena has no wish for more.
int64_t Shape(Mem* mem, const cl::cl_image_desc& desc) {
  mem->type = int64_t{desc.image_type};
  mem->element = ElementSize(mem->format);
  if (mem->element == 0) return cl::CL_IMAGE_FORMAT_NOT_SUPPORTED;
  mem->width = desc.image_width;
  mem->height = mem->depth = mem->layers = 0;
  switch (mem->type) {
    case cl::CL_MEM_OBJECT_IMAGE1D:
    case cl::CL_MEM_OBJECT_IMAGE1D_BUFFER:
      break;
    case cl::CL_MEM_OBJECT_IMAGE2D:
      mem->height = desc.image_height;
      break;
    case cl::CL_MEM_OBJECT_IMAGE3D:
      mem->height = desc.image_height;
      mem->depth = desc.image_depth;
      if (mem->depth == 0) return cl::CL_INVALID_IMAGE_SIZE;
      break;
    case cl::CL_MEM_OBJECT_IMAGE1D_ARRAY:
      mem->layers = desc.image_array_size;
      break;
    case cl::CL_MEM_OBJECT_IMAGE2D_ARRAY:
      mem->height = desc.image_height;
      mem->layers = desc.image_array_size;
      break;
    default:
      return cl::CL_INVALID_IMAGE_DESCRIPTOR;
  }
  const bool tall = mem->type == cl::CL_MEM_OBJECT_IMAGE2D ||
                    mem->type == cl::CL_MEM_OBJECT_IMAGE3D ||
                    mem->type == cl::CL_MEM_OBJECT_IMAGE2D_ARRAY;
  if (mem->width == 0 || (tall && mem->height == 0)) return cl::CL_INVALID_IMAGE_SIZE;
  for (const size_t side : {mem->width, mem->height, mem->depth, mem->layers}) {
    if (side > kMostSide) return cl::CL_INVALID_IMAGE_SIZE;
  }
  const auto one = [](size_t side) { return side ? side : 1; };
  mem->row = mem->width * mem->element;
  mem->slice = mem->row * one(mem->height);
  mem->size = mem->slice * one(mem->depth) * one(mem->layers);
  return mem->size > MostBytes() ? cl::CL_INVALID_IMAGE_SIZE : 0;
}

template <class C>
void NewImage(C& call, const cl::cl_image_desc* desc) {
  auto* context = Live<Context>(call.context);
  if (!context) return Fail(call, cl::CL_INVALID_CONTEXT);
  if (!FlagsAreValid(call.flags)) return Fail(call, cl::CL_INVALID_VALUE);
  if (!call.image_format) return Fail(call, cl::CL_INVALID_IMAGE_FORMAT_DESCRIPTOR);
  if (!desc) return Fail(call, cl::CL_INVALID_IMAGE_DESCRIPTOR);
  auto* mem = Make<Mem>();
  mem->context = Ref(context);
  mem->flags = call.flags ? call.flags : static_cast<uint64_t>(cl::CL_MEM_READ_WRITE);
  mem->format = *call.image_format;
  mem->host_ptr = call.host_ptr;
  if constexpr (requires { call.properties; }) mem->properties = ListOf(call.properties);
  if (const int64_t error = Shape(mem, *desc)) return Finish(call, mem, error);
  if (!desc->mem_object) return Finish(call, mem, Fill(mem));
  auto* parent = Live<Mem>(desc->mem_object);
  if (!parent || parent->size < mem->size) {
    return Finish(call, mem, cl::CL_INVALID_IMAGE_DESCRIPTOR);
  }
  mem->parent = Ref(parent);  // the buffer's bytes: nothing more is held
  mem->data = parent->data;
  Give(call, mem);
}

}  // namespace

template <>
void Run(cl::ClCreateBufferCall& call) {
  NewBuffer(call);
}
template <>
void Run(cl::ClCreateBufferWithPropertiesCall& call) {
  NewBuffer(call);
}
template <>
void Run(cl::ClCreateBufferWithPropertiesINTELCall& call) {
  NewBuffer(call);
}
template <>
void Run(cl::ClCreateImageCall& call) {
  NewImage(call, call.image_desc);
}
template <>
void Run(cl::ClCreateImageWithPropertiesCall& call) {
  NewImage(call, call.image_desc);
}
template <>
void Run(cl::ClCreateImage2DCall& call) {
  cl::cl_image_desc desc = {};
  desc.image_type = static_cast<cl::cl_mem_object_type>(cl::CL_MEM_OBJECT_IMAGE2D);
  desc.image_width = call.image_width;
  desc.image_height = call.image_height;
  NewImage(call, &desc);
}
template <>
void Run(cl::ClCreateImage3DCall& call) {
  cl::cl_image_desc desc = {};
  desc.image_type = static_cast<cl::cl_mem_object_type>(cl::CL_MEM_OBJECT_IMAGE3D);
  desc.image_width = call.image_width;
  desc.image_height = call.image_height;
  desc.image_depth = call.image_depth;
  NewImage(call, &desc);
}

template <>
void Run(cl::ClCreatePipeCall& call) {
  auto* context = Live<Context>(call.context);
  if (!context) return Fail(call, cl::CL_INVALID_CONTEXT);
  const uint64_t bytes = uint64_t{call.pipe_packet_size} * call.pipe_max_packets;
  if (bytes == 0 || bytes > MostBytes()) return Fail(call, cl::CL_INVALID_PIPE_SIZE);
  auto* mem = Make<Mem>();
  mem->context = Ref(context);
  mem->type = cl::CL_MEM_OBJECT_PIPE;
  mem->flags = call.flags;
  mem->size = bytes;
  mem->element = call.pipe_packet_size;
  mem->width = call.pipe_max_packets;
  Finish(call, mem, Fill(mem));
}

template <>
void Run(cl::ClGetPipeInfoCall& call) {
  auto* mem = Live<Mem>(call.pipe);
  if (!mem || mem->type != cl::CL_MEM_OBJECT_PIPE) return Fail(call, cl::CL_INVALID_MEM_OBJECT);
  Answer answer(call);
  if (int64_t{call.param_name} == cl::CL_PIPE_PACKET_SIZE) return answer.Uint(mem->element);
  if (int64_t{call.param_name} == cl::CL_PIPE_MAX_PACKETS) return answer.Uint(mem->width);
  answer.Unknown();
}

template <>
void Run(cl::ClCreateSubBufferCall& call) {
  auto* parent = Live<Mem>(call.buffer);
  if (!parent || parent->type != cl::CL_MEM_OBJECT_BUFFER || parent->parent) {
    return Fail(call, cl::CL_INVALID_MEM_OBJECT);
  }
  if (int64_t{call.buffer_create_type} != cl::CL_BUFFER_CREATE_TYPE_REGION ||
      !call.buffer_create_info || !FlagsAreValid(call.flags)) {
    return Fail(call, cl::CL_INVALID_VALUE);
  }
  const auto& region = *static_cast<const cl::cl_buffer_region*>(call.buffer_create_info);
  if (region.size == 0) return Fail(call, cl::CL_INVALID_BUFFER_SIZE);
  if (region.origin > parent->size || region.size > parent->size - region.origin) {
    return Fail(call, cl::CL_INVALID_VALUE);
  }
  if (region.origin % Card::Instance().config().alignment != 0) {
    return Fail(call, cl::CL_MISALIGNED_SUB_BUFFER_OFFSET);
  }
  auto* mem = Make<Mem>();
  mem->context = parent->context;
  mem->parent = Ref(parent);
  mem->flags = call.flags ? call.flags : parent->flags;
  mem->size = region.size;
  mem->offset = region.origin;
  mem->data = parent->data + region.origin;
  if (parent->host_ptr) mem->host_ptr = static_cast<char*>(parent->host_ptr) + region.origin;
  Give(call, mem);
}

template <>
void Run(cl::ClGetMemObjectInfoCall& call) {
  auto* mem = Live<Mem>(call.memobj);
  if (!mem) return Fail(call, cl::CL_INVALID_MEM_OBJECT);
  Answer answer(call);
  switch (int64_t{call.param_name}) {
    case cl::CL_MEM_TYPE:
      return answer.Uint(static_cast<uint64_t>(mem->type));
    case cl::CL_MEM_FLAGS:
      return answer.Long(mem->flags);
    case cl::CL_MEM_SIZE:
      return answer.Size(mem->size);
    case cl::CL_MEM_HOST_PTR:
      return answer.Is(mem->host_ptr);
    case cl::CL_MEM_MAP_COUNT:
      return answer.Uint(mem->maps.load());
    case cl::CL_MEM_REFERENCE_COUNT:
      return answer.References(*mem);
    case cl::CL_MEM_CONTEXT:
      return answer.Handle(mem->context.get());
    case cl::CL_MEM_ASSOCIATED_MEMOBJECT:
      return answer.Handle(mem->parent.get());
    case cl::CL_MEM_OFFSET:
      return answer.Size(mem->offset);
    case cl::CL_MEM_USES_SVM_POINTER:
      return answer.Uint(0);
    case cl::CL_MEM_PROPERTIES:
      return answer.List(mem->properties);
    default:
      return answer.Unknown();
  }
}

template <>
void Run(cl::ClGetImageInfoCall& call) {
  auto* mem = Live<Mem>(call.image);
  if (!mem || mem->width == 0) return Fail(call, cl::CL_INVALID_MEM_OBJECT);
  Answer answer(call);
  switch (int64_t{call.param_name}) {
    case cl::CL_IMAGE_FORMAT:
      return answer.Is(mem->format);
    case cl::CL_IMAGE_ELEMENT_SIZE:
      return answer.Size(mem->element);
    case cl::CL_IMAGE_ROW_PITCH:
      return answer.Size(mem->row);
    case cl::CL_IMAGE_SLICE_PITCH:
      return answer.Size(mem->depth || mem->layers ? mem->slice : 0);
    case cl::CL_IMAGE_WIDTH:
      return answer.Size(mem->width);
    case cl::CL_IMAGE_HEIGHT:
      return answer.Size(mem->height);
    case cl::CL_IMAGE_DEPTH:
      return answer.Size(mem->depth);
    case cl::CL_IMAGE_ARRAY_SIZE:
      return answer.Size(mem->layers);
    case cl::CL_IMAGE_BUFFER:
      return answer.Handle(mem->parent.get());
    case cl::CL_IMAGE_NUM_MIP_LEVELS:
    case cl::CL_IMAGE_NUM_SAMPLES:
      return answer.Uint(0);
    default:
      return answer.Unknown();
  }
}

template <>
void Run(cl::ClSetMemObjectDestructorCallbackCall& call) {
  auto* mem = Live<Mem>(call.memobj);
  if (!mem) return Fail(call, cl::CL_INVALID_MEM_OBJECT);
  if (!call.pfn_notify) return Fail(call, cl::CL_INVALID_VALUE);
  mem->at_end.push_back({call.pfn_notify, call.user_data});
}

template <>
void Run(cl::ClGetSupportedImageFormatsCall& call) {
  if (!Live<Context>(call.context)) return Fail(call, cl::CL_INVALID_CONTEXT);
  if (call.num_entries == 0 && call.image_formats) return Fail(call, cl::CL_INVALID_VALUE);
  constexpr int64_t kOrders[] = {cl::CL_R, cl::CL_RG, cl::CL_RGBA, cl::CL_BGRA};
  constexpr int64_t kTypes[] = {cl::CL_UNORM_INT8,     cl::CL_UNSIGNED_INT8, cl::CL_SIGNED_INT32,
                                cl::CL_UNSIGNED_INT32, cl::CL_HALF_FLOAT,    cl::CL_FLOAT};
  cl::cl_uint count = 0;
  for (const int64_t order : kOrders) {
    for (const int64_t type : kTypes) {
      if (call.image_formats && count < call.num_entries) {
        call.image_formats[count] = {static_cast<cl::cl_channel_order>(order),
                                     static_cast<cl::cl_channel_type>(type)};
      }
      ++count;
    }
  }
  if (call.num_image_formats) *call.num_image_formats = count;
}

template <>
void Run(cl::ClGetImageRequirementsInfoEXTCall& call) {
  Fail(call, Live<Context>(call.context) ? cl::CL_INVALID_VALUE : cl::CL_INVALID_CONTEXT);
}

template <>
void Run(cl::ClSVMAllocCall& call) {
  constexpr uint64_t kFineGrain =
      static_cast<uint64_t>(cl::CL_MEM_SVM_FINE_GRAIN_BUFFER | cl::CL_MEM_SVM_ATOMICS);
  call.result = nullptr;
  const bool asked_right = call.size > 0 && call.size <= MostBytes() &&
                           !(call.flags & kFineGrain) &&
                           call.alignment <= Card::Instance().config().alignment;
  if (Live<Context>(call.context) && asked_right) {
    call.result = Card::Instance().arena().Allocate(call.size);
  }
}

template <>
void Run(cl::ClSVMFreeCall& call) {
  if (call.svm_pointer) Card::Instance().arena().Free(call.svm_pointer);
}

}  // namespace flexai::fake
