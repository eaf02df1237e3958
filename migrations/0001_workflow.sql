-- A workflow is a short log of events. `workflow` holds what the log folds to, one row each, for lists, for what falls due, and for
-- the fence; all of it can be derived from the log. Only the two functions of 0007_commit.sql write to these two tables.

create table workflow (
    workflow_id   uuid        not null,
    -- The number of the last event. Event n + 1 can be written once: this is the fence between all who act.
    version       integer     not null,
    status        text        not null,
    risk_level    text        not null,
    action        text        not null,     -- who acts: external, runbook, webhook
    running       boolean     not null,     -- whether parkbrake itself acts just now
    task_id       text,                     -- the requester's own name for it
    requested_by  text        not null,
    on_behalf_of  text,                     -- the person that the requesting agent acts for
    digest        text        not null,     -- of the document that stands with the first event
    created_at    timestamptz not null,
    updated_at    timestamptz not null,
    -- The request for approval as it stands; null where none was needed. The view approval_requests shows it.
    approval_status  text,
    requested_at     timestamptz,
    approvers        text[],                -- the roles that may decide now; grows with each escalation
    open_roles       text[],                -- those by which one more approval would count
    separation_of_duties boolean,           -- whether the requester may not approve
    required         integer,
    approvals        integer,
    approved_by      text[],
    escalation_level integer,
    timetable        text,                  -- JSON: [{"after": seconds, "to": [role]}], counted from requested_at
    timeout_at       timestamptz,           -- when something next falls due: an escalation or the expiry
    expires_at       timestamptz,
    resolved_by      text,
    resolved_at      timestamptz,
    resolution_note  text,
    constraint workflow_pkey primary key (workflow_id),
    constraint workflow_version_positive check (version > 0),
    constraint workflow_status_known check (status in ('pending_approval', 'executing', 'completed', 'failed',
                                                       'outcome_unknown', 'rejected', 'cancelled', 'expired')),
    constraint workflow_risk_level_known check (risk_level in ('low', 'medium', 'high', 'critical')),
    constraint workflow_approval_status_known check (approval_status in ('pending', 'approved', 'rejected', 'expired', 'cancelled')),
    constraint workflow_approval_resolved_once_settled check ((approval_status = 'pending') = (resolved_at is null))
) with (fillfactor = 80);                   -- room for the next version on the same page

-- No index holds a column that every step changes, so that most steps touch no index at all. The list of all workflows is
-- in the order of their ids, which are made in the order of time.

-- What waits for people: newest first within each level and each set of roles that may decide. There are few such places, so
-- a list for whoever holds some roles looks only at those where they count.
create index workflow_pending on workflow (risk_level, approvers, requested_at desc, workflow_id desc) where approval_status = 'pending';
-- What falls due next.
create index workflow_due on workflow (timeout_at) where approval_status = 'pending' and timeout_at is not null;
-- What a restart has to look at.
create index workflow_running on workflow (workflow_id) where running;

create table workflow_event (
    workflow_id uuid        not null,
    version     integer     not null,
    kind        text        not null,
    actor       text        not null,       -- who caused it: a principal, or `parkbrake`
    at          timestamptz not null,       -- the database's clock, when the commit had its place
    data        text        not null,       -- JSON text, kept as it was written; jsonb would rewrite it
    -- The task's canonical bytes (RFC 8785), with the first event alone. bytea, because what is hashed must never be rewritten.
    document    bytea,
    constraint workflow_event_pkey primary key (workflow_id, version),
    constraint workflow_event_document_once check ((document is not null) = (version = 1))
);

-- The documents by themselves.
create view payload as select workflow_id, document from workflow_event where version = 1;

-- The log is append-only: what happened cannot be changed afterwards, by a mistake in this program or by hand.
create function refuse_change() returns trigger language plpgsql as $$
begin
    raise exception '% is append-only', tg_table_name using errcode = 'insufficient_privilege';
end
$$;

create trigger workflow_event_append_only before update or delete or truncate on workflow_event
    for each statement execute function refuse_change();
