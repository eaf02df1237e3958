//! Metrics, in the Prometheus exposition format. They are a value and not a global, so that each
//! server counts for itself.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

/// The upper bounds of the buckets for decision times: minutes, hours, a day.
const DECISION_SECONDS: [f64; 10] = [30.0, 60.0, 120.0, 300.0, 600.0, 900.0, 1_800.0, 3_600.0, 14_400.0, 86_400.0];

/// The level of a submitted task.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct LevelLabel {
    pub risk_level: &'static str,
}

/// The name of an event.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct EventLabel {
    pub event: &'static str,
}

/// The name of a channel.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ChannelLabel {
    pub channel: String,
}

/// All metrics of a server.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    pub submitted: Family<LevelLabel, Counter>,
    pub events: Family<EventLabel, Counter>,
    pub decision_seconds: Family<LevelLabel, Histogram>,
    pub batch_rows: Histogram,
    pub batch_seconds: Histogram,
    pub log_batch_logs: Histogram,
    pub resident: Gauge,
    pub remembered: Gauge,
    pub running: Gauge,
    pub queued: Gauge,
    pub held: Gauge,
    pub halts: Gauge,
    pub executing_without_attempt: Counter,
    pub actor_failures: Counter,
    pub quarantined: Counter,
    pub integrity_failures: Counter,
    pub event_streams: Gauge,
    pub requests_under_way: Gauge,
    pub request_bytes_under_way: Gauge,
    pub notices_delivered: Family<ChannelLabel, Counter>,
    pub notice_failures: Family<ChannelLabel, Counter>,
    pub notices_dead: Family<ChannelLabel, Counter>,
    pub notices_waiting: Family<ChannelLabel, Gauge>,
    pub weaknesses: Gauge,
    pub undecidable: Gauge,
    pub glass_reviews_open: Gauge,
}

impl Default for Metrics {
    fn default() -> Self {
        let submitted = Family::<LevelLabel, Counter>::default();
        let events = Family::<EventLabel, Counter>::default();
        let decision_seconds = Family::<LevelLabel, Histogram>::new_with_constructor(|| Histogram::new(DECISION_SECONDS));
        let batch_rows = Histogram::new([1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0]);
        let batch_seconds = Histogram::new([0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 2.0, 5.0]);
        let log_batch_logs = Histogram::new([1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0]);
        let (resident, remembered) = (Gauge::default(), Gauge::default());
        let (running, queued) = (Gauge::default(), Gauge::default());
        let (held, halts) = (Gauge::default(), Gauge::default());
        let executing_without_attempt = Counter::default();
        let (actor_failures, quarantined) = (Counter::default(), Counter::default());
        let event_streams = Gauge::default();
        let (requests_under_way, request_bytes_under_way) = (Gauge::default(), Gauge::default());
        let notices_delivered = Family::<ChannelLabel, Counter>::default();
        let notice_failures = Family::<ChannelLabel, Counter>::default();
        let notices_dead = Family::<ChannelLabel, Counter>::default();
        let notices_waiting = Family::<ChannelLabel, Gauge>::default();
        let (weaknesses, undecidable, glass_reviews_open) = (Gauge::default(), Gauge::default(), Gauge::default());
        let mut registry = Registry::with_prefix("parkbrake");
        registry.register("tasks_submitted", "Tasks that were accepted, by risk level", submitted.clone());
        registry.register("events", "Events that were committed, by name", events.clone());
        registry.register("decision_seconds", "Time from a request to its decision by a person, by risk level", decision_seconds.clone());
        registry.register("commit_batch_rows", "Commits that went to the database together", batch_rows.clone());
        registry.register("commit_batch_seconds", "Time from sending a batch to its answer", batch_seconds.clone());
        registry.register("log_batch_logs", "Logs of workflows that were read together", log_batch_logs.clone());
        registry.register("workflows_resident", "Workflows with an actor", resident.clone());
        registry.register("workflows_remembered", "Workflows whose state is kept in memory, without an actor", remembered.clone());
        registry.register("actions_running", "Actions that this server is running now", running.clone());
        registry.register("actions_queued", "Actions that are released and wait for a turn on this server", queued.clone());
        registry.register("actions_held", "Actions that are released and that a halt or a freeze holds", held.clone());
        registry.register("halts", "Halts in force, including drills", halts.clone());
        registry.register(
            "executing_without_attempt",
            "Workflows whose log says that this server runs them, although it does not; always 0 unless there is a bug",
            executing_without_attempt.clone(),
        );
        registry.register("actor_failures", "Failures of a workflow's actor", actor_failures.clone());
        registry.register("workflows_quarantined", "Workflows quarantined after repeated failures", quarantined.clone());
        let integrity_failures = Counter::default();
        registry.register("integrity_failures", "Workflows whose rows do not carry the server's seal", integrity_failures.clone());
        registry.register("event_streams", "Event streams that are open", event_streams.clone());
        registry.register("requests_under_way", "Changes in progress", requests_under_way.clone());
        registry.register("request_bytes_under_way", "Bytes of the bodies of changes in progress", request_bytes_under_way.clone());
        registry.register("notices_delivered", "Notices that were delivered, by channel", notices_delivered.clone());
        registry.register("notice_failures", "Attempts to deliver a notice that failed, by channel", notice_failures.clone());
        registry.register("notices_dead", "Notices that were given up, by channel", notices_dead.clone());
        registry.register("notices_waiting", "Notices that are due and not delivered, by channel", notices_waiting.clone());
        let help = "Settings that are weaker than the shipped ones; `parkbrake check` lists them";
        registry.register("configuration_weaknesses", help, weaknesses.clone());
        registry.register(
            "requests_undecidable",
            "Requests that wait and that nobody of the configuration can decide",
            undecidable.clone(),
        );
        registry.register("glass_reviews_open", "Reviews of broken glass that nobody has closed", glass_reviews_open.clone());
        Self {
            weaknesses,
            undecidable,
            glass_reviews_open,
            notices_delivered,
            notice_failures,
            notices_dead,
            notices_waiting,
            registry,
            submitted,
            events,
            decision_seconds,
            batch_rows,
            batch_seconds,
            log_batch_logs,
            resident,
            remembered,
            running,
            queued,
            held,
            halts,
            executing_without_attempt,
            actor_failures,
            quarantined,
            integrity_failures,
            event_streams,
            requests_under_way,
            request_bytes_under_way,
        }
    }
}

impl Metrics {
    /// The text that a scraper reads.
    pub fn text(&self) -> String {
        let mut text = String::new();
        // Writing to a string cannot fail.
        let _ = encode(&mut text, &self.registry);
        text
    }
}
