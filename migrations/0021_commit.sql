-- A shorter batch: the two commit functions take their rows as rows instead of column by column, the list of what waits has an index of
-- numbers, and a row of `workflow` is checked once. The reasons for the functions' shape are in 0007_commit.sql.
--
-- Rows, because each array costs PostgreSQL twice: it is taken apart when the function is called, and read into a store of its own by
-- `unnest`. For 25 rows of 20 columns that took 190 us, which is a third of a batch; one array of 25 rows takes 10 us.

drop function open_workflows;
drop function advance_workflows;

-- A workflow as its first commit leaves it.
create type workflow_opening as (
    workflow_id   uuid,
    version       integer,
    seal          bytea,
    status        text,
    risk_level    text,
    action        text,
    task_id       text,
    requested_by  text,
    on_behalf_of  text,
    digest        text,
    target        text,
    key           text,
    fingerprint   text,
    -- The approval request; null in `approvers` where none is needed. Delays are in seconds.
    approvers     text[],
    required      integer,
    separation    boolean,
    timetable     text,
    timeout_after double precision,
    expire_after  double precision,
    -- When the report of an external action falls due.
    report_after  double precision
);

-- A workflow as a later commit leaves it.
create type workflow_advance as (
    workflow_id      uuid,
    expected         integer,
    version          integer,
    seal             bytea,
    status           text,
    not_before       timestamptz,
    not_after        timestamptz,
    -- The server that is to run what this commit starts, and the one whose attempt it takes up; null where it does neither.
    starter          uuid,
    lapsed           uuid,
    -- The approval request as it stands afterwards; null in `approval_status` where it is not touched.
    approval_status  text,
    approvers        text[],
    open_roles       text[],
    approvals        integer,
    approved_by      text[],
    escalation_level integer,
    timeout_after    double precision,
    resolved_by      text,
    resolution_note  text,
    -- What a further round asks for; null in `required` where the commit opens none.
    required         integer,
    separation       boolean,
    timetable        text,
    expire_after     double precision,
    -- Whose rights it rests on, in lower case: a decision or a start is not written if one of them is suspended.
    relies_on        text[],
    -- When the report of an external action falls due; null where none is awaited.
    report_after     double precision
);

-- An event of one of the rows. A document stands with the first event of a workflow.
create type logged_event as (
    workflow_id uuid,
    version     integer,
    kind        text,
    actor       text,
    data        text,
    via         text,
    seal        bytea,
    document    bytea
);

-- A notice that follows from one of the rows, due so many seconds after the commit.
create type planned_notice as (
    notice_id   uuid,
    workflow_id uuid,
    version     integer,
    kind        text,
    number      integer,
    level       text,
    channel     text,
    recipient   text,
    due_after   double precision
);

-- A constraint's text is read anew by each statement: one is read faster than five.
alter table workflow
    drop constraint workflow_version_positive,
    drop constraint workflow_status_known,
    drop constraint workflow_risk_level_known,
    drop constraint workflow_approval_status_known,
    drop constraint workflow_approval_resolved_once_settled,
    add constraint workflow_sound check (
        version > 0
        and status in ('pending_approval', 'queued', 'executing', 'completed', 'failed', 'outcome_unknown', 'rejected', 'cancelled', 'expired')
        and risk_level in ('low', 'medium', 'high', 'critical')
        and approval_status in ('pending', 'approved', 'rejected', 'expired', 'cancelled')
        and (approval_status = 'pending') = (resolved_at is null)
    );

-- The number of a level and a set of roles: where a request waits. Of a thousand such places two have the same number once in 10^13
-- databases; then the lists of one level or role would leave out those of the other.
create function place_of(risk_level text, approvers text[]) returns bigint language sql immutable parallel safe
    return hash_array_extended(approvers, hashtextextended(risk_level, 0));

drop view pending_place;
drop index workflow_pending;
-- The first entries of `workflow_pending_by_requester` are the same.
drop index workflow_pending_of_requester;

-- What waits for people: in the order of time at each place. There are few places, so a list for whoever holds some roles looks only at
-- those where they count. It is read backwards: new entries go to the end of their place, where pages are filled whole.
create index workflow_pending on workflow (place_of(risk_level, approvers), requested_at, workflow_id) where approval_status = 'pending';

-- The places at which something waits: one look into the index for each, however much waits there.
create view pending_place as
with recursive place as (
    (select place_of(w.risk_level, w.approvers) as place, w.risk_level, w.approvers from workflow w
     where w.approval_status = 'pending' order by place_of(w.risk_level, w.approvers) limit 1)
    union all
    select following.place, following.risk_level, following.approvers
    from place cross join lateral (
        select place_of(w.risk_level, w.approvers) as place, w.risk_level, w.approvers from workflow w
        where w.approval_status = 'pending' and place_of(w.risk_level, w.approvers) > place.place
        order by place_of(w.risk_level, w.approvers) limit 1
    ) following
)
select place, risk_level, approvers from place;

-- Opens workflows. A row that was not written is a `duplicate` (its idempotency key is in use), `busy` (another transaction is just
-- writing that key), or a `conflict` (its id is in use).
create function open_workflows(p_row workflow_opening[], p_event logged_event[], p_notice planned_notice[])
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

    insert into workflow_event (workflow_id, version, kind, actor, at, data, via, seal, document, feed_order)
    select e.workflow_id, e.version, e.kind, e.actor, v_at, e.data, e.via, e.seal, e.document, v_order
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
create function advance_workflows(p_row workflow_advance[], p_event logged_event[], p_notice planned_notice[])
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
    v_order := feed_order();

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
