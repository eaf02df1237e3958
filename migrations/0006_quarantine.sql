-- Workflows whose actor kept failing. They are left alone, visibly, until somebody has looked; a restart tries them again.

create table quarantine (
    workflow_id uuid        not null,
    reason      text        not null,
    failures    integer     not null,
    since       timestamptz not null default clock_timestamp(),
    constraint quarantine_pkey primary key (workflow_id)
);
