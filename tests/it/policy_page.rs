//! The page of the rules in effect: the rules, their positions, and how they assess a task that
//! somebody tries.

use crate::support::{Browser, Config, TestApp, eventually};

const POLICIES: &str = "people:
  alice: { roles: [team_lead], team: platform }
  tom:   { roles: [tech_lead] }
  tess:  { roles: [tech_lead] }
  cora:  { roles: [cto, admin] }
agents:
  deploy-bot: { on_behalf_of: tom }
policies:
  high: { required: 2, goal: 5m }
";

const TRIGGERS: &str = "triggers:
  delete_production: critical
  deploy_production: high
  friday_freeze: { when: 'operation == \"restart\"', level: medium }
";

const RUNBOOKS: &str = "runbooks:
  deploy-api:
    operation: deploy
    environment: production
    resource_type: code
    command: [/bin/echo, '{{ version }}']
    args: { version: { pattern: '[0-9.]{1,9}' } }
";

async fn app() -> TestApp {
    let rules = "risk_levels:
  low:      { auto_approve: true,  notify: false }
  medium:   { auto_approve: false, notify: true, approvers: [team_lead] }
  high:     { auto_approve: false, notify: true, approvers: [team_lead, tech_lead] }
  critical: { auto_approve: false, notify: true, approvers: [tech_lead, cto], require_justification: true }
";
    let config = Config::new().with_rules(rules).with_runbooks(RUNBOOKS);
    let config = config.write("hitl/approval-policies.yaml", POLICIES).write("hitl/interrupt-triggers.yaml", TRIGGERS);
    TestApp::with(config).await
}

#[tokio::test]
async fn the_rules_in_effect_are_shown_with_file_and_line() {
    let app = app().await;
    let alice = Browser::of(app.addr, "alice").await;
    let page = alice.get("/inbox/policy").await.expect(200);
    for position in [
        "hitl/approval-policies.yaml:2",
        "hitl/approval-policies.yaml:7",
        "hitl/approval-policies.yaml:9",
        "hitl/interrupt-triggers.yaml:3",
        "hitl/interrupt-triggers.yaml:4",
        "hitl/risk-assessment-rules.yaml:3",
    ] {
        page.has(&format!("<code>{}</code>", position.replace('/', "&#x2f;")));
    }
    page.has("friday_freeze")
        .has("operation == &quot;restart&quot;")
        .has("2 of: team_lead, tech_lead")
        .has("should be decided within 5m")
        .has("platform");
    page.has("nobody: it runs at once").has("with a justification").has("Levels by words");
    // A suspended person is marked, because their decisions do not count.
    app.database.execute("insert into suspension (name) values ('tess')").await;
    eventually("the mark", || async { alice.get("/inbox/policy").await.html.contains("<strong>suspended").then_some(()) }).await;
}

#[tokio::test]
async fn a_task_that_is_tried_is_assessed_like_any_other_and_leaves_nothing_behind() {
    let app = app().await;
    let alice = Browser::of(app.addr, "alice").await;
    let tried = async |query: &str| alice.get(&format!("/inbox/policy?{query}")).await.expect(200);
    let page = tried("operation=deploy&environment=production&resource=api").await;
    page.has("deploy api in production").has("It would wait for 2 approvals of: team_lead, tech_lead").has("deploy_production");
    tried("operation=read&environment=development&resource_type=code").await.has("It would run at once");
    tried("operation=deploi").await.has("level-critical").has("unrecognized");
    let page = tried("operation=read&environment=development&runbook=deploy-api&args=version%3D1.4.2").await;
    page.has("deploy_production").has("The requester called this").lacks("This is not a task");
    tried("operation=deploy&runbook=deploy-api&args=version").await.has("This is not a task").has("name=value");
    tried("operation=deploy&runbook=deploy-api").await.has("This is not a task").has("version");
    tried("operation=deploy&estimated_cost=much").await.has("has to be a number");
    assert_eq!(app.database.count("select count(*) from workflow").await, 0);
}
