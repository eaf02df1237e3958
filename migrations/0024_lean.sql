-- A parked workflow writes fewer index entries, and its row leaves out what another column or the document says already.
--
-- Each entry of an index costs a submit about 45 bytes of index, 90 of WAL and a microsecond; and because a decision changes the status, it writes the entries of
-- its row anew. So one index answers for status, level and what waits; and one for each requester and person answers for all of theirs and for what waits.
--
-- This builds four indexes and holds a lock against writes meanwhile (about 10 s for a million workflows). It rewrites no table.

drop index workflow_pending;
drop index workflow_by_level;
drop index workflow_by_status;
drop index workflow_by_requester;
drop index workflow_by_person;
drop index workflow_pending_by_requester;
drop index workflow_pending_by_person;
drop index workflow_asked;

-- The number of the place where a workflow is found. Of what waits for people: of its level and the roles that may decide, and not below 0. Of everything else: of its status and
-- level, and below 0. Of a thousand such places two have the same number once in 10^13 databases; then the lists of one would leave out those of the other.
create function place_of(status text, risk_level text, approvers text[]) returns bigint language sql immutable parallel safe
    return case when status = 'pending_approval' then hash_array_extended(approvers, hashtextextended(risk_level, 0)) & 9223372036854775807
                else hashtextextended(status, hashtextextended(risk_level, 0)) | (-9223372036854775808) end;

-- The workflows of each place, in the order of their ids. There are few places, so a list looks only at those that count.
create index workflow_place on workflow (place_of(status, risk_level, approvers), workflow_id);
-- Those of each requester and of each person, what waits apart.
create index workflow_by_requester on workflow (requested_by, (status = 'pending_approval'), workflow_id);
create index workflow_by_person on workflow (on_behalf_of, (status = 'pending_approval'), workflow_id) where on_behalf_of is not null;
-- What people were asked and is settled, for the figures. What waits is found by its place.
create index workflow_settled on workflow (requested_at, workflow_id) where approval_status <> 'pending';

-- The places at which there is something: one look into the index for each, however much is there.
create view place as
with recursive place as (
    (select place_of(w.status, w.risk_level, w.approvers) as place, w.status, w.risk_level from workflow w
     order by place_of(w.status, w.risk_level, w.approvers) limit 1)
    union all
    select following.place, following.status, following.risk_level
    from place cross join lateral (
        select place_of(w.status, w.risk_level, w.approvers) as place, w.status, w.risk_level from workflow w
        where place_of(w.status, w.risk_level, w.approvers) > place.place
        order by place_of(w.status, w.risk_level, w.approvers) limit 1
    ) following
)
select place, status, risk_level from place;

-- Those at which something waits for people.
create or replace view pending_place as
with recursive place as (
    (select place_of(w.status, w.risk_level, w.approvers) as place, w.risk_level, w.approvers from workflow w
     where place_of(w.status, w.risk_level, w.approvers) >= 0 order by place_of(w.status, w.risk_level, w.approvers) limit 1)
    union all
    select following.place, following.risk_level, following.approvers
    from place cross join lateral (
        select place_of(w.status, w.risk_level, w.approvers) as place, w.risk_level, w.approvers from workflow w
        where place_of(w.status, w.risk_level, w.approvers) > place.place
        order by place_of(w.status, w.risk_level, w.approvers) limit 1
    ) following
)
select place, risk_level, approvers from place;

drop function place_of(text, text[]);

-- Until somebody has approved, `open_roles` and `approved_by` are null: every role that may decide is open, and nobody has approved.
create or replace view approval_requests as
select w.workflow_id, w.task_id, w.risk_level,
       task.document ->> 'description' as description,       -- the requester's words
       w.requested_by, w.requested_at, w.approvers, w.timeout_at,
       coalesce(task.document -> 'metadata', '{}') as metadata,
       w.approval_status as status, w.resolved_by, w.resolved_at, w.resolution_note,
       w.on_behalf_of, w.digest, w.required, w.approvals, coalesce(w.approved_by, '{}') as approved_by, coalesce(w.open_roles, w.approvers) as open_roles,
       w.escalation_level, w.timetable, w.expires_at
from workflow w
cross join lateral (select convert_from(d.content, 'UTF8')::jsonb as document
                    from document d where d.workflow_id = w.workflow_id and d.round = 1) task
where w.approval_status is not null;

-- A row grows by its approval alone, and that of a neighbour is cleaned away by then: room for two of twenty rows is enough.
alter table workflow set (fillfactor = 90);

-- What 0021_commit.sql says of it holds. `p_keyed` says whether a row has an idempotency key. An id that is there already fails the batch as a whole, because looking for each
-- before it is written costs a twentieth of it; with `p_again` it is looked for, and answered as a `conflict`.
drop function open_workflows(workflow_opening[], logged_event[], planned_notice[]);
create function open_workflows(p_row workflow_opening[], p_event logged_event[], p_notice planned_notice[], p_keyed boolean, p_again boolean)
    returns table (ord bigint, outcome text, written integer, at timestamptz) language plpgsql as $$
declare
    v_at      timestamptz;
    v_order   bigint;
    v_keyed   uuid[];
    v_there   uuid[] := '{}';
    v_opened  uuid[];
    v_busy    uuid[] := '{}';
    v_timeout text := current_setting('lock_timeout');
    v_row     record;
    v_held    idempotency_key;
begin
    if p_keyed then
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
    -- As `feed_order()` has it, which would be planned anew by each batch.
    select b.base + greatest(pg_current_xact_id()::text::bigint, pg_snapshot_xmax(pg_current_snapshot())::text::bigint) into v_order from feed_base b;
    if p_again then
        v_there := array(select w.workflow_id from workflow w where w.workflow_id = any (array(select i.workflow_id from unnest(p_row) as i)));
    end if;

    with opened as (
        insert into workflow as w (workflow_id, version, seal, status, risk_level, action, queued, running, task_id, requested_by, on_behalf_of, digest, target,
                                   created_at, updated_at, approval_status, requested_at, approvers, separation_of_duties,
                                   required, approvals, escalation_level, timetable, timeout_at, expires_at, report_due_at)
        select i.workflow_id, i.version, i.seal, i.status, i.risk_level, i.action, i.status = 'queued',
               i.status = 'executing' and i.action <> 'external', i.task_id,
               i.requested_by, i.on_behalf_of, i.digest, i.target, v_at, v_at,
               case when i.approvers is not null then 'pending' end, case when i.approvers is not null then v_at end,
               i.approvers, i.separation, i.required,
               case when i.approvers is not null then 0 end, case when i.approvers is not null then 0 end, i.timetable,
               v_at + make_interval(secs => i.timeout_after), v_at + make_interval(secs => i.expire_after), v_at + make_interval(secs => i.report_after)
        from unnest(p_row) as i
        where (i.key is null or i.workflow_id = any (v_keyed)) and i.workflow_id <> all (v_there)
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

-- Takes workflows to their next version. A row that was not written is `busy` (somebody else has locked it: nobody waits for it
-- here, so that the other rows of the batch do not), a `conflict` (somebody else wrote the next event, or there is no such workflow),
-- `too_early` or `too_late` (by this database's clock, read after the row was locked), `fenced` (the server that would run the action
-- holds no lease), or `owner_acts` (the server whose attempt would be taken up still holds one).
create or replace function advance_workflows(p_row workflow_advance[], p_event logged_event[], p_notice planned_notice[])
    returns table (ord bigint, outcome text, written integer, at timestamptz) language plpgsql as $$
declare
    v_at       timestamptz;
    v_order    bigint;
    v_locked   uuid[];
    v_whole    boolean;     -- whether every row is locked, as nearly always
    v_advanced uuid[];
begin
    v_locked := array(
        select w.workflow_id from workflow w
        where w.workflow_id = any (array(select i.workflow_id from unnest(p_row) as i)) order by w.workflow_id for no key update skip locked);
    v_whole := cardinality(v_locked) = cardinality(p_row);
    -- Read once the rows are ours: an answer that waited is judged by when it could be written.
    v_at := clock_timestamp();
    -- Locked before its order is read: who follows the log sees by this lock who may still write (0018_reading.sql).
    lock table workflow_event in row exclusive mode;
    select b.base + greatest(pg_current_xact_id()::text::bigint, pg_snapshot_xmax(pg_current_snapshot())::text::bigint) into v_order from feed_base b;

    with advanced as (
        update workflow w
        set version = i.version, seal = i.seal, status = i.status, queued = i.status = 'queued', running = i.status = 'executing' and w.action <> 'external', updated_at = v_at,
            report_due_at = v_at + make_interval(secs => i.report_after),
            approval_status = coalesce(i.approval_status, w.approval_status),
            approvers = case when i.approval_status is null then w.approvers else i.approvers end,
            open_roles = case when i.approval_status is null then w.open_roles else i.open_roles end,
            approvals = case when i.approval_status is null then w.approvals else i.approvals end,
            approved_by = case when i.approval_status is null then w.approved_by else i.approved_by end,
            escalation_level = case when i.approval_status is null then w.escalation_level else i.escalation_level end,
            timeout_at = case when i.approval_status is null then w.timeout_at
                              else case when i.required is null then w.requested_at else v_at end + make_interval(secs => i.timeout_after) end,
            requested_at = case when i.required is null then w.requested_at else v_at end,
            required = coalesce(i.required, w.required),
            separation_of_duties = case when i.required is null then w.separation_of_duties else i.separation end,
            timetable = case when i.required is null then w.timetable else i.timetable end,
            expires_at = case when i.required is null then w.expires_at else v_at + make_interval(secs => i.expire_after) end,
            resolved_by = case when i.approval_status is null then w.resolved_by else i.resolved_by end,
            resolved_at = case when i.approval_status is null then w.resolved_at when i.approval_status <> 'pending' then v_at end,
            resolution_note = case when i.approval_status is null then w.resolution_note else i.resolution_note end
        from unnest(p_row) as i
        where w.workflow_id = i.workflow_id and w.version = i.expected
          and (v_whole or i.workflow_id = any (v_locked))
          and (i.not_before is null or v_at >= i.not_before)
          and (i.not_after is null or v_at < i.not_after)
          and (i.relies_on is null or not exists (
                  select from suspension s where s.restored_at is null and s.name = any (i.relies_on)))
          and (i.starter is null or lease_holds(i.starter, clock_timestamp()))
          and (i.lapsed is null or not lease_holds(i.lapsed, clock_timestamp()))
        returning w.workflow_id
    )
    select coalesce(array_agg(advanced.workflow_id), '{}') into v_advanced from advanced;

    insert into workflow_event (workflow_id, version, kind, actor, at, data, via, seal, feed_order)
    select e.workflow_id, e.version, e.kind, e.actor, v_at, e.data, e.via, e.seal, v_order
    from unnest(p_event) as e
    where cardinality(v_advanced) = cardinality(p_row) or e.workflow_id = any (v_advanced);

    if p_notice <> '{}' then
        insert into notice (notice_id, workflow_id, version, kind, number, risk_level, channel, recipient, created_at, first_due_at, due_at)
        select n.notice_id, n.workflow_id, n.version, n.kind, n.number, n.level, n.channel, n.recipient, v_at,
               v_at + make_interval(secs => n.due_after), v_at + make_interval(secs => n.due_after)
        from unnest(p_notice) as n
        where n.workflow_id = any (v_advanced);
    end if;
    -- Whoever has not been asked yet is not asked any more; where people are asked anew, not for the round before. A notice that is
    -- locked is on its way: its courier looks at the log itself.
    update notice n
    set status = 'cancelled', error = case when asked.required is null then 'the request was settled first' else 'people are asked again' end
    from (
        select m.notice_id, i.required
        from unnest(p_row) as i
        join notice m using (workflow_id)
        where (i.approval_status <> 'pending' or (i.required is not null and m.version <= i.expected)) and i.workflow_id = any (v_advanced)
          and m.status = 'pending' and m.kind in ('approval.requested', 'approval.reminded', 'approval.escalated')
        for no key update of m skip locked) as asked
    where n.notice_id = asked.notice_id;

    return query select null::bigint, null::text, cardinality(v_advanced), v_at;
    if cardinality(v_advanced) < cardinality(p_row) then
        return query
        select i.ordinality,
               case when not v_whole and w.workflow_id is not null and i.workflow_id <> all (v_locked) then 'busy'
                    when w.version is distinct from i.expected then 'conflict'
                    when v_at < i.not_before then 'too_early'
                    when v_at >= i.not_after then 'too_late'
                    when i.starter is not null and not lease_holds(i.starter, clock_timestamp()) then 'fenced'
                    when lease_holds(i.lapsed, clock_timestamp()) then 'owner_acts'
                    else 'conflict' end,
               null::integer, v_at
        from unnest(p_row) with ordinality as i
        left join workflow w using (workflow_id)
        where i.workflow_id <> all (v_advanced);
    end if;
end
$$;
