use super::*;
use crate::actors::ports::CancelSignal;
use serde_json::json;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// Answers one request with these bytes, and closes the connection; returns the request. Without
/// bytes it never answers.
async fn receiver(answer: Option<Vec<u8>>) -> (SocketAddr, tokio::task::JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let task = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut sent = Vec::new();
        while !is_whole(&sent) {
            let mut chunk = [0; 4096];
            let length = stream.read(&mut chunk).await.unwrap();
            assert_ne!(length, 0, "the request breaks off");
            sent.extend_from_slice(&chunk[..length]);
        }
        match answer {
            Some(answer) => {
                // The client may have closed the connection once it has read enough.
                let _ = stream.write_all(&answer).await;
            }
            None => std::future::pending().await,
        }
        String::from_utf8(sent).unwrap()
    });
    (addr, task)
}

fn is_whole(sent: &[u8]) -> bool {
    let text = String::from_utf8_lossy(sent);
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let length = head.to_ascii_lowercase().split("content-length: ").nth(1).map(|rest| rest.split("\r\n").next().unwrap().parse().unwrap());
    length.is_none_or(|length: usize| body.len() >= length)
}

/// Nobody cancels it.
fn never() -> Cancelling {
    Cancelling { signal: CancelSignal::never(), grace: Duration::ZERO }
}

/// A caller without keys.
fn nobody() -> Caller {
    Caller { keys: BTreeMap::new(), clock: Arc::new(Clock::new(DateTime::UNIX_EPOCH)) }
}

fn call_of(url: String) -> Call {
    Call { url, secret: None, timeout: Duration::from_secs(30), idempotent: false, allow_private: true, retry: None }
}

async fn made(call: &Call, caller: &Caller, redactions: &Redactions) -> Option<Outcome> {
    let args = json!({"ref": "main"});
    let request = Request {
        workflow_id: Uuid::from_u128(7),
        attempt: AttemptId { step: 1, number: 2 },
        digest: &Digest::of(b""),
        name: "ci",
        call,
        args: args.as_object().unwrap(),
    };
    super::call(request, caller, redactions, &|| true, &never()).await
}

async fn answered_with(answer: Option<&[u8]>) -> Outcome {
    let (addr, _receiver) = receiver(answer.map(<[u8]>::to_vec)).await;
    let mut call = call_of(format!("http://{addr}/run"));
    if answer.is_none() {
        call.timeout = Duration::from_millis(300);
    }
    made(&call, &nobody(), &Redactions::default()).await.unwrap()
}

#[tokio::test]
async fn the_response_of_the_receiver_decides_the_outcome() {
    let ok = answered_with(Some(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\ndone")).await;
    assert_eq!(ok, Outcome::Succeeded { output: Some(json!({"status": 200, "body": "done", "body_truncated": false})) });
    assert!(matches!(answered_with(Some(b"HTTP/1.1 204 No Content\r\n\r\n")).await, Outcome::Succeeded { .. }));
    for (answer, said) in [
        ("HTTP/1.1 500 Internal Server Error\r\ncontent-length: 2\r\n\r\nno", "500 Internal Server Error"),
        ("HTTP/1.1 409 Conflict\r\ncontent-length: 2\r\n\r\nno", "409 Conflict"),
        ("HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 2\r\n\r\nno", "redirects are not followed"),
    ] {
        let outcome = answered_with(Some(answer.as_bytes())).await;
        let Outcome::Failed { error, output: Some(output) } = outcome else { panic!("{outcome:?}") };
        assert!(error.contains(said) && output["body"] == "no", "{error}: {output}");
    }
}

#[tokio::test]
async fn a_lost_answer_is_unknown_and_never_a_failure() {
    let unknown: [(Option<&[u8]>, &str); 6] = [
        (Some(b""), "its answer was lost"),
        (Some(b"HTTP/1.1 200 OK\r\n"), "its answer was lost"),
        (Some(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nbroken"), "its answer was lost"),
        (Some(b"this is no HTTP\r\n\r\n"), "its answer was lost"),
        (Some(b"HTTP/1.1 504 Gateway Timeout\r\ncontent-length: 0\r\n\r\n"), "does not show whether"),
        (None, "no complete answer arrived within"),
    ];
    for (answer, said) in unknown {
        let outcome = answered_with(answer).await;
        let Outcome::Unknown { reason } = &outcome else { panic!("{answer:?}: {outcome:?}") };
        assert!(reason.contains(said), "{answer:?}: {reason}");
    }
}

#[tokio::test]
async fn a_call_that_was_never_sent_has_failed() {
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let inside = Call { allow_private: false, ..call_of(format!("http://{free}/secret-path")) };
    let by_name = Call { allow_private: false, ..call_of(format!("http://localhost:{}/secret-path", free.port())) };
    let no_key = Call { secret: Some("GONE".to_owned()), ..call_of(format!("http://{free}/")) };
    for (call, said) in [
        (call_of(format!("http://{free}/secret-path")), "refused"),
        (inside, "allow_private: true"),
        (by_name, "allow_private"),
        (no_key, "without the secret in GONE"),
    ] {
        let outcome = made(&call, &nobody(), &Redactions::default()).await.unwrap();
        let Outcome::Failed { error, output: None } = &outcome else { panic!("{call:?}: {outcome:?}") };
        assert!(error.starts_with("not called: ") && error.contains(said) && !error.contains("secret-path"), "{error}");
    }
}

#[tokio::test]
async fn nothing_is_sent_where_it_may_not_start() {
    let (addr, receiver) = receiver(Some(Vec::new())).await;
    let call = call_of(format!("http://{addr}/"));
    let (digest, args) = (Digest::of(b""), Map::new());
    let attempt = AttemptId { step: 1, number: 1 };
    let request = Request { workflow_id: Uuid::nil(), attempt, digest: &digest, name: "ci", call: &call, args: &args };
    assert_eq!(super::call(request, &nobody(), &Redactions::default(), &|| false, &never()).await, None);
    assert!(!receiver.is_finished());
}

#[tokio::test]
async fn the_request_is_signed_and_names_the_attempt_and_a_key_that_stays() {
    let (addr, receiver) = receiver(Some(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n".to_vec())).await;
    let call = Call { secret: Some("CI_SECRET".to_owned()), ..call_of(format!("http://{addr}/run?x=1")) };
    let keys = key(&call, &|_| Some(SECRET.to_owned())).unwrap().into_iter().collect();
    let caller = Caller { keys, ..nobody() };
    assert!(matches!(made(&call, &caller, &Redactions::default()).await, Some(Outcome::Succeeded { .. })));
    let sent = receiver.await.unwrap();
    let (head, body) = sent.split_once("\r\n\r\n").unwrap();
    let header = |name: &str| head.lines().find_map(|line| line.strip_prefix(&format!("{name}: "))).unwrap_or_default();
    assert!(head.starts_with("POST /run?x=1 HTTP/1.1"), "{head}");
    assert_eq!(header("idempotency-key"), "\"00000000-0000-0000-0000-000000000007\"");
    assert_eq!(header(ID), message_id(Uuid::from_u128(7)));
    let expected = caller.keys["CI_SECRET"].sign(header(ID), header(TIMESTAMP), body);
    assert_eq!(header(SIGNATURE), expected);
    let body: Value = serde_json::from_str(body).unwrap();
    assert_eq!((&body["data"]["args"], header(ATTEMPT)), (&json!({"ref": "main"}), "2"));
}

#[tokio::test]
async fn of_a_long_answer_the_beginning_is_kept_and_no_secret() {
    let secret = "a-secret-of-the-server-0123456789";
    let body = format!("{secret}{}", "x".repeat(4 * KEPT));
    let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len());
    let (addr, _receiver) = receiver(Some(answer.into_bytes())).await;
    let redactions = Redactions::new([secret.as_bytes().to_vec()]);
    let outcome = made(&call_of(format!("http://{addr}/")), &nobody(), &redactions).await.unwrap();
    let Outcome::Succeeded { output: Some(output) } = outcome else { panic!("{outcome:?}") };
    let text = output["body"].as_str().unwrap();
    assert!(text.starts_with("[redacted]x") && text.len() <= KEPT && output["body_truncated"] == true, "{}", &text[..40]);
}

#[test]
fn a_webhook_that_cannot_be_called_is_reported_at_the_start_without_its_secret() {
    let webhook =
        |call| Webhook { name: "ci".to_owned(), operation: None, environment: None, resource: None, resource_type: None, args: None, call };
    let signed = |url: &str| Call { secret: Some("CI_SECRET".to_owned()), allow_private: false, ..call_of(url.to_owned()) };
    let told = |call, secret: Option<&str>| {
        let caller = Caller::new([&webhook(call)], &|_| secret.map(str::to_owned), nobody().clock);
        caller.err().unwrap_or_default().join("\n")
    };
    assert_eq!(told(signed("https://ci.example.com/"), Some(SECRET)), "");
    assert!(told(signed("https://ci.example.com/"), None).starts_with("webhooks.ci: CI_SECRET is not set"));
    let invalid = told(signed("https://ci.example.com/"), Some("hush-hush"));
    assert!(invalid.contains("whsec_") && !invalid.contains("hush"), "{invalid}");
    assert!(told(signed("http://169.254.169.254/latest"), Some(SECRET)).contains("allow_private: true"));
}

#[tokio::test]
async fn a_call_that_is_cancelled_has_its_true_answer_if_that_comes_and_is_unknown_without_one() {
    for (answer, grace) in
        [(Some(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n".to_vec()), Duration::from_secs(600)), (None, Duration::ZERO)]
    {
        let answers = answer.is_some();
        let (addr, _receiver) = receiver(answer).await;
        let (call, digest, args) = (call_of(format!("http://{addr}/")), Digest::of(b""), Map::new());
        let attempt = AttemptId { step: 1, number: 1 };
        let request = Request { workflow_id: Uuid::nil(), attempt, digest: &digest, name: "ci", call: &call, args: &args };
        let (canceler, signal) = CancelSignal::pair();
        canceler.cancel();
        let cancelling = Cancelling { signal, grace };
        match super::call(request, &nobody(), &Redactions::default(), &|| true, &cancelling).await {
            Some(Outcome::Succeeded { .. }) => assert!(answers),
            Some(Outcome::Unknown { reason }) => assert!(!answers && reason.starts_with("it was cancelled after"), "{reason}"),
            other => panic!("{other:?}"),
        }
    }
}
