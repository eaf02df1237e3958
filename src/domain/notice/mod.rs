//! Notices: what is said of a workflow to people and programs outside, and who hears what.

pub mod buttons;
pub mod outbox;

use crate::domain::risk::level::Level;
use std::collections::BTreeMap;
use std::time::Duration;

/// What a notice says. The names are the event types of the webhooks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    Requested,
    Reminded,
    Escalated,
    /// A share of the time within which it should be decided has passed.
    GoalNears,
    /// It is going to expire.
    Expiring,
    Decided,
    /// A standing grant let it pass.
    Granted,
    /// Somebody broke the glass.
    GlassBroken,
    /// Somebody else has reviewed that.
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

    /// As it is stored, and as it stands on the wire.
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

    /// Whether it says that a request has ended without anything having run, or that it was
    /// decided.
    pub fn ends(self) -> bool {
        matches!(self, Self::Decided | Self::Expired | Self::Cancelled | Self::Superseded)
    }

    /// Whether it asks somebody to decide. Such a notice is no longer true once somebody has.
    pub fn asks(self) -> bool {
        matches!(self, Self::Requested | Self::Reminded | Self::Escalated | Self::GoalNears | Self::Expiring)
    }

    /// Whether it is told some time after its event, of how things stand then.
    pub fn is_of_its_moment(self) -> bool {
        matches!(self, Self::Reminded | Self::GoalNears | Self::Expiring)
    }

    /// Whether it rests while a question to the requester is open.
    pub fn rests(self) -> bool {
        matches!(self, Self::Reminded | Self::GoalNears)
    }
}

/// What kind of channel it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Medium {
    Slack,
    Email,
    Linear,
    Webhook,
    PagerDuty,
    Github,
}

impl Medium {
    /// Whether a channel of this kind says such things at all.
    pub fn says(self, kind: Kind) -> bool {
        match self {
            // A deployment that waits there hears when it may begin, and when it never will.
            Self::Github => kind.ends() || matches!(kind, Kind::Executing | Kind::Failed),
            // In an emergency everybody hears that there is one.
            _ if kind == Kind::GlassBroken => true,
            // Programs hear everything.
            Self::Webhook => true,
            // A room and an issue follow a request from its beginning to its end.
            Self::Slack | Self::Linear => !matches!(kind, Kind::Executing),
            // A person is asked, and told where something went wrong; nothing else is worth a mail.
            Self::Email => {
                kind.asks() || matches!(kind, Kind::Asked | Kind::Answered | Kind::Failed | Kind::ReportOverdue | Kind::OutcomeUnknown)
            }
            // Somebody is called when nobody has answered; the call ends with the answer.
            Self::PagerDuty => kind.ends() || matches!(kind, Kind::Reviewed | Kind::Escalated | Kind::Expiring | Kind::OutcomeUnknown),
        }
    }

    /// Whether each person gets a notice of their own; otherwise the channel gets one for all.
    pub fn is_personal(self) -> bool {
        matches!(self, Self::Email)
    }

    /// Whether several notices that ask may be one message.
    pub fn groups(self) -> bool {
        matches!(self, Self::Slack | Self::Email)
    }
}

/// The whole of `notifications.yaml`, resolved.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Notifications {
    /// Where people reach this server, without a slash at the end; links in messages lead there.
    pub public_url: Option<String>,
    pub channels: BTreeMap<String, ChannelSettings>,
    pub routes: Vec<Route>,
}

/// Which levels are told to which channels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    pub levels: Vec<Level>,
    pub channels: Vec<String>,
}

/// One channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChannelSettings {
    pub service: Service,
    /// How long notices that ask are gathered to be one message; zero is not at all.
    pub group_within: Duration,
    /// A template of one's own for the text of messages, as it was read from its file.
    pub template: Option<String>,
}

/// Where a channel leads. Secrets are names of environment variables, read when the server starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Service {
    Slack {
        webhook_url: SecretName,
        /// Buttons in messages, where they are wanted.
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
        /// The workflow states of the team that an issue is moved to when its request is approved,
        /// or comes to nothing; left out: it is found among the team's states by its type,
        /// `completed` or `canceled`.
        done_state: Option<String>,
        cancelled_state: Option<String>,
    },
    Webhook {
        url: String,
        secret: SecretName,
        timeout: Duration,
        /// Whether the address may be one of this machine or of a private network.
        allow_private: bool,
    },
    PagerDuty {
        routing_key: SecretName,
        api_url: String,
    },
    Github(GithubApp),
}

/// A GitHub App whose deployment protection rule asks here. It hears of what it asked about, and of
/// nothing else, whatever the routes say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GithubApp {
    /// The App's id, or its client id.
    pub app_id: String,
    pub private_key: SecretName,
    /// What GitHub signs its calls with.
    pub webhook_secret: SecretName,
    /// In whose name its deployments are requested.
    pub agent: String,
    /// Without a slash at the end.
    pub api_url: String,
}

/// Approve and reject as buttons in Slack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Buttons {
    /// What Slack signs its calls with.
    pub signing_secret: SecretName,
    /// At which levels messages have buttons. High and critical only where the configuration says
    /// so.
    pub levels: Vec<Level>,
    /// The workspace whose members may press them; left out, whichever the app is installed in.
    pub team_id: Option<String>,
}

/// The name of an environment variable that holds a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretName(pub String);

impl Service {
    /// What kind of channel this is.
    pub fn medium(&self) -> Medium {
        match self {
            Self::Slack { .. } => Medium::Slack,
            Self::Email { .. } => Medium::Email,
            Self::Linear { .. } => Medium::Linear,
            Self::Webhook { .. } => Medium::Webhook,
            Self::PagerDuty { .. } => Medium::PagerDuty,
            Self::Github(_) => Medium::Github,
        }
    }
}

impl Service {
    /// The variables that its secrets are read from.
    pub fn secrets(&self) -> Vec<&SecretName> {
        match self {
            Self::Slack { webhook_url, buttons } => {
                [webhook_url].into_iter().chain(buttons.as_ref().map(|buttons| &buttons.signing_secret)).collect()
            }
            Self::Email { smtp_url: secret, .. }
            | Self::Linear { api_key: secret, .. }
            | Self::Webhook { secret, .. }
            | Self::PagerDuty { routing_key: secret, .. } => vec![secret],
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

    /// The channels that hear of a level, each once, by name.
    pub fn heard_at(&self, level: Level) -> impl Iterator<Item = (&str, &ChannelSettings)> {
        self.channels
            .iter()
            .filter(move |(name, _)| self.routes.iter().any(|route| route.levels.contains(&level) && route.channels.contains(name)))
            .map(|(name, channel)| (name.as_str(), channel))
    }
}
