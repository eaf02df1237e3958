#!/usr/bin/env pwsh
#Requires -Version 7.0
# Rejects a request; it will not run.
param(
    [string] $WorkflowId = $env:WORKFLOW_ID,
    [string] $Reason = $env:REASON,
    [switch] $Remote
)
. (Join-Path $PSScriptRoot 'lib.ps1')
Assert-WorkflowId $WorkflowId
if (-not $Reason) { Stop-Script 'give a reason: -Reason TEXT or REASON; the requester reads it' 2 }
Connect-Parkbrake $Remote

$fields = @{ reason = $Reason }
$done = Invoke-Parkbrake -Method POST -Path "/workflows/$WorkflowId/reject" -Body $fields
Write-Output "$(Format-Colored 'rejected') by $(Format-Shown $done.rejected_by 'you'); it will not run"
