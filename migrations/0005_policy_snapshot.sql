-- Every configuration that a server ever ran with, by its digest: what `policy_version` in an event refers to.

create table policy_snapshot (
    version    text        not null,
    document   text        not null,        -- canonical JSON; `version` is its digest
    created_at timestamptz not null default clock_timestamp(),
    constraint policy_snapshot_pkey primary key (version)
);
