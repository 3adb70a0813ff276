// A program that uses a card as it is told: each argument is a command, and "-" reads further ones
// from stdin. Each command is answered by one line on stdout. The integration tests drive it, so
// that what happens in a tenant's process is written where it is checked.
// It knows nothing of slices: what it sees is what any program sees.
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <string>
#include <vector>

#include "tests/integration/card_objects.h"

namespace flexai::tests {
namespace {

using Words = std::vector<std::string>;

int g_answers = STDOUT_FILENO;
std::string g_prefix;

__attribute__((format(printf, 1, 2))) void Say(const char* format, ...) {
  char text[512];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(text, sizeof(text), format, arguments);
  va_end(arguments);
  // One write a line, so that lines of several processes do not mix.
  const std::string line = g_prefix + text + "\n";
  if (write(g_answers, line.data(), line.size()) < 0) _exit(3);
}

Words Split(const std::string& text, char at) {
  Words words;
  size_t begin = 0;
  while (begin <= text.size()) {
    const size_t end = std::min(text.find(at, begin), text.size());
    if (end > begin) words.push_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  return words;
}

size_t Number(const Words& words, size_t index) {
  return index < words.size() ? strtoull(words[index].c_str(), nullptr, 0) : 0;
}

std::vector<Object> g_objects;

void SayObject(const Object& object) {
  if (!object.handle) return Say("error %d", object.error);
  g_objects.push_back(object);
  Say("ok %zu", g_objects.size() - 1);
}

void Do(const std::string& command);
void DoStdin();

// The rest of the command, done in a child; "ended STATUS" when it is over.
void Fork(const std::string& rest) {
  const pid_t child = fork();
  if (child == 0) {
    g_prefix = "child: ";
    for (const std::string& each : Split(rest, ';')) Do(each);
    exit(0);
  }
  int status = 0;
  waitpid(child, &status, 0);
  Say("ended %d", status);
}

// `count` children that are programs of their own; each lives until our stdin ends.
void Spawn(size_t count, const std::string& rest) {
  Words arguments = Split(rest, ';');
  std::vector<char*> argv = {const_cast<char*>("card_program")};
  for (std::string& each : arguments) argv.push_back(each.data());
  argv.push_back(nullptr);
  Say("spawned %zu", count);  // before any of them can say something
  for (size_t i = 0; i < count; ++i) {
    if (fork() == 0) {
      prctl(PR_SET_PDEATHSIG, SIGKILL);  // nobody else would end it
      execv("/proc/self/exe", argv.data());
      _exit(127);
    }
  }
}

void Exec(const Words& words) {
  std::vector<char*> argv;
  for (size_t i = 1; i < words.size(); ++i) argv.push_back(const_cast<char*>(words[i].c_str()));
  argv.push_back(nullptr);
  execvp(argv[0], argv.data());
  Say("error exec");
}

void OnSignal(int) {}

void TakeSignal(int number) {
  struct sigaction action = {};
  action.sa_handler = &OnSignal;
  sigaction(number, &action, nullptr);
  Say("took %d", number);
}

void BlockSignals() {
  sigset_t all;
  sigfillset(&all);
  pthread_sigmask(SIG_BLOCK, &all, nullptr);
  Say("blocked");
}

// Answers go to this file from now on, whatever has become of stdout.
void AnswerTo(const std::string& path) {
  const int fd = open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  g_answers = fcntl(fd, F_DUPFD_CLOEXEC, 10);
  close(fd);
}

void Contend(const Words& words) {
  const Contention seen = tests::Contend(Number(words, 1), Number(words, 2), Number(words, 3));
  Say("contended granted=%zu refused=%zu most=%zu", seen.granted, seen.refused, seen.most);
}

void DoWithObject(const Words& words) {
  const size_t id = Number(words, 1);
  if (id >= g_objects.size()) return Say("error no object %zu", id);
  const Object& object = g_objects[id];
  if (words[0] == "retain") return Say("did %d", Retain(object));
  if (words[0] == "release") return Say("did %d", Release(object));
  if (words[0] == "size") return Say("size %zu", SizeOf(object));
  if (words[0] == "part") return SayObject(PartOf(object));
  SayObject(ViewOf(object));
}

void Do(const std::string& command) {
  const Words words = Split(command, ' ');
  if (words.empty()) return;
  const std::string& verb = words[0];
  const size_t second = command.find(' ', verb.size() + 1);
  if (verb == "alloc") {
    SayObject(Allocate(words.at(1), Number(words, 2)));
  } else if (verb == "retain" || verb == "release" || verb == "size" || verb == "part" ||
             verb == "view") {
    DoWithObject(words);
  } else if (verb == "free-in-queue") {
    Say("did %d", FreeInQueue(g_objects.at(Number(words, 1))));
  } else if (verb == "rows") {
    for (const char* row : Rows()) Say("%s", row);
    Say("end");
  } else if (verb == "device") {
    const DeviceMemory memory = AskDevice();
    Say("device %zu %zu", memory.total, memory.largest);
  } else if (verb == "spin") {
    Say("spun %zu", Spin(Number(words, 1)));
  } else if (verb == "churn") {
    Churn(Number(words, 1));
  } else if (verb == "contend") {
    Contend(words);
  } else if (verb == "fork") {
    Fork(command.substr(verb.size()));
  } else if (verb == "spawn") {
    Spawn(Number(words, 1), command.substr(second));
  } else if (verb == "exec") {
    Exec(words);
  } else if (verb == "block-signals") {
    BlockSignals();
  } else if (verb == "take-signal") {
    TakeSignal(SIGRTMIN + static_cast<int>(Number(words, 1)));
  } else if (verb == "answer-to") {
    AnswerTo(words.at(1));
  } else if (verb == "-") {
    DoStdin();
  } else if (verb == "leave") {
    exit(0);
  } else if (verb == "me") {
    Say("me %d %d", getpid(), static_cast<int>(geteuid()));
  } else {
    Say("error unknown command");
  }
}

void DoStdin() {
  std::string text;
  char bytes[4096];
  ssize_t got;
  while ((got = read(STDIN_FILENO, bytes, sizeof(bytes))) > 0) {
    text.append(bytes, static_cast<size_t>(got));
    size_t end;
    while ((end = text.find('\n')) != std::string::npos) {
      const std::string line = text.substr(0, end);
      text.erase(0, end + 1);
      Do(line);
    }
  }
}

int Main(int argc, char** argv) {
  for (int i = 1; i < argc; ++i) Do(argv[i]);
  while (wait(nullptr) > 0) {
  }
  return 0;
}

}  // namespace
}  // namespace flexai::tests

int main(int argc, char** argv) { return flexai::tests::Main(argc, argv); }
