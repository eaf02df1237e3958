#!/usr/bin/env pwsh
#Requires -Version 7.0
# Decides with the PowerShell scripts, against a real server, which serve.sh runs; with -Task also with go-task. Each step is checked; the
# exit status is 0 only if all of it was seen.
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

# An agent asks for a deployment, which parks.
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

# Runs a script in a PowerShell of its own, and looks at what it says and how it ends.
function Assert-Says([string] $Script, [string[]] $Arguments, [string] $Says, [int] $Status = 0) {
    $said = & pwsh -NoProfile -File (Join-Path $scripts $Script) @Arguments 2>&1 | Out-String
    if ($LASTEXITCODE -ne $Status) { throw "$Script ended with $LASTEXITCODE, and not $Status`: $said" }
    if (-not $said.Contains($Says)) { throw "$Script does not say '$Says': $said" }
    Write-Output "ok: $Script $($Arguments -join ' ')"
}

function Assert-Task([string[]] $Arguments, [string] $Says) {
    $said = & task @Arguments 2>&1 | Out-String
    if ($LASTEXITCODE -ne 0) { throw "task $Arguments ended with $LASTEXITCODE`: $said" }
    if (-not $said.Contains($Says)) { throw "task $Arguments does not say '$Says': $said" }
    Write-Output "ok: task $($Arguments -join ' ')"
}

$id = Submit-Deployment '1.4.2'
Assert-Says 'list-pending.ps1' @() $id
Assert-Says 'approve.ps1' @('-WorkflowId', $id) 'nobody can be asked here' 2
Assert-Says 'approve.ps1' @('-WorkflowId', $id, '-Yes', '-Justification', 'it''s "green" $(id) %PATH%') 'approved by alice'
Assert-Says 'status.ps1' @('-WorkflowId', $id) 'it''s "green" $(id) %PATH%'
$rejected = Submit-Deployment '1.5.0'
Assert-Says 'reject.ps1' @('-WorkflowId', $rejected, '-Reason', 'not before the weekend') 'rejected by alice'
Assert-Says 'approve.ps1' @('-WorkflowId', $rejected, '-Yes') 'not before the weekend' 3

if ($Task) {
    $id = Submit-Deployment '1.6.0'
    Assert-Task @('workflow:list-pending') $id
    Assert-Task @('workflow:approve', "WORKFLOW_ID=$id", 'JUSTIFICATION=the tests are green') 'approved by alice'
    Assert-Task @('workflow:status', "WORKFLOW_ID=$id") 'the tests are green'
    $rejected = Submit-Deployment '1.7.0'
    Assert-Task @('workflow:reject', "WORKFLOW_ID=$rejected", 'REASON=not before the weekend') 'rejected by alice'
}
Write-Output 'Seen: listed, shown, approved and rejected.'
