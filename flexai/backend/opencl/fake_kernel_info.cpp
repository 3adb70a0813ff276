// The fake OpenCL driver: what it says of its kernels.
#include "flexai/backend/opencl/fake_objects.h"

namespace flexai::fake {

using namespace backend::opencl::fake_driver;  // NOLINT: for the bodies below

template <>
void Run(cl::ClGetKernelInfoCall& call) {
  auto* kernel = Live<Kernel>(call.kernel);
  if (!kernel) return Fail(call, cl::CL_INVALID_KERNEL);
  Answer answer(call);
  switch (int64_t{call.param_name}) {
    case cl::CL_KERNEL_FUNCTION_NAME:
      return answer.Text(kernel->source->name);
    case cl::CL_KERNEL_NUM_ARGS:
      return answer.Uint(kernel->args.size());
    case cl::CL_KERNEL_REFERENCE_COUNT:
      return answer.References(*kernel);
    case cl::CL_KERNEL_CONTEXT:
      return answer.Handle(kernel->program->context.get());
    case cl::CL_KERNEL_PROGRAM:
      return answer.Handle(kernel->program.get());
    case cl::CL_KERNEL_ATTRIBUTES:
      return answer.Text("");
    default:
      return answer.Unknown();
  }
}

template <>
void Run(cl::ClGetKernelWorkGroupInfoCall& call) {
  if (!Live<Kernel>(call.kernel)) return Fail(call, cl::CL_INVALID_KERNEL);
  if (call.device && !Live<Device>(call.device)) return Fail(call, cl::CL_INVALID_DEVICE);
  Answer answer(call);
  const size_t none[3] = {0, 0, 0};
  switch (int64_t{call.param_name}) {
    case cl::CL_KERNEL_WORK_GROUP_SIZE:
      return answer.Size(4096);
    case cl::CL_KERNEL_COMPILE_WORK_GROUP_SIZE:
      return answer.Is(none);
    case cl::CL_KERNEL_LOCAL_MEM_SIZE:
    case cl::CL_KERNEL_PRIVATE_MEM_SIZE:
      return answer.Long(0);
    case cl::CL_KERNEL_PREFERRED_WORK_GROUP_SIZE_MULTIPLE:
      return answer.Size(1);
    default:
      return answer.Unknown();
  }
}

template <>
void Run(cl::ClGetKernelArgInfoCall& call) {
  auto* kernel = Live<Kernel>(call.kernel);
  if (!kernel) return Fail(call, cl::CL_INVALID_KERNEL);
  if (call.arg_indx >= kernel->args.size()) return Fail(call, cl::CL_INVALID_ARG_INDEX);
  const ArgSource& arg = kernel->source->args[call.arg_indx];
  Answer answer(call);
  switch (int64_t{call.param_name}) {
    case cl::CL_KERNEL_ARG_NAME:
      return answer.Text(arg.name);
    case cl::CL_KERNEL_ARG_TYPE_NAME:
      return answer.Text(arg.type);
    case cl::CL_KERNEL_ARG_ADDRESS_QUALIFIER: {
      int64_t space = cl::CL_KERNEL_ARG_ADDRESS_PRIVATE;
      if (arg.kind == ArgSource::Kind::kMemory) space = cl::CL_KERNEL_ARG_ADDRESS_GLOBAL;
      if (arg.kind == ArgSource::Kind::kLocal) space = cl::CL_KERNEL_ARG_ADDRESS_LOCAL;
      return answer.Uint(static_cast<uint64_t>(space));
    }
    case cl::CL_KERNEL_ARG_ACCESS_QUALIFIER:
      return answer.Uint(static_cast<uint64_t>(cl::CL_KERNEL_ARG_ACCESS_NONE));
    case cl::CL_KERNEL_ARG_TYPE_QUALIFIER:
      return answer.Long(static_cast<uint64_t>(cl::CL_KERNEL_ARG_TYPE_NONE));
    default:
      return answer.Unknown();
  }
}

namespace {
template <class C>
void NoSubGroups(C& call, cl::cl_kernel kernel) {
  Fail(call, Live<Kernel>(kernel) ? cl::CL_INVALID_OPERATION : cl::CL_INVALID_KERNEL);
}
}  // namespace

template <>
void Run(cl::ClGetKernelSubGroupInfoCall& call) {
  NoSubGroups(call, call.kernel);
}
template <>
void Run(cl::ClGetKernelSubGroupInfoKHRCall& call) {
  NoSubGroups(call, call.in_kernel);
}

}  // namespace flexai::fake
