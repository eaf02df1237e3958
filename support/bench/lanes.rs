//! The load: callers that each wait for a response before the next request.
//!
//! It shares the cores with what it measures, so it does little: one thread, one
//! kept-alive connection for each caller, plain sockets and `poll`, and requests that are
//! prepared except for the id. It reads only the status, the length and the id of a response.

use crate::harness::{HUMAN, Server};
use crate::load::{Id, approval, get, report, stream, submission, usual_task};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// The step that a caller repeats.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Submits a task of high risk, until the 202: it is parked durably.
    Submit,
    /// Approves a parked workflow, until the 200.
    Approve,
    /// Approves a parked workflow and reports its result, until the response: it is completed.
    Complete,
    /// Of ten requests, four submits, three approvals, two reads of a workflow and one of the list,
    /// with open streams of events.
    Mixed,
}

/// The open streams of events during a mixed load.
const STREAMS: usize = 8;
/// The longest response; a page of a list is about 40 KB.
const LONGEST: usize = 128 * 1024;
/// The longest time without any response.
const SILENCE: Timespec = Timespec { tv_sec: 30, tv_nsec: 0 };

/// The results of a phase.
pub struct Phase {
    pub count: usize,
    pub seconds: f64,
    /// The latency of each step, the quickest first.
    pub latencies: Vec<Duration>,
    /// The submitted workflows, the oldest first; for the other steps, the remaining ones.
    pub ids: Vec<Id>,
}

impl Phase {
    pub fn rate(&self) -> f64 {
        self.latencies.len() as f64 / self.seconds
    }

    /// The milliseconds within which this share of the steps ended.
    pub fn percentile(&self, share: f64) -> f64 {
        let rank = (self.latencies.len() as f64 * share) as usize;
        self.latencies.get(rank.min(self.latencies.len().saturating_sub(1))).map_or(0.0, |latency| latency.as_secs_f64() * 1e3)
    }
}

/// One request with its response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Exchange {
    Submit,
    /// An approval without a report.
    Approve(Id),
    /// An approval that is followed by a report.
    ApproveFirst(Id),
    Report,
    Look,
    List,
}

/// The prepared requests; those of a workflow in two parts, before and after its id.
struct Requests {
    submit: Vec<u8>,
    approve: [Vec<u8>; 2],
    report: [Vec<u8>; 2],
    look: [Vec<u8>; 2],
    list: Vec<u8>,
}

impl Requests {
    fn new() -> Self {
        let around = |of: &dyn Fn(&Id) -> Vec<u8>| -> [Vec<u8>; 2] {
            let id = Id([b'#'; 36]);
            let request = of(&id);
            let start = request.windows(id.0.len()).position(|bytes| bytes == id.0).expect("an id");
            [request[..start].to_vec(), request[start + id.0.len()..].to_vec()]
        };
        Self {
            submit: submission(&usual_task()),
            approve: around(&approval),
            report: around(&report),
            look: around(&|id| get(&format!("/workflows/{id}"), HUMAN)),
            list: get("/workflows/pending?limit=20", HUMAN),
        }
    }

    /// Writes one into a buffer.
    fn write(&self, exchange: Exchange, id: &Id, out: &mut Vec<u8>) {
        let around = match exchange {
            Exchange::Submit => return out.extend_from_slice(&self.submit),
            Exchange::List => return out.extend_from_slice(&self.list),
            Exchange::Approve(_) | Exchange::ApproveFirst(_) => &self.approve,
            Exchange::Report => &self.report,
            Exchange::Look => &self.look,
        };
        out.extend_from_slice(&around[0]);
        out.extend_from_slice(&id.0);
        out.extend_from_slice(&around[1]);
    }
}

/// A caller with its connection.
struct Lane {
    stream: TcpStream,
    sent: Vec<u8>,
    received: Vec<u8>,
    length: usize,
    /// The request that it waits for; `None` once it has ended.
    exchange: Option<Exchange>,
    /// When its step began.
    asked: Instant,
    /// How many steps it has begun.
    steps: usize,
}

impl Lane {
    fn connect(addr: SocketAddr) -> Self {
        let stream = TcpStream::connect(addr).expect("a connection");
        stream.set_nodelay(true).expect("an option");
        Self {
            stream,
            sent: Vec::with_capacity(4096),
            received: vec![0; LONGEST],
            length: 0,
            exchange: None,
            asked: Instant::now(),
            steps: 0,
        }
    }

    fn ask(&mut self, requests: &Requests, exchange: Exchange, id: &Id) {
        self.sent.clear();
        requests.write(exchange, id, &mut self.sent);
        (self.length, self.exchange) = (0, Some(exchange));
        self.stream.write_all(&self.sent).expect("a request that is sent");
    }

    /// Reads available bytes; returns the status and the body once the response is complete.
    fn read(&mut self) -> Option<(&[u8], &[u8])> {
        let read = self.stream.read(&mut self.received[self.length..]).expect("an answer");
        assert!(read > 0, "the server closed the connection, or sent a very long answer");
        self.length += read;
        let received = &self.received[..self.length];
        let head = received.windows(4).position(|bytes| bytes == b"\r\n\r\n")?;
        (received.len() >= head + 4 + content_length(&received[..head])).then(|| (&received[9..12], &received[head + 4..]))
    }
}

/// The value of a header that the server always sends.
fn content_length(head: &[u8]) -> usize {
    const NAME: &[u8] = b"\r\ncontent-length: ";
    let start = head.windows(NAME.len()).position(|bytes| bytes.eq_ignore_ascii_case(NAME)).expect("a length") + NAME.len();
    head[start..].iter().take_while(|byte| byte.is_ascii_digit()).fold(0, |length, digit| length * 10 + usize::from(digit - b'0'))
}

/// All lanes of a phase, and their results.
struct Drive {
    step: Step,
    requests: Requests,
    ids: Vec<Id>,
    latencies: Vec<Duration>,
    began: Instant,
    duration: Duration,
    most: usize,
}

impl Drive {
    /// Begins the next step of a lane, unless the phase is over or nothing is left to do.
    fn begin(&mut self, lane: &mut Lane) {
        lane.exchange = None;
        if self.began.elapsed() >= self.duration || self.latencies.len() >= self.most {
            return;
        }
        let turn = lane.steps % 10;
        lane.steps += 1;
        let mut parked = || self.ids.pop();
        let (exchange, id) = match self.step {
            Step::Submit => (Exchange::Submit, None),
            Step::Approve => match parked() {
                Some(id) => (Exchange::Approve(id), Some(id)),
                None => return,
            },
            Step::Complete => match parked() {
                Some(id) => (Exchange::ApproveFirst(id), Some(id)),
                None => return,
            },
            Step::Mixed => match (turn, self.ids.last().copied()) {
                (1 | 4 | 8, Some(id)) => {
                    self.ids.pop();
                    (Exchange::Approve(id), Some(id))
                }
                (3 | 7, Some(id)) => (Exchange::Look, Some(id)),
                (5, _) => (Exchange::List, None),
                _ => (Exchange::Submit, None),
            },
        };
        lane.asked = Instant::now();
        lane.ask(&self.requests, exchange, &id.unwrap_or(Id([b'#'; 36])));
    }

    /// Handles a response that a lane received.
    fn take(&mut self, lane: &mut Lane) {
        let Some(exchange) = lane.exchange else { panic!("a response without a request") };
        let Some((status, body)) = lane.read() else { return };
        let expected: &[u8] = if exchange == Exchange::Submit { b"202" } else { b"200" };
        assert!(status == expected, "{exchange:?}: {}", String::from_utf8_lossy(body));
        match exchange {
            Exchange::Submit => self.ids.push(Id::found_in(body)),
            Exchange::ApproveFirst(id) => return lane.ask(&self.requests, Exchange::Report, &id),
            Exchange::Approve(_) | Exchange::Report | Exchange::Look | Exchange::List => {}
        }
        self.latencies.push(lane.asked.elapsed());
        self.begin(lane);
    }
}

/// Lets `count` callers repeat a step until the time is up, or, if the step takes an id, until none
/// is left. The newest go first. `most` steps end a phase early as well. Connecting does not count.
pub async fn drive(server: &Server, count: usize, step: Step, ids: Vec<Id>, duration: Duration, most: usize) -> Phase {
    let addr = server.addr;
    let work = move || run(addr, count, step, ids, duration, most);
    tokio::task::spawn_blocking(work).await.expect("its end")
}

fn run(addr: SocketAddr, count: usize, step: Step, ids: Vec<Id>, duration: Duration, most: usize) -> Phase {
    let mut lanes: Vec<Lane> = (0..count).map(|_| Lane::connect(addr)).collect();
    let mut streams: Vec<TcpStream> = Vec::new();
    if step == Step::Mixed {
        streams.extend((0..STREAMS).map(|_| TcpStream::connect(addr).expect("a connection")));
        for open in &mut streams {
            open.write_all(&stream()).expect("a request that is sent");
        }
    }
    let latencies = Vec::with_capacity(1 << 18);
    let mut work = Drive { step, requests: Requests::new(), ids, latencies, began: Instant::now(), duration, most };
    for (index, lane) in lanes.iter_mut().enumerate() {
        // Spreads the kinds of requests of a mixed load over time.
        lane.steps = index;
        work.begin(lane);
    }
    let mut told = vec![0; LONGEST];
    let mut ready = Vec::with_capacity(count + STREAMS);
    while lanes.iter().any(|lane| lane.exchange.is_some()) {
        ready.clear();
        {
            let sockets = lanes.iter().map(|lane| &lane.stream).chain(&streams);
            let mut waiting: Vec<PollFd<'_>> = sockets.map(|socket| PollFd::new(socket, PollFlags::IN)).collect();
            assert!(poll(&mut waiting, Some(&SILENCE)).expect("an event") > 0, "there was no response for {} s", SILENCE.tv_sec);
            ready.extend(waiting.iter().enumerate().filter(|(_, fd)| !fd.revents().is_empty()).map(|(index, _)| index));
        }
        for index in &ready {
            match lanes.get_mut(*index) {
                Some(lane) => work.take(lane),
                None => assert!(streams[index - count].read(&mut told).expect("events") > 0, "the server ended a stream"),
            }
        }
    }
    let seconds = work.began.elapsed().as_secs_f64();
    let Drive { mut latencies, ids, .. } = work;
    latencies.sort_unstable();
    Phase { count, seconds, latencies, ids }
}

/// Parks this many workflows, without measuring.
pub async fn park(server: &Server, count: usize) -> Vec<Id> {
    drive(server, 64, Step::Submit, Vec::new(), Duration::from_secs(600), count).await.ids
}
