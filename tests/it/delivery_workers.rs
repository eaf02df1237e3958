//! The delivery workers on channels for people: grouping, one message for each person, and notices
//! that nobody needs.

use crate::support::called;
use crate::support::client::{critical, high};
use crate::support::{Config, Database, eventually};
use futures_util::future::BoxFuture;
use parkbrake::actors::engine::{Engine, Parts};
use parkbrake::actors::ports::{Channel, Notice, Undelivered};
use parkbrake::actors::protocol::{AdmittedTask, Submitted};
use parkbrake::actors::root::{Msg, Root, RootRef};
use parkbrake::actors::turns::TurnLimits;
use parkbrake::app::Pace;
use parkbrake::clock::Clock;
use parkbrake::domain::notice::Kind;
use parkbrake::domain::request::TaskRequest;
use parkbrake::domain::workflow::Command;
use parkbrake::storage::Storage;
use serde_json::Value;
use sqlx::{Connection as _, PgConnection};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::task::JoinHandle;
use uuid::Uuid;

type Answer = Box<dyn Fn(&[Notice]) -> Result<(), Undelivered> + Send + Sync>;

/// A channel that keeps what it receives, and answers as the test says.
struct Letterbox {
    messages: Mutex<Vec<Vec<Notice>>>,
    answer: Mutex<Answer>,
}

impl Letterbox {
    fn new() -> Arc<Self> {
        Arc::new(Self { messages: Mutex::default(), answer: Mutex::new(Box::new(|_| Ok(()))) })
    }

    fn answers(&self, answer: impl Fn(&[Notice]) -> Result<(), Undelivered> + Send + Sync + 'static) {
        *self.answer.lock().unwrap_or_else(PoisonError::into_inner) = Box::new(answer);
    }

    fn messages(&self) -> Vec<Vec<Notice>> {
        self.messages.lock().unwrap().clone()
    }

    /// The messages as `kind recipient × count`, in order.
    fn lines(&self) -> Vec<String> {
        let line = |message: &Vec<Notice>| {
            let recipient = message[0].recipient.as_ref().map_or("all", |person| &person.name).to_owned();
            format!("{} {recipient} × {}", message[0].kind.as_str(), message.len())
        };
        self.messages().iter().map(line).collect()
    }

    async fn receives(&self, count: usize) -> Vec<String> {
        eventually("messages", || async { Some(self.lines()).filter(|lines| lines.len() >= count) }).await
    }
}

impl Channel for Letterbox {
    fn deliver(&self, message: Vec<Notice>) -> BoxFuture<'_, Result<(), Undelivered>> {
        let outcome = self.answer.lock().unwrap_or_else(PoisonError::into_inner)(&message);
        if outcome.is_ok() {
            self.messages.lock().unwrap().push(message);
        }
        Box::pin(async move { outcome })
    }
}

/// An engine with its actors, and one channel that receives everything.
struct World {
    engine: Arc<Engine>,
    database: Database,
    channel: Arc<Letterbox>,
    root: RootRef,
    task: JoinHandle<()>,
}

const PEOPLE: &str = "
people:
  alice: { roles: [team_lead], email: alice@example.com }
  tom:   { roles: [tech_lead], email: tom@example.com }
  tess:  { roles: [tech_lead], email: tess@example.com }
  cora:  { roles: [cto, admin], email: cora@example.com }
agents:
  deploy-bot: { on_behalf_of: tom }
";

impl World {
    async fn new(channel: &str, policies: &str) -> Self {
        let notifications =
            format!("channels: {{ it: {{ {channel} }} }}\nroutes: [ {{ levels: [medium, high, critical], channels: [it] }} ]\n");
        let config =
            Config::new().write("hitl/approval-policies.yaml", &format!("{PEOPLE}{policies}")).write("notifications.yaml", &notifications);
        let configuration = Arc::new(parkbrake::config::load(config.path(), config.path()).unwrap());
        let database = Database::migrated().await;
        let storage = Storage::connect(&database.url, 4).unwrap();
        let clock = Arc::new(Clock::new(storage.now().await.unwrap()));
        let channel = Letterbox::new();
        let channels = BTreeMap::from([("it".to_owned(), Arc::clone(&channel) as Arc<dyn Channel>)]);
        let pace = Pace(100);
        let executor = crate::support::server::executor();
        let engine = Engine::new(Parts {
            storage,
            configuration,
            clock,
            executor,
            channels,
            pace,
            max_resident: 100,
            turns: TurnLimits { at_once: 8, per_requester: 8 },
            fence: crate::support::server::fence(),
        });
        let (root, task) = Root::spawn(Arc::clone(&engine)).await.unwrap();
        Self { engine, database, channel, root, task }
    }

    async fn room(group: &str) -> Self {
        Self::new(&format!("type: slack, webhook_url: {{ from_env: X }}, group: {group}"), "").await
    }

    async fn mail(policies: &str) -> Self {
        Self::new("type: email, smtp_url: { from_env: X }, from: a@b.example, group: 0s", policies).await
    }

    #[track_caller]
    fn submit(&self, task: Value) -> impl Future<Output = Uuid> {
        called(async move {
            let request: TaskRequest = serde_json::from_value(task).unwrap();
            let (task, facts) =
                request.admit(self.engine.configuration.actions(), parkbrake::domain::policy::PrincipalKind::Agent).unwrap();
            let (id, by) = (Uuid::now_v7(), self.engine.configuration.policy.principal("deploy-bot").unwrap());
            assert!(matches!(
                self.engine.submit(id, AdmittedTask { by, work: (task, facts).into(), supersedes: None, key: None }).await,
                Ok(Submitted::Accepted(_))
            ));
            id
        })
    }

    #[track_caller]
    fn approve(&self, id: Uuid, by: &str) -> impl Future<Output = ()> {
        called(async move {
            let by = self.engine.configuration.policy.principal(by).unwrap();
            let justification = Some("agreed".to_owned());
            self.engine.command(id, Command::Approve { by, justification, digest: None, owner: self.engine.owner }).await.unwrap();
        })
    }

    #[track_caller]
    fn reject(&self, id: Uuid) -> impl Future<Output = ()> {
        called(async move {
            let by = self.engine.configuration.policy.principal("alice").unwrap();
            self.engine.command(id, Command::Reject { by, reason: None, digest: None }).await.unwrap();
        })
    }

    /// Waits until nothing is due any more.
    async fn settles(&self) {
        let due = "select count(*) from notice where status = 'pending' and first_due_at <= now()";
        eventually("its end", || async { (self.database.count(due).await == 0).then_some(()) }).await;
    }

    #[track_caller]
    fn end(self) -> impl Future<Output = ()> {
        called(async move {
            self.root.cast(Msg::Shutdown).unwrap();
            self.task.await.unwrap();
        })
    }
}

#[tokio::test]
async fn fifty_requests_in_a_minute_are_one_message() {
    let world = World::room("2s").await;
    for _ in 0..50 {
        world.submit(high()).await;
    }
    assert_eq!(world.channel.receives(1).await, ["approval.requested all × 50"]);
    let ids: std::collections::BTreeSet<_> = world.channel.messages()[0].iter().map(|notice| notice.workflow.id).collect();
    assert_eq!(ids.len(), 50);
    // A critical request does not wait for an open window, only for the rest of one that has just
    // begun.
    world.submit(critical()).await;
    assert_eq!(world.channel.lines().len(), 1);
    assert_eq!(world.channel.receives(2).await[1], "approval.requested all × 1");
    world.end().await;
}

#[tokio::test]
async fn a_critical_request_takes_the_others_along_at_once() {
    let world = World::room("1h").await;
    world.submit(high()).await;
    world.submit(critical()).await;
    assert_eq!(world.channel.receives(1).await, ["approval.requested all × 2"]);
    world.end().await;
}

#[tokio::test]
async fn each_asked_person_gets_a_separate_mail() {
    let world = World::mail("policies: { high: { required: 2 } }\nremind_every: 1s\n").await;
    let id = world.submit(high()).await;
    let mut first = world.channel.receives(2).await;
    first.sort();
    assert_eq!(first, ["approval.requested alice × 1", "approval.requested tess × 1"], "not tom, for whom the agent acts");
    let notice = &world.channel.messages()[0][0];
    assert_eq!(notice.asked.iter().map(|person| person.name.as_str()).collect::<Vec<_>>(), ["alice", "tess"]);
    assert_eq!(
        notice.recipient.as_ref().and_then(|person| person.email.clone()),
        Some(format!("{}@example.com", notice.recipient.as_ref().unwrap().name))
    );
    // People who have approved get no reminders; the others do.
    world.approve(id, "alice").await;
    let since = world.channel.lines().len();
    let more = world.channel.receives(since + 4).await;
    // One of hers may have been on its way.
    assert!(more[since + 2..].iter().all(|line| line == "approval.reminded tess × 1"), "{more:?}");
    world.approve(id, "tess").await;
    let cancelled = "select count(*) from notice where status = 'pending'";
    eventually("silence", || async { (world.database.count(cancelled).await == 0).then_some(()) }).await;
    world.end().await;
}

#[tokio::test]
async fn an_escalation_writes_to_those_who_were_not_asked_before() {
    let world = World::mail("escalation: { high: [ { after: 1s, to: [cto, tech_lead] } ] }\n").await;
    world.submit(high()).await;
    assert_eq!(world.channel.receives(3).await[2], "approval.escalated cora × 1");
    world.end().await;
}

#[tokio::test]
async fn follow_ups_go_only_where_the_request_was_delivered() {
    let world = World::room("0s").await;
    world.channel.answers(|_| Err(Undelivered::Later { reason: "away".to_owned(), after: None }));
    let missed = world.submit(high()).await;
    world.reject(missed).await;
    world.settles().await;
    world.channel.answers(|_| Ok(()));
    let heard = world.submit(high()).await;
    world.channel.receives(1).await;
    world.reject(heard).await;
    assert_eq!(world.channel.receives(2).await, ["approval.requested all × 1", "approval.decided all × 1"]);
    assert!(world.channel.messages().iter().flatten().all(|notice| notice.workflow.id == heard));
    let reason = "select count(*) from notice where kind = 'approval.decided' and status = 'cancelled' and error like 'nobody was asked%'";
    assert_eq!(world.database.count(reason).await, 1);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_notice_overtaken_by_a_decision_gets_a_follow_up() {
    let world = World::room("0s").await;
    let engine = Arc::clone(&world.engine);
    world.channel.answers(move |message| {
        if message[0].kind == Kind::Requested {
            let by = engine.configuration.policy.principal("alice").unwrap();
            let reject = engine.command(message[0].workflow.id, Command::Reject { by, reason: None, digest: None });
            tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(reject)).unwrap();
        }
        Ok(())
    });
    world.submit(high()).await;
    assert_eq!(world.channel.receives(2).await, ["approval.requested all × 1", "approval.decided all × 1"]);
    world.settles().await;
    assert_eq!(world.database.count("select count(*) from notice where status = 'delivered'").await, 2);
    assert_eq!(world.database.count("select count(*) from notice where status = 'cancelled' and kind = 'approval.reminded'").await, 1);
    world.end().await;
}

#[tokio::test]
async fn a_refused_notice_does_not_block_its_group() {
    let world = World::room("1s").await;
    let refused = |reason: &str| Err(Undelivered::Refused { reason: reason.to_owned() });
    world.channel.answers(move |message| {
        if message.iter().any(|notice| notice.document.description() == "bad") { refused("not \u{202e}this\n") } else { Ok(()) }
    });
    let mut bad = high();
    bad["description"] = "bad".into();
    for task in [high(), bad, high()] {
        world.submit(task).await;
    }
    assert_eq!(world.channel.receives(2).await, ["approval.requested all × 1", "approval.requested all × 1"]);
    world.settles().await;
    let dead = parkbrake::storage::NoticeFilter { status: Some("dead".to_owned()), limit: 10, ..Default::default() };
    let dead = world.engine.storage.notices(&dead).await.unwrap().items;
    assert_eq!(dead.iter().map(|notice| notice.error.as_deref()).collect::<Vec<_>>(), [Some("not <U+202E>this<U+000A>")]);
    world.end().await;
}

#[tokio::test]
async fn a_channel_that_panics_is_one_that_failed() {
    let world = World::room("0s").await;
    let before = world.root.get_children().len();
    world.channel.answers(|message| if message[0].kind == Kind::Requested { panic!("on purpose") } else { Ok(()) });
    let id = world.submit(high()).await;
    let failed = "select count(*) from notice where attempts > 1 and error like 'the channel failed%'";
    eventually("a failure", || async { (world.database.count(failed).await == 1).then_some(()) }).await;
    assert_eq!(world.root.get_children().len(), before);
    world.channel.answers(|_| Ok(()));
    assert_eq!(world.channel.receives(1).await, ["approval.requested all × 1"]);
    assert_eq!(world.channel.messages()[0][0].workflow.id, id);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_delivery_is_not_repeated_after_a_database_outage() {
    let world = World::room("0s").await;
    // The table is locked while the message is on its way, so that for a while nobody can record
    // that it arrived.
    let lock = Arc::new(Mutex::new(None));
    let (url, held) = (world.database.url.clone(), Arc::clone(&lock));
    world.channel.answers(move |_| {
        let held = Arc::clone(&held);
        tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(lock_notices(&url, &held)));
        Ok(())
    });
    world.submit(high()).await;
    world.channel.receives(1).await;
    // Longer than a statement waits for a lock.
    tokio::time::sleep(Duration::from_secs(3)).await;
    world.channel.answers(|_| Ok(()));
    let connection: PgConnection = lock.lock().unwrap().take().unwrap();
    connection.close().await.unwrap();
    world.settles().await;
    assert_eq!(world.channel.lines().len(), 1);
    assert_eq!(world.database.count("select count(*) from notice where status = 'delivered' and attempts = 1").await, 1);
    world.end().await;
}

#[track_caller]
fn lock_notices(url: &str, held: &Mutex<Option<PgConnection>>) -> impl Future<Output = ()> {
    called(async move {
        let mut connection = PgConnection::connect(url).await.unwrap();
        sqlx::raw_sql("begin; lock table notice in access exclusive mode").execute(&mut connection).await.unwrap();
        *held.lock().unwrap() = Some(connection);
    })
}
