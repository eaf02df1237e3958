//! Drills: a halt that ends as soon as every server has confirmed it.

use super::{app, look};
use crate::support::Ledger;
use serde_json::{Value, json};
use std::collections::BTreeSet;

#[tokio::test]
async fn a_drill_measures_every_server_lifts_its_halt_and_is_on_record() {
    let ledger = Ledger::new();
    let app = app(&ledger).await;
    let (bot, cora) = (app.client("deploy-bot"), app.client("cora"));
    let answer = cora.post("/halt", json!({"reason": "drill of the week", "drill": true})).await.expect(200);
    assert_eq!((&answer["halted"], &answer["halts"]), (&json!(false), &json!([])));
    let servers = answer["drill"]["servers"].as_array().unwrap();
    assert_eq!(servers.len(), 1);
    let took = |value: &Value| value["took_ms"].as_u64().expect("it said so");
    assert!(took(&servers[0]) <= took(&answer["drill"]));
    let id = bot.submit_id(look()).await;
    bot.wait_for(&id, "completed").await;
    let page = cora.get("/halts").await.expect(200);
    let told: Vec<_> = page["log"].as_array().unwrap().iter().map(|entry| entry["what"].as_str().unwrap()).collect();
    assert_eq!(told, ["drill_ended", "drill_began"]);
    assert_eq!(page["log"][0]["drill"]["servers"], answer["drill"]["servers"]);

    let halted = cora.halt(Some("production")).await;
    assert_eq!(halted["halted"], true);
    let refused = cora.post("/halt", json!({"reason": "again", "drill": true})).await.problem(409, "halted");
    assert!(refused["detail"].as_str().unwrap().contains("a drill would show nothing"), "{refused}");
    let other = cora.post("/halt", json!({"reason": "again", "drill": true, "environment": "staging"})).await.expect(200);
    assert!(other["drill"]["took_ms"].is_u64(), "a drill of what is not halted");
    assert_eq!(cora.get("/halts").await.expect(200)["halts"].as_array().unwrap().len(), 1, "the halt stays");
}

#[tokio::test]
async fn an_abandoned_drill_lapses_and_yields_to_a_halt() {
    let ledger = Ledger::new();
    let app = app(&ledger).await;
    let (bot, cora) = (app.client("deploy-bot"), app.client("cora"));
    let drill = |seconds: u32| {
        format!(
            "insert into halt (environment, halt_id, halted_by, via, reason, since, lapses_at)
             values ('', gen_random_uuid(), 'cora', 'rest', 'drill', clock_timestamp(), clock_timestamp() + interval '{seconds} s')"
        )
    };
    app.database.execute(&drill(1)).await;
    let id = bot.submit_id(look()).await;
    bot.wait_for(&id, "completed").await;
    app.database.execute(&format!("delete from halt; {}", drill(3_600))).await;
    let halted = cora.halt(None).await;
    assert_eq!((&halted["changed"], &halted["halts"][0]["drill"]), (&json!(true), &json!(false)), "a real halt takes the drill's place");
    cora.resume(None).await;
    let names: BTreeSet<String> = app.client("alice").get("/halts").await.expect(200)["log"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| entry["what"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(names, BTreeSet::from(["halted".to_owned(), "resumed".to_owned()]));
}
