//! A proxy in front of PostgreSQL that can be told to misbehave: it loses or holds the answer of a
//! chosen statement, delays answers, freezes connections and cuts them.
//!
//! It speaks TCP on loopback, reads the client's side of the protocol to know which statement runs,
//! and forwards everything else byte for byte. A statement is chosen by a part of its text.

use super::Database;
use super::called;
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinHandle};

/// What happens to a statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// No fault: a later statement with this text meets the next fault.
    None,
    /// PostgreSQL executes it; then the connection is cut instead of the answer.
    LoseAnswer,
    /// PostgreSQL executes it; the answer waits for [`Proxy::thaw`].
    HoldAnswer,
    /// PostgreSQL receives it only after [`Proxy::thaw`].
    HoldRequest,
    /// The connection is cut before PostgreSQL receives it.
    CutBefore,
}

/// The affected connections.
#[derive(Debug, Clone, Copy)]
pub enum Which {
    /// All existing and all future ones.
    All,
    /// All existing ones; new ones work.
    Existing,
    /// Those that have run a statement with this text.
    Running(&'static str),
}

struct Rule {
    needle: &'static str,
    fault: Fault,
    times: usize,
}

#[derive(Default)]
struct Shared {
    rules: Mutex<Vec<Rule>>,
    connections: Mutex<Vec<Connection>>,
    /// How often a client has waited until PostgreSQL was ready again.
    round_trips: AtomicUsize,
    /// How often a rule applied.
    applied: AtomicUsize,
    /// One of this many chunks of answers is late.
    late: Mutex<Option<(u32, Duration)>>,
    chunks: AtomicU32,
    refuses: Mutex<bool>,
}

/// One connection, as the proxy's owner sees it.
struct Connection {
    statements: Arc<Mutex<Vec<String>>>,
    gates: Gates,
    task: AbortHandle,
}

/// Whether bytes pass, in each direction.
#[derive(Clone)]
struct Gates {
    requests: watch::Sender<bool>,
    answers: watch::Sender<bool>,
}

impl Gates {
    fn set(&self, open: bool) {
        self.requests.send_replace(open);
        self.answers.send_replace(open);
    }
}

/// A proxy in front of one database. Dropping it cuts its connections.
pub struct Proxy {
    database: String,
    port: u16,
    shared: Arc<Shared>,
    /// Whether new connections pass bytes.
    open: watch::Sender<bool>,
    accepting: JoinHandle<()>,
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
        self.cut(Which::Existing);
    }
}

impl Proxy {
    /// A proxy in front of this database, which lets everything through.
    #[track_caller]
    pub fn before(database: &Database) -> impl Future<Output = Self> {
        called(async move {
            let (socket, name) = socket_and_name(&database.url);
            let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
            let port = listener.local_addr().expect("an address").port();
            let shared = Arc::new(Shared::default());
            let open = watch::Sender::new(true);
            let accepting = tokio::spawn(accept(listener, socket, Arc::clone(&shared), open.clone()));
            Self { database: name, port, shared, open, accepting }
        })
    }

    /// The address at which a server reaches its database through this proxy.
    pub fn url(&self) -> String {
        format!("postgres://parkbrake@127.0.0.1:{}/{}?sslmode=disable", self.port, self.database)
    }

    /// The database as a server sees it through this proxy.
    pub fn database(&self) -> Database {
        Database::at(self.url())
    }

    /// The next statements with this text, this many of them, meet a fault.
    pub fn next(&self, needle: &'static str, fault: Fault, times: usize) {
        lock(&self.shared.rules).push(Rule { needle, fault, times });
    }

    /// How many statements have met a fault.
    pub fn applied(&self) -> usize {
        self.shared.applied.load(Ordering::SeqCst)
    }

    /// How often a client has sent something and waited until PostgreSQL was ready again.
    pub fn round_trips(&self) -> usize {
        self.shared.round_trips.load(Ordering::SeqCst)
    }

    /// Forgets the faults that have not happened.
    pub fn relent(&self) {
        lock(&self.shared.rules).clear();
        *lock(&self.shared.late) = None;
    }

    /// One of this many answers is late by this time.
    pub fn delay_one_of(&self, every: u32, by: Duration) {
        *lock(&self.shared.late) = Some((every, by));
    }

    /// Bytes stop, in both directions; the connections stay.
    pub fn freeze(&self, which: Which) {
        if matches!(which, Which::All) {
            self.open.send_replace(false);
        }
        self.each(which, |connection| connection.gates.set(false));
    }

    /// Bytes pass again, including those that a fault holds.
    pub fn thaw(&self) {
        self.open.send_replace(true);
        self.each(Which::Existing, |connection| connection.gates.set(true));
    }

    /// Ends connections on both sides.
    pub fn cut(&self, which: Which) {
        self.each(which, |connection| connection.task.abort());
    }

    /// Whether new connections are ended at once.
    pub fn refuse(&self, refuses: bool) {
        *lock(&self.shared.refuses) = refuses;
    }

    fn each(&self, which: Which, act: impl Fn(&Connection)) {
        let connections = lock(&self.shared.connections);
        let meant = connections.iter().filter(|connection| match which {
            Which::All | Which::Existing => true,
            Which::Running(needle) => lock(&connection.statements).iter().any(|statement| statement.contains(needle)),
        });
        meant.for_each(act);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The socket and the database in the address of a test's database.
fn socket_and_name(url: &str) -> (PathBuf, String) {
    let (path, query) = url.split_once('?').expect("an address with a socket");
    let name = path.rsplit('/').next().expect("a database").to_owned();
    let host = query.split('&').find_map(|pair| pair.strip_prefix("host=")).expect("a socket");
    let mut folder = String::new();
    let mut rest = host;
    while let Some((before, after)) = rest.split_once('%') {
        let (code, after) = after.split_at(2);
        folder.push_str(before);
        folder.push(char::from(u8::from_str_radix(code, 16).expect("a percent-encoded byte")));
        rest = after;
    }
    folder.push_str(rest);
    (PathBuf::from(folder).join(".s.PGSQL.5432"), name)
}

async fn accept(listener: TcpListener, socket: PathBuf, shared: Arc<Shared>, open: watch::Sender<bool>) {
    while let Ok((client, _)) = listener.accept().await {
        if *lock(&shared.refuses) {
            continue;
        }
        let statements = Arc::new(Mutex::new(Vec::new()));
        let now = *open.borrow();
        let gates = Gates { requests: watch::Sender::new(now), answers: watch::Sender::new(now) };
        let task = tokio::spawn(serve(client, socket.clone(), Arc::clone(&shared), Arc::clone(&statements), gates.clone()));
        let mut connections = lock(&shared.connections);
        connections.retain(|connection| !connection.task.is_finished());
        connections.push(Connection { statements, gates, task: task.abort_handle() });
    }
}

/// Carries bytes until one side ends, or a fault cuts it. Both directions end together.
async fn serve(client: TcpStream, socket: PathBuf, shared: Arc<Shared>, statements: Arc<Mutex<Vec<String>>>, gates: Gates) {
    let Ok(server) = UnixStream::connect(&socket).await else { return };
    let _ = client.set_nodelay(true);
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    // While this is true, the answer to a statement is lost: after its last byte the connection is
    // cut.
    let losing = watch::Sender::new(false);
    tokio::select! {
        _ = requests(from_client, to_server, &shared, &statements, &gates, &losing) => {}
        _ = answers(from_server, to_client, &shared, &gates, &losing) => {}
    }
}

async fn passes(gate: &watch::Sender<bool>) {
    let _ = gate.subscribe().wait_for(|open| *open).await;
}

/// Carries the client's messages one by one, so that a fault meets a whole statement.
async fn requests(
    mut from: tokio::net::tcp::OwnedReadHalf,
    mut to: tokio::net::unix::OwnedWriteHalf,
    shared: &Shared,
    statements: &Mutex<Vec<String>>,
    gates: &Gates,
    losing: &watch::Sender<bool>,
) -> std::io::Result<()> {
    // The first message has no type.
    let length = from.read_u32().await?;
    let mut startup = vec![0; length as usize - 4];
    from.read_exact(&mut startup).await?;
    passes(&gates.requests).await;
    to.write_all(&[&length.to_be_bytes()[..], &startup].concat()).await?;
    let mut prepared: HashMap<Vec<u8>, String> = HashMap::new();
    loop {
        let kind = from.read_u8().await?;
        let length = from.read_u32().await?;
        let mut body = vec![0; length as usize - 4];
        from.read_exact(&mut body).await?;
        let runs = match kind {
            b'P' => {
                let mut parts = body.split(|byte| *byte == 0);
                let (name, text) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
                prepared.insert(name.to_vec(), String::from_utf8_lossy(text).into_owned());
                None
            }
            b'B' => body.split(|byte| *byte == 0).nth(1).and_then(|name| prepared.get(name)).cloned(),
            b'Q' => Some(String::from_utf8_lossy(&body).into_owned()),
            _ => None,
        };
        if matches!(kind, b'S' | b'Q') {
            shared.round_trips.fetch_add(1, Ordering::SeqCst);
        }
        if let Some(text) = runs {
            match fault(shared, &text) {
                Some(Fault::LoseAnswer) => {
                    losing.send_replace(true);
                }
                Some(Fault::HoldAnswer) => {
                    gates.answers.send_replace(false);
                }
                Some(Fault::HoldRequest) => {
                    gates.requests.send_replace(false);
                }
                Some(Fault::CutBefore) => return Ok(()),
                Some(Fault::None) | None => {}
            }
            let mut statements = lock(statements);
            if !statements.contains(&text) {
                statements.push(text);
            }
        }
        passes(&gates.requests).await;
        to.write_all(&[&[kind][..], &length.to_be_bytes(), &body].concat()).await?;
    }
}

/// The fault of a statement, which is used up.
fn fault(shared: &Shared, text: &str) -> Option<Fault> {
    let mut rules = lock(&shared.rules);
    let index = rules.iter().position(|rule| text.contains(rule.needle))?;
    let rule = &mut rules[index];
    let fault = rule.fault;
    rule.times -= 1;
    if rule.times == 0 {
        rules.remove(index);
    }
    shared.applied.fetch_add(1, Ordering::SeqCst);
    Some(fault)
}

async fn answers(
    mut from: tokio::net::unix::OwnedReadHalf,
    mut to: tokio::net::tcp::OwnedWriteHalf,
    shared: &Shared,
    gates: &Gates,
    losing: &watch::Sender<bool>,
) -> std::io::Result<()> {
    loop {
        let kind = from.read_u8().await?;
        let length = from.read_u32().await?;
        let mut body = vec![0; length as usize - 4];
        from.read_exact(&mut body).await?;
        if *losing.borrow() {
            // PostgreSQL is ready for the next statement: it has executed this one, and nobody
            // learns of it.
            if kind == b'Z' {
                return Ok(());
            }
            continue;
        }
        let late = *lock(&shared.late);
        if let Some((every, by)) = late
            && kind == b'Z'
            && shared.chunks.fetch_add(1, Ordering::Relaxed).is_multiple_of(every)
        {
            tokio::time::sleep(by).await;
        }
        passes(&gates.answers).await;
        to.write_all(&[&[kind][..], &length.to_be_bytes(), &body].concat()).await?;
    }
}
