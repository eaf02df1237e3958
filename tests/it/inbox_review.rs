//! Going through the waiting requests in the inbox, one after the other.

use crate::support::client::{critical, high, medium};
use crate::support::{Browser, TestApp};
use serde_json::json;

fn path_of(id: &str) -> String {
    format!("/inbox/workflows/{id}")
}

#[tokio::test]
async fn after_a_decision_comes_the_next_request_of_the_same_list() {
    let app = TestApp::start().await;
    let bot = app.client("deploy-bot");
    let ids = [bot.submit_id(high()).await, bot.submit_id(high()).await, bot.submit_id(high()).await];
    let other = bot.submit_id(medium()).await;
    let alice = Browser::of(app.addr, "alice").await;
    let list = alice.get("/?level=high&sort=oldest").await.expect(200);
    assert_eq!(list.ids(), ids);
    let from = "?in=level%3Dhigh%26sort%3Doldest";
    list.has(&format!("href=\"/inbox/workflows/{}{from}\"", ids[0]));

    let first = alice.get(&format!("{}{from}", path_of(&ids[0]))).await.expect(200);
    first.has("1 of 3").lacks("rel=\"prev\"").has("rel=\"next\">Next</a>");
    let answer = alice.submit(&first, &format!("{}/approve", path_of(&ids[0])), &[]).await;
    assert!(answer.location().starts_with(&format!("{}{from}", path_of(&ids[1]))), "{}", answer.location());
    let second = alice.get(answer.location()).await.expect(200);
    second.has("1 of 2").has("Your approval was the last one needed: it released").has(&format!("href=\"/inbox/workflows/{}\"", ids[0]));
    second.lacks("rel=\"prev\"");

    // Nobody can make an address that claims that somebody decided something.
    let forged = answer.location().replace("done=approved", "done=rejected");
    alice.get(&forged).await.expect(200).lacks("You rejected");
    let forged = answer.location().replace(&format!("last={}", ids[0]), &format!("last={other}"));
    alice.get(&forged).await.expect(200).lacks("id=\"last\"");
    Browser::of(app.addr, "tess").await.get(answer.location()).await.expect(200).lacks("id=\"last\"");

    // After the last one of the list, the person goes on with those they skipped, and then back to
    // the list.
    let third = alice.get(&format!("{}{from}", path_of(&ids[2]))).await.expect(200);
    third.has("2 of 2").has("rel=\"prev\">Previous</a>").lacks("rel=\"next\"");
    let answer = alice.submit(&third, &format!("{}/reject", path_of(&ids[2])), &[("reason", "not today")]).await;
    assert!(answer.location().starts_with(&path_of(&ids[1])), "{}", answer.location());
    let second = alice.get(answer.location()).await.expect(200);
    second.has("1 of 1").has("You rejected");
    let answer = alice.submit(&second, &format!("{}/approve", path_of(&ids[1])), &[]).await;
    assert!(answer.location().starts_with("/?level=high&sort=oldest&last="), "{}", answer.location());
    let list = alice.get(answer.location()).await.expect(200);
    list.has("it released").has("No waiting request matches this selection");
    assert!(list.ids().is_empty());
}

#[tokio::test]
async fn a_request_that_is_settled_is_no_longer_in_the_list_and_leads_to_what_is() {
    let app = TestApp::start().await;
    let bot = app.client("deploy-bot");
    let (first, second) = (bot.submit_id(high()).await, bot.submit_id(high()).await);
    let alice = Browser::of(app.addr, "alice").await;
    app.client("tess").approve(&first).await.expect(200);
    let page = alice.get(&format!("{}?in=of%3Dmine", path_of(&first))).await.expect(200);
    page.has("no longer in this list, which has 1")
        .has(&format!("href=\"&#x2f;inbox&#x2f;workflows&#x2f;{second}?in=of%3Dmine\" rel=\"next\""));
    alice.get(&format!("{}?in=sort%3Dodd", path_of(&first))).await.expect(422).has("has to be one of level, due");
    // Without a list there is nothing to go through.
    alice.get(&path_of(&second)).await.expect(200).lacks("class=\"walk\"");
}

#[tokio::test]
async fn a_refusal_and_what_does_not_decide_stay_with_the_request_and_its_list() {
    let app = TestApp::start().await;
    let bot = app.client("deploy-bot");
    let (serious, _) = (bot.submit_id(critical()).await, bot.submit_id(critical()).await);
    let cora = Browser::of(app.addr, "cora").await;
    let page = cora.get(&format!("{}?in=of%3Dmine", path_of(&serious))).await.expect(200);
    page.has("1 of 2");
    let fields = [("justification", "agreed"), ("confirmation", "something else")];
    let refused = cora.submit(&page, &format!("{}/approve", path_of(&serious)), &fields).await.expect(422);
    refused.has("1 of 2").has("name=\"in\" value=\"of=mine\"").has("Nothing was decided");
    let commented = cora.submit(&page, &format!("{}/comments", path_of(&serious)), &[("text", "which table?")]).await;
    assert!(commented.location().starts_with(&format!("{}?in=of%3Dmine&done=commented", path_of(&serious))), "{}", commented.location());
    cora.get(commented.location()).await.expect(200).has("1 of 2").has("can read your comment");
    // A form cannot lead to another site, and an invalid list is refused before anything is
    // decided.
    let token = page.hidden("/sign-out")[0].1.clone();
    let reject = format!("{}/reject", path_of(&serious));
    cora.post(&reject, &[("form_token", token.as_str()), ("in", "sort=odd"), ("reason", "no")]).await.expect(422);
    assert_eq!(app.client("cora").workflow(&serious).await["status"], "pending_approval");
    let answer = cora.post(&reject, &[("form_token", token.as_str()), ("in", "//evil.example/?of=all"), ("reason", "no")]).await;
    assert!(answer.location().starts_with("/inbox/workflows/"), "{}", answer.location());
}

#[tokio::test]
async fn an_action_without_a_name_is_compared_with_what_was_approved_for_its_resource() {
    let app = TestApp::start().await;
    let bot = app.client("deploy-bot");
    let task = |resource: &str, description: &str| {
        let mut task = high();
        (task["resource"], task["description"]) = (json!(resource), json!(description));
        task
    };
    let before = bot.submit_id(task("orders", "purge")).await;
    app.client("alice").approve(&before).await.expect(200);
    let (other, same) = (bot.submit_id(task("sessions", "purge")).await, bot.submit_id(task("orders", "purge again")).await);
    let alice = Browser::of(app.addr, "alice").await;
    alice.get(&format!("/inbox/workflows/{other}")).await.expect(200).has("same requester, operation and resource").lacks(&before);
    let page = alice.get(&format!("/inbox/workflows/{same}")).await.expect(200);
    page.has(&before).has("<code>&#x2f;description</code>").lacks("<code>&#x2f;resource</code>");
}
