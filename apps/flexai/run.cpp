// flexai run: asks for a slice, then becomes the program. What is between the two must stay short:
// it is what every start of a program pays.
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <nlohmann/json.hpp>

#include "apps/flexai/command.h"
#include "apps/flexai/output.h"
#include "apps/flexai/program.h"
#include "apps/flexai/slice_words.h"
#include "apps/flexai/way_in.h"
#include "flexai/operate/client.h"

namespace flexai::cli {
namespace {

using nlohmann::json;

std::string Ordinal(int number) {
  const int last = number % 10;
  const bool teen = number % 100 / 10 == 1;
  const char* end = teen ? "th" : last == 1 ? "st" : last == 2 ? "nd" : last == 3 ? "rd" : "th";
  return std::to_string(number) + end;
}

// The line that a waiting person sees; nothing where nobody looks.
class Progress {
 public:
  explicit Progress(bool quiet) : shown_(!quiet && isatty(STDERR_FILENO)) {}
  ~Progress() { Clear(); }
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  void Show(const json& waiting) {
    if (!shown_) return;
    std::string line = "flexai: waiting, " +
                       Ordinal(static_cast<int>(NumberField(waiting, "position", 1))) + " in line";
    if (const std::string reason = TextField(waiting, "reason"); !reason.empty()) {
      line += ": " + reason;
    }
    line = Shorten(line, TerminalWidth(STDERR_FILENO, 80) - 1);
    std::fprintf(stderr, "\r\033[K%s", line.c_str());
    drawn_ = true;
  }
  void Clear() {
    if (drawn_) std::fputs("\r\033[K", stderr);
    drawn_ = false;
  }

 private:
  bool shown_;
  bool drawn_ = false;
};

Result<json> MakeRequest(const Arguments& arguments) {
  Result<model::SliceSpec> spec = ParseSpec(arguments);
  if (!spec.ok()) return spec.status();
  if (arguments.Has("wait") && arguments.Has("nowait")) {
    return Status(Code::kInvalidArgument, "--wait and --nowait exclude each other", "write one");
  }
  json request = ToRequest(*spec);
  request["op"] = "create";
  request["wait"] = !arguments.Has("nowait");
  request["command"] = OneLine(arguments.program);
  char* here = getcwd(nullptr, 0);
  request["cwd"] = here ? here : "";
  std::free(here);
  return request;
}

// Sends the request and waits for the slice, telling a person why it takes long.
Result<json> AskForSlice(operate::Client* client, const json& request, int report, bool quiet) {
  Progress progress(quiet);
  Result<json> reply = client->Call(request, report);
  while (reply.ok() && reply->contains("waiting")) {
    progress.Show((*reply)["waiting"]);
    reply = client->Next();
  }
  if (!reply.ok()) return reply.status();
  if (!reply->contains("slice") || TextField((*reply)["slice"], "slice").empty()) {
    return Status(Code::kInternal, "the daemon answered without a slice",
                  "see flexai doctor: the daemon may be of another version");
  }
  return (*reply)["slice"];
}

// Puts `item` in front of a list in the environment.
void Prepend(const char* variable, const std::string& item) {
  const char* before = getenv(variable);
  setenv(variable, PutInFront(item, before ? before : "").c_str(), 1);
}

// Programs read the variable themselves, and count the cards of the host without it. What a person
// chose stays, for the libraries in the program to judge; what a slice around us said does not.
void NameCards(const std::string& variable, const std::vector<std::string>& uuids) {
  const char* chosen = getenv(variable.c_str());
  const bool only_first = chosen && strcmp(chosen, "0") == 0 && uuids.size() == 1;
  if (chosen && !only_first && !getenv("FLEXAI_SLICE")) return;
  std::string list;
  for (const std::string& uuid : uuids) list += (list.empty() ? "" : ",") + uuid;
  if (!list.empty()) setenv(variable.c_str(), list.c_str(), 1);
}

// What the libraries in the program need to find the daemon, and a later daemon to know us again.
Status PrepareEnvironment(const operate::Client& client, const json& slice) {
  for (const WayIn& way : WaysIn()) {
    Result<std::string> library = FindLibrary(way.backend, way.library);
    if (!library.ok()) return library.status();
    Prepend(std::string(way.variable).c_str(), *library);
  }
  for (const Preload& preload : Preloads()) {
    // Only for cards of this vendor: elsewhere its driver may be missing altogether.
    if (TextField(slice, "backend") != preload.backend) continue;
    Result<std::string> library = FindLibrary(preload.backend, preload.library);
    if (!library.ok()) return library.status();
    Prepend("LD_PRELOAD", *library);
    NameCards(std::string(preload.visible), OfEachCard(slice, "card_uuid"));
    const std::string folder = library->substr(0, library->rfind('/') + 1);
    for (size_t at = 0; at < preload.folders.size();) {
      const size_t colon = std::min(preload.folders.find(':', at), preload.folders.size());
      Prepend("LD_LIBRARY_PATH", folder + std::string(preload.folders.substr(at, colon - at)));
      at = colon + 1;
    }
  }
  // As the daemon counts processes: ours may be another namespace's.
  const auto leader = static_cast<pid_t>(NumberField(slice, "leader_pid", getpid()));
  setenv("FLEXAI_SLICE", SliceVariable(slice, leader).c_str(), 1);
  setenv("FLEXAI_SOCKET", client.socket().c_str(), 1);
  return Status();
}

void Tell(operate::Client* client, const json& slice) {
  std::string model, kind, left_out;
  if (Result<json> all = client->Call({{"op", "status"}}); all.ok()) {
    for (const json& card : ListField(*all, "cards")) {
      if (TextField(card, "card") != TextField(slice, "card")) continue;
      model = TextField(card, "model");
      kind = TextField(card, "kind");
    }
    for (const json& one : ListField(*all, "unshared")) {
      left_out += "flexai: warning: not shared: " + TextField(one, "why") + "; " +
                  TextField(one, "cure") + "\n";
    }
  }
  std::fprintf(stderr, "flexai: %s\n", Promise(slice, model).c_str());
  // Whoever gets the host's cores may have meant what is left out.
  if (kind == "cpu") std::fputs(left_out.c_str(), stderr);
  for (const json& warning : ListField(slice, "warnings")) {
    if (!warning.is_string()) continue;
    std::fprintf(stderr, "flexai: warning: %s\n", Printable(warning.get<std::string>()).c_str());
  }
}

int Act(const Arguments& arguments) {
  Result<json> request = MakeRequest(arguments);
  if (!request.ok()) return Complain(request.status());
  if (arguments.program.empty()) {
    return Complain(Status(Code::kInvalidArgument, "flexai run was given no program",
                           "write it behind the options: flexai run --share 30% -- PROGRAM"));
  }
  if (Result<std::string> found = FindProgram(arguments.program[0]); !found.ok()) {
    return Complain(found.status(),
                    found.status().code() == Code::kNotFound ? kNotFound : kNotExecutable);
  }
  int report = -1;
  if (arguments.Has("report")) {
    const std::string path = arguments.Text("report");
    report = open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (report < 0) {
      return Complain(ErrnoStatus(Code::kInvalidArgument, "cannot write the report '" + path + "'",
                                  "name a file in a folder that you can write"));
    }
  }
  Result<operate::Client> client = operate::Client::Connect(/*start_if_missing=*/true);
  if (!client.ok()) return Complain(client.status());
  const bool quiet = arguments.Has("quiet");
  Result<json> slice = AskForSlice(&*client, *request, report, quiet);
  if (!slice.ok()) {
    const bool full = slice.status().code() == Code::kResourceExhausted;
    return Complain(slice.status(), full && arguments.Has("nowait") ? kNoRoom : kUsage);
  }
  if (Status status = PrepareEnvironment(*client, *slice); !status.ok()) return Complain(status);
  if (!quiet) Tell(&*client, *slice);
  const Status failure = Become(arguments.program);
  return Complain(failure, failure.code() == Code::kNotFound ? kNotFound : kNotExecutable);
}

}  // namespace

Command RunCommand() {
  return {
      .name = "run",
      .summary = "Run a program inside a slice of a card",
      .details =
          "The program is found, given its slice, and executed in place: process id, "
          "terminal, signals\nand exit code are its own. The slice ends with the last of "
          "its processes.",
      .options =
          {
              {"share", "PERCENT", "guaranteed part of the card's compute time (default 100%)"},
              {"limit", "PERCENT", "most of it, using what others leave idle (default: the share)"},
              {"memory", "BYTES", "most of its memory, as 8Gi (default: the share's part)"},
              {"card", "CARD", "which card, or several as 0,1 (default auto: one with room)",
               Offer::kCard},
              {"cards", "N", "how many cards, with that share and memory of each (default 1)"},
              {"priority", "PRIORITY",
               "high, normal or low: who gets idle time first (default normal)", Offer::kPriority},
              {"wait", nullptr, "wait until a card has room (the default)"},
              {"nowait", nullptr, "exit with 75 when no card has room"},
              {"report", "FILE", "write there, as JSON, what the slice received, when it ends",
               Offer::kFile},
              {"quiet", nullptr, "do not print the line that says what was given"},
          },
      .positionals = {},
      .act = Act,
      .takes_program = true,
  };
}

}  // namespace flexai::cli
