# What the workflow scripts share: the server's address, the caller, and one API call. The twin of
# lib.sh.
#
# The token goes into a header of the request and nowhere else; text from a user or a requester is
# only ever a value.

Set-StrictMode -Version 1.0
$ErrorActionPreference = 'Stop'
$ProgressPreference = 'SilentlyContinue'
try { [Console]::OutputEncoding = [Text.UTF8Encoding]::new($false) } catch { Write-Debug 'there is no console' }
. (Join-Path $PSScriptRoot 'show.ps1')

function Stop-Script([string] $Message, [int] $Status = 1) {
    [Console]::Error.WriteLine("parkbrake: $Message")
    exit $Status
}

# A workflow's id, the only text from a user that becomes part of a path.
function Assert-WorkflowId([string] $Id) {
    if (-not $Id) {
        Stop-Script 'say which workflow: -WorkflowId ID or WORKFLOW_ID' 2
    }
    if ($Id -cnotmatch '\A[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\z') {
        Stop-Script "the workflow's id has to be one like 0198c0de-0000-7000-8000-000000000001" 2
    }
}

# Finds the server and the token.
function Connect-Parkbrake([bool] $Remote) {
    if (-not $Remote) {
        if (@('true', '1', 'yes') -ccontains $env:REMOTE) {
            $Remote = $true
        } elseif ($env:REMOTE -and @('false', '0', 'no') -cnotcontains $env:REMOTE) {
            Stop-Script 'REMOTE has to be true or false' 2
        }
    }
    $url = if ($env:PARKBRAKE_URL) { $env:PARKBRAKE_URL } else { 'http://127.0.0.1:8001' }
    if ($Remote) {
        $url = $env:PARKBRAKE_REMOTE_URL
        if (-not $url) {
            Stop-Script 'there is no remote server to ask: set PARKBRAKE_REMOTE_URL to its address'
        }
    }
    if ($url -cnotmatch '\Ahttps?://([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]+)?(/[A-Za-z0-9._~/-]*)?\z') {
        Stop-Script "the server's address has to be something like http://127.0.0.1:8001: correct PARKBRAKE_URL or PARKBRAKE_REMOTE_URL"
    }
    $script:Loopback = $Matches[1] -cmatch '\A(localhost|127(\.[0-9]{1,3}){3}|\[::1\])\z'
    $script:Url = $url.TrimEnd('/')
    $script:Token = Find-Token
}

# The folder of the development server; the same rule as in src/cli/dev_home.rs.
function Get-DevHome {
    if ($env:PARKBRAKE_DEV_HOME) {
        return $env:PARKBRAKE_DEV_HOME
    }
    if (-not $IsWindows -and (id -u) -eq '0') {
        return '/var/lib/parkbrake'
    }
    if ($env:XDG_STATE_HOME) {
        return Join-Path $env:XDG_STATE_HOME 'parkbrake'
    }
    $userHome = if ($env:HOME) { $env:HOME } else { $env:USERPROFILE }
    return Join-Path $userHome '.local/state/parkbrake'
}

# PARKBRAKE_TOKEN, else the development token of PARKBRAKE_AS, else that of the first person.
function Find-Token {
    $token = $env:PARKBRAKE_TOKEN
    if (-not $token) {
        if (-not $script:Loopback) {
            Stop-Script "PARKBRAKE_TOKEN is not set, and development tokens go only to this machine, not to $($script:Url): set PARKBRAKE_TOKEN"
        }
        $file = Join-Path (Get-DevHome) 'tokens'
        if (-not (Test-Path -LiteralPath $file -PathType Leaf)) {
            Stop-Script "PARKBRAKE_TOKEN is not set, and there are no development tokens to read in ${file}: set PARKBRAKE_TOKEN, or start ``task dev``"
        }
        $wanted = $env:PARKBRAKE_AS
        foreach ($line in [IO.File]::ReadAllLines($file)) {
            $kind, $name, $secret = $line -split ' '
            if (($wanted -and $name -ceq $wanted) -or (-not $wanted -and $kind -ceq 'person')) {
                $token = $secret
                break
            }
        }
        if (-not $token) {
            $whom = if ($wanted) { $wanted } else { 'a person' }
            Stop-Script "$file has no token for ${whom}: choose somebody in it with PARKBRAKE_AS"
        }
    }
    if ($token -cnotmatch '\A[A-Za-z0-9._~+/=-]+\z') {
        Stop-Script 'PARKBRAKE_TOKEN contains an invalid character: copy it again'
    }
    return $token
}

# Makes one API call: returns the response, and ends the script if it is an error.
function Invoke-Parkbrake([string] $Method, [string] $Path, $Body) {
    $request = @{
        Method             = $Method
        Uri                = $script:Url + $Path
        Headers            = @{ Authorization = "Bearer $($script:Token)"; Accept = 'application/json' }
        SkipHttpErrorCheck = $true
        MaximumRedirection = 0
        TimeoutSec         = 60
        # Calls within one machine must not go through a proxy.
        NoProxy            = $script:Loopback
    }
    if ($null -ne $Body) {
        $request['ContentType'] = 'application/json'
        $request['Body'] = [Text.Encoding]::UTF8.GetBytes((ConvertTo-Json -InputObject $Body -Compress -Depth 5))
    }
    try {
        $response = Invoke-WebRequest @request
    } catch {
        $cause = $_.Exception
        if ($cause.InnerException -is [Net.Sockets.SocketException]) {
            Stop-Script "no server answers at $($script:Url): start one with ``task dev``, or say where it is with PARKBRAKE_URL" 5
        }
        Stop-Script "the call of $($script:Url) failed ($($cause.Message)): whether it was processed is unknown; check with status.ps1" 5
    }
    $text = [Text.Encoding]::UTF8.GetString($response.RawContentStream.ToArray())
    $answer = $null
    try {
        $answer = ConvertFrom-Json -InputObject $text -AsHashtable
    } catch {
        $answer = $null
    }
    $status = [int] $response.StatusCode
    if ($status -lt 200 -or $status -ge 300) {
        $problem = if ($answer -is [Collections.IDictionary]) { Format-Problem $answer } else { '' }
        if (-not $problem) {
            $problem = "the server at $($script:Url) answered with status $status and no explanation; is it parkbrake?"
        }
        $exitStatus = switch ($status) {
            401 { 6 }
            403 { 6 }
            410 { 4 }
            409 { if ($answer.decision.verdict -ceq 'rejected') { 3 } else { 1 } }
            default { 1 }
        }
        Stop-Script $problem $exitStatus
    }
    if ($answer -isnot [Collections.IDictionary]) {
        Stop-Script "the response of $($script:Url) does not come from parkbrake: check PARKBRAKE_URL"
    }
    return $answer
}
