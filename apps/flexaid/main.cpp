// flexaid: wires the cards of this host to the daemon that shares them out.
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <nlohmann/json.hpp>

#include "apps/flexaid/cards.h"
#include "apps/flexaid/meter.h"
#include "apps/flexaid/probe.h"
#include "flexai/base/log.h"
#include "flexai/base/prompt.h"
#include "flexai/operate/daemon.h"
#include "flexai/operate/listen.h"
#include "flexai/slice/attach.h"

namespace flexai {
namespace {

constexpr char kUsage[] =
    "usage: flexaid [--user | --socket ADDRESS] [--version] [--help]\n"
    "  --user            serve the user who starts it; end a minute after the last slice\n"
    "  --socket ADDRESS  serve at this path, or @name for an abstract socket\n"
    "Without either: serve everybody of group flexai at /run/flexai/flexaid.sock.\n";

operate::Daemon* g_daemon = nullptr;
void OnStop(int) { g_daemon->Stop(); }

int Fail(const Status& status) {
  Notice("%s", status.ToString().c_str());
  return status.code() == Code::kAlreadyExists ? 1 : 125;
}

// Where what outlives a daemon is kept: as the service manager says, or where people's programs
// keep such things.
std::string StateFolder(bool for_user) {
  const auto text = [](const char* name) -> std::string {
    const char* value = getenv(name);
    return value && value[0] == '/' ? value : "";
  };
  if (const std::string given = text("STATE_DIRECTORY"); !given.empty()) {
    return given.substr(0, given.find(':'));
  }
  if (!for_user) return "/var/lib/flexai";
  if (const std::string own = text("XDG_STATE_HOME"); !own.empty()) return own + "/flexai";
  const std::string home = text("HOME");
  return home.empty() ? "" : home + "/.local/state/flexai";
}

int Serve(const std::string& address, bool for_user) {
  const int inherited = operate::InheritedSocket();
  // The socket first: whoever starts us may then wait on it while we look at the cards.
  const unsigned mode = for_user ? 0600 : 0660;
  Result<int> listening = inherited >= 0 ? Result<int>(inherited) : operate::Listen(address, mode);
  if (!listening.ok()) return Fail(listening.status());
  Result<FoundCards> found = ProbeCardsInChild();
  if (!found.ok()) return Fail(found.status());
  operate::DaemonOptions options;
  options.address = address;
  options.listen_fd = *listening;
  options.leave_when_idle = for_user;
  options.version = FLEXAI_VERSION;
  options.state_folder = StateFolder(for_user);
  options.unshared = std::move(found->unshared);
  options.start_probe = StartProbe;
  StartMeter(found->cards, &options.meter_ask_fd, &options.meter_answer_fd);
  operate::Daemon daemon(std::move(options), std::move(found->cards));
  g_daemon = &daemon;
  struct sigaction stop = {};
  stop.sa_handler = &OnStop;
  for (const int number : {SIGTERM, SIGINT}) sigaction(number, &stop, nullptr);
  signal(SIGPIPE, SIG_IGN);
  AskForPromptWakeups();
  const Status ended = daemon.Run();
  // A service manager's socket stays: it starts us again.
  if (inherited < 0) operate::StopListening(address);
  return ended.ok() ? 0 : Fail(ended);
}

int Main(int argc, char** argv) {
  std::string address = "/run/flexai/flexaid.sock";
  bool for_user = false;
  for (int i = 1; i < argc; ++i) {
    const std::string argument = argv[i];
    if (argument == "--user") {
      for_user = true;
      address = slice::UserDaemonAddress(slice::ReadDaemonEnvironment());
    } else if (argument == "--socket" && i + 1 < argc) {
      address = argv[++i];
      for_user = true;
    } else if (argument == "--probe-cards") {
      return PrintCards();
    } else if (argument == "--meter-cards") {
      return MeterCards();
    } else if (argument == "--probe-levers" && i + 2 < argc) {
      return ProbeLevers(argv[i + 1], argv[i + 2]);
    } else if (argument == "--version") {
      printf("flexaid %s\n", FLEXAI_VERSION);
      return 0;
    } else {
      const bool help = argument == "--help" || argument == "-h";
      if (!help) Notice("flexaid does not know '%s'; see flexaid --help", argument.c_str());
      if (help) fputs(kUsage, stdout);
      return help ? 0 : 125;
    }
  }
  return Serve(address, for_user);
}

}  // namespace
}  // namespace flexai

int main(int argc, char** argv) { return flexai::Main(argc, argv); }
