// Another process of the same slice, from which this one borrows memory: it allocates when it is
// told to, and says by which name others may open that. It is this program again, started with the
// word "lend"; the two talk in lines through its standard input and output.
#pragma once

#include <fcntl.h>
#include <spawn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <string>

#include "cuda/real.h"

namespace flexai::hardware {

class Lender {
 public:
  struct Loan {
    unsigned long long address = 0;  // there
    api::cuda::CUipcMemHandle_v1 name = {};
  };

  /// What it is started with: the driver's name and the management library's path.
  void Learn(const char* driver, const char* nvml) {
    driver_ = driver;
    nvml_ = nvml;
  }
  /// False: it was refused, there or already when it began.
  bool Take(uint64_t bytes, Loan* loan) {
    if (!Starts()) return false;
    const std::string said = Ask("take " + std::to_string(bytes));
    int at = 0;
    if (sscanf(said.c_str(), "ok %llu %n", &loan->address, &at) != 1) return false;
    if (said.size() != at + 2 * sizeof(loan->name)) return false;
    auto* const name = reinterpret_cast<unsigned char*>(&loan->name);
    for (size_t i = 0; i < sizeof(loan->name); ++i) {
      name[i] =
          static_cast<unsigned char>(strtoul(said.substr(at + 2 * i, 2).c_str(), nullptr, 16));
    }
    return true;
  }
  void Give(const Loan& loan) { Ask("give " + std::to_string(loan.address)); }
  /// What the management library says that it holds. Units: bytes.
  uint64_t Bytes() { return pid_ < 0 ? 0 : strtoull(Ask("held").c_str(), nullptr, 10); }
  /// Ends it; all that it lent is gone.
  void End() {
    if (pid_ < 0) return;
    fclose(to_);
    fclose(from_);
    waitpid(pid_, nullptr, 0);
    pid_ = -1;
  }

  /// What the other process does, from its first context on, until nobody asks any more.
  template <class BytesHeld>
  static void Serve(const api::cuda::Real& cuda, BytesHeld held) {
    puts("ready");
    fflush(stdout);
    char line[64];
    while (fgets(line, sizeof(line), stdin)) {
      const unsigned long long number = strtoull(line + 5, nullptr, 10);
      if (strncmp(line, "take ", 5) == 0) {
        Lend(cuda, number);
      } else if (strncmp(line, "give ", 5) == 0) {
        puts(cuda.cuMemFree_v2(number) == api::cuda::CUDA_SUCCESS ? "ok" : "no");
      } else {
        printf("%llu\n", static_cast<unsigned long long>(held()));
      }
      fflush(stdout);
    }
  }

 private:
  static void Lend(const api::cuda::Real& cuda, uint64_t bytes) {
    api::cuda::CUdeviceptr_v2 at = 0;
    api::cuda::CUipcMemHandle_v1 name = {};
    if (cuda.cuMemAlloc_v2(&at, bytes) != api::cuda::CUDA_SUCCESS) {
      puts("no");
      return;
    }
    if (const auto code = cuda.cuIpcGetMemHandle(&name, at); code != api::cuda::CUDA_SUCCESS) {
      fprintf(stderr, "cuIpcGetMemHandle: error %d\n", static_cast<int>(code));
      cuda.cuMemFree_v2(at);
      puts("no");
      return;
    }
    printf("ok %llu ", static_cast<unsigned long long>(at));
    const auto* const bytes_of_name = reinterpret_cast<const unsigned char*>(&name);
    for (size_t i = 0; i < sizeof(name); ++i) printf("%02x", bytes_of_name[i]);
    puts("");
  }

  bool Starts() {
    if (pid_ >= 0) return true;
    int in[2], out[2];
    if (pipe2(in, O_CLOEXEC) != 0) return false;
    if (pipe2(out, O_CLOEXEC) != 0) {
      close(in[0]);
      close(in[1]);
      return false;
    }
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, in[0], 0);
    posix_spawn_file_actions_adddup2(&actions, out[1], 1);
    std::string words[] = {"card_memory", "lend", driver_, nvml_};
    char* const argv[] = {words[0].data(), words[1].data(), words[2].data(), words[3].data(),
                          nullptr};
    if (posix_spawn(&pid_, "/proc/self/exe", &actions, nullptr, argv, environ) != 0) pid_ = -1;
    posix_spawn_file_actions_destroy(&actions);
    close(in[0]);
    close(out[1]);
    to_ = fdopen(in[1], "w");
    from_ = fdopen(out[0], "r");
    if (pid_ >= 0 && Answer() == "ready") return true;
    End();
    return false;
  }

  std::string Ask(const std::string& question) {
    fprintf(to_, "%s\n", question.c_str());
    fflush(to_);
    return Answer();
  }

  std::string Answer() {
    char line[256] = "";
    if (!fgets(line, sizeof(line), from_)) return "";
    return std::string(line, strcspn(line, "\n"));
  }

  std::string driver_, nvml_;
  pid_t pid_ = -1;
  FILE* to_ = nullptr;
  FILE* from_ = nullptr;
};

}  // namespace flexai::hardware
