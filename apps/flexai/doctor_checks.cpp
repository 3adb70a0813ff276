#include "apps/flexai/doctor_checks.h"

#include <dlfcn.h>
#include <elf.h>
#include <gnu/libc-version.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "apps/flexai/output.h"
#include "flexai/model/units.h"
#include "flexai/slice/attach.h"

namespace flexai::cli {
namespace {

using nlohmann::json;

std::string ReadFile(const std::string& path) {
  std::ifstream file(path);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

std::string FirstLine(const std::string& text) { return text.substr(0, text.find('\n')); }

// Loads `library` in a child, since a broken driver may crash in its constructor. The child tells
// the path that was loaded, or the reason why not.
bool LoadsInChild(const std::string& library, std::string* told) {
  int ends[2];
  if (pipe(ends) != 0) return false;
  const pid_t child = fork();
  if (child == 0) {
    alarm(20);  // a constructor that hangs
    void* handle = dlopen(library.c_str(), RTLD_NOW | RTLD_LOCAL);
    Dl_info about{};
    // Any symbol would do to learn the path; every one of these libraries has an _init.
    void* symbol = handle ? dlsym(handle, "_init") : nullptr;
    const bool known = symbol && dladdr(symbol, &about) != 0 && about.dli_fname;
    const char* text = !handle ? dlerror() : known ? about.dli_fname : library.c_str();
    [[maybe_unused]] const ssize_t written = write(ends[1], text, strlen(text));
    _exit(handle ? 0 : 1);
  }
  close(ends[1]);
  char bytes[512];
  ssize_t count;
  told->clear();
  while ((count = read(ends[0], bytes, sizeof(bytes))) > 0)
    told->append(bytes, static_cast<size_t>(count));
  close(ends[0]);
  int status = 0;
  if (child < 0 || waitpid(child, &status, 0) != child) return false;
  if (WIFSIGNALED(status)) *told = "it crashed with signal " + std::to_string(WTERMSIG(status));
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

// The file that the dynamic linker takes for `soname`, from the child's map.
std::string PathOfLoaded(const std::string& soname) {
  std::string told;
  void* handle = dlopen(soname.c_str(), RTLD_LAZY | RTLD_LOCAL);
  if (!handle) return "";
  char origin[4096] = "";
  if (dlinfo(handle, RTLD_DI_ORIGIN, origin) == 0) told = std::string(origin) + "/" + soname;
  dlclose(handle);
  return told;
}

// A library of ours that is loaded into programs; what was found is its path, if all is well.
Finding CheckOwnLibrary(const std::string& check, std::string_view backend,
                        std::string_view library) {
  const Result<std::string> path = FindLibrary(backend, library);
  if (!path.ok()) {
    return {check, Verdict::kFail, std::string(path.status().message()),
            std::string(path.status().hint())};
  }
  std::string told;
  if (!LoadsInChild(*path, &told)) {
    return {check, Verdict::kFail, "cannot load " + *path + ": " + told, "install flexai again"};
  }
  struct stat about {};
  stat(path->c_str(), &about);
  if ((about.st_mode & S_IROTH) == 0) {
    return {check, Verdict::kWarn, *path + " is not readable for every user",
            "chmod o+r it, if other users shall run programs in slices"};
  }
  return {check, Verdict::kPass, *path, ""};
}

}  // namespace

std::string_view VerdictName(Verdict verdict) {
  constexpr std::string_view kNames[] = {"pass", "warn", "fail"};
  return kNames[static_cast<size_t>(verdict)];
}

Finding CheckCLibrary() {
  const char* version = gnu_get_libc_version();
  int major = 0, minor = 0;
  const bool read = std::sscanf(version, "%d.%d", &major, &minor) == 2;
  const bool enough = read && (major > 2 || (major == 2 && minor >= 28));
  return {"C library", enough ? Verdict::kPass : Verdict::kFail, std::string("glibc ") + version,
          enough ? "" : "use a system with glibc 2.28 or newer"};
}

Finding CheckOpenFiles() {
  rlimit limit{};
  getrlimit(RLIMIT_NOFILE, &limit);
  const std::string found = std::to_string(limit.rlim_cur) + " open files allowed";
  if (limit.rlim_cur >= 256) return {"open files", Verdict::kPass, found, ""};
  return {"open files", Verdict::kWarn, found, "raise it: ulimit -n 1024"};
}

Finding CheckLockedMemory() {
  rlimit limit{};
  getrlimit(RLIMIT_MEMLOCK, &limit);
  if (limit.rlim_cur == RLIM_INFINITY) return {"locked memory", Verdict::kPass, "no limit", ""};
  const std::string found = model::FormatBytes(limit.rlim_cur) + " may be locked";
  if (limit.rlim_cur >= 64 * 1024) return {"locked memory", Verdict::kPass, found, ""};
  return {"locked memory", Verdict::kWarn, found, "raise it: ulimit -l 65536"};
}

Finding CheckNamespaces() {
  // The daemon knows a process by the pid that the socket tells: both must count pids alike.
  char ours[64] = "";
  if (readlink("/proc/self/ns/pid", ours, sizeof(ours) - 1) < 0) {
    return {"process ids", Verdict::kFail, "/proc is not there",
            "mount it: mount -t proc proc /proc"};
  }
  const std::string status = ReadFile("/proc/self/status");
  const size_t at = status.find("NSpid:");
  const std::string pids = at == std::string::npos ? "" : FirstLine(status.substr(at + 6));
  const bool nested = std::count(pids.begin(), pids.end(), '\t') > 1;
  const std::string users = FirstLine(ReadFile("/proc/self/uid_map"));
  const bool mapped = users.find("4294967295") == std::string::npos;
  std::string found = std::string("pid namespace ") + (nested ? "of a container" : "of the host");
  if (mapped) found += ", user ids are mapped";
  if (!nested && !mapped) return {"process ids", Verdict::kPass, found, ""};
  return {"process ids", Verdict::kWarn, found,
          "fine if flexaid runs in the same container; else share its pid namespace"};
}

Finding CheckCgroup() {
  const std::string own = ReadFile("/proc/self/cgroup");
  const size_t unified = own.find("0::");
  if (unified == std::string::npos) {
    return {"control group", Verdict::kWarn, "no unified hierarchy",
            "slices hold without it; mount cgroup2 for a second fence"};
  }
  const std::string path = "/sys/fs/cgroup" + FirstLine(own.substr(unified + 3));
  if (access(path.c_str(), W_OK) == 0 && access((path + "/cgroup.procs").c_str(), W_OK) == 0) {
    return {"control group", Verdict::kPass, path + " can be written", ""};
  }
  return {"control group", Verdict::kWarn, path + " cannot be written",
          "slices hold without it; run flexaid as a service for a second fence"};
}

Finding CheckPreload() {
  const char* variable = getenv("LD_PRELOAD");
  const std::string file = ReadFile("/etc/ld.so.preload");
  std::string found;
  if (variable && *variable) found = std::string("LD_PRELOAD=") + variable;
  if (!file.empty())
    found += (found.empty() ? "" : ", ") + std::string("/etc/ld.so.preload: ") + FirstLine(file);
  if (found.empty()) return {"preload", Verdict::kPass, "nothing is preloaded", ""};
  return {"preload", Verdict::kWarn, found,
          "if programs misbehave in a slice, try without it: it may catch the same calls"};
}

Finding CheckLoader(const WayIn& way) {
  const std::string check = std::string(way.backend) + " loader";
  const std::string name(way.loader);
  std::string told;
  if (!LoadsInChild(name, &told)) {
    return {check, Verdict::kFail, "cannot load " + name + ": " + told,
            "install the loader of " + std::string(way.backend) +
                " (on Debian, the package that has " + name + ")"};
  }
  const std::string path = PathOfLoaded(name);
  // A loader that knows layers asks for their list by the variable's name.
  if (ReadFile(path).find(way.variable) == std::string::npos) {
    return {check, Verdict::kFail, path + " does not know " + std::string(way.variable),
            "install a newer loader: this one would leave programs unlimited"};
  }
  return {check, Verdict::kPass, path + " knows layers", ""};
}

Finding CheckDrivers(const WayIn& way, const std::string& folder) {
  const std::string check = std::string(way.backend) + " drivers";
  std::string good, bad;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(folder, error)) {
    if (entry.path().extension() != ".icd") continue;
    const std::string library = FirstLine(ReadFile(entry.path().string()));
    std::string told;
    const bool loads = !library.empty() && LoadsInChild(library, &told);
    std::string& list = loads ? good : bad;
    list += (list.empty() ? "" : ", ") + entry.path().filename().string() + " (" + library + ")";
    if (!loads && !told.empty()) list += ": " + told;
  }
  if (!bad.empty()) {
    return {check, good.empty() ? Verdict::kFail : Verdict::kWarn, "does not load: " + bad,
            "install its driver again, or remove the file from " + folder};
  }
  if (good.empty()) {
    return {check, Verdict::kFail, "no driver is named in " + folder, "install the card's driver"};
  }
  return {check, Verdict::kPass, good, ""};
}

Finding CheckLayerFile(const WayIn& way) {
  return CheckOwnLibrary(std::string(way.backend) + " layer", way.backend, way.library);
}

Finding CheckPreloaded(const Preload& preload) {
  const std::string check = std::string(preload.backend) + " library";
  Finding finding = CheckOwnLibrary(check, preload.backend, preload.library);
  if (finding.verdict == Verdict::kFail) return finding;
  // Beside it are the libraries that take a driver's names, each in a folder of its own.
  const std::filesystem::path beside = std::filesystem::path(finding.found).parent_path();
  std::stringstream folders{std::string(preload.folders)};
  for (std::string folder; std::getline(folders, folder, ':');) {
    std::error_code error;
    if (!std::filesystem::is_empty(beside / folder, error) && !error) continue;
    return {check, Verdict::kFail, "nothing is in " + (beside / folder).string(),
            "install flexai again"};
  }
  return finding;
}

Finding CheckLayerList(const WayIn& way, std::string_view list) {
  const std::string check(way.variable);
  if (list.empty()) return {check, Verdict::kPass, "not set", ""};
  const std::string found = "set to " + std::string(list);
  if (list.find(way.library) != std::string_view::npos) {
    return {check, getenv("FLEXAI_SLICE") ? Verdict::kPass : Verdict::kWarn, found,
            getenv("FLEXAI_SLICE") ? "" : "unset it: flexai run sets it for each program"};
  }
  return {check, Verdict::kWarn, found,
          "flexai run puts its layer in front; if programs misbehave, try without the others"};
}

Finding CheckDaemon(const Result<json>& status) {
  if (status.ok()) {
    const std::string socket = TextField(*status, "socket");
    return {"daemon", Verdict::kPass,
            "flexaid " + TextField(*status, "version") + ", pid " +
                TextField(*status, "daemon_pid") + ", at " + socket,
            ""};
  }
  const bool missing = status.status().code() == Code::kUnavailable;
  return {"daemon", missing ? Verdict::kWarn : Verdict::kFail,
          std::string(status.status().message()),
          missing ? "nothing to do: flexai run starts one for you"
                  : std::string(status.status().hint())};
}

Finding CheckVersion(const json& status) {
  const std::string version = TextField(status, "version");
  const double protocol = NumberField(status, "protocol", -1);
  if (protocol != slice::kProtocolVersion) {
    return {"version", Verdict::kFail,
            "the daemon speaks protocol " + TextField(status, "protocol") + ", flexai speaks " +
                std::to_string(slice::kProtocolVersion),
            "install flexai and flexaid of one version, then restart flexaid"};
  }
  if (version != FLEXAI_VERSION) {
    return {"version", Verdict::kWarn, "flexai " FLEXAI_VERSION ", flexaid " + version,
            "restart flexaid once no slice is in use"};
  }
  return {"version", Verdict::kPass, "flexai and flexaid " + version, ""};
}

Finding CheckCards(const json& status) {
  std::string found;
  bool complete = true;
  for (const json& card : ListField(status, "cards")) {
    found += (found.empty() ? "" : ", ") + TextField(card, "card") + ": " +
             TextField(card, "model") + ", " +
             model::FormatBytes(BytesField(card, "memory_total_bytes"));
    if (const std::string lever = TextField(card, "lever"); !lever.empty())
      found += ", held by " + lever;
    complete = complete && BytesField(card, "memory_total_bytes") > 0;
  }
  if (found.empty()) {
    const bool told = !ListField(status, "unshared").empty();
    return {"cards", Verdict::kFail, "the daemon sees no card that it can share",
            told ? "what is below says why"
                 : "mend the loader and the drivers above, then restart flexaid"};
  }
  return {"cards", complete ? Verdict::kPass : Verdict::kWarn, found,
          complete ? "" : "a card tells no memory: restart flexaid, or its driver"};
}

Finding CheckLeftovers(const json& status) {
  std::string found;
  for (const json& slice : ListField(status, "slices")) {
    const auto leader = static_cast<pid_t>(NumberField(slice, "leader_pid"));
    const bool dead = leader > 0 && kill(leader, 0) != 0 && errno == ESRCH;
    if (dead && ListField(slice, "processes").empty()) found += " " + TextField(slice, "slice");
  }
  if (!found.empty()) {
    return {"leftovers", Verdict::kWarn, "slices without any process:" + found,
            "restart flexaid: it takes back what lives and drops the rest"};
  }
  return {"leftovers", Verdict::kPass, "every slice has a living process", ""};
}

}  // namespace flexai::cli
