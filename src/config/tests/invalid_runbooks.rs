//! Runbooks and webhooks that are refused.

use super::invalid::refuses;
use super::*;

#[test]
fn runbooks_that_could_not_run_or_would_run_something_else_are_refused() {
    let with = |runbook: &str| {
        format!(
            "runbooks:\n  go:\n    operation: read\n    command: [go, \"{{{{ what }}}}\"]\n    args: {{ what: {{ pattern: x }} }}\n{runbook}"
        )
    };
    let only = |runbook: &str| format!("runbooks:\n  go:\n{runbook}");
    refuses(
        RUNBOOKS,
        &[
            (
                &only(
                    "    operation: read\n    command: [go, \"{{ what }}\"]\n    args: { what: { pattern: \"[^ ]+\", output_without_approval: true } }\n",
                ),
                ":5: runbooks.go.args.what.output_without_approval: permits outputs that nobody has read",
                "narrow",
            ),
            ("runbook: {}\n", ":1: runbook: is not a known key", "runbooks, webhooks"),
            ("runbooks: { \"a b\": {} }\n", ":1: runbooks.a b: `a b` cannot be used", ""),
            (&only("    command: [go]\n"), ":2: runbooks.go.operation: is missing", "what it really does"),
            (&only("    operation: read\n"), ":2: runbooks.go.command: is missing", ""),
            (&only("    operation: read\n    command: []\n"), ":4: runbooks.go.command: is empty", "[support/runbooks"),
            (&only("    operation: read\n    command: go --now\n"), ":4: runbooks.go.command: is the text `go --now`", "a list of"),
            (&only("    operation: read\n    command:\n      - \"\"\n"), ":5: runbooks.go.command[0]: names no program", ""),
            (
                &only("    operation: read\n    command: [\"{{ tool }}\"]\n    args: { tool: { pattern: a|b } }\n"),
                ":4: runbooks.go.command[0]: lets the requester choose the program",
                "write it out",
            ),
            (
                &only("    operation: read\n    command: [go, \"{{ who }}\"]\n"),
                ":4: runbooks.go.command[1]: names `who`, which is not declared",
                "args",
            ),
            (
                &only("    operation: read\n    command: [go, \"{{ who\"]\n"),
                ":4: runbooks.go.command[1]: `{{ who` has a `{{` without `}}`",
                "",
            ),
            (&only("    operation: fly\n    command: [go]\n"), ":3: runbooks.go.operation: `fly` is not one of the words", "deploy"),
            (
                &with("    retry: { attempts: 3, backoff: 30s }\n"),
                ":6: runbooks.go.retry: repeats an action that is not idempotent",
                "idempotent: true",
            ),
            (
                &with("    idempotent: true\n    retry: { attempts: 1, backoff: 30s }\n"),
                ":7: runbooks.go.retry.attempts: has to be from 2",
                "",
            ),
            (
                &with("    idempotent: true\n    retry: { attempts: 3, backoff: 2h }\n"),
                ":7: runbooks.go.retry.backoff: is longer than 1h",
                "",
            ),
            (&with("    idempotent: true\n    retry: { attempts: 3 }\n"), ":7: runbooks.go.retry.backoff: is missing", "30s"),
            (&with("    precondition: []\n"), ":6: runbooks.go.precondition: is empty", "[support/runbooks"),
            (&with("    precondition: look\n"), ":6: runbooks.go.precondition: is the text `look`", "a list of"),
            (
                &with("    precondition: [\"{{ what }}\"]\n"),
                ":6: runbooks.go.precondition[0]: lets the requester choose the program",
                "write it out",
            ),
            (
                &with("    precondition: [look, \"{{ who }}\"]\n"),
                ":6: runbooks.go.precondition[1]: names `who`, which is not declared",
                "args",
            ),
            (&with("    environment: moon\n"), ":6: runbooks.go.environment: `moon` is not one of the words", "production"),
            (&with("    resource_type: moon\n"), ":6: runbooks.go.resource_type: `moon` is not one of the words", "database"),
            (&with("    resource: \"\"\n"), ":6: runbooks.go.resource: is empty", ""),
            (&with("    resource: \"{{ where }}\"\n"), ":6: runbooks.go.resource: names `where`, which is not declared", ""),
            (&with("    timeout: soon\n"), ":6: runbooks.go.timeout: `soon` is not a duration", ""),
            (&with("    idempotent: \"true\"\n"), ":6: runbooks.go.idempotent: is the text `true`", "true or false"),
            (&with("    working_dir: \"\"\n"), ":6: runbooks.go.working_dir: is not a folder", ""),
            (&with("    env: { A-B: { from_env: C } }\n"), ":6: runbooks.go.env.A-B: `A-B` cannot be used", ""),
            (&with("    env: { A: secret }\n"), ":6: runbooks.go.env.A: is the text `secret`", "from_env"),
            (&with("    env: { A: { from_env: 1B } }\n"), ":6: runbooks.go.env.A.from_env: `1B` cannot be used", ""),
            (
                &with("    env: { PARKBRAKE_DIGEST: { from_env: C } }\n"),
                ":6: runbooks.go.env.PARKBRAKE_DIGEST: is a name that parkbrake",
                "",
            ),
            (&with("    files: run.sh\n"), ":6: runbooks.go.files: is the text `run.sh`", "a list of"),
            (&with("    files: [\"\"]\n"), ":6: runbooks.go.files[0]: is not a file", "working_dir"),
            (&with("    files: [\"{{ other }}\"]\n"), ":6: runbooks.go.files[0]: names `other`, which is not declared", ""),
            (&with("    user: \"a b\"\n"), ":6: runbooks.go.user: `a b` is not an account", "USER:GROUP"),
            (&with("    user: \"1:\"\n"), ":6: runbooks.go.user: `1:` is not an account", ""),
            (&with("    limits: { ram: 1GiB }\n"), ":6: runbooks.go.limits.ram: is not a known key", "memory"),
            (&with("    limits: { memory: 1GB }\n"), ":6: runbooks.go.limits.memory: `1GB` is not a size", "GiB"),
            (&with("    limits: { memory: 1MiB }\n"), ":6: runbooks.go.limits.memory: is too little", "16MiB"),
            (&with("    limits: { open_files: 2 }\n"), ":6: runbooks.go.limits.open_files: is too little", "16"),
            (&with("    limits: { cpu: 1 }\n"), ":6: runbooks.go.limits.cpu: ", ""),
            (&with("    sandbox: { write: [out] }\n"), ":6: runbooks.go.sandbox.network: is missing", "false"),
            (&with("    sandbox: { network: no }\n"), ":6: runbooks.go.sandbox.network: is the text `no`", "true or false"),
            (&with("    sandbox: { network: false, write: [\"\"] }\n"), ":6: runbooks.go.sandbox.write[0]: is not a path", "working_dir"),
            (
                &with("    sandbox: { network: false }\n    new_privileges: true\n"),
                ":7: runbooks.go.new_privileges: cannot be used in a sandbox",
                "",
            ),
            (&with("    shell: true\n"), ":6: runbooks.go.shell: is not a known key", "command"),
            (
                &with("").replace("pattern: x }", "pattern: x }, other: { pattern: y }"),
                ":5: runbooks.go.args.other: is an argument that nobody uses",
                "placeholder",
            ),
            (
                &with("").replace("pattern: x", "pattern: \"[a-\""),
                ":5: runbooks.go.args.what.pattern: is not a valid regular expression",
                "unclosed",
            ),
            (
                &with("").replace("pattern: x", "pattern: \"(a{1000}){1000}\""),
                ":5: runbooks.go.args.what.pattern: is not a valid",
                "size limit",
            ),
            (&with("").replace("{ pattern: x }", "x"), ":5: runbooks.go.args.what: is the text `x`", "pattern"),
            (&with("").replace("{ pattern: x }", "{}"), ":5: runbooks.go.args.what.pattern: is missing", ""),
        ],
    );
}

#[test]
fn runbooks_whose_risk_the_requester_would_choose_are_refused() {
    let with = |facts: &str| {
        format!(
            "runbooks:\n  go:\n{facts}    command: [go, \"{{{{ what }}}}\"]\n    args: {{ what: {{ pattern: x|y }}, said: {{ pattern: x|y }} }}\n"
        )
    };
    let used = |facts: &str| with(facts).replace(", said: { pattern: x|y }", "");
    refuses(
        RUNBOOKS,
        &[
            (&used("    operation: deploy\n"), ":2: runbooks.go.environment: is missing", "only a read may leave it out"),
            (&used("    operation: plan\n    resource: api\n"), ":2: runbooks.go.environment: is missing", "production"),
            (&used("    operation: \"{{ what }}\"\n"), ":2: runbooks.go.environment: is missing", ""),
            (
                &with("    operation: deploy\n    environment: \"{{ said }}\"\n"),
                ":4: runbooks.go.environment: is what the requester says in `said`, which does not reach the command",
                "pass `{{ said }}` on",
            ),
            (&with("    operation: \"{{said}}\"\n    environment: staging\n"), ":3: runbooks.go.operation: is what the requester says", ""),
            (&with("    operation: read\n    resource: \"db-{{ said }}\"\n"), ":4: runbooks.go.resource: is what the requester says", ""),
            (&with("    operation: read\n    resource_type: \"{{ said }}\"\n"), ":4: runbooks.go.resource_type: is what the requester", ""),
        ],
    );
    for valid_ones in [
        "    operation: list\n",
        "    operation: READ\n    resource: \"{{ what }}\"\n",
        "    operation: deploy\n    environment: prod\n",
        "    operation: deploy\n    environment: \"{{ what }}\"\n",
        "    operation: \"{{ what }}\"\n    environment: staging\n",
    ] {
        valid(&[(RUNBOOKS, &used(valid_ones)), (APPROVALS, PEOPLE)]);
    }
}

#[test]
fn webhooks_that_could_not_be_called_are_refused() {
    let with = |entry: &str| format!("webhooks:\n  ci: {{ {entry} }}\n");
    refuses(
        RUNBOOKS,
        &[
            (&with("timeout: 3s"), ":2: webhooks.ci.url: is missing", ""),
            (&with("url: \"ftp://a.example\""), ":2: webhooks.ci.url: is not an address", "https://"),
            (&with("url: \"https://\""), ":2: webhooks.ci.url: is not an address", ""),
            (&with("url: \"https://me:secret@a.example/x\""), ":2: webhooks.ci.url: holds a name or a password", "from_env"),
            (&with("url: \"https://a.example\", secret: hush"), ":2: webhooks.ci.secret: is the text `hush`", "from_env"),
            (
                &with("url: \"https://a.example\", retry: { attempts: 3, backoff: 30s }"),
                ":2: webhooks.ci.retry: repeats an action that is not idempotent",
                "",
            ),
            (&with("url: \"https://a.example\", retries: 3"), ":2: webhooks.ci.retries: is not a known key", "idempotent"),
        ],
    );
}
