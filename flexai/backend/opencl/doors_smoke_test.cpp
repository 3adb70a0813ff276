// Every door with a program that nobody here wrote: clinfo says the same with us as without us, and
// its calls were seen. Skips where clinfo or an OpenCL driver is missing.
#include <gtest/gtest.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <map>
#include <string>

#include "flexai/intercept/trace_reader.h"

namespace flexai::backend::opencl {
namespace {

std::string Output(const std::string& command) {
  FILE* pipe = popen((command + " 2>&1").c_str(), "r");
  std::string out;
  char part[4096];
  size_t n = 0;
  while (pipe && (n = fread(part, 1, sizeof part, pipe)) > 0) out.append(part, n);
  if (pipe) pclose(pipe);
  return out;
}

class DoorsSmoke : public testing::Test {
 protected:
  void SetUp() override {
    plain_ = Output("clinfo -l");
    if (plain_.find("Device #0") == std::string::npos) {
      GTEST_SKIP() << "clinfo shows no OpenCL device: " << plain_;
    }
    char folder[] = "/tmp/flexai_doors_XXXXXX";
    ASSERT_NE(mkdtemp(folder), nullptr);
    folder_ = folder;
  }
  void TearDown() override {
    if (!folder_.empty()) Output("rm -rf " + folder_);
  }
  // Runs clinfo with `environment` and returns how often each function was seen.
  std::map<std::string, uint64_t> CallsWith(const std::string& environment) {
    const std::string trace = folder_ + "/trace";
    EXPECT_EQ(Output("env FLEXAI_TRACE=" + trace + " " + environment + " clinfo -l"), plain_);
    auto read = intercept::ReadTrace(trace);
    std::map<std::string, uint64_t> calls;
    if (!read.ok()) {
      ADD_FAILURE() << read.status().ToString();
      return calls;
    }
    for (const intercept::TraceSum& sum : intercept::SumUp(*read)) calls[sum.function] = sum.count;
    return calls;
  }
  std::string plain_;
  std::string folder_;
};

constexpr const char* kLibrary = FLEXAI_LIBRARIES "/libflexai_opencl.so";

TEST_F(DoorsSmoke, Layer) {
  EXPECT_GT(CallsWith(std::string("OPENCL_LAYERS=") + kLibrary)["clGetDeviceInfo"], 0u);
}

TEST_F(DoorsSmoke, Icd) {
  EXPECT_GT(CallsWith(std::string("OCL_ICD_VENDORS=") + kLibrary)["clGetDeviceInfo"], 0u);
}

TEST_F(DoorsSmoke, LayerBeforeIcdCountsOnce) {
  const std::string library = kLibrary;
  const uint64_t once = CallsWith("OPENCL_LAYERS=" + library)["clGetDeviceInfo"];
  EXPECT_EQ(
      CallsWith("OPENCL_LAYERS=" + library + " OCL_ICD_VENDORS=" + library)["clGetDeviceInfo"],
      once);
}

TEST_F(DoorsSmoke, ExportedSymbols) {
  EXPECT_GT(CallsWith("LD_LIBRARY_PATH=" FLEXAI_LIBRARIES "/opencl")["clGetDeviceInfo"], 0u);
}

TEST_F(DoorsSmoke, ExportedSymbolsWithoutALoaderSayThatThereIsNoPlatform) {
  const std::string out = Output(
      "env FLEXAI_LOG=error FLEXAI_OPENCL_LOADER=/no/such/loader LD_LIBRARY_PATH=" FLEXAI_LIBRARIES
      "/opencl clinfo");
  EXPECT_NE(out.find("Number of platforms"), std::string::npos) << out;
  EXPECT_EQ(out.find("Device Name"), std::string::npos) << out;
  EXPECT_NE(out.find("/no/such/loader"), std::string::npos) << out;
}

TEST_F(DoorsSmoke, IcdWithoutItsDriverOffersNothing) {
  const std::string out =
      Output(std::string("env FLEXAI_OPENCL_ICD=/no/such/driver OCL_ICD_VENDORS=") + kLibrary +
             " clinfo -l");
  EXPECT_EQ(out.find("Device #0"), std::string::npos) << out;
  EXPECT_NE(out.find("/no/such/driver"), std::string::npos) << out;
}

}  // namespace
}  // namespace flexai::backend::opencl
