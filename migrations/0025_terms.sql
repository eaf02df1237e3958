-- Terms of approval are stored once; the events of all requests that are parked under them name them.

create table approval_terms (
    terms_id bytea not null,            -- the first half of the SHA-256 of the content, which is what events say
    content  text  not null,            -- JSON
    constraint approval_terms_pkey primary key (terms_id),
    constraint approval_terms_named_by_content check (terms_id = substr(sha256(convert_to(content, 'UTF8')), 1, 16))
);

create trigger approval_terms_append_only before update or delete or truncate on approval_terms
    for each statement execute function refuse_change();
