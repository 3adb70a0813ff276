# Progress lines and long steps for the shell scripts of tools/. Sourced, never run.
# Says what happens while it happens: a step that takes long prints its last log line every 15 s, a step that fails
# prints the end of its log. Needs: FLEXAI_ROOT (repository root) and FLEXAI_SCRIPT (name shown before each line).

FLEXAI_LOG_DIR="${FLEXAI_ROOT}/build/log"

if [ -t 2 ] && [ -z "${NO_COLOR:-}" ]; then
  kBold=$'\033[1m' kGreen=$'\033[32m' kRed=$'\033[31m' kDim=$'\033[2m' kPlain=$'\033[0m'
else
  kBold='' kGreen='' kRed='' kDim='' kPlain=''
fi

# Say TEXT: one progress line on stderr.
Say() { printf '%s%s:%s %s\n' "${kBold}" "${FLEXAI_SCRIPT}" "${kPlain}" "$*" >&2; }

# Fail TEXT: says what went wrong and what to do, and ends the script with 1.
Fail() {
  printf '%s%s: error:%s %s\n' "${kRed}" "${FLEXAI_SCRIPT}" "${kPlain}" "$*" >&2
  exit 1
}

# LastLine FILE: the last line of a log that is worth showing, cut to a terminal's width.
LastLine() { tr '\r' '\n' <"$1" 2>/dev/null | grep -v '^[[:space:]]*$' | tail -n 1 | cut -c 1-100; }

# Step "what" COMMAND...: runs COMMAND with its output in build/log/<script>-<what>.log. Returns COMMAND's status.
Step() {
  local what="$1" log status=0 begin=${SECONDS} tick=0
  shift
  mkdir -p "${FLEXAI_LOG_DIR}"
  log="${FLEXAI_LOG_DIR}/${FLEXAI_SCRIPT//\//-}-$(tr -cs 'A-Za-z0-9' '-' <<<"${what}" | cut -c 1-40).log"
  "$@" >"${log}" 2>&1 </dev/null &
  local child=$!
  while kill -0 "${child}" 2>/dev/null; do
    sleep 0.2
    tick=$((tick + 1))
    if [ $((tick % 75)) -eq 0 ]; then
      Say "${kDim}${what} ... $((SECONDS - begin)) s: $(LastLine "${log}")${kPlain}"
    fi
  done
  wait "${child}" || status=$?
  if [ "${status}" -eq 0 ]; then
    Say "${kGreen}ok${kPlain}    ${what} ($((SECONDS - begin)) s)"
  else
    Say "${kRed}FAILED${kPlain} ${what} ($((SECONDS - begin)) s, status ${status}); the end of ${log}:"
    tail -n 30 "${log}" | sed 's/^/    /' >&2
  fi
  return "${status}"
}
