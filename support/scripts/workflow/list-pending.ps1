#!/usr/bin/env pwsh
#Requires -Version 7.0
# Lists the requests that wait for a human, the newest first.
param(
    [switch] $Mine,
    [string] $RiskLevel = '',
    [string] $Role = '',
    [switch] $Remote
)
. (Join-Path $PSScriptRoot 'lib.ps1')
Connect-Parkbrake $Remote

$fields = [ordered]@{ limit = '500' }
if ($Mine) { $fields['mine'] = 'true' }
if ($RiskLevel) { $fields['risk_level'] = $RiskLevel }
if ($Role) { $fields['role'] = $Role }
$pairs = foreach ($name in $fields.Keys) { "$name=$([uri]::EscapeDataString($fields[$name]))" }
$query = $pairs -join '&'
$cursor = ''
$shown = 0
while ($true) {
    $more = if ($cursor) { "&cursor=$cursor" } else { '' }
    $answer = Invoke-Parkbrake -Method GET -Path "/workflows/pending?$query$more"
    foreach ($item in $answer.workflows) {
        Write-Pending $item
        $shown += 1
    }
    if (-not $answer.next_cursor) { break }
    $next = [uri]::EscapeDataString($answer.next_cursor)
    if ($next -ceq $cursor) { Stop-Script 'the server returns the same page again and again' }
    $cursor = $next
}
if ($shown -eq 0) {
    Write-Output 'nothing waits for a human'
} else {
    Write-Output "waiting: $shown; task workflow:approve WORKFLOW_ID=… shows what one would run, and approves that"
}
