#!/usr/bin/env pwsh
#Requires -Version 7.0
# Shows what a request would run, and approves exactly that: the digest that is sent is the one that was shown.
param(
    [string] $WorkflowId = $env:WORKFLOW_ID,
    [string] $Justification = $env:JUSTIFICATION,
    [switch] $Remote
)
. (Join-Path $PSScriptRoot 'lib.ps1')
Assert-WorkflowId $WorkflowId
Connect-Parkbrake $Remote

$read = Invoke-Parkbrake -Method GET -Path "/workflows/$WorkflowId/status"
Write-Request $read.workflow
$digest = $read.workflow.digest
if (-not $digest) { Stop-Script 'the server names no digest, so nothing was approved' }

$fields = @{ digest = $digest }
if ($Justification) { $fields['justification'] = $Justification }
$done = Invoke-Parkbrake -Method POST -Path "/workflows/$WorkflowId/approve" -Body $fields
$by = Format-Shown $done.approved_by 'you'
if ($done.approvals_remaining -gt 0) {
    Write-Output "your approval counts, $by; needed still: $($done.approvals_remaining)"
} else {
    Write-Output "$(Format-Coloured 'approved') by $by; the workflow is $(Format-Shown $done.workflow_status 'approved')"
}
