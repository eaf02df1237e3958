# How responses of the API are shown: first what parkbrake knows, then what the requester says,
# marked as a claim. `parkbrake status` (src/cli/show.rs) and show.ps1 show the same.

# Invisible characters that change what a reader sees: the list of src/domain/text/invisible.rs,
# with which tests/scripts compares it.
def invisible: "00A0 00AD 034F 0600-0605 061C 06DD 070F 0890-0891 08E2 115F-1160 1680 17B4-17B5 180B-180F 2000-200F 2028-202F 205F-206F 2800 2D7F 3000 3164 E000-F8FF FDD0-FDEF FE00-FE0F FEFF FFA0 FFF0-FFFC FFFE-FFFF 1107F 110BD 110CD 13430-13455 16FE4 1BC9D 1BCA0-1BCA3 1D159 1D173-1D17A 1FFFE-1FFFF 2FFFE-2FFFF 3FFFE-3FFFF 4FFFE-4FFFF 5FFFE-5FFFF 6FFFE-6FFFF 7FFFE-7FFFF 8FFFE-8FFFF 9FFFE-9FFFF AFFFE-AFFFF BFFFE-BFFFF CFFFE-CFFFF DFFFE-E0FFF EFFFE-10FFFF";

def from_hex: reduce explode[] as $digit (0; . * 16 + if $digit > 64 then $digit - 55 else $digit - 48 end);
def to_hex:
  [recurse(. / 16 | floor; . > 0) % 16 | if . > 9 then . + 55 else . + 48 end] | reverse | implode
  | if length < 4 then "0" * (4 - length) + . else . end;

def hidden: [invisible | split(" ")[] | split("-") | {first: (.[0] | from_hex), last: (.[-1] | from_hex)}];

# Text from outside, without characters that a terminal would act on or hide.
def shown:
  tostring
  | if test("[^ -~]") then
      hidden as $hidden
      | explode
      | map(. as $code
          | if $code < 32 or ($code > 126 and $code < 160) or any($hidden[]; .first <= $code and $code <= .last)
            then "<U+\($code | to_hex)>" else [$code] | implode end)
      | join("")
    else . end;

def word($otherwise): if . == null or . == "" then $otherwise else shown end;
def names: [.[]? | shown] | join(", ");

def paint($style): if env.colors == "true" and $style != "" then "\u001b[\($style)m\(.)\u001b[0m" else . end;
def color:
  {low: "32", completed: "32", approved: "32", medium: "33", pending_approval: "33", executing: "33", high: "31", failed: "31",
    rejected: "31", outcome_unknown: "31", warning: "31", critical: "1;35"}[. // ""] // "";
def colored: . as $word | word("?") | paint($word | tostring | color);
def risk: . as $level | word("?") | ascii_upcase | paint($level | tostring | color);

# Facts under one label; continuations are in the same column.
def facts($name; stream):
  [stream] | to_entries[]
  | (if .key == 0 then $name else "" end) as $name
  | "  \($name + " " * (12 - ($name | length)) | paint("2")) \(.value)";

# Text of several lines has a bar in front of each, so that none of them looks like one of ours.
def quoted: tostring | sub("[\\r\\n]+\\z"; "") | if . == "" then . else split("\n")[] end | "| \(rtrimstr("\r") | shown)";
def compact: if . == null or . == {} then "" else tojson | shown end;

# One argument, quoted as for a shell, so that the line is unambiguous.
def argument: tostring | if test("\\A[-_./:=@%+,A-Za-z0-9]+\\z") then . else "'" + (split("'") | join("'\\''") | shown) + "'" end;

def decision:
  "\(.verdict | word("decided")) by \(.approver | word("somebody"))"
  + (if .role then " (\(.role | shown))" else "" end)
  + (if .via then " via \(.via | shown)" else "" end)
  + (if .at then " at \(.at | shown)" else "" end)
  + (if (.justification // "") != "" then ", saying: \(.justification | shown)" else "" end);

def timetable:
  facts("then";
    .timetable[]? | "\(.at | word("?")) \(.what | word("?"))" + if (.to // []) != [] then " to \(.to | names)" else "" end);

# Who decides, and how many have approved.
def deciders($given):
  "\(.approvers | names) (\($given) of \(.required // 1) given)"
  + if .require_justification == true then ", with a justification" else "" end;

def heading: "\(.risk_level | risk) \(.status | colored) \(.workflow_id | word("?") | paint("1"))";

def artifact: "\(.path | word("?")) \(.digest | word("?"))";

def runs:
  if .runs then
    facts("would run";
      (.runs.command | map(argument) | join(" ") | paint("1")),
      "in \(.runs.working_dir | word(".")), for at most \(.runs.timeout | word("?")), "
        + (if .runs.idempotent == true then "run again after a crash" else "never run twice" end),
      (if .runs.program then "program \(.runs.program | artifact)" else empty end),
      ((.runs.files // [])[] | "file \(artifact)"),
      (if .runs.user then "as the account \(.runs.user | word("?"))" else empty end),
      (if (.runs.env // []) != [] then "with \(.runs.env | names) from the server's environment" else empty end),
      (.runs | to_entries[] | select(.key as $key | ["command", "program", "files", "working_dir", "user", "env", "timeout", "idempotent"] | index($key) | not)
        | "\(.key | shown): \(.value | compact)")),
    facts("runbook"; .name | word("(no name)")),
    (if (.args // {}) != {} then facts("arguments"; .args | compact) else empty end)
  elif (.type // "external") == "external" then
    facts("would run"; "nothing here: the requester itself acts once it may, and reports"),
    (if .name then facts("it says"; "\(.name | shown) \(.args | compact)") else empty end)
  else facts("would run"; "the \(.type | shown) \(.name | word("(no name)")) with \(.args | compact)") end;

def named:
  (.operation | word("?")) + (if .resource then " \(.resource | shown)" else "" end)
  + (if .environment then " in \(.environment | shown)" else "" end)
  + (if .resource_type then ", \(.resource_type | shown)" else "" end);

def differs:
  (.field | word("?") | gsub("_"; " ")) + (if .claimed then " \"\(.claimed | shown)\"" else "" end)
  + " (it is \"\(.known | word("?"))\" by the \(.from | word("?")))";

# The target, as far as parkbrake knows, and what the requester called it if that differs.
def target:
  facts("target"; if .target then .target | named elif .task then "\(.task | named) (as the requester says)" else empty end),
  ([.target.differs[]? | differs] | if length > 0
    then "DIFFERS The requester called this: \(join(", "))" | paint("31") | . as $line | facts(""; $line) else empty end),
  (if .task.estimated_cost then facts("cost"; "$\(.task.estimated_cost | shown) (as the requester says)") else empty end);

def claim:
  facts("requester"; (.requested_by | word("?")) + if .task_id then ", task \(.task_id | shown)" else "" end),
  facts("claims"; .task.description // .description // "" | quoted),
  (.task.security_findings[]? | facts("finding"; [.severity, .id, .title | word("")] | join(" "))),
  (if (.task.metadata // {}) != {} then facts("metadata"; .task.metadata | compact) else empty end);

def approval:
  if .approval then
    (.approval.approvals // 0) as $given
    | facts("decides"; .approval | deciders($given)),
      (if (.status // "pending_approval") == "pending_approval" then .approval | timetable else empty end)
  else empty end;

# What an approver has to see before deciding.
def request:
  .workflow
  | heading,
    (.task.action // {} | runs),
    target,
    facts("because"; .assessment.reasons[]? | "\(if .trigger // "" | endswith("_disagreement") then "warning" else .level end | colored) \(.trigger | word("?")): \(.detail | word(""))"),
    claim,
    approval,
    facts("digest"; .digest | word("?"));

# The output of an attempt: one text, or one for each stream.
def output:
  if . == null or . == "" then empty
  elif type == "string" then facts("output"; quoted)
  elif type == "object" then
    to_entries[] | (.key | shown | .[:12]) as $stream
    | if .value == null or .value == "" then empty
      elif .value | type == "string" then facts($stream; .value | quoted)
      else facts($stream; .value | compact) end
  else facts("output"; compact) end;

# One event. The rest of its detail is elsewhere on the page, or useful only to programs.
def happened:
  (.detail | if type == "object" then . else {reason: .} end) as $detail
  | "\(.version // 0)  \(.at | word("?") | paint("2"))  \(.event | word("?")) by \(.actor | word("?"))"
    + (if .via and .via != "system" then " via \(.via | shown)" else "" end)
    + (if ($detail.to // []) != [] then " to \($detail.to | names)" else "" end)
    + ([$detail | .reason, .justification, .error | select(. != null and . != "")] | if length > 0 then ": \(.[0] | shown)" else "" end);

# Everything about a workflow.
def status:
  request,
  (.workflow
    | facts("decisions"; .decisions[]? | decision),
      (.execution.attempts[]?
        | facts("attempt"; "\(.n // 1) \(.outcome | word("running")), begun \(.started_at | word("?"))"
            + if .finished_at then ", ended \(.finished_at | shown)" else "" end),
          (if (.error // "") != "" then facts("error"; .error | quoted) else empty end),
          (.output | output)),
      (if .quarantine then facts("quarantine"; .quarantine | "since \(.since | word("?")): \(.reason | word("?"))") else empty end),
      facts("history"; .history[]? | happened));

# What has to be typed to approve a critical request: the resource, or else the environment, or else
# the operation.
def confirmation:
  .workflow | (.target // .task // {}) | (.resource // .environment // .operation // "") | gsub("^\\s+|\\s+$"; "") | shown;

# The waiting requests.
def pending:
  .workflows[]?
  | "\(.risk_level | risk) \(.workflow_id | word("?") | paint("1"))",
    target,
    facts("asked"; "by \(.requested_by | word("?")) at \(.requested_at | word("?"))"),
    facts("claims"; .description // "" | quoted),
    facts("decides"; deciders(.approvals | if type == "array" then length else . // 0 end)),
    timetable,
    "";

def approved:
  if (.approvals_remaining // 0) > 0 then "your approval counts, \(.approved_by | word("you")); needed still: \(.approvals_remaining)"
  else "\("approved" | paint("32")) by \(.approved_by | word("you")); the workflow is \(.workflow_status | word("approved"))" end;

def rejected: "\("rejected" | paint("31")) by \(.rejected_by | word("you")); it will not run";

# A problem document (RFC 9457); an error for any other response.
def problem:
  if (.title // .detail) == null then error("not a problem document") else . end
  | ([.title, .detail | select(. != null) | shown] | join(": ")),
    (.errors[]? | "  \(.pointer | word("the task")): \(.detail | word("is not valid"))"),
    (if .decision | type == "object" then "  the decision that won: \(.decision | decision)" else empty end),
    (.current_status as $current | if $current and (.detail // "" | contains($current) | not) then "  its status now: \(.current_status | shown)" else empty end);
