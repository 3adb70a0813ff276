// A process as a file that becomes readable when it has ended: no pid is ever mistaken for another.
#pragma once

#include <sys/types.h>

namespace flexai::operate {

/// -1 where the kernel knows no pidfd, or there is no such process.
int OpenPidfd(pid_t pid);

}  // namespace flexai::operate
