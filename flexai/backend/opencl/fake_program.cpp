// The fake OpenCL driver: programs, kernels, launches. A source is read just far enough to know its
// kernels and their parameters. A kernel whose name is listed in fake_kernels.cpp does what its
// source says; any other takes its time and changes nothing.
#include <string.h>

#include "flexai/backend/opencl/fake_kernels.h"
#include "flexai/backend/opencl/fake_objects.h"

namespace flexai::fake {

using namespace backend::opencl::fake_driver;  // NOLINT: for the bodies below

namespace {

constexpr char kBinaryHead[] = "flexai fake binary\n";
constexpr size_t kMostGroup = 4096;

template <class C>
Program* NewProgram(C& call, std::string source) {
  auto* context = Live<Context>(call.context);
  if (!context) return Fail(call, cl::CL_INVALID_CONTEXT), nullptr;
  auto* program = Make<Program>();
  program->context = Ref(context);
  program->source = std::move(source);
  Give(call, program);
  return program;
}

template <class C>
void NewFromIl(C& call) {
  if (!call.il || call.length == 0) return Fail(call, cl::CL_INVALID_VALUE);
  Fail(call, Live<Context>(call.context) ? cl::CL_INVALID_VALUE : cl::CL_INVALID_CONTEXT);
}

bool DevicesAreOurs(cl::cl_uint count, const cl::cl_device_id* list) {
  if ((count == 0) != (list == nullptr)) return false;
  for (cl::cl_uint i = 0; i < count; ++i) {
    if (!Live<Device>(list[i])) return false;
  }
  return true;
}

// Compiles; true if it worked.
bool Compile(Program* program, const char* options, int64_t binary_type) {
  program->options = options ? options : "";
  program->log.clear();
  program->kernels.clear();
  const bool good = KernelsOf(program->source, &program->kernels, &program->log);
  program->status = good ? cl::CL_BUILD_SUCCESS : cl::CL_BUILD_ERROR;
  program->binary_type = good ? binary_type : cl::CL_PROGRAM_BINARY_TYPE_NONE;
  return good;
}

Kernel* NewKernel(Program* program, const std::shared_ptr<const KernelSource>& source) {
  auto* kernel = Make<Kernel>();
  kernel->program = Ref(program);
  kernel->source = source;
  kernel->args.resize(source->args.size());
  return kernel;
}

std::string BinaryOf(const Program& program) { return kBinaryHead + program.source; }

}  // namespace

template <>
void Run(cl::ClCreateProgramWithSourceCall& call) {
  if (call.count == 0 || !call.strings) return Fail(call, cl::CL_INVALID_VALUE);
  std::string source;
  for (cl::cl_uint i = 0; i < call.count; ++i) {
    if (!call.strings[i]) return Fail(call, cl::CL_INVALID_VALUE);
    const size_t length = call.lengths ? call.lengths[i] : 0;
    source.append(call.strings[i], length ? length : strlen(call.strings[i]));
  }
  NewProgram(call, source);
}

template <>
void Run(cl::ClCreateProgramWithBinaryCall& call) {
  if (!call.binaries || !call.lengths || !call.device_list || call.num_devices == 0) {
    return Fail(call, cl::CL_INVALID_VALUE);
  }
  if (!DevicesAreOurs(call.num_devices, call.device_list)) {
    return Fail(call, cl::CL_INVALID_DEVICE);
  }
  const size_t head = sizeof kBinaryHead - 1;
  const auto* binary = call.binaries[0];
  const bool ours = binary && call.lengths[0] >= head && memcmp(binary, kBinaryHead, head) == 0;
  if (call.binary_status) {
    call.binary_status[0] = static_cast<cl::cl_int>(ours ? 0 : cl::CL_INVALID_BINARY);
  }
  if (!binary || call.lengths[0] == 0) return Fail(call, cl::CL_INVALID_VALUE);
  if (!ours) return Fail(call, cl::CL_INVALID_BINARY);
  const auto* text = reinterpret_cast<const char*>(binary) + head;
  if (Program* program = NewProgram(call, std::string(text, call.lengths[0] - head))) {
    program->binary_type = cl::CL_PROGRAM_BINARY_TYPE_EXECUTABLE;
  }
}

template <>
void Run(cl::ClCreateProgramWithBuiltInKernelsCall& call) {
  Fail(call, Live<Context>(call.context) ? cl::CL_INVALID_VALUE : cl::CL_INVALID_CONTEXT);
}
template <>
void Run(cl::ClCreateProgramWithILCall& call) {
  NewFromIl(call);
}
template <>
void Run(cl::ClCreateProgramWithILKHRCall& call) {
  NewFromIl(call);
}

template <>
void Run(cl::ClBuildProgramCall& call) {
  auto* program = Live<Program>(call.program);
  if (!program) return Fail(call, cl::CL_INVALID_PROGRAM);
  if (!DevicesAreOurs(call.num_devices, call.device_list) || (!call.pfn_notify && call.user_data)) {
    return Fail(call, cl::CL_INVALID_VALUE);
  }
  const Ref keep(program);
  if (!Compile(program, call.options, cl::CL_PROGRAM_BINARY_TYPE_EXECUTABLE)) {
    Fail(call, cl::CL_BUILD_PROGRAM_FAILURE);
  }
  if (call.pfn_notify) call.pfn_notify(call.program, call.user_data);
}

template <>
void Run(cl::ClCompileProgramCall& call) {
  auto* program = Live<Program>(call.program);
  if (!program) return Fail(call, cl::CL_INVALID_PROGRAM);
  const Ref keep(program);
  if (!Compile(program, call.options, cl::CL_PROGRAM_BINARY_TYPE_COMPILED_OBJECT)) {
    Fail(call, cl::CL_COMPILE_PROGRAM_FAILURE);
  }
  if (call.pfn_notify) call.pfn_notify(call.program, call.user_data);
}

template <>
void Run(cl::ClLinkProgramCall& call) {
  if (call.num_input_programs == 0 || !call.input_programs) {
    return Fail(call, cl::CL_INVALID_VALUE);
  }
  std::string source;
  for (cl::cl_uint i = 0; i < call.num_input_programs; ++i) {
    auto* input = Live<Program>(call.input_programs[i]);
    if (!input) return Fail(call, cl::CL_INVALID_PROGRAM);
    if (input->status != cl::CL_BUILD_SUCCESS) return Fail(call, cl::CL_INVALID_OPERATION);
    source += input->source + "\n";
  }
  Program* program = NewProgram(call, source);
  if (!program) return;
  Compile(program, call.options, cl::CL_PROGRAM_BINARY_TYPE_EXECUTABLE);
  if (call.pfn_notify) call.pfn_notify(call.result, call.user_data);
}

template <>
void Run(cl::ClSetProgramReleaseCallbackCall& call) {
  Fail(call, Live<Program>(call.program) ? cl::CL_INVALID_OPERATION : cl::CL_INVALID_PROGRAM);
}
template <>
void Run(cl::ClSetProgramSpecializationConstantCall& call) {
  Fail(call, cl::CL_INVALID_PROGRAM);  // none was made from an intermediate language
}

template <>
void Run(cl::ClGetProgramInfoCall& call) {
  auto* program = Live<Program>(call.program);
  if (!program) return Fail(call, cl::CL_INVALID_PROGRAM);
  Answer answer(call);
  const bool built = program->status == cl::CL_BUILD_SUCCESS;
  std::string names;
  for (const auto& kernel : program->kernels) names += (names.empty() ? "" : ";") + kernel->name;
  switch (int64_t{call.param_name}) {
    case cl::CL_PROGRAM_REFERENCE_COUNT:
      return answer.References(*program);
    case cl::CL_PROGRAM_CONTEXT:
      return answer.Handle(program->context.get());
    case cl::CL_PROGRAM_NUM_DEVICES:
      return answer.Uint(1);
    case cl::CL_PROGRAM_DEVICES:
      return answer.Handle(TheDevice());
    case cl::CL_PROGRAM_SOURCE:
      return answer.Text(program->source);
    case cl::CL_PROGRAM_IL:
      return answer.Bytes(nullptr, 0);
    case cl::CL_PROGRAM_BINARY_SIZES:
      return answer.Size(built ? BinaryOf(*program).size() : 0);
    case cl::CL_PROGRAM_BINARIES: {
      const std::string binary = built ? BinaryOf(*program) : "";
      auto* places = static_cast<char* const*>(call.param_value);
      if (places && call.param_value_size < sizeof(char*)) return answer.Unknown();
      if (places && places[0]) memcpy(places[0], binary.data(), binary.size());
      if (call.param_value_size_ret) *call.param_value_size_ret = sizeof(char*);
      return;
    }
    case cl::CL_PROGRAM_NUM_KERNELS:
      if (!built) return Fail(call, cl::CL_INVALID_PROGRAM_EXECUTABLE);
      return answer.Size(program->kernels.size());
    case cl::CL_PROGRAM_KERNEL_NAMES:
      if (!built) return Fail(call, cl::CL_INVALID_PROGRAM_EXECUTABLE);
      return answer.Text(names);
    case cl::CL_PROGRAM_SCOPE_GLOBAL_CTORS_PRESENT:
    case cl::CL_PROGRAM_SCOPE_GLOBAL_DTORS_PRESENT:
      return answer.Uint(0);
    default:
      return answer.Unknown();
  }
}

template <>
void Run(cl::ClGetProgramBuildInfoCall& call) {
  auto* program = Live<Program>(call.program);
  if (!program) return Fail(call, cl::CL_INVALID_PROGRAM);
  if (!Live<Device>(call.device)) return Fail(call, cl::CL_INVALID_DEVICE);
  Answer answer(call);
  switch (int64_t{call.param_name}) {
    case cl::CL_PROGRAM_BUILD_STATUS:
      return answer.Is(static_cast<cl::cl_int>(program->status));
    case cl::CL_PROGRAM_BUILD_OPTIONS:
      return answer.Text(program->options);
    case cl::CL_PROGRAM_BUILD_LOG:
      return answer.Text(program->log);
    case cl::CL_PROGRAM_BINARY_TYPE:
      return answer.Uint(static_cast<uint64_t>(program->binary_type));
    case cl::CL_PROGRAM_BUILD_GLOBAL_VARIABLE_TOTAL_SIZE:
      return answer.Size(0);
    default:
      return answer.Unknown();
  }
}

template <>
void Run(cl::ClCreateKernelCall& call) {
  auto* program = Live<Program>(call.program);
  if (!program) return Fail(call, cl::CL_INVALID_PROGRAM);
  if (program->status != cl::CL_BUILD_SUCCESS) {
    return Fail(call, cl::CL_INVALID_PROGRAM_EXECUTABLE);
  }
  if (!call.kernel_name) return Fail(call, cl::CL_INVALID_VALUE);
  for (const auto& source : program->kernels) {
    if (source->name == call.kernel_name) return Give(call, NewKernel(program, source));
  }
  Fail(call, cl::CL_INVALID_KERNEL_NAME);
}

template <>
void Run(cl::ClCreateKernelsInProgramCall& call) {
  auto* program = Live<Program>(call.program);
  if (!program) return Fail(call, cl::CL_INVALID_PROGRAM);
  if (program->status != cl::CL_BUILD_SUCCESS) {
    return Fail(call, cl::CL_INVALID_PROGRAM_EXECUTABLE);
  }
  if (call.kernels && call.num_kernels < program->kernels.size()) {
    return Fail(call, cl::CL_INVALID_VALUE);
  }
  for (size_t i = 0; call.kernels && i < program->kernels.size(); ++i) {
    call.kernels[i] = HandleOf<cl::cl_kernel>(NewKernel(program, program->kernels[i]));
  }
  if (call.num_kernels_ret) {
    *call.num_kernels_ret = static_cast<cl::cl_uint>(program->kernels.size());
  }
}

template <>
void Run(cl::ClCloneKernelCall& call) {
  auto* kernel = Live<Kernel>(call.source_kernel);
  if (!kernel) return Fail(call, cl::CL_INVALID_KERNEL);
  Kernel* clone = NewKernel(kernel->program.get(), kernel->source);
  clone->args = kernel->args;
  Give(call, clone);
}

template <>
void Run(cl::ClSetKernelArgCall& call) {
  auto* kernel = Live<Kernel>(call.kernel);
  if (!kernel) return Fail(call, cl::CL_INVALID_KERNEL);
  if (call.arg_index >= kernel->args.size()) return Fail(call, cl::CL_INVALID_ARG_INDEX);
  const ArgSource& source = kernel->source->args[call.arg_index];
  Arg arg;
  arg.set = true;
  switch (source.kind) {
    case ArgSource::Kind::kMemory: {
      if (call.arg_size != sizeof(void*)) return Fail(call, cl::CL_INVALID_ARG_SIZE);
      const void* handle = nullptr;
      if (call.arg_value) memcpy(&handle, call.arg_value, sizeof handle);
      if (handle && !Live<Mem>(handle)) return Fail(call, cl::CL_INVALID_MEM_OBJECT);
      arg.mem = Ref(handle ? Live<Mem>(handle) : nullptr);
      break;
    }
    case ArgSource::Kind::kSampler: {
      if (call.arg_size != sizeof(void*)) return Fail(call, cl::CL_INVALID_ARG_SIZE);
      const void* handle = nullptr;
      if (call.arg_value) memcpy(&handle, call.arg_value, sizeof handle);
      if (!Live<Sampler>(handle)) return Fail(call, cl::CL_INVALID_SAMPLER);
      break;
    }
    case ArgSource::Kind::kLocal:
      if (call.arg_value) return Fail(call, cl::CL_INVALID_ARG_VALUE);
      if (call.arg_size == 0) return Fail(call, cl::CL_INVALID_ARG_SIZE);
      break;
    case ArgSource::Kind::kNumber:
      if (!call.arg_value) return Fail(call, cl::CL_INVALID_ARG_VALUE);
      if (call.arg_size == 0 || (source.size != 0 && call.arg_size != source.size)) {
        return Fail(call, cl::CL_INVALID_ARG_SIZE);
      }
      arg.bytes.assign(static_cast<const char*>(call.arg_value), call.arg_size);
  }
  kernel->args[call.arg_index] = std::move(arg);
}

template <>
void Run(cl::ClSetKernelArgSVMPointerCall& call) {
  auto* kernel = Live<Kernel>(call.kernel);
  if (!kernel) return Fail(call, cl::CL_INVALID_KERNEL);
  if (call.arg_index >= kernel->args.size()) return Fail(call, cl::CL_INVALID_ARG_INDEX);
  Arg arg;
  arg.set = true;
  arg.svm = const_cast<void*>(call.arg_value);
  kernel->args[call.arg_index] = std::move(arg);
}

namespace {

// Checks and enqueues one launch.
template <class C>
void LaunchKernel(C& call, Launch launch, int64_t type) {
  auto* kernel = Live<Kernel>(call.kernel);
  if (!Live<Queue>(call.command_queue)) return Fail(call, cl::CL_INVALID_COMMAND_QUEUE);
  if (!kernel) return Fail(call, cl::CL_INVALID_KERNEL);
  for (const Arg& arg : kernel->args) {
    if (!arg.set) return Fail(call, cl::CL_INVALID_KERNEL_ARGS);
  }
  launch.args = kernel->args;
  const uint64_t items = launch.size[0] * launch.size[1] * launch.size[2];
  const KernelBody body = BodyOf(kernel->source->name);
  EnqueueCall(call, {type, false, Card::Instance().CostOf(items), true,
                     [launch = std::move(launch), body, keep = Ref(kernel)]() -> int64_t {
                       if (body) body(launch);
                       return 0;
                     }});
}

}  // namespace

template <>
void Run(cl::ClEnqueueNDRangeKernelCall& call) {
  if (call.work_dim < 1 || call.work_dim > 3) return Fail(call, cl::CL_INVALID_WORK_DIMENSION);
  if (!call.global_work_size) return Fail(call, cl::CL_INVALID_GLOBAL_WORK_SIZE);
  Launch launch;
  size_t group = 1;
  for (cl::cl_uint i = 0; i < call.work_dim; ++i) {
    launch.size[i] = call.global_work_size[i];
    if (call.global_work_offset) launch.offset[i] = call.global_work_offset[i];
    if (launch.size[i] == 0) return Fail(call, cl::CL_INVALID_GLOBAL_WORK_SIZE);
    if (!call.local_work_size) continue;
    const size_t local = call.local_work_size[i];
    if (local == 0 || launch.size[i] % local != 0) {
      return Fail(call, cl::CL_INVALID_WORK_GROUP_SIZE);
    }
    if (local > kMostGroup) return Fail(call, cl::CL_INVALID_WORK_ITEM_SIZE);
    group *= local;
  }
  if (group > kMostGroup) return Fail(call, cl::CL_INVALID_WORK_GROUP_SIZE);
  LaunchKernel(call, std::move(launch), cl::CL_COMMAND_NDRANGE_KERNEL);
}

template <>
void Run(cl::ClEnqueueTaskCall& call) {
  LaunchKernel(call, Launch{}, cl::CL_COMMAND_TASK);
}

template <>
void Run(cl::ClGetKernelSuggestedLocalWorkSizeKHRCall& call) {
  if (!Live<Kernel>(call.kernel)) return Fail(call, cl::CL_INVALID_KERNEL);
  if (call.work_dim < 1 || call.work_dim > 3) return Fail(call, cl::CL_INVALID_WORK_DIMENSION);
  if (!call.suggested_local_work_size) return Fail(call, cl::CL_INVALID_VALUE);
  for (cl::cl_uint i = 0; i < call.work_dim; ++i) call.suggested_local_work_size[i] = 1;
}

}  // namespace flexai::fake
