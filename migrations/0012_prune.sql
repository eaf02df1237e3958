-- Retention: workflows that ended long ago are removed whole, in small steps, and what was removed is on record.
--
-- The log stays append-only for everybody. Events can be removed only by a transaction that has put the removal on record in
-- `pruned`, and only whole logs of workflows that are final and older than the cut-off that the record names, which is at least a day ago.

-- What was removed, one row for each step. Append-only.
create table pruned (
    pruned_id      bigint      not null generated always as identity,
    at             timestamptz not null default clock_timestamp(),
    database_user  text        not null default session_user,
    transaction    xid8        not null default pg_current_xact_id(),
    cut_off        timestamptz not null,    -- every workflow of the step had its last change before this
    workflows      integer     not null,
    events         integer     not null,
    first_workflow uuid        not null,    -- ids are in the order of time
    last_workflow  uuid        not null,
    constraint pruned_pkey primary key (pruned_id)
);
create index pruned_transaction on pruned (transaction);

create trigger pruned_append_only before update or delete or truncate on pruned
    for each statement execute function refuse_change();

-- A record says who wrote it, when and in which transaction, whatever it was given.
create function attest_pruned() returns trigger language plpgsql as $$
begin
    if new.cut_off > clock_timestamp() - interval '1 day' then
        raise exception 'workflows that changed within the last day are not pruned' using errcode = 'insufficient_privilege';
    end if;
    new.at := clock_timestamp();
    new.database_user := session_user;
    new.transaction := pg_current_xact_id();
    return new;
end
$$;

create trigger pruned_attested before insert on pruned for each row execute function attest_pruned();

-- The record of this transaction. Transactions are numbered anew in a restored database, hence the time.
create function record_of_this_transaction() returns pruned language sql stable as $$
    select p from pruned p
    where p.transaction = pg_current_xact_id_if_assigned() and p.at >= transaction_timestamp()
    order by p.pruned_id desc limit 1
$$;

-- Whether nothing can follow.
create function is_final(status text) returns boolean language sql immutable
    return status in ('completed', 'failed', 'rejected', 'cancelled', 'expired');

create function refuse_unrecorded_removal() returns trigger language plpgsql as $$
begin
    if record_of_this_transaction() is null then
        raise exception '% is append-only: `parkbrake prune` removes what ended long ago', tg_table_name using errcode = 'insufficient_privilege';
    end if;
    return null;
end
$$;

create function refuse_other_removal() returns trigger language plpgsql as $$
declare
    v_record pruned := record_of_this_transaction();
begin
    -- The log's own times count as well: unlike those in `workflow`, nobody can have changed them.
    if (select count(*) from removed) <> v_record.events
       or exists (select from removed r where r.at >= v_record.cut_off)
       or exists (select from (select distinct r.workflow_id from removed r) as r
                  left join workflow w using (workflow_id)
                  where (is_final(w.status) and w.updated_at < v_record.cut_off
                         and w.workflow_id between v_record.first_workflow and v_record.last_workflow) is not true
                     or exists (select from workflow_event e where e.workflow_id = r.workflow_id)) then
        raise exception '% is append-only: this is not what is on record in pruned', tg_table_name using errcode = 'insufficient_privilege';
    end if;
    return null;
end
$$;

drop trigger workflow_event_append_only on workflow_event;
create trigger workflow_event_append_only before update or truncate on workflow_event
    for each statement execute function refuse_change();
-- Before, so that nothing is read for nothing; and after, when it is known what was removed.
create trigger workflow_event_removal_on_record before delete on workflow_event
    for each statement execute function refuse_unrecorded_removal();
create trigger workflow_event_removal_as_recorded after delete on workflow_event referencing old table as removed
    for each statement execute function refuse_other_removal();

-- The keys of a workflow. Ids are made in the order of time, so each new entry goes to the last page.
create index idempotency_key_of_workflow on idempotency_key (workflow_id);

-- One step: of the next so many workflows after an id, those that are final and whose last change was before the cut-off, and
-- everything that belongs to them. What has still something to say to somebody is left for later, as is what somebody has locked.
-- No row where there is nothing after that id.
create function prune_step(p_cut_off timestamptz, p_after uuid, p_limit integer)
    returns table (visited uuid, workflows integer, events integer, notices integer, keys integer, until timestamptz) language plpgsql as $$
declare
    v_window uuid[];
    v_ids    uuid[];
begin
    -- What was created after the cut-off has changed after it too. A UUIDv7 begins with its milliseconds.
    v_window := array(
        select w.workflow_id from workflow w
        where w.workflow_id > p_after
          and w.workflow_id < rpad(lpad(to_hex(floor(extract(epoch from p_cut_off) * 1000)::bigint), 12, '0'), 32, '0')::uuid
        order by w.workflow_id limit p_limit);
    if v_window = '{}' then
        return;
    end if;
    select array_agg(locked.workflow_id order by locked.workflow_id), max(locked.updated_at) into v_ids, until
    from (select w.workflow_id, w.updated_at from workflow w
          where w.workflow_id = any (v_window) and is_final(w.status) and w.updated_at < p_cut_off
            and not exists (select from notice n where n.workflow_id = w.workflow_id and n.status = 'pending')
          order by w.workflow_id for update of w skip locked) as locked;
    visited := v_window[cardinality(v_window)];
    workflows := coalesce(cardinality(v_ids), 0);
    events := 0;
    notices := 0;
    keys := 0;
    if workflows > 0 then
        select count(*) into events from workflow_event e where e.workflow_id = any (v_ids);
        insert into pruned (cut_off, workflows, events, first_workflow, last_workflow)
        values (p_cut_off, prune_step.workflows, prune_step.events, v_ids[1], v_ids[cardinality(v_ids)]);
        delete from workflow_event e where e.workflow_id = any (v_ids);
        delete from notice n where n.workflow_id = any (v_ids);
        get diagnostics notices = row_count;
        delete from idempotency_key k where k.workflow_id = any (v_ids);
        get diagnostics keys = row_count;
        delete from quarantine q where q.workflow_id = any (v_ids);
        delete from workflow w where w.workflow_id = any (v_ids);
    end if;
    return next;
end
$$;

-- What a run would remove of the next so many workflows after an id, by status; changes nothing.
create function prune_preview(p_cut_off timestamptz, p_after uuid, p_limit integer)
    returns table (visited uuid, status text, workflows bigint, oldest timestamptz, newest timestamptz, events bigint, bytes bigint)
    language sql stable as $$
    with looked_at as (
        select w.workflow_id, w.status, w.updated_at from workflow w
        where w.workflow_id > p_after
          and w.workflow_id < rpad(lpad(to_hex(floor(extract(epoch from p_cut_off) * 1000)::bigint), 12, '0'), 32, '0')::uuid
        order by w.workflow_id limit p_limit
    )
    select (select l.workflow_id from looked_at l order by l.workflow_id desc limit 1),
           l.status, count(*), min(l.updated_at), max(l.updated_at), sum(e.events)::bigint,
           -- A row of `workflow`, and of each event its texts with about what a row and its place in the index take.
           sum(400 + e.bytes)::bigint
    from looked_at l
    cross join lateral (select count(*) as events, sum(150 + pg_column_size(e.data) + coalesce(pg_column_size(e.document), 0)) as bytes
                        from workflow_event e where e.workflow_id = l.workflow_id) as e
    where is_final(l.status) and l.updated_at < p_cut_off
      and not exists (select from notice n where n.workflow_id = l.workflow_id and n.status = 'pending')
    group by l.status
    union all       -- so that the end of what was looked at is known where nothing of it would go
    select (select l.workflow_id from looked_at l order by l.workflow_id desc limit 1), null, 0, null, null, 0, 0
    where exists (select from looked_at)
$$;

-- What a step removes is in one stretch, and free for new rows once it was vacuumed. By default PostgreSQL waits until a fifth of
-- a table is dead; with a day's worth removed each day that would be weeks.
alter table workflow set (autovacuum_vacuum_scale_factor = 0.02);
alter table workflow_event set (autovacuum_vacuum_scale_factor = 0.02, toast.autovacuum_vacuum_scale_factor = 0.02);
alter table notice set (autovacuum_vacuum_scale_factor = 0.02);
alter table idempotency_key set (autovacuum_vacuum_scale_factor = 0.02);
