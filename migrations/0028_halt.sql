-- Halts: while one is in force, nothing that it covers starts to run.
--
-- A halt and a start may be written at the same moment. So both pass the start gate, a lock of the transaction: whoever starts something
-- shares it, and whoever halts or lifts a halt holds it alone. A start that has the lock before the halt is recorded with an earlier time;
-- one that has it later sees the halt and is refused. A start never waits for the lock, because the rest of its batch would wait with it:
-- it is `busy`, and comes again.

-- The halts in force.
create table halt (
    environment text        not null,       -- the one that is halted; '' is everything
    halt_id     uuid        not null,
    halted_by   text        not null,
    via         text        not null,
    reason      text        not null,
    since       timestamptz not null,
    -- When it ends by itself: a drill does, also where its server has died. Null where somebody has to lift it.
    lapses_at   timestamptz,
    constraint halt_pkey primary key (environment)
);

-- What people did to the whole of parkbrake: who, when, by which door and why. It is kept, whatever is pruned.
create table operations_log (
    number      bigint      generated always as identity,   -- in the order of their commits: each has the start gate for itself
    at          timestamptz not null,
    kind        text        not null,
    environment text        not null,
    halt_id     uuid        not null,
    actor       text        not null,
    via         text        not null,
    reason      text,
    -- Of a drill that has ended: how long each server took to say that it was halted, as JSON.
    figures     text,
    constraint operations_log_pkey primary key (number),
    constraint operations_log_kind_known check (kind in ('halted', 'resumed', 'drill_began', 'drill_ended'))
);

create trigger operations_log_append_only before update or delete or truncate on operations_log
    for each statement execute function refuse_change();

-- The last entry of the log that a server knows and acts by.
alter table server add column halts_known bigint not null default 0;

-- Whether the transaction may begin to run something: nobody is just halting, or lifting a halt. The lock lasts as long as the transaction.
create function start_gate_is_open() returns boolean language sql volatile as $$
    select pg_try_advisory_xact_lock_shared(1885434739, 1)
$$;

-- Whether what begins in an environment ('' where nobody knows it) may not begin at this moment, because of a halt, or because a freeze has
-- begun by then. False for what begins nothing.
create function is_held(p_environment text, p_before timestamptz, p_at timestamptz) returns boolean language sql stable as $$
    select p_environment is not null
       and (coalesce(p_at >= p_before, false)
            or exists (select from halt h
                       where (h.environment in ('', p_environment) or p_environment = '') and (h.lapses_at is null or h.lapses_at > p_at)))
$$;

-- Halts an environment, or everything. A drill, which ends by itself after so many seconds, is refused where something is halted that it
-- covers or that covers it. `outcome` is `halted`; `unchanged` where it was halted before, and then the rest says by whom; `occupied` for a
-- drill that is refused; or `suspended`, and then nothing was done. A halt in place of a drill ends the drill.
create function halt_starts(p_halt_id uuid, p_environment text, p_actor text, p_via text, p_reason text, p_drill_for double precision)
    returns table (outcome text, found halt) language plpgsql as $$
declare
    v_at   timestamptz;
    v_halt halt;
begin
    perform pg_advisory_xact_lock(1885434739, 1);
    v_at := clock_timestamp();
    if exists (select from suspension s where s.restored_at is null and s.name = lower(p_actor)) then
        return query select 'suspended'::text, null::halt;
        return;
    end if;
    delete from halt h where h.lapses_at <= v_at;
    if p_drill_for is not null then
        select h.* into v_halt from halt h
        where h.environment in ('', p_environment) or p_environment = '' order by h.lapses_at desc limit 1;
        if v_halt.halt_id <> p_halt_id then
            return query select 'occupied'::text, v_halt;
            return;
        end if;
    end if;
    select h.* into v_halt from halt h where h.environment = p_environment and (h.lapses_at is null or h.halt_id = p_halt_id);
    if v_halt.halt_id is not null then
        -- The same id: asked again, because the answer was lost.
        return query select case when v_halt.halt_id = p_halt_id then 'halted' else 'unchanged' end, v_halt;
        return;
    end if;
    insert into halt as h (environment, halt_id, halted_by, via, reason, since, lapses_at)
    values (p_environment, p_halt_id, p_actor, p_via, p_reason, v_at, v_at + make_interval(secs => p_drill_for))
    on conflict (environment) do update
    set halt_id = excluded.halt_id, halted_by = excluded.halted_by, via = excluded.via, reason = excluded.reason, since = excluded.since,
        lapses_at = excluded.lapses_at
    returning h.* into v_halt;
    insert into operations_log (at, kind, environment, halt_id, actor, via, reason)
    values (v_at, case when p_drill_for is null then 'halted' else 'drill_began' end, p_environment, p_halt_id, p_actor, p_via, p_reason);
    return query select 'halted'::text, v_halt;
end
$$;

-- Lifts the halt of an environment, or that of everything. With p_halt_id it ends that very drill, and keeps its figures. `outcome` is
-- `resumed`, `unchanged` where there was no such halt, or `suspended`.
create function resume_starts(p_environment text, p_halt_id uuid, p_actor text, p_via text, p_reason text, p_figures text)
    returns table (outcome text, at timestamptz) language plpgsql as $$
declare
    v_at   timestamptz;
    v_halt halt;
begin
    perform pg_advisory_xact_lock(1885434739, 1);
    v_at := clock_timestamp();
    if p_halt_id is null and exists (select from suspension s where s.restored_at is null and s.name = lower(p_actor)) then
        return query select 'suspended'::text, v_at;
        return;
    end if;
    delete from halt h where h.environment = p_environment and (p_halt_id is null or h.halt_id = p_halt_id) returning h.* into v_halt;
    if v_halt.halt_id is null and p_halt_id is null then
        return query select 'unchanged'::text, v_at;
        return;
    end if;
    -- A drill is on record with its figures also where a halt has taken its place meanwhile; once, also where its end was asked for twice.
    if p_halt_id is null
        or not exists (select from operations_log l where l.halt_id = p_halt_id and l.kind = 'drill_ended') then
        insert into operations_log (at, kind, environment, halt_id, actor, via, reason, figures)
        values (v_at, case when p_halt_id is null then 'resumed' else 'drill_ended' end, p_environment, coalesce(p_halt_id, v_halt.halt_id),
                p_actor, p_via, p_reason, p_figures);
    end if;
    return query select case when v_halt.halt_id is null then 'unchanged' else 'resumed' end, v_at;
end
$$;

-- What a commit begins to run: the environment, '' where nobody knows it, null where it begins nothing; and when a freeze begins that
-- would hold it.
alter type workflow_opening add attribute begins_in text, add attribute begins_before timestamptz;
alter type workflow_advance add attribute begins_in text, add attribute begins_before timestamptz;

-- `p_begins` says whether a row begins to run.
drop function open_workflows(workflow_opening[], logged_event[], planned_notice[], boolean, boolean);
drop function advance_workflows(workflow_advance[], logged_event[], planned_notice[]);

-- What is said of it above each earlier text holds. A row that begins to run and may not now is `held`: nothing of it is written, its key neither.
create function open_workflows(p_row workflow_opening[], p_event logged_event[], p_notice planned_notice[], p_keyed boolean, p_again boolean, p_begins boolean)
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
    v_later   uuid[] := '{}';       -- the rows that may not begin now
begin
    if p_begins then
        if start_gate_is_open() then
            v_later := array(select i.workflow_id from unnest(p_row) as i where is_held(i.begins_in, i.begins_before, clock_timestamp()));
        else
            v_busy := array(select i.workflow_id from unnest(p_row) as i where i.begins_in is not null);
            v_later := v_busy;
        end if;
    end if;
    if p_keyed then
        begin
            perform set_config('lock_timeout', '20ms', true);
            with keyed as (
                insert into idempotency_key (principal, key, fingerprint, workflow_id, created_at)
                select i.requested_by, i.key, i.fingerprint, i.workflow_id, clock_timestamp()
                from unnest(p_row) as i
                where i.key is not null and i.workflow_id <> all (v_later)
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
                         where i.key is not null and i.workflow_id <> all (v_later)
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
        where (i.key is null or i.workflow_id = any (v_keyed)) and i.workflow_id <> all (v_there) and i.workflow_id <> all (v_later)
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
                    when i.workflow_id = any (v_later) then 'held'
                    when i.key is not null and i.workflow_id <> all (v_keyed) then 'duplicate'
                    else 'conflict' end,
               null::integer, v_at
        from unnest(p_row) with ordinality as i
        where i.workflow_id <> all (v_opened);
    end if;
end
$$;

-- What is said of it above each earlier text holds. A row that begins to run and may not now is `held`.
create function advance_workflows(p_row workflow_advance[], p_event logged_event[], p_notice planned_notice[], p_begins boolean)
    returns table (ord bigint, outcome text, written integer, at timestamptz) language plpgsql as $$
declare
    v_at       timestamptz;
    v_order    bigint;
    v_locked   uuid[];
    v_whole    boolean;     -- whether every row is locked, as nearly always
    v_advanced uuid[];
    v_open     boolean := false;
begin
    v_locked := array(
        select w.workflow_id from workflow w
        where w.workflow_id = any (array(select i.workflow_id from unnest(p_row) as i)) order by w.workflow_id for no key update skip locked);
    v_whole := cardinality(v_locked) = cardinality(p_row);
    if p_begins then
        v_open := start_gate_is_open();
    end if;
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
          and (i.begins_in is null or (v_open and not is_held(i.begins_in, i.begins_before, v_at)))
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
                    when i.begins_in is not null and not v_open then 'busy'
                    when is_held(i.begins_in, i.begins_before, v_at) then 'held'
                    else 'conflict' end,
               null::integer, v_at
        from unnest(p_row) with ordinality as i
        left join workflow w using (workflow_id)
        where i.workflow_id <> all (v_advanced);
    end if;
end
$$;
