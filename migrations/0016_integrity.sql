-- Seals: whoever can write to the database, but has not the server's secret key, cannot make a log that the server acts upon.
--
-- Each event carries a keyed seal of what stands in its row, and each workflow one of its version and its last event. So a row that
-- was inserted or changed does not verify, and neither does a log whose end was removed. The times are not sealed: the
-- database gives them.

alter table workflow_event add column seal bytea;   -- null in rows from before, until `parkbrake rekey` has sealed them
alter table workflow add column seal bytea;

-- One row: how the database is sealed.
create table sealing (
    -- Whether everything from before there were seals has been sealed. A server does not start before.
    complete  boolean not null,
    -- A seal of nothing, which tells whether a server's key is the one of this database. Null before the first server.
    key_check bytea,
    one       boolean not null default true,
    constraint sealing_pkey primary key (one),
    constraint sealing_one_row check (one)
);
insert into sealing (complete) select not exists (select from workflow);

-- What was sealed anew, one row for each step. Append-only.
create table resealed (
    resealed_id    bigint      not null generated always as identity,
    at             timestamptz not null default clock_timestamp(),
    database_user  text        not null default session_user,
    transaction    xid8        not null default pg_current_xact_id(),
    workflows      integer     not null,
    first_workflow uuid        not null,
    last_workflow  uuid        not null,
    constraint resealed_pkey primary key (resealed_id)
);

create trigger resealed_append_only before update or delete or truncate on resealed
    for each statement execute function refuse_change();

-- A record says who wrote it, when and in which transaction, whatever it was given.
create function attest_resealed() returns trigger language plpgsql as $$
begin
    new.at := clock_timestamp();
    new.database_user := session_user;
    new.transaction := pg_current_xact_id();
    return new;
end
$$;

create trigger resealed_attested before insert on resealed for each row execute function attest_resealed();

create function refuse_unrecorded_reseal() returns trigger language plpgsql as $$
begin
    if not exists (select from resealed r order by r.resealed_id desc limit 1)
       or (select r.transaction is distinct from pg_current_xact_id_if_assigned() or r.at < transaction_timestamp()
           from resealed r order by r.resealed_id desc limit 1) then
        raise exception '% is append-only', tg_table_name using errcode = 'insufficient_privilege';
    end if;
    return null;
end
$$;

create function refuse_other_change() returns trigger language plpgsql as $$
declare
    v_unsealed workflow_event := new;
begin
    v_unsealed.seal := old.seal;
    if v_unsealed is distinct from old then
        raise exception '% is append-only', tg_table_name using errcode = 'insufficient_privilege';
    end if;
    return new;
end
$$;

-- The log stays append-only for everybody. Only seals can be made anew, on record.
drop trigger workflow_event_append_only on workflow_event;
create trigger workflow_event_append_only before truncate on workflow_event
    for each statement execute function refuse_change();
create trigger workflow_event_reseal_on_record before update on workflow_event
    for each statement execute function refuse_unrecorded_reseal();
create trigger workflow_event_reseal_alone before update on workflow_event
    for each row execute function refuse_other_change();

-- Puts new seals on whole workflows, in the order of their ids. A workflow that has moved on since it was read keeps the seal of its
-- row, which is newer.
create function reseal(p_workflow_id uuid[], p_version integer[], p_seal bytea[], e_workflow_id uuid[], e_version integer[], e_seal bytea[])
    returns void language plpgsql as $$
begin
    insert into resealed (workflows, first_workflow, last_workflow)
    values (cardinality(p_workflow_id), p_workflow_id[1], p_workflow_id[cardinality(p_workflow_id)]);
    update workflow_event e set seal = i.seal
    from unnest(e_workflow_id, e_version, e_seal) as i (workflow_id, version, seal)
    where e.workflow_id = i.workflow_id and e.version = i.version;
    update workflow w set seal = i.seal
    from unnest(p_workflow_id, p_version, p_seal) as i (workflow_id, version, seal)
    where w.workflow_id = i.workflow_id and w.version = i.version;
end
$$;
