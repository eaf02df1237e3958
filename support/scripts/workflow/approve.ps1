#!/usr/bin/env pwsh
#Requires -Version 7.0
# Shows what a request would run, asks, and approves exactly that: it sends the digest of what was
# shown. Without a terminal, -Yes confirms, and for a critical request -Confirm names its target, or
# -Digest the document that was read elsewhere.
param(
    [string] $WorkflowId = $env:WORKFLOW_ID,
    [string] $Justification = $env:JUSTIFICATION,
    [switch] $Yes,
    [string] $Confirm = $env:CONFIRM,
    [string] $Digest = $env:DIGEST,
    [switch] $Remote
)
. (Join-Path $PSScriptRoot 'lib.ps1')
Assert-WorkflowId $WorkflowId
Connect-Parkbrake $Remote

$read = Invoke-Parkbrake -Method GET -Path "/workflows/$WorkflowId/status"
Write-Request $read.workflow
$readDigest = $read.workflow.digest
if (-not $readDigest) { Stop-Script 'the server names no digest, so nothing was approved' }
if ($Digest -and $Digest -cne $readDigest) {
    Stop-Script "the digest of this request is $readDigest, not the given one: nothing was approved"
}

$somebody = -not ([Console]::IsInputRedirected -or [Console]::IsOutputRedirected)
$critical = @('low', 'medium', 'high') -cnotcontains $read.workflow.risk_level
$target = Format-Confirmation $read.workflow
if ($Confirm -and $critical -and $Confirm -cne $target) {
    Stop-Script "the target of this critical request is $target, not the given one: nothing was approved"
}
if ($critical -and -not $Confirm -and -not ($Yes -and $Digest)) {
    if (-not $somebody) {
        Stop-Script "this request is critical and nobody can be asked here, so nothing was approved: add -Yes with -Confirm (its target is $target) or -Digest" 2
    }
    [Console]::Error.Write("This is critical. Type its target to approve exactly this: $target$([Environment]::NewLine)> ")
    if ([Console]::In.ReadLine() -cne $target) { Stop-Script 'nothing was approved' }
} elseif (-not $Yes) {
    if (-not $somebody) { Stop-Script 'nobody can be asked here, so nothing was approved: add -Yes to approve what is shown' 2 }
    [Console]::Error.Write('Approve exactly this? [y/N] ')
    if ([Console]::In.ReadLine() -notmatch '\A(y|yes)\z') { Stop-Script 'nothing was approved' }
}

$fields = @{ digest = $readDigest }
if ($Justification) { $fields['justification'] = $Justification }
$done = Invoke-Parkbrake -Method POST -Path "/workflows/$WorkflowId/approve" -Body $fields
$by = Format-Shown $done.approved_by 'you'
if ($done.approvals_remaining -gt 0) {
    Write-Output "your approval counts, $by; needed still: $($done.approvals_remaining)"
} else {
    Write-Output "$(Format-Colored 'approved') by $by; the workflow is $(Format-Shown $done.workflow_status 'approved')"
}
