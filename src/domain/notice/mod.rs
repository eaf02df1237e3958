//! Notices: messages about a workflow to people and programs outside, and their recipients.

pub mod buttons;
pub mod outbox;
pub mod reach;

use crate::domain::risk::level::Level;
use std::collections::BTreeMap;
use std::time::Duration;
use uuid::Uuid;

/// The kind of a notice. The names are the event types of the webhooks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    Requested,
    Reminded,
    Escalated,
    /// A share of the time within which people should decide has passed.
    GoalNears,
    /// The request will expire soon.
    Expiring,
    Decided,
    /// A standing grant released the request.
    Granted,
    /// Somebody broke the glass.
    GlassBroken,
    /// Somebody else has reviewed the broken glass.
    Reviewed,
    Expired,
    Cancelled,
    Superseded,
    Asked,
    Answered,
    Executing,
    Succeeded,
    Failed,
    ReportOverdue,
    OutcomeUnknown,
}

impl Kind {
    pub const ALL: [Self; 19] = [
        Self::Requested,
        Self::Reminded,
        Self::Escalated,
        Self::GoalNears,
        Self::Expiring,
        Self::Decided,
        Self::Granted,
        Self::GlassBroken,
        Self::Reviewed,
        Self::Expired,
        Self::Cancelled,
        Self::Superseded,
        Self::Asked,
        Self::Answered,
        Self::Executing,
        Self::Succeeded,
        Self::Failed,
        Self::ReportOverdue,
        Self::OutcomeUnknown,
    ];

    /// The name that is stored and sent.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Requested => "approval.requested",
            Self::Reminded => "approval.reminded",
            Self::Escalated => "approval.escalated",
            Self::GoalNears => "approval.goal_nears",
            Self::Expiring => "approval.expiring",
            Self::Decided => "approval.decided",
            Self::Granted => "approval.granted",
            Self::GlassBroken => "approval.glass_broken",
            Self::Reviewed => "approval.reviewed",
            Self::Expired => "approval.expired",
            Self::Cancelled => "workflow.cancelled",
            Self::Superseded => "workflow.superseded",
            Self::Asked => "workflow.asked",
            Self::Answered => "workflow.answered",
            Self::Executing => "workflow.executing",
            Self::Succeeded => "workflow.succeeded",
            Self::Failed => "workflow.failed",
            Self::ReportOverdue => "workflow.report_overdue",
            Self::OutcomeUnknown => "workflow.outcome_unknown",
        }
    }

    /// The kind with this name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }

    /// Whether it reports that a request was decided, or has ended without running.
    pub fn ends(self) -> bool {
        matches!(self, Self::Decided | Self::Expired | Self::Cancelled | Self::Superseded)
    }

    /// Whether it asks somebody to decide. Such a notice is outdated once somebody has decided.
    pub fn asks(self) -> bool {
        matches!(self, Self::Requested | Self::Reminded | Self::Escalated | Self::GoalNears | Self::Expiring)
    }

    /// Whether it is sent some time after its event, and describes the state at that time.
    pub fn is_of_its_moment(self) -> bool {
        matches!(self, Self::Reminded | Self::GoalNears | Self::Expiring)
    }

    /// Whether it rests while a question to the requester is open.
    pub fn rests(self) -> bool {
        matches!(self, Self::Reminded | Self::GoalNears)
    }
}

/// The kind of a channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Medium {
    Slack,
    Email,
    Linear,
    Webhook,
    PagerDuty,
    Github,
    WebPush,
}

impl Medium {
    /// Whether a channel of this kind carries such notices.
    pub fn says(self, kind: Kind) -> bool {
        match self {
            // GitHub is notified when a waiting deployment may begin, and when it never will.
            Self::Github => kind.ends() || matches!(kind, Kind::Executing | Kind::Failed),
            // Every channel carries an emergency.
            _ if kind == Kind::GlassBroken => true,
            // Programs get everything.
            Self::Webhook => true,
            // A Slack channel and an issue follow a request from its beginning to its end.
            Self::Slack | Self::Linear => !matches!(kind, Kind::Executing),
            // A person is notified when they are asked and when something went wrong, and of
            // nothing else.
            Self::Email | Self::WebPush => {
                kind.asks() || matches!(kind, Kind::Asked | Kind::Answered | Kind::Failed | Kind::ReportOverdue | Kind::OutcomeUnknown)
            }
            // PagerDuty calls somebody when nobody has answered; the answer ends the call.
            Self::PagerDuty => kind.ends() || matches!(kind, Kind::Reviewed | Kind::Escalated | Kind::Expiring | Kind::OutcomeUnknown),
        }
    }

    /// Whether each person gets their own notice; otherwise the channel gets one for all.
    pub fn is_personal(self) -> bool {
        matches!(self, Self::Email | Self::WebPush)
    }

    /// Whether several notices that ask for decisions may be sent as one message.
    pub fn groups(self) -> bool {
        matches!(self, Self::Slack | Self::Email)
    }
}

/// `notifications.yaml`, resolved.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Notifications {
    /// The URL under which people reach this server, without a trailing slash; links in messages
    /// lead there.
    pub public_url: Option<String>,
    pub channels: BTreeMap<String, ChannelSettings>,
    pub routes: Vec<Route>,
}

/// Which levels go to which channels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    pub levels: Vec<Level>,
    pub channels: Vec<String>,
}

/// One channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChannelSettings {
    pub service: Service,
    /// How long notices that ask for decisions are collected into one message; zero means not at
    /// all.
    pub group_within: Duration,
    /// The operator's own template for the text of messages, as it was read from its file.
    pub template: Option<String>,
}

/// The service behind a channel. Secrets are names of environment variables, which are read when
/// the server starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Service {
    Slack {
        webhook_url: SecretName,
        /// The settings of buttons in messages, if there are any.
        buttons: Option<Buttons>,
    },
    Email {
        smtp_url: SecretName,
        from: String,
    },
    Linear {
        api_key: SecretName,
        team_id: String,
        api_url: String,
        /// The states of the team's workflow to which an issue moves when its request is approved,
        /// or ends otherwise. If left out, the state is found by its type, `completed` or
        /// `canceled`.
        done_state: Option<String>,
        cancelled_state: Option<String>,
    },
    Webhook {
        url: String,
        secret: SecretName,
        timeout: Duration,
        /// Whether the address may be on this machine or in a private network.
        allow_private: bool,
    },
    PagerDuty {
        routing_key: SecretName,
        api_url: String,
    },
    Github(GithubApp),
    WebPush {
        private_key: SecretName,
        /// Whom a push service can ask about parkbrake: `mailto:` and an address, or a page.
        subject: String,
        /// Whether a push service may be on this machine or in a private network.
        allow_private: bool,
    },
}

/// A GitHub App whose deployment protection rule asks here. It is notified of its own requests and
/// nothing else, whatever the routes say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GithubApp {
    /// The app id or the client id.
    pub app_id: String,
    pub private_key: SecretName,
    /// The secret with which GitHub signs its calls.
    pub webhook_secret: SecretName,
    /// The agent in whose name its deployments are requested.
    pub agent: String,
    /// Without a trailing slash.
    pub api_url: String,
}

/// Buttons in Slack that approve and reject.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Buttons {
    /// The secret with which Slack signs its calls.
    pub signing_secret: SecretName,
    /// The levels at which messages have buttons. High and critical only if the configuration says
    /// so.
    pub levels: Vec<Level>,
    /// The workspace whose members may press them; if left out, any workspace in which the app is
    /// installed.
    pub team_id: Option<String>,
}

/// A browser that is subscribed to Web Push.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subscription {
    pub id: Uuid,
    /// Where the browser's push service takes messages for it.
    pub endpoint: String,
    /// The browser's public key, and the secret that it shares with parkbrake.
    pub p256dh: Vec<u8>,
    pub auth: Vec<u8>,
}

/// The name of an environment variable that holds a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretName(pub String);

impl Service {
    /// The kind of the channel.
    pub fn medium(&self) -> Medium {
        match self {
            Self::Slack { .. } => Medium::Slack,
            Self::Email { .. } => Medium::Email,
            Self::Linear { .. } => Medium::Linear,
            Self::Webhook { .. } => Medium::Webhook,
            Self::PagerDuty { .. } => Medium::PagerDuty,
            Self::Github(_) => Medium::Github,
            Self::WebPush { .. } => Medium::WebPush,
        }
    }
}

impl Service {
    /// The variables that hold its secrets.
    pub fn secrets(&self) -> Vec<&SecretName> {
        match self {
            Self::Slack { webhook_url, buttons } => {
                [webhook_url].into_iter().chain(buttons.as_ref().map(|buttons| &buttons.signing_secret)).collect()
            }
            Self::Email { smtp_url: secret, .. }
            | Self::Linear { api_key: secret, .. }
            | Self::Webhook { secret, .. }
            | Self::PagerDuty { routing_key: secret, .. }
            | Self::WebPush { private_key: secret, .. } => vec![secret],
            Self::Github(app) => vec![&app.private_key, &app.webhook_secret],
        }
    }
}

impl Notifications {
    /// The GitHub Apps, with the names of their channels.
    pub fn github_apps(&self) -> impl Iterator<Item = (&str, &GithubApp)> {
        self.channels.iter().filter_map(|(name, channel)| match &channel.service {
            Service::Github(app) => Some((name.as_str(), app)),
            _ => None,
        })
    }

    /// The name and settings of the channel to browsers; there is at most one.
    pub fn web_push(&self) -> Option<(&str, &ChannelSettings)> {
        let mut channels = self.channels.iter().map(|(name, channel)| (name.as_str(), channel));
        channels.find(|(_, channel)| channel.service.medium() == Medium::WebPush)
    }

    /// The channels for a level, each once, by name.
    pub fn heard_at(&self, level: Level) -> impl Iterator<Item = (&str, &ChannelSettings)> {
        self.channels
            .iter()
            .filter(move |(name, _)| self.routes.iter().any(|route| route.levels.contains(&level) && route.channels.contains(name)))
            .map(|(name, channel)| (name.as_str(), channel))
    }
}
