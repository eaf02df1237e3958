#!/usr/bin/env pwsh
#Requires -Version 7.0
# Decides with the PowerShell scripts, against the real server that serve.sh runs; with -Task also
# with go-task. Each step is checked; the exit status is 0 only if all of them succeeded.
param(
    [string] $Folder = (Join-Path $PSScriptRoot '../../target/powershell'),
    [switch] $Task
)
$ErrorActionPreference = 'Stop'
$scripts = Join-Path $PSScriptRoot '../../support/scripts/workflow'
$url = if ($env:PARKBRAKE_URL) { $env:PARKBRAKE_URL } else { 'http://127.0.0.1:8001' }
$env:PARKBRAKE_DEV_HOME = $Folder
$env:PARKBRAKE_AS = 'alice'

$ready = $false
foreach ($try in 1..240) {
    try {
        Invoke-WebRequest "$url/readyz" | Out-Null
        $ready = $true
        break
    } catch {
        Start-Sleep -Milliseconds 500
    }
}
if (-not $ready) { throw "no server became ready at $url" }

# An agent submits a deployment, which parks.
function Submit-Deployment([string] $Version) {
    $line = [IO.File]::ReadAllLines((Join-Path $Folder 'tokens')) | Where-Object { $_ -clike 'agent deploy-bot *' }
    $body = @{
        description = "Deploy api $Version"; operation = 'deploy'; environment = 'production'; resource_type = 'service'
        action      = @{ type = 'runbook'; name = 'deploy-service'; args = @{ service = 'api'; version = $Version } }
    }
    $answer = Invoke-RestMethod "$url/orchestrate" -Method Post -ContentType 'application/json' `
        -Headers @{ Authorization = "Bearer $(($line -split ' ')[2])" } -Body (ConvertTo-Json $body -Depth 5)
    if ($answer.status -cne 'pending_approval') { throw "the deployment is $($answer.status)" }
    return $answer.workflow_id
}

# Runs a script in a separate PowerShell, and checks its output and exit status.
function Assert-Prints([string] $Script, [string[]] $Arguments, [string] $Expected, [int] $Status = 0) {
    $output = & pwsh -NoProfile -File (Join-Path $scripts $Script) @Arguments 2>&1 | Out-String
    if ($LASTEXITCODE -ne $Status) { throw "$Script ended with $LASTEXITCODE instead of $Status`: $output" }
    if (-not $output.Contains($Expected)) { throw "$Script does not print '$Expected': $output" }
    Write-Output "ok: $Script $($Arguments -join ' ')"
}

function Assert-Task([string[]] $Arguments, [string] $Expected) {
    $output = & task @Arguments 2>&1 | Out-String
    if ($LASTEXITCODE -ne 0) { throw "task $Arguments ended with $LASTEXITCODE`: $output" }
    if (-not $output.Contains($Expected)) { throw "task $Arguments does not print '$Expected': $output" }
    Write-Output "ok: task $($Arguments -join ' ')"
}

$id = Submit-Deployment '1.4.2'
Assert-Prints 'list-pending.ps1' @() $id
Assert-Prints 'approve.ps1' @('-WorkflowId', $id) 'nobody can be asked here' 2
Assert-Prints 'approve.ps1' @('-WorkflowId', $id, '-Yes', '-Justification', 'it''s "green" $(id) %PATH%') 'approved by alice'
Assert-Prints 'status.ps1' @('-WorkflowId', $id) 'it''s "green" $(id) %PATH%'
$rejected = Submit-Deployment '1.5.0'
Assert-Prints 'reject.ps1' @('-WorkflowId', $rejected, '-Reason', 'not before the weekend') 'rejected by alice'
Assert-Prints 'approve.ps1' @('-WorkflowId', $rejected, '-Yes') 'not before the weekend' 3

if ($Task) {
    $id = Submit-Deployment '1.6.0'
    Assert-Task @('workflow:list-pending') $id
    Assert-Task @('workflow:approve', "WORKFLOW_ID=$id", 'JUSTIFICATION=the tests are green') 'approved by alice'
    Assert-Task @('workflow:status', "WORKFLOW_ID=$id") 'the tests are green'
    $rejected = Submit-Deployment '1.7.0'
    Assert-Task @('workflow:reject', "WORKFLOW_ID=$rejected", 'REASON=not before the weekend') 'rejected by alice'
}
Write-Output 'Listed, shown, approved and rejected.'
