//! People, agents and terms that are refused.

use super::invalid::{LEVELS, refuses};
use super::*;

#[test]
fn invalid_people_and_agents_are_refused() {
    let with = |more: &str| format!("{PEOPLE}{more}");
    let away = |away: &str| format!("{}allow_cover: true\n", PEOPLE.replace("tom: { roles", &format!("tom: {{ away: {away}, roles")));
    let told = |notify: &str| PEOPLE.replace("tom: { roles", &format!("tom: {{ notify: {notify}, roles"));
    refuses(
        APPROVALS,
        &[
            ("people: {}\n", ":1: people: names no people", "nobody could approve"),
            ("remind_every: 1h\n", ":1: names no people", "under `people`"),
            (&with("persons: {}\n"), ":2: persons: is not a known key", "people"),
            (&PEOPLE.replace("[tech_lead]", "tech_lead"), ":1: people.tom.roles: is the text `tech_lead`", "a list of roles"),
            (&PEOPLE.replace("[tech_lead]", "[tech_lead, Chef]"), ":1: people.tom.roles[1]: `Chef` cannot be used", ""),
            (&PEOPLE.replace("tom: { roles", "tom: { e-mail: x, roles"), ":1: people.tom.e-mail: is not a known key", "email"),
            (&PEOPLE.replace("tom: { roles", "tom: { email: a b, roles"), ":1: people.tom.email: is not an address", ""),
            (&PEOPLE.replace("tom: { roles", "tom: { slack: 17, roles"), ":1: people.tom.slack: is the number 17", "in quotes"),
            (
                &away("{ until: 2027-01-02, cover: cora }").replace("allow_cover: true\n", ""),
                ":1: people.tom.away: has no effect",
                "allow_cover",
            ),
            (&away("{ cover: cora }"), ":1: people.tom.away.until: is missing", "2027-01-02T08:00"),
            (&away("{ until: 2027-01-02 }"), ":1: people.tom.away.cover: is missing", "in their place"),
            (&away("{ until: soon, cover: cora }"), ":1: people.tom.away.until: is `soon`", "2026-12-24"),
            (&away("{ until: 2027-01-02, cover: toni }"), ":1: people.tom.away.cover: `toni` is not one of the people", "alice, cora, tom"),
            (&away("{ until: 2027-01-02, cover: tom }"), ":1: people.tom.away.cover: is the person who is away", "somebody else"),
            (
                &away("{ until: 2027-01-02, cover: cora, time_zone: Berlin }"),
                ":1: people.tom.away.time_zone: `Berlin` is not a time zone",
                "",
            ),
            (&told("{}"), ":1: people.tom.notify: says nothing", "leave it out"),
            (&told("{ levels: [] }"), ":1: people.tom.notify.levels: names no level", "leave the key out"),
            (&told("{ levels: [urgent] }"), ":1: people.tom.notify.levels[0]: is `urgent`", "low, medium, high or critical"),
            (&told("{ quiet: { time_zone: UTC } }"), ":1: people.tom.notify.quiet.hours: is missing", "22:00-07:00"),
            (&told("{ quiet: { hours: '22:00-07:00' } }"), ":1: people.tom.notify.quiet.time_zone: is missing", "Europe/Berlin"),
            (&told("{ quiet: { hours: '22-7', time_zone: UTC } }"), ":1: people.tom.notify.quiet.hours: is `22-7`", "22:00-06:00"),
            (
                &told("{ quiet: { hours: '00:00-24:00', time_zone: UTC } }"),
                ":1: people.tom.notify.quiet.hours: is the whole day",
                "never end",
            ),
            (
                &told("{ quiet: { hours: '22:00-07:00', time_zone: Berlin } }"),
                ":1: people.tom.notify.quiet.time_zone: `Berlin` is not a time zone",
                "IANA",
            ),
            (
                &PEOPLE.replace("tom:", "Alice: { }, tom:"),
                ":1: people.Alice: `alice` is already the name of somebody else",
                "whatever their case",
            ),
            (&PEOPLE.replace("tom:", "Parkbrake: { }, tom:"), ":1: people.Parkbrake: is the name under which parkbrake itself acts", ""),
            (&PEOPLE.replace("tom:", "\"a b\": { }, tom:"), ":1: people.a b: `a b` cannot be used", ""),
            (&with("agents: { tom: {} }\n"), ":2: agents.tom: `tom` is already the name of somebody else", ""),
            (
                &with("agents:\n  bot:\n    on_behalf_of: toni\n"),
                ":4: agents.bot.on_behalf_of: `toni` is not one of the people",
                "alice, cora, tom",
            ),
            (&with("agents: { bot: tom }\n"), ":2: agents.bot: is the text `tom`", "a mapping of on_behalf_of"),
            (&with("remind_every: 0m\n"), ":2: remind_every: `0m` is not a duration", ""),
            (&with("quotas: { pending: 0 }\n"), ":2: quotas.pending: is the number 0", "from 1 on"),
            (&with("quotas: { per_minute: 3 }\n"), ":2: quotas.per_minute: is not a known key", "submits_per_minute"),
            (&with("quotas: {}\n"), ":2: quotas: says nothing", "leave it out"),
            (&with("grants: { propose_after: 0 }\n"), ":2: grants.propose_after: is the number 0", "from 1 on"),
            (&with("grants: { propose: 3 }\n"), ":2: grants.propose: is not a known key", "propose_after"),
            (&with("agents: { bot: { quotas: { burst: many } } }\n"), ":2: agents.bot.quotas.burst: is the text `many`", ""),
            (&with("separation_of_duties: off\n"), ":2: separation_of_duties: is the text `off`", "YAML 1.2"),
        ],
    );
}

#[test]
fn terms_without_effect_or_that_nobody_could_satisfy_are_refused() {
    let with = |more: &str| format!("{PEOPLE}{more}");
    refuses(
        APPROVALS,
        &[
            (
                &with("policies: { low: { required: 1 } }\n"),
                ":2: policies.low: has no effect, because low approves itself",
                "auto_approve to false",
            ),
            (&with("escalation:\n  low:\n    - { after: 1h, to: [cto] }\n"), ":3: escalation.low: has no effect", ""),
            (&with("policies: { high: { required: 0 } }\n"), ":2: policies.high.required: is the number 0", "from 1 on"),
            (&with("policies: { high: { required: two } }\n"), ":2: policies.high.required: is the text `two`", "a whole number"),
            (&with("policies: { high: { require: 2 } }\n"), ":2: policies.high.require: is not a known key", "required"),
            (&with("policies: { high: { warn_before: 1h } }\n"), ":2: policies.high.warn_before: has no effect without expire_after", ""),
            (
                &with("policies: { high: { expire_after: 2h, warn_before: 2h } }\n"),
                ":2: policies.high.warn_before: is not less than expire_after (2h)",
                "warn later",
            ),
            (&with("policies: { high: { remind: [50%] } }\n"), ":2: policies.high.remind: has no effect without goal", "within what time"),
            (&with("policies: { high: { goal: 1h, remind: [] } }\n"), ":2: policies.high.remind: names no share", "leave the key out"),
            (&with("policies: { high: { goal: 1h, remind: 50% } }\n"), ":2: policies.high.remind: is the text `50%`", "a list of shares"),
            (&with("policies: { high: { goal: 1h, remind: [0%] } }\n"), ":2: policies.high.remind[0]: is `0%`", "from 1% to 99%"),
            (&with("policies: { high: { goal: 1h, remind: [100%] } }\n"), ":2: policies.high.remind[0]: is `100%`", "from 1% to 99%"),
            (&with("policies: { high: { goal: 1h, remind: [half] } }\n"), ":2: policies.high.remind[0]: is `half`", "such as 50%"),
            (
                &with("policies: { high: { goal: 1h, remind: [90%, 50%] } }\n"),
                ":2: policies.high.remind[1]: is not more than",
                "rising order",
            ),
            (&with("policies: { high: { on_expiry: reject } }\n"), ":2: policies.high.on_expiry: has no effect without expire_after", ""),
            (
                &with("policies: { high: { expire_after: 2h, on_expiry: approve } }\n"),
                ":2: policies.high.on_expiry: is `approve`",
                "reject",
            ),
            (
                &with("policies:\n  medium:\n    required: 3\n"),
                ":4: policies.medium.required: can never be satisfied",
                "could be 1 at most",
            ),
            (
                &with("policies: { critical: { required: 4 } }\n"),
                ":2: policies.critical.required: can never be satisfied",
                "could be 2 at most",
            ),
            (
                &with("policies: { high: { expire_after: 30m } }\n"),
                ":2: policies.high.expire_after: is 30m, but only after 30m",
                "escalation.high",
            ),
            (&with("escalation: { high: [] }\n"), ":2: escalation.high: has no step", ""),
            (&with("escalation: { high: [ { after: 1h } ] }\n"), ":2: escalation.high[0].to: is missing", ""),
            (&with("escalation: { high: [ { to: [cto] } ] }\n"), ":2: escalation.high[0].after: is missing", ""),
            (&with("escalation: { high: [ { after: 1h, to: [] } ] }\n"), ":2: escalation.high[0].to: names no role", ""),
            (
                &with("escalation: { high: [ { after: 1h, to: [ceo] } ] }\n"),
                ":2: escalation.high[0].to[0]: `ceo` is a role that nobody has",
                "",
            ),
            (
                &with("escalation: { high: [ { in: 1h, after: 1h, to: [cto] } ] }\n"),
                ":2: escalation.high[0].in: is not a known key",
                "after, to",
            ),
            (
                &with("escalation:\n  high:\n    - { after: 1h, to: [cto] }\n    - after: 60m\n      to: [admin]\n"),
                ":5: escalation.high[1].after: is not later than the step before it (1h)",
                "counted from the request",
            ),
            (
                &with("policies: { high: { expire_after: 1h } }\nescalation:\n  high: [ { after: 1h, to: [cto] } ]\n"),
                ":4: escalation.high[0].after: is never reached",
                "expire after 1h",
            ),
        ],
    );
}

#[test]
fn distinct_roles_need_people_who_can_share_them_out() {
    let people = "people: { ann: { roles: [tech_lead, cto, team_lead] }, bob: { roles: [admin] } }\n";
    let policies = "policies: { critical: { required: 2, distinct_roles: true } }\n";
    let problems = invalid(&[(APPROVALS, &format!("{people}{policies}escalation: {{ critical: [ {{ after: 1h, to: [cto] }} ] }}\n"))]);
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert!(problems[0].starts_with("hitl/approval-policies.yaml:2: policies.critical.required: can never be satisfied"), "{problems:?}");
    assert!(problems[0].contains("2 people of different roles") && problems[0].contains("could be 1 at most"), "{problems:?}");
    // The default chain of critical asks admin, and those who would be asked count.
    valid(&[(APPROVALS, &format!("{people}{policies}"))]);
    // Two people with one role are two people, but not two roles.
    let people = "people: { ann: { roles: [cto, team_lead] }, bob: { roles: [cto, tech_lead] } }\n";
    let rules = LEVELS.replace("approvers: [tech_lead, cto]", "approvers: [cto]");
    let files = |policies: &'static str| [(RULES, rules.clone()), (APPROVALS, format!("{people}{policies}"))];
    let as_text = |files: &[(&'static str, String); 2]| invalid(&files.each_ref().map(|(name, text)| (*name, text.as_str())));
    assert!(as_text(&files(policies))[0].contains("could be 1 at most"));
    valid(&files("policies: { critical: { required: 2 } }\n").each_ref().map(|(name, text)| (*name, text.as_str())));
}
