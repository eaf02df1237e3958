-- Links that sign a person in, once, and sessions that live on something else than a token.
--
-- Of a link only the HMAC of its code is kept, under the server's secret key, and its row is sealed with that key: whoever can write to
-- this table, but does not have the key, can make no link.

create table sign_in_link (
    link_hash bytea       not null,
    principal text        not null,     -- whom it signs in
    token_id  uuid,                     -- of the token that it was asked for with, on which the session will live
    proof     text,                     -- where it was no token: what else proves the person, such as the mailbox that it was sent to
    made_at   timestamptz not null,
    seal      bytea       not null,     -- of all of the above
    constraint sign_in_link_pkey primary key (link_hash),
    constraint sign_in_link_one_proof check ((token_id is null) <> (proof is null))
);
create index sign_in_link_principal on sign_in_link (principal);

-- The seal of a session's row has more parts now: people sign in anew.
delete from session;
alter table session alter column token_id drop not null;
alter table session add column proof text;      -- where the session does not live on a token: what else proved the person
alter table session add constraint session_one_proof check ((token_id is null) <> (proof is null));
