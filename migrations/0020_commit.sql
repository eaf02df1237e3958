-- The two commit functions, made anew with what later migrations added to the tables. The reasons for their shape are in 0007_commit.sql.

drop function open_workflows;
drop function advance_workflows;

-- Opens workflows. A row that was not written is a `duplicate` (its idempotency key is in use), `busy` (another transaction is just
-- writing that key), or a `conflict` (its id is in use).
create function open_workflows(
    p_workflow_id uuid[], p_version integer[], p_seal bytea[], p_status text[], p_risk_level text[], p_action text[], p_task_id text[], p_requested_by text[],
    p_on_behalf_of text[], p_digest text[], p_target text[], p_key text[], p_fingerprint text[],
    -- The approval request; null in p_approvers where none is needed. Lists are joined with commas, delays are in seconds.
    p_approvers text[], p_required integer[], p_separation boolean[], p_timetable text[],
    p_timeout_after double precision[], p_expire_after double precision[],
    -- When the report of an external action falls due.
    p_report_after double precision[],
    -- The events, of all rows together. A document stands with the first event of each.
    e_workflow_id uuid[], e_version integer[], e_kind text[], e_actor text[], e_data text[], e_via text[], e_seal bytea[], e_document bytea[],
    -- The notices that follow from them, each due so many seconds after the commit.
    n_notice_id uuid[], n_workflow_id uuid[], n_version integer[], n_kind text[], n_number integer[], n_level text[], n_channel text[],
    n_recipient text[], n_due_after double precision[]
) returns table (ord bigint, outcome text, written integer, at timestamptz) language plpgsql as $$
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
    if array_remove(p_key, null) <> '{}' then
        begin
            perform set_config('lock_timeout', '20ms', true);
            with keyed as (
                insert into idempotency_key (principal, key, fingerprint, workflow_id, created_at)
                select i.principal, i.key, i.fingerprint, i.workflow_id, clock_timestamp()
                from unnest(p_requested_by, p_key, p_fingerprint, p_workflow_id) as i (principal, key, fingerprint, workflow_id)
                where i.key is not null
                order by i.principal, i.key     -- one order for all, so that two batches cannot wait for each other
                on conflict do nothing
                returning workflow_id
            )
            select coalesce(array_agg(keyed.workflow_id), '{}') into v_keyed from keyed;
        exception when lock_not_available then
            -- Another transaction has written one of these keys and has not ended. Now one by one, so that only its row is `busy`.
            v_keyed := '{}';
            for v_row in select i.principal, i.key, i.fingerprint, i.workflow_id
                         from unnest(p_requested_by, p_key, p_fingerprint, p_workflow_id) as i (principal, key, fingerprint, workflow_id)
                         where i.key is not null
                         order by i.principal, i.key loop
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
               string_to_array(i.approvers, ','), string_to_array(i.approvers, ','), i.separation, i.required,
               case when i.approvers is not null then 0 end, case when i.approvers is not null then '{}'::text[] end,
               case when i.approvers is not null then 0 end, i.timetable,
               v_at + make_interval(secs => i.timeout_after), v_at + make_interval(secs => i.expire_after), v_at + make_interval(secs => i.report_after)
        from unnest(p_workflow_id, p_version, p_seal, p_status, p_risk_level, p_action, p_task_id, p_requested_by, p_on_behalf_of, p_digest,
                    p_target, p_key, p_approvers, p_required, p_separation, p_timetable, p_timeout_after, p_expire_after, p_report_after)
             as i (workflow_id, version, seal, status, risk_level, action, task_id, requested_by, on_behalf_of, digest,
                   target, key, approvers, required, separation, timetable, timeout_after, expire_after, report_after)
        where i.key is null or i.workflow_id = any (v_keyed)
        on conflict (workflow_id) do nothing
        returning w.workflow_id
    )
    select coalesce(array_agg(opened.workflow_id), '{}') into v_opened from opened;

    insert into workflow_event (workflow_id, version, kind, actor, at, data, via, seal, document, feed_order)
    select e.workflow_id, e.version, e.kind, e.actor, v_at, e.data, e.via, e.seal, e.document, v_order
    from unnest(e_workflow_id, e_version, e_kind, e_actor, e_data, e_via, e_seal, e_document)
         as e (workflow_id, version, kind, actor, data, via, seal, document)
    where cardinality(v_opened) = cardinality(p_workflow_id) or e.workflow_id = any (v_opened);

    if n_notice_id <> '{}' then
        insert into notice (notice_id, workflow_id, version, kind, number, risk_level, channel, recipient, created_at, first_due_at, due_at)
        select n.notice_id, n.workflow_id, n.version, n.kind, n.number, n.level, n.channel, n.recipient, v_at,
               v_at + make_interval(secs => n.due_after), v_at + make_interval(secs => n.due_after)
        from unnest(n_notice_id, n_workflow_id, n_version, n_kind, n_number, n_level, n_channel, n_recipient, n_due_after)
             as n (notice_id, workflow_id, version, kind, number, level, channel, recipient, due_after)
        where n.workflow_id = any (v_opened);
    end if;

    return query select null::bigint, null::text, cardinality(v_opened), v_at;
    if cardinality(v_opened) < cardinality(p_workflow_id) then
        return query
        select i.ord,
               case when i.workflow_id = any (v_busy) then 'busy'
                    when i.key is not null and i.workflow_id <> all (v_keyed) then 'duplicate'
                    else 'conflict' end,
               null::integer, v_at
        from unnest(p_workflow_id, p_key) with ordinality as i (workflow_id, key, ord)
        where i.workflow_id <> all (v_opened);
    end if;
end
$$;

-- Takes workflows to their next version. A row that was not written is `busy` (somebody else has locked it: nobody waits for it
-- here, so that the other rows of the batch do not), a `conflict` (somebody else wrote the next event, or there is no such workflow),
-- `too_early` or `too_late` (by this database's clock, read after the row was locked), `fenced` (the server that would run the action
-- holds no lease), or `owner_acts` (the server whose attempt would be taken up still holds one).
create function advance_workflows(
    p_workflow_id uuid[], p_expected integer[], p_version integer[], p_seal bytea[], p_status text[],
    p_not_before timestamptz[], p_not_after timestamptz[],
    -- The server that is to run what this commit starts, and the one whose attempt it takes up; null where it does neither.
    p_starter uuid[], p_lapsed uuid[],
    -- The approval request as it stands afterwards; null in p_approval_status where it is not touched.
    p_approval_status text[], p_approvers text[], p_open_roles text[], p_approvals integer[], p_approved_by text[],
    p_escalation_level integer[], p_timeout_after double precision[], p_resolved_by text[], p_resolution_note text[],
    -- What a further round asks for; null in p_required where the commit opens none.
    p_required integer[], p_separation boolean[], p_timetable text[], p_expire_after double precision[],
    -- Whose rights it rests on, in lower case and joined with commas: a decision or a start is not written if one of them is suspended.
    p_relies_on text[],
    -- When the report of an external action falls due; null where none is awaited.
    p_report_after double precision[],
    e_workflow_id uuid[], e_version integer[], e_kind text[], e_actor text[], e_data text[], e_via text[], e_seal bytea[],
    n_notice_id uuid[], n_workflow_id uuid[], n_version integer[], n_kind text[], n_number integer[], n_level text[], n_channel text[],
    n_recipient text[], n_due_after double precision[]
) returns table (ord bigint, outcome text, written integer, at timestamptz) language plpgsql as $$
declare
    v_at       timestamptz;
    v_order    bigint;
    v_locked   uuid[];
    v_whole    boolean;     -- whether every row is locked, as nearly always
    v_advanced uuid[];
begin
    v_locked := array(
        select w.workflow_id from workflow w
        where w.workflow_id = any (p_workflow_id) order by w.workflow_id for no key update skip locked);
    v_whole := cardinality(v_locked) = cardinality(p_workflow_id);
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
            approvers = case when i.approval_status is null then w.approvers else string_to_array(i.approvers, ',') end,
            open_roles = case when i.approval_status is null then w.open_roles else string_to_array(i.open_roles, ',') end,
            approvals = case when i.approval_status is null then w.approvals else i.approvals end,
            approved_by = case when i.approval_status is null then w.approved_by else string_to_array(i.approved_by, ',') end,
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
        from unnest(p_workflow_id, p_expected, p_version, p_seal, p_status, p_not_before, p_not_after, p_starter, p_lapsed, p_approval_status,
                    p_approvers, p_open_roles, p_approvals, p_approved_by, p_escalation_level, p_timeout_after, p_resolved_by,
                    p_resolution_note, p_required, p_separation, p_timetable, p_expire_after, p_relies_on, p_report_after)
             as i (workflow_id, expected, version, seal, status, not_before, not_after, starter, lapsed, approval_status, approvers, open_roles,
                   approvals, approved_by, escalation_level, timeout_after, resolved_by, resolution_note,
                   required, separation, timetable, expire_after, relies_on, report_after)
        where w.workflow_id = i.workflow_id and w.version = i.expected
          and (v_whole or i.workflow_id = any (v_locked))
          and (i.not_before is null or v_at >= i.not_before)
          and (i.not_after is null or v_at < i.not_after)
          and (i.relies_on is null or not exists (
                  select from suspension s where s.restored_at is null and s.name = any (string_to_array(i.relies_on, ','))))
          and (i.starter is null or lease_holds(i.starter, clock_timestamp()))
          and (i.lapsed is null or not lease_holds(i.lapsed, clock_timestamp()))
        returning w.workflow_id
    )
    select coalesce(array_agg(advanced.workflow_id), '{}') into v_advanced from advanced;

    insert into workflow_event (workflow_id, version, kind, actor, at, data, via, seal, feed_order)
    select e.workflow_id, e.version, e.kind, e.actor, v_at, e.data, e.via, e.seal, v_order
    from unnest(e_workflow_id, e_version, e_kind, e_actor, e_data, e_via, e_seal)
         as e (workflow_id, version, kind, actor, data, via, seal)
    where cardinality(v_advanced) = cardinality(p_workflow_id) or e.workflow_id = any (v_advanced);

    if n_notice_id <> '{}' then
        insert into notice (notice_id, workflow_id, version, kind, number, risk_level, channel, recipient, created_at, first_due_at, due_at)
        select n.notice_id, n.workflow_id, n.version, n.kind, n.number, n.level, n.channel, n.recipient, v_at,
               v_at + make_interval(secs => n.due_after), v_at + make_interval(secs => n.due_after)
        from unnest(n_notice_id, n_workflow_id, n_version, n_kind, n_number, n_level, n_channel, n_recipient, n_due_after)
             as n (notice_id, workflow_id, version, kind, number, level, channel, recipient, due_after)
        where n.workflow_id = any (v_advanced);
    end if;
    -- Whoever has not been asked yet is not asked any more; where people are asked anew, not for the round before. A notice that is
    -- locked is on its way: its courier looks at the log itself.
    update notice n
    set status = 'cancelled', error = case when asked.required is null then 'the request was settled first' else 'people are asked again' end
    from (
        select m.notice_id, i.required
        from unnest(p_workflow_id, p_expected, p_approval_status, p_required) as i (workflow_id, expected, approval_status, required)
        join notice m using (workflow_id)
        where (i.approval_status <> 'pending' or (i.required is not null and m.version <= i.expected)) and i.workflow_id = any (v_advanced)
          and m.status = 'pending' and m.kind in ('approval.requested', 'approval.reminded', 'approval.escalated')
        for no key update of m skip locked) as asked
    where n.notice_id = asked.notice_id;

    return query select null::bigint, null::text, cardinality(v_advanced), v_at;
    if cardinality(v_advanced) < cardinality(p_workflow_id) then
        return query
        select i.ord,
               case when not v_whole and w.workflow_id is not null and i.workflow_id <> all (v_locked) then 'busy'
                    when w.version is distinct from i.expected then 'conflict'
                    when v_at < i.not_before then 'too_early'
                    when v_at >= i.not_after then 'too_late'
                    when i.starter is not null and not lease_holds(i.starter, clock_timestamp()) then 'fenced'
                    when lease_holds(i.lapsed, clock_timestamp()) then 'owner_acts'
                    else 'conflict' end,
               null::integer, v_at
        from unnest(p_workflow_id, p_expected, p_not_before, p_not_after, p_starter, p_lapsed)
             with ordinality as i (workflow_id, expected, not_before, not_after, starter, lapsed, ord)
        left join workflow w using (workflow_id)
        where i.workflow_id <> all (v_advanced);
    end if;
end
$$;
