-- One submit for each key of a principal, however often it is sent.

create table idempotency_key (
    principal   text        not null,
    key         text        not null,
    fingerprint text        not null,       -- the digest of the request's body
    workflow_id uuid        not null,
    created_at  timestamptz not null,
    constraint idempotency_key_pkey primary key (principal, key)
);
