-- The outbox: what is said to people and programs outside. A notice is written in the transaction of the event that it tells of
-- (0007_commit.sql) and delivered afterwards, at least once.

create table notice (
    notice_id        uuid        not null,     -- the same for each attempt to deliver it
    workflow_id      uuid        not null,
    version          integer     not null,     -- of the event that it tells of; of a reminder, of the request
    kind             text        not null,
    number           integer     not null default 0,   -- which reminder it is, from 1; 0 for everything else
    risk_level       text        not null,
    channel          text        not null,     -- its name in notifications.yaml
    recipient        text,                     -- a person's name, where the channel is personal
    status           text        not null default 'pending',
    attempts         integer     not null default 0,
    created_at       timestamptz not null,
    first_due_at     timestamptz not null,     -- it is given up a day after this, and stands in this order
    due_at           timestamptz not null,     -- the next attempt
    first_attempt_at timestamptz,
    delivered_at     timestamptz,
    error            text,                     -- of the last attempt, or why it was not sent
    resends          integer     not null default 0,
    constraint notice_pkey primary key (notice_id),
    constraint notice_kind_known check (kind in ('approval.requested', 'approval.reminded', 'approval.escalated', 'approval.decided',
                                                 'approval.expired', 'workflow.cancelled', 'workflow.executing', 'workflow.succeeded',
                                                 'workflow.failed', 'workflow.outcome_unknown')),
    constraint notice_status_known check (status in ('pending', 'delivered', 'cancelled', 'dead')),
    constraint notice_risk_level_known check (risk_level in ('low', 'medium', 'high', 'critical')),
    constraint notice_delivered_once_delivered check (status <> 'delivered' or delivered_at is not null)
) with (fillfactor = 70);

-- What a channel has to deliver next.
create index notice_pending on notice (channel, due_at) where status = 'pending';
-- What a workflow still has to say, to whom, and whether it asked before.
create index notice_of_workflow on notice (workflow_id);
-- What nobody could be told.
create index notice_dead on notice (notice_id) where status = 'dead';
