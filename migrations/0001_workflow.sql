-- A workflow is a short log of events; everything else here is kept beside it for speed and can be derived from it.
-- Only the two functions of 0007_commit.sql write to these three tables.

create table workflow (
    workflow_id   uuid        not null,
    -- The number of the last event. Event n + 1 can be written once: this is the fence between all who act.
    version       integer     not null,
    status        text        not null,
    risk_level    text        not null,
    action        text        not null,     -- who acts: external, runbook, webhook
    task_id       text,                     -- the requester's own name for it
    requested_by  text        not null,
    on_behalf_of  text,                     -- the person that the requesting agent acts for
    digest        text        not null,     -- of payload.document
    created_at    timestamptz not null,
    updated_at    timestamptz not null,
    constraint workflow_pkey primary key (workflow_id),
    constraint workflow_version_positive check (version > 0),
    constraint workflow_status_known check (status in ('pending_approval', 'executing', 'completed', 'failed',
                                                       'outcome_unknown', 'rejected', 'cancelled', 'expired')),
    constraint workflow_risk_level_known check (risk_level in ('low', 'medium', 'high', 'critical'))
) with (fillfactor = 70);                   -- room for the next version on the same page

-- The list of all workflows, newest first.
create index workflow_created_at on workflow (created_at desc, workflow_id desc);
-- What a restart has to look at: actions that parkbrake itself runs.
create index workflow_running on workflow (workflow_id) where status = 'executing' and action <> 'external';

create table workflow_event (
    workflow_id uuid        not null,
    version     integer     not null,
    kind        text        not null,
    actor       text        not null,       -- who caused it: a principal, or `parkbrake`
    at          timestamptz not null,       -- the database's clock, after the row lock was taken
    data        text        not null,       -- JSON text, kept as it was written; jsonb would rewrite it
    constraint workflow_event_pkey primary key (workflow_id, version)
);

-- The task's canonical bytes (RFC 8785), written once. bytea, because what is hashed must never be rewritten.
create table payload (
    workflow_id uuid  not null,
    document    bytea not null,
    constraint payload_pkey primary key (workflow_id)
);

-- The log is append-only: what happened cannot be changed afterwards, by a mistake in this program or by hand.
create function refuse_change() returns trigger language plpgsql as $$
begin
    raise exception '% is append-only', tg_table_name using errcode = 'insufficient_privilege';
end
$$;

create trigger workflow_event_append_only before update or delete or truncate on workflow_event
    for each statement execute function refuse_change();
create trigger payload_append_only before update or delete or truncate on payload
    for each statement execute function refuse_change();
