-- Who has rights. Hashes of tokens and of sessions' ids are made with the server's secret key, which is not in the database, and each
-- row is sealed with it: whoever can write to these tables, but does not have the key, can make neither a token nor a session.

-- What a token was made for. A person's token is void once the name is an agent's, and the other way round.
alter table token add column kind text;
alter table token add constraint token_kind_known check (kind in ('person', 'agent'));
-- Of the hash, the kind, the name and the id. A row from before this migration has none: its token is refused, and a new one has to be made.
alter table token add column seal bytea;

-- Sessions are begun anew by signing in.
delete from session;
alter table session drop column token_hash;
alter table session add column token_id uuid not null;      -- of the token that proved who it is
alter table session add column seal bytea not null;         -- of the hash, the token's id and the name

-- Who is suspended, and who was. A suspended name has no rights, and what it has approved does not count.
create table suspension (
    name         text        not null,      -- in lower case: a name is one person or agent whatever its case
    suspended_at timestamptz not null default clock_timestamp(),
    reason       text,
    restored_at  timestamptz,               -- null while it lasts
    constraint suspension_pkey primary key (name, suspended_at),
    constraint suspension_name_lower check (name = lower(name))
);
create unique index suspension_lasting on suspension (name) where restored_at is null;
