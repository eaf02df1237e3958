-- Documents have a table of their own, and the log holds events alone. Existing documents are copied, so the migration needs room for them; what they
-- took in `workflow_event` is free again after `vacuum full workflow_event`, or once their rows have been pruned.
--
-- What an event is sealed over stays the same: a document never was part of it, its digest is.

create table document (
    workflow_id uuid    not null,
    -- The first round of approval that is about this document; where nobody was asked, the round that would have been the first.
    round       integer not null,
    -- The task's canonical bytes (RFC 8785). bytea, because what is hashed must never be rewritten.
    content     bytea   not null,
    constraint document_pkey primary key (workflow_id, round),
    constraint document_round_positive check (round > 0)
) with (autovacuum_vacuum_scale_factor = 0.02, toast.autovacuum_vacuum_scale_factor = 0.02);

insert into document (workflow_id, round, content)
select e.workflow_id, 1, e.document from workflow_event e where e.version = 1 order by e.workflow_id;

drop view approval_requests;
drop view payload;
alter table workflow_event drop constraint workflow_event_document_once, drop column document;

-- The documents as they were submitted.
create view payload as select d.workflow_id, d.content as document from document d where d.round = 1;

-- The requests for approval, settled and unsettled, with the words of the task: for people and their tools.
create view approval_requests as
select w.workflow_id, w.task_id, w.risk_level,
       task.document ->> 'description' as description,       -- the requester's words
       w.requested_by, w.requested_at, w.approvers, w.timeout_at,
       coalesce(task.document -> 'metadata', '{}') as metadata,
       w.approval_status as status, w.resolved_by, w.resolved_at, w.resolution_note,
       w.on_behalf_of, w.digest, w.required, w.approvals, w.approved_by, w.open_roles, w.escalation_level, w.timetable, w.expires_at
from workflow w
cross join lateral (select convert_from(d.content, 'UTF8')::jsonb as document
                    from document d where d.workflow_id = w.workflow_id and d.round = 1) task
where w.approval_status is not null;

-- Documents are written once, and go with their log, on the same record (0012_prune.sql).
create function refuse_removal_before_its_log() returns trigger language plpgsql as $$
declare
    v_record pruned := record_of_this_transaction();
begin
    if exists (select from removed r left join workflow w using (workflow_id)
               where (is_final(w.status) and w.updated_at < v_record.cut_off
                      and w.workflow_id between v_record.first_workflow and v_record.last_workflow) is not true
                  or exists (select from workflow_event e where e.workflow_id = r.workflow_id)) then
        raise exception '% is append-only: this is not what is on record in pruned', tg_table_name using errcode = 'insufficient_privilege';
    end if;
    return null;
end
$$;

create trigger document_append_only before update or truncate on document
    for each statement execute function refuse_change();
create trigger document_removal_on_record before delete on document
    for each statement execute function refuse_unrecorded_removal();
create trigger document_removal_with_its_log after delete on document referencing old table as removed
    for each statement execute function refuse_removal_before_its_log();

-- A document comes with its workflow's first commit, and no longer with an event.
alter type logged_event drop attribute document;
alter type workflow_opening add attribute document bytea;

-- What 0021_commit.sql says of it holds.
create or replace function open_workflows(p_row workflow_opening[], p_event logged_event[], p_notice planned_notice[])
    returns table (ord bigint, outcome text, written integer, at timestamptz) language plpgsql as $$
declare
    v_at      timestamptz;
    v_order   bigint;
    v_keyed   uuid[];
    v_opened  uuid[];
    v_busy    uuid[] := '{}';
    v_timeout text := current_setting('lock_timeout');
    v_row     record;
    v_held    idempotency_key;
begin
    if exists (select from unnest(p_row) as i where i.key is not null) then
        begin
            perform set_config('lock_timeout', '20ms', true);
            with keyed as (
                insert into idempotency_key (principal, key, fingerprint, workflow_id, created_at)
                select i.requested_by, i.key, i.fingerprint, i.workflow_id, clock_timestamp()
                from unnest(p_row) as i
                where i.key is not null
                order by i.requested_by, i.key  -- one order for all, so that two batches cannot wait for each other
                on conflict do nothing
                returning workflow_id
            )
            select coalesce(array_agg(keyed.workflow_id), '{}') into v_keyed from keyed;
        exception when lock_not_available then
            -- Another transaction has written one of these keys and has not ended. Now one by one, so that only its row is `busy`.
            v_keyed := '{}';
            for v_row in select i.requested_by as principal, i.key, i.fingerprint, i.workflow_id
                         from unnest(p_row) as i
                         where i.key is not null
                         order by i.requested_by, i.key loop
                if (v_row.principal, v_row.key) is not distinct from (v_held.principal, v_held.key) then
                    v_busy := v_busy || v_row.workflow_id;
                    continue;
                end if;
                begin
                    perform set_config('lock_timeout', '2ms', true);
                    insert into idempotency_key (principal, key, fingerprint, workflow_id, created_at)
                    values (v_row.principal, v_row.key, v_row.fingerprint, v_row.workflow_id, clock_timestamp())
                    on conflict do nothing;
                    if found then
                        v_keyed := v_keyed || v_row.workflow_id;
                    end if;
                exception when lock_not_available then
                    v_held := v_row;
                    v_busy := v_busy || v_row.workflow_id;
                end;
            end loop;
        end;
        perform set_config('lock_timeout', v_timeout, true);
    end if;
    v_at := clock_timestamp();
    -- Locked before its order is read: who follows the log sees by this lock who may still write (0018_reading.sql).
    lock table workflow_event in row exclusive mode;
    v_order := feed_order();

    with opened as (
        insert into workflow as w (workflow_id, version, seal, status, risk_level, action, queued, running, task_id, requested_by, on_behalf_of, digest, target,
                                   created_at, updated_at, approval_status, requested_at, approvers, open_roles, separation_of_duties,
                                   required, approvals, approved_by, escalation_level, timetable, timeout_at, expires_at, report_due_at)
        select i.workflow_id, i.version, i.seal, i.status, i.risk_level, i.action, i.status = 'queued',
               i.status = 'executing' and i.action <> 'external', i.task_id,
               i.requested_by, i.on_behalf_of, i.digest, i.target, v_at, v_at,
               case when i.approvers is not null then 'pending' end, case when i.approvers is not null then v_at end,
               i.approvers, i.approvers, i.separation, i.required,
               case when i.approvers is not null then 0 end, case when i.approvers is not null then '{}'::text[] end,
               case when i.approvers is not null then 0 end, i.timetable,
               v_at + make_interval(secs => i.timeout_after), v_at + make_interval(secs => i.expire_after), v_at + make_interval(secs => i.report_after)
        from unnest(p_row) as i
        where i.key is null or i.workflow_id = any (v_keyed)
        on conflict (workflow_id) do nothing
        returning w.workflow_id
    )
    select coalesce(array_agg(opened.workflow_id), '{}') into v_opened from opened;

    insert into document (workflow_id, round, content)
    select i.workflow_id, 1, i.document
    from unnest(p_row) as i
    where cardinality(v_opened) = cardinality(p_row) or i.workflow_id = any (v_opened);

    insert into workflow_event (workflow_id, version, kind, actor, at, data, via, seal, feed_order)
    select e.workflow_id, e.version, e.kind, e.actor, v_at, e.data, e.via, e.seal, v_order
    from unnest(p_event) as e
    where cardinality(v_opened) = cardinality(p_row) or e.workflow_id = any (v_opened);

    if p_notice <> '{}' then
        insert into notice (notice_id, workflow_id, version, kind, number, risk_level, channel, recipient, created_at, first_due_at, due_at)
        select n.notice_id, n.workflow_id, n.version, n.kind, n.number, n.level, n.channel, n.recipient, v_at,
               v_at + make_interval(secs => n.due_after), v_at + make_interval(secs => n.due_after)
        from unnest(p_notice) as n
        where n.workflow_id = any (v_opened);
    end if;

    return query select null::bigint, null::text, cardinality(v_opened), v_at;
    if cardinality(v_opened) < cardinality(p_row) then
        return query
        select i.ordinality,
               case when i.workflow_id = any (v_busy) then 'busy'
                    when i.key is not null and i.workflow_id <> all (v_keyed) then 'duplicate'
                    else 'conflict' end,
               null::integer, v_at
        from unnest(p_row) with ordinality as i
        where i.workflow_id <> all (v_opened);
    end if;
end
$$;

-- One step: of the next so many workflows after an id, those that are final and whose last change was before the cut-off, and
-- everything that belongs to them. What has still something to say to somebody is left for later, as is what somebody has locked.
-- No row where there is nothing after that id.
create or replace function prune_step(p_cut_off timestamptz, p_after uuid, p_limit integer)
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
        delete from document d where d.workflow_id = any (v_ids);
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
create or replace function prune_preview(p_cut_off timestamptz, p_after uuid, p_limit integer)
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
           -- A row of `workflow`, and of each event and document its text with about what a row and its place in the index take.
           sum(400 + e.bytes + d.bytes)::bigint
    from looked_at l
    cross join lateral (select count(*) as events, sum(150 + pg_column_size(e.data)) as bytes
                        from workflow_event e where e.workflow_id = l.workflow_id) as e
    cross join lateral (select coalesce(sum(100 + pg_column_size(d.content)), 0) as bytes
                        from document d where d.workflow_id = l.workflow_id) as d
    where is_final(l.status) and l.updated_at < p_cut_off
      and not exists (select from notice n where n.workflow_id = l.workflow_id and n.status = 'pending')
    group by l.status
    union all       -- so that the end of what was looked at is known where nothing of it would go
    select (select l.workflow_id from looked_at l order by l.workflow_id desc limit 1), null, 0, null, null, 0, 0
    where exists (select from looked_at)
$$;
