-- Who is signed in to the inbox. Only the SHA-256 of a session's id is kept: it is 256 random bits, so a fast hash is enough.
--
-- A session lives on the token that it was begun with: when that is revoked or expires, the session has ended too.

create table session (
    session_hash bytea       not null,
    token_hash   bytea       not null,      -- of the token that proved who it is
    principal    text        not null,
    created_at   timestamptz not null default clock_timestamp(),
    last_seen_at timestamptz not null default clock_timestamp(),    -- by something that the person did; kept to the minute
    expires_at   timestamptz not null,      -- however busy it is
    constraint session_pkey primary key (session_hash)
);
