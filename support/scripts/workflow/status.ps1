#!/usr/bin/env pwsh
#Requires -Version 7.0
# Shows the target of a workflow, its decisions, its attempts, and its history.
param(
    [string] $WorkflowId = $env:WORKFLOW_ID,
    [switch] $Remote
)
. (Join-Path $PSScriptRoot 'lib.ps1')
Assert-WorkflowId $WorkflowId
Connect-Parkbrake $Remote

$read = Invoke-Parkbrake -Method GET -Path "/workflows/$WorkflowId/status"
Write-Status $read.workflow
