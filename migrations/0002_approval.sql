-- What waits for people, and how it was settled: one row for each task that needed approval.

create table approval_requests (
    workflow_id      uuid        not null,
    task_id          text,
    risk_level       text        not null,
    description      text        not null,  -- the requester's words
    requested_by     text        not null,
    requested_at     timestamptz not null,
    approvers        text[]      not null,  -- the roles that may decide now; grows with each escalation
    timeout_at       timestamptz,           -- when something next falls due: an escalation or the expiry
    metadata         jsonb       not null,
    status           text        not null,
    resolved_by      text,
    resolved_at      timestamptz,
    resolution_note  text,
    -- Kept so that the list of what waits needs no other table.
    on_behalf_of     text,
    digest           text        not null,
    required         integer     not null,
    approvals        integer     not null,
    approved_by      text[]      not null,
    separation_of_duties boolean not null,  -- whether the requester may not approve
    open_roles       text[]      not null,  -- the roles by which one more approval would count
    escalation_level integer     not null,
    timetable        jsonb       not null,  -- [{"after": seconds, "to": [role]}], counted from requested_at
    expires_at       timestamptz,
    constraint approval_requests_pkey primary key (workflow_id),
    constraint approval_requests_status_known check (status in ('pending', 'approved', 'rejected', 'expired', 'cancelled')),
    constraint approval_requests_risk_level_known check (risk_level in ('low', 'medium', 'high', 'critical')),
    constraint approval_requests_resolved_once_settled check ((status = 'pending') = (resolved_at is null))
) with (fillfactor = 70);

-- The list of what waits, newest first.
create index approval_requests_pending on approval_requests (requested_at desc, workflow_id desc) where status = 'pending';
-- The same for one level: without it, the few critical ones would be looked for among all that wait.
create index approval_requests_pending_at_level on approval_requests (risk_level, requested_at desc, workflow_id desc)
    where status = 'pending';
-- What falls due next.
create index approval_requests_due on approval_requests (timeout_at) where status = 'pending' and timeout_at is not null;
