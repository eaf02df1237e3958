# How responses of the API are shown: first what parkbrake knows, then what the requester says,
# marked as a claim. The twin of lib.jq: tests/powershell.rs checks that both show the same facts,
# labels, colors and hidden characters.

# Invisible characters that change what a reader sees: the list of src/domain/text/invisible.rs.
$Invisible = '00A0 00AD 034F 0600-0605 061C 06DD 070F 0890-0891 08E2 115F-1160 1680 17B4-17B5 180B-180F 2000-200F 2028-202F 205F-206F 2800 2D7F 3000 3164 E000-F8FF FDD0-FDEF FE00-FE0F FEFF FFA0 FFF0-FFFC FFFE-FFFF 1107F 110BD 110CD 13430-13455 16FE4 1BC9D 1BCA0-1BCA3 1D159 1D173-1D17A 1FFFE-1FFFF 2FFFE-2FFFF 3FFFE-3FFFF 4FFFE-4FFFF 5FFFE-5FFFF 6FFFE-6FFFF 7FFFE-7FFFF 8FFFE-8FFFF 9FFFE-9FFFF AFFFE-AFFFF BFFFE-BFFFF CFFFE-CFFFF DFFFE-E0FFF EFFFE-10FFFF'
$Colors = @{
    low = '32'; completed = '32'; approved = '32'; medium = '33'; pending_approval = '33'; executing = '33'; high = '31'; failed = '31'
    rejected = '31'; outcome_unknown = '31'; warning = '31'; critical = '1;35'
}
$Painted = -not ([Console]::IsOutputRedirected -or $env:NO_COLOR -or $env:TERM -ceq 'dumb')

function Test-Hidden([int] $Code) {
    if ($Code -lt 32 -or ($Code -gt 126 -and $Code -lt 160)) {
        return $true
    }
    foreach ($range in $Invisible -split ' ') {
        $ends = $range -split '-'
        if ($Code -ge [Convert]::ToInt32($ends[0], 16) -and $Code -le [Convert]::ToInt32($ends[-1], 16)) {
            return $true
        }
    }
    return $false
}

# Text from outside, without characters that a terminal would act on or hide.
function Format-Shown($Value, [string] $Otherwise = '') {
    # ConvertFrom-Json turns every text that looks like a date into one.
    $text = if ($Value -is [datetime]) {
        $Value.ToUniversalTime().ToString("yyyy-MM-dd'T'HH:mm:ss.FFFFFFF'Z'", [cultureinfo]::InvariantCulture)
    } else {
        [string] $Value
    }
    if ($text -ceq '') {
        return $Otherwise
    }
    if ($text -cnotmatch '[^ -~]') {
        return $text
    }
    $shown = [Text.StringBuilder]::new()
    foreach ($rune in $text.EnumerateRunes()) {
        $piece = if (Test-Hidden $rune.Value) { '<U+{0:X4}>' -f $rune.Value } else { $rune.ToString() }
        [void] $shown.Append($piece)
    }
    return $shown.ToString()
}

function Format-Names($Values) {
    $names = foreach ($value in $Values) { Format-Shown $value }
    return $names -join ', '
}

function Format-Painted([string] $Text, [string] $Style) {
    if ($Painted -and $Style) {
        return "$([char] 27)[${Style}m$Text$([char] 27)[0m"
    }
    return $Text
}

function Format-Colored($Word) {
    return Format-Painted (Format-Shown $Word '?') $Colors["$Word"]
}

function Format-Risk($Level) {
    return Format-Painted ((Format-Shown $Level '?').ToUpperInvariant()) $Colors["$Level"]
}

# Facts under one label; continuations are in the same column.
function Write-Fact([string] $Name, $Lines) {
    foreach ($line in $Lines) {
        Write-Output "  $(Format-Painted ($Name.PadRight(12)) '2') $line"
        $Name = ''
    }
}

# Text of several lines has a bar in front of each, so that none of them looks like one of ours.
function Format-Quoted($Value) {
    $text = if ($Value -is [datetime]) { Format-Shown $Value } else { [string] $Value }
    foreach ($line in $text.TrimEnd("`r", "`n") -split "`n") {
        if ($line.EndsWith("`r")) {
            $line = $line.Substring(0, $line.Length - 1)
        }
        "| $(Format-Shown $line)"
    }
}

function Format-Compact($Value) {
    if ($null -eq $Value -or ($Value -is [Collections.IDictionary] -and $Value.Count -eq 0)) {
        return ''
    }
    return Format-Shown (ConvertTo-Json -InputObject $Value -Compress -Depth 100)
}

# One argument, quoted as for a shell, so that the line is unambiguous.
function Format-Argument($Value) {
    $text = [string] $Value
    if ($text -cmatch '\A[-_./:=@%+,A-Za-z0-9]+\z') {
        return $text
    }
    return "'" + (Format-Shown $text.Replace("'", "'\''")) + "'"
}

function Format-Decision($Decision) {
    $line = "$(Format-Shown $Decision.verdict 'decided') by $(Format-Shown $Decision.approver 'somebody')"
    if ($Decision.role) { $line += " ($(Format-Shown $Decision.role))" }
    if ($Decision.via) { $line += " via $(Format-Shown $Decision.via)" }
    if ($Decision.at) { $line += " at $(Format-Shown $Decision.at)" }
    if ($Decision.justification) { $line += ", saying: $(Format-Shown $Decision.justification)" }
    return $line
}

function Write-Timetable($Approval) {
    $steps = foreach ($step in $Approval.timetable) {
        $line = "$(Format-Shown $step.at '?') $(Format-Shown $step.what '?')"
        if ($step.to) { $line += " to $(Format-Names $step.to)" }
        $line
    }
    Write-Fact 'then' $steps
}

function Write-Runs($Action) {
    $name = Format-Shown $Action.name '(no name)'
    if ($Action.runs) {
        $runs = $Action.runs
        $words = foreach ($argument in $runs.command) { Format-Argument $argument }
        $again = if ($runs.idempotent -eq $true) { 'run again after a crash' } else { 'never run twice' }
        $lines = @(
            (Format-Painted ($words -join ' ') '1'),
            "in $(Format-Shown $runs.working_dir '.'), for at most $(Format-Shown $runs.timeout '?'), $again"
        )
        if ($runs.program) { $lines += "program $(Format-Shown $runs.program.path '?') $(Format-Shown $runs.program.digest '?')" }
        foreach ($file in $runs.files) { $lines += "file $(Format-Shown $file.path '?') $(Format-Shown $file.digest '?')" }
        if ($runs.user) { $lines += "as the account $(Format-Shown $runs.user '?')" }
        if ($runs.env) { $lines += "with $(Format-Names $runs.env) from the server's environment" }
        foreach ($other in $runs.GetEnumerator()) {
            if (@('command', 'program', 'files', 'working_dir', 'user', 'env', 'timeout', 'idempotent') -cnotcontains $other.Key) {
                $lines += "$(Format-Shown $other.Key): $(Format-Compact $other.Value)"
            }
        }
        Write-Fact 'would run' $lines
        Write-Fact 'runbook' $name
        if ($Action.args.Count -gt 0) { Write-Fact 'arguments' (Format-Compact $Action.args) }
    } elseif (-not $Action.type -or $Action.type -ceq 'external') {
        Write-Fact 'would run' 'nothing here: the requester itself acts once it may, and reports'
        if ($Action.name) { Write-Fact 'it says' "$name $(Format-Compact $Action.args)" }
    } else {
        Write-Fact 'would run' "the $(Format-Shown $Action.type) $name with $(Format-Compact $Action.args)"
    }
}

function Format-Named($Target) {
    $line = Format-Shown $Target.operation '?'
    if ($Target.resource) { $line += " $(Format-Shown $Target.resource)" }
    if ($Target.environment) { $line += " in $(Format-Shown $Target.environment)" }
    if ($Target.resource_type) { $line += ", $(Format-Shown $Target.resource_type)" }
    return $line
}

# The target, as far as parkbrake knows, and what the requester called it if that differs.
function Write-Target($Workflow) {
    if ($Workflow.target) {
        Write-Fact 'target' (Format-Named $Workflow.target)
    } elseif ($Workflow.task) {
        Write-Fact 'target' "$(Format-Named $Workflow.task) (as the requester says)"
    }
    $differs = foreach ($one in $Workflow.target.differs) {
        $claimed = if ($null -ne $one.claimed) { " `"$(Format-Shown $one.claimed)`"" } else { '' }
        $field = (Format-Shown $one.field '?').Replace('_', ' ')
        "$field$claimed (it is `"$(Format-Shown $one.known '?')`" by the $(Format-Shown $one.from '?'))"
    }
    if ($differs) { Write-Fact '' (Format-Painted "DIFFERS The requester called this: $($differs -join ', ')" '31') }
    $cost = $Workflow.task.estimated_cost
    if ($null -ne $cost) { Write-Fact 'cost' "`$$(Format-Shown $cost) (as the requester says)" }
}

function Write-Claim($Workflow) {
    $task = $Workflow.task
    $who = Format-Shown $Workflow.requested_by '?'
    if ($Workflow.task_id) { $who += ", task $(Format-Shown $Workflow.task_id)" }
    Write-Fact 'requester' $who
    $words = if ($null -ne $task.description) { $task.description } else { $Workflow.description }
    Write-Fact 'claims' (Format-Quoted $words)
    foreach ($finding in $task.security_findings) {
        Write-Fact 'finding' "$(Format-Shown $finding.severity) $(Format-Shown $finding.id) $(Format-Shown $finding.title)"
    }
    if ($task.metadata.Count -gt 0) { Write-Fact 'metadata' (Format-Compact $task.metadata) }
}

function Format-Deciders($Approval, [int] $Given) {
    $required = if ($null -ne $Approval.required) { $Approval.required } else { 1 }
    $why = if ($Approval.require_justification -eq $true) { ', with a justification' } else { '' }
    return "$(Format-Names $Approval.approvers) ($Given of $required given)$why"
}

function Write-Approval($Workflow) {
    if (-not $Workflow.approval) {
        return
    }
    $given = [int] $Workflow.approval.approvals
    Write-Fact 'decides' (Format-Deciders $Workflow.approval $given)
    if (-not $Workflow.status -or $Workflow.status -ceq 'pending_approval') { Write-Timetable $Workflow.approval }
}

# What an approver has to see before deciding.
function Write-Request($Workflow) {
    $id = Format-Painted (Format-Shown $Workflow.workflow_id '?') '1'
    Write-Output "$(Format-Risk $Workflow.risk_level) $(Format-Colored $Workflow.status) $id"
    Write-Runs $Workflow.task.action
    Write-Target $Workflow
    $reasons = foreach ($reason in $Workflow.assessment.reasons) {
        $level = if ("$($reason.trigger)".EndsWith('_disagreement')) { 'warning' } else { $reason.level }
        "$(Format-Colored $level) $(Format-Shown $reason.trigger '?'): $(Format-Shown $reason.detail)"
    }
    Write-Fact 'because' $reasons
    Write-Claim $Workflow
    Write-Approval $Workflow
    Write-Fact 'digest' (Format-Shown $Workflow.digest '?')
}

# The output of an attempt: one text, or one for each stream.
function Write-Kept($Output) {
    if ($Output -is [string]) {
        if ($Output) { Write-Fact 'output' (Format-Quoted $Output) }
    } elseif ($Output -is [Collections.IDictionary]) {
        foreach ($stream in $Output.GetEnumerator()) {
            $name = Format-Shown $stream.Key
            $name = $name.Substring(0, [Math]::Min(12, $name.Length))
            if ($stream.Value -is [string]) {
                if ($stream.Value) { Write-Fact $name (Format-Quoted $stream.Value) }
            } elseif ($null -ne $stream.Value) {
                Write-Fact $name (Format-Compact $stream.Value)
            }
        }
    } elseif ($null -ne $Output) {
        Write-Fact 'output' (Format-Compact $Output)
    }
}

# One event. The rest of its detail is elsewhere on the page, or useful only to programs.
function Format-Happened($Happened) {
    $at = Format-Painted (Format-Shown $Happened.at '?') '2'
    $line = "$($Happened.version)  $at  $(Format-Shown $Happened.event '?') by $(Format-Shown $Happened.actor '?')"
    if ($Happened.via -and $Happened.via -cne 'system') { $line += " via $(Format-Shown $Happened.via)" }
    $detail = if ($Happened.detail -is [Collections.IDictionary]) { $Happened.detail } else { @{ reason = $Happened.detail } }
    if ($detail.to) { $line += " to $(Format-Names $detail.to)" }
    foreach ($said in @($detail.reason, $detail.justification, $detail.error)) {
        if ($said) { return "${line}: $(Format-Shown $said)" }
    }
    return $line
}

# Everything about a workflow.
function Write-Status($Workflow) {
    Write-Request $Workflow
    $decisions = foreach ($decision in $Workflow.decisions) { Format-Decision $decision }
    Write-Fact 'decisions' $decisions
    foreach ($attempt in $Workflow.execution.attempts) {
        $line = "$($attempt.n) $(Format-Shown $attempt.outcome 'running'), begun $(Format-Shown $attempt.started_at '?')"
        if ($attempt.finished_at) { $line += ", ended $(Format-Shown $attempt.finished_at)" }
        Write-Fact 'attempt' $line
        if ($attempt.error) { Write-Fact 'error' (Format-Quoted $attempt.error) }
        Write-Kept $attempt.output
    }
    if ($Workflow.quarantine) {
        $quarantine = $Workflow.quarantine
        Write-Fact 'quarantine' "since $(Format-Shown $quarantine.since '?'): $(Format-Shown $quarantine.reason '?')"
    }
    $history = foreach ($happened in $Workflow.history) { Format-Happened $happened }
    Write-Fact 'history' $history
}

# What has to be typed to approve a critical request: the resource, or else the environment, or else
# the operation.
function Format-Confirmation($Workflow) {
    $about = if ($Workflow.target) { $Workflow.target } else { $Workflow.task }
    foreach ($name in @($about.resource, $about.environment, $about.operation)) {
        if ($name) { return Format-Shown "$name".Trim() }
    }
    return ''
}

# One waiting request.
function Write-Pending($Item) {
    Write-Output "$(Format-Risk $Item.risk_level) $(Format-Painted (Format-Shown $Item.workflow_id '?') '1')"
    Write-Target $Item
    Write-Fact 'asked' "by $(Format-Shown $Item.requested_by '?') at $(Format-Shown $Item.requested_at '?')"
    Write-Fact 'claims' (Format-Quoted $Item.description)
    $given = if ($Item.approvals -is [Collections.IList]) { $Item.approvals.Count } else { [int] $Item.approvals }
    Write-Fact 'decides' (Format-Deciders $Item $given)
    Write-Timetable $Item
    Write-Output ''
}

# A problem document (RFC 9457); empty for any other response.
function Format-Problem($Problem) {
    $sentence = foreach ($part in @($Problem.title, $Problem.detail)) {
        if ($part) { Format-Shown $part }
    }
    if (-not $sentence) {
        return ''
    }
    $lines = @($sentence -join ': ')
    foreach ($failing in $Problem.errors) {
        $lines += "  $(Format-Shown $failing.pointer 'the task'): $(Format-Shown $failing.detail 'is not valid')"
    }
    if ($Problem.decision -is [Collections.IDictionary]) { $lines += "  the decision that won: $(Format-Decision $Problem.decision)" }
    $current = $Problem.current_status
    if ($current -and -not "$($Problem.detail)".Contains($current)) { $lines += "  its status now: $(Format-Shown $current)" }
    return $lines -join [Environment]::NewLine
}
