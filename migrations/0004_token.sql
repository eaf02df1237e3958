-- Bearer tokens. Only the SHA-256 of a token is kept: tokens are 256 random bits, so a fast hash is enough.

create table token (
    token_id   uuid        not null,        -- names a token without showing it
    token_hash bytea       not null,
    principal  text        not null,
    created_at timestamptz not null default clock_timestamp(),
    expires_at timestamptz,
    revoked_at timestamptz,
    constraint token_pkey primary key (token_hash),
    constraint token_id_unique unique (token_id)
);
