// flexai, the program for people: reads the command line and hands it to one command.
#include <fcntl.h>
#include <sys/mman.h>

#include <string>
#include <vector>

#include "apps/flexai/command.h"
#include "apps/flexai/output.h"
#include "apps/flexai/parse.h"

namespace {

// Fills closed descriptors 0, 1 and 2, so that no file or socket of ours gets their numbers. Each
// closes at exec: the program finds them closed as we did.
void GuardStandardDescriptors() {
  for (int fd = 0; fd <= 2; ++fd) {
    if (fcntl(fd, F_GETFD) != -1) continue;
    // The lowest free number is this one. Without /dev, a nameless file serves as well.
    if (open("/dev/null", O_RDWR | O_CLOEXEC) < 0) memfd_create("flexai closed", MFD_CLOEXEC);
  }
}

}  // namespace

int main(int count, char** words) {
  using namespace flexai::cli;
  GuardStandardDescriptors();
  const flexai::Result<Parsed> parsed = Parse(std::vector<std::string>(words + 1, words + count));
  if (!parsed.ok()) return Complain(parsed.status());
  if (!parsed->text.empty()) return Print(parsed->text) ? kDone : kFailed;
  return parsed->command->act(parsed->arguments);
}
