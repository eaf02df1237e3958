-- Reminders at shares of the goal: notices that are written with the request, and told once. A decision cancels them, and the
-- warning before the expiry as well, in its own transaction.

alter table notice drop constraint notice_kind_known;
alter table notice add constraint notice_kind_known
    check (kind in ('approval.requested', 'approval.reminded', 'approval.escalated', 'approval.goal_nears', 'approval.expiring',
                    'approval.decided', 'approval.granted', 'approval.glass_broken', 'approval.reviewed', 'approval.expired', 'workflow.cancelled', 'workflow.superseded', 'workflow.asked',
                    'workflow.answered', 'workflow.executing', 'workflow.succeeded', 'workflow.failed', 'workflow.report_overdue',
                    'workflow.outcome_unknown'));

-- What is said of it above each earlier text holds. `p_renews` says whether a row has a document.
create or replace function advance_workflows(p_row workflow_advance[], p_event logged_event[], p_notice planned_notice[], p_begins boolean, p_glass boolean, p_renews boolean)
    returns table (ord bigint, outcome text, written integer, at timestamptz) language plpgsql as $$
declare
    v_at       timestamptz;
    v_order    bigint;
    v_locked   uuid[];
    v_whole    boolean;     -- whether every row is locked, as nearly always
    v_advanced uuid[];
    v_open     boolean := false;
    v_reviewed uuid[] := '{}';      -- the rows that break the glass, and may
begin
    v_locked := array(
        select w.workflow_id from workflow w
        where w.workflow_id = any (array(select i.workflow_id from unnest(p_row) as i)) order by w.workflow_id for no key update skip locked);
    v_whole := cardinality(v_locked) = cardinality(p_row);
    if p_begins then
        v_open := start_gate_is_open();
    end if;
    if p_glass then
        with opened as (
            insert into glass_review (workflow_id, version, approver, opened_at)
            select i.workflow_id, i.version, i.breaks_glass, clock_timestamp()
            from unnest(p_row) as i join workflow w using (workflow_id)
            where i.breaks_glass is not null and w.version = i.expected and i.workflow_id = any (v_locked)
            order by lower(i.breaks_glass)      -- one order for all, so that two batches cannot wait for each other
            on conflict do nothing
            returning workflow_id
        )
        select coalesce(array_agg(opened.workflow_id), '{}') into v_reviewed from opened;
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
            resolution_note = case when i.approval_status is null then w.resolution_note else i.resolution_note end,
            digest = coalesce(i.digest, w.digest)
        from unnest(p_row) as i
        where w.workflow_id = i.workflow_id and w.version = i.expected
          and (v_whole or i.workflow_id = any (v_locked))
          and (i.not_before is null or v_at >= i.not_before)
          and (i.not_after is null or v_at < i.not_after)
          and (i.relies_on is null or not exists (
                  select from suspension s where s.restored_at is null and s.name = any (i.relies_on)))
          and (i.starter is null or lease_holds(i.starter, clock_timestamp()))
          and (i.lapsed is null or not lease_holds(i.lapsed, clock_timestamp()))
          and (i.grant_id is null or grant_stands(i.grant_id))
          and (i.breaks_glass is null or i.workflow_id = any (v_reviewed))
          and (i.begins_in is null or (v_open and not is_held(i.begins_in, i.begins_before, v_at)))
        returning w.workflow_id
    )
    select coalesce(array_agg(advanced.workflow_id), '{}') into v_advanced from advanced;
    if p_glass then
        delete from glass_review g using unnest(p_row) as i
        where (g.workflow_id, g.version) = (i.workflow_id, i.version) and i.breaks_glass is not null
          and i.workflow_id = any (v_reviewed) and i.workflow_id <> all (v_advanced);
        update glass_review g set closed_at = v_at, closed_by = i.reviews from unnest(p_row) as i
        where g.workflow_id = i.workflow_id and g.closed_at is null and i.reviews is not null and i.workflow_id = any (v_advanced);
    end if;

    if p_renews then
        insert into document (workflow_id, round, content)
        select i.workflow_id, i.document_number, i.document
        from unnest(p_row) as i
        where i.document is not null and i.workflow_id = any (v_advanced);
    end if;

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
          and m.status = 'pending' and m.kind in ('approval.requested', 'approval.reminded', 'approval.escalated', 'approval.goal_nears', 'approval.expiring')
        for no key update of m skip locked) as asked
    where n.notice_id = asked.notice_id;

    return query select null::bigint, null::text, cardinality(v_advanced), v_at;
    if cardinality(v_advanced) < cardinality(p_row) then
        return query
        select i.ordinality,
               case when not v_whole and w.workflow_id is not null and i.workflow_id <> all (v_locked) then 'busy'
                    when w.version is distinct from i.expected then 'conflict'
                    when i.breaks_glass is not null and i.workflow_id <> all (v_reviewed) then 'unreviewed'
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
