-- Group commit: each of these functions writes a batch of commits in one transaction, and answers for each row alone.
--
-- Why functions: a batch costs one round trip and one flush; and within a function every statement sees what the one before
-- it waited for, so that the clock can be read after the row locks were taken. `now()` would be the start of the wait.

-- Opens workflows. A row is `committed`, or `duplicate` (its idempotency key is in use), or `conflict` (its id is).
create function open_workflows(
    p_workflow_id uuid[], p_version integer[], p_status text[], p_risk_level text[], p_action text[], p_task_id text[], p_requested_by text[],
    p_on_behalf_of text[], p_digest text[], p_document bytea[], p_key text[], p_fingerprint text[],
    -- The approval request; null in p_approvers where none is needed. Lists are joined with commas, delays are in seconds.
    p_description text[], p_metadata text[], p_approvers text[], p_required integer[], p_separation boolean[], p_timetable text[],
    p_timeout_after double precision[], p_expire_after double precision[],
    -- The events, of all rows together.
    e_workflow_id uuid[], e_version integer[], e_kind text[], e_actor text[], e_data text[],
    -- The notices that follow from them, each due so many seconds after the commit.
    n_notice_id uuid[], n_workflow_id uuid[], n_version integer[], n_kind text[], n_number integer[], n_level text[], n_channel text[],
    n_recipient text[], n_due_after double precision[]
) returns table (ord bigint, outcome text, at timestamptz) language plpgsql as $$
declare
    v_at    timestamptz;
    v_keyed uuid[] := '{}';
begin
    if array_remove(p_key, null) <> '{}' then
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
    end if;
    v_at := clock_timestamp();

    return query
    with input as (
        select i.*
        from unnest(p_workflow_id, p_version, p_status, p_risk_level, p_action, p_task_id, p_requested_by, p_on_behalf_of, p_digest,
                    p_document, p_key, p_description, p_metadata, p_approvers, p_required, p_separation, p_timetable, p_timeout_after,
                    p_expire_after)
             with ordinality
             as i (workflow_id, version, status, risk_level, action, task_id, requested_by, on_behalf_of, digest, document, key,
                   description, metadata, approvers, required, separation, timetable, timeout_after, expire_after, ord)
    ),
    opened as (
        insert into workflow as w (workflow_id, version, status, risk_level, action, task_id, requested_by, on_behalf_of, digest,
                                   created_at, updated_at)
        select i.workflow_id, i.version, i.status, i.risk_level, i.action, i.task_id, i.requested_by, i.on_behalf_of, i.digest,
               v_at, v_at
        from input i
        where i.key is null or i.workflow_id = any (v_keyed)
        on conflict (workflow_id) do nothing
        returning w.workflow_id
    ),
    logged as (
        insert into workflow_event (workflow_id, version, kind, actor, at, data)
        select e.workflow_id, e.version, e.kind, e.actor, v_at, e.data
        from unnest(e_workflow_id, e_version, e_kind, e_actor, e_data) as e (workflow_id, version, kind, actor, data)
        join opened using (workflow_id)
    ),
    stored as (
        insert into payload (workflow_id, document)
        select i.workflow_id, i.document from input i join opened using (workflow_id)
    ),
    asked as (
        insert into approval_requests (workflow_id, task_id, risk_level, description, requested_by, requested_at, approvers,
                                       timeout_at, metadata, status, on_behalf_of, digest, required, approvals, approved_by,
                                       separation_of_duties, open_roles, escalation_level, timetable, expires_at)
        select i.workflow_id, i.task_id, i.risk_level, i.description, i.requested_by, v_at, string_to_array(i.approvers, ','),
               v_at + make_interval(secs => i.timeout_after), i.metadata::jsonb, 'pending', i.on_behalf_of, i.digest, i.required,
               0, '{}', i.separation, string_to_array(i.approvers, ','), 0, i.timetable::jsonb, v_at + make_interval(secs => i.expire_after)
        from input i join opened using (workflow_id)
        where i.approvers is not null
    ),
    noticed as (
        insert into notice (notice_id, workflow_id, version, kind, number, risk_level, channel, recipient, created_at, first_due_at, due_at)
        select n.notice_id, n.workflow_id, n.version, n.kind, n.number, n.level, n.channel, n.recipient, v_at,
               v_at + make_interval(secs => n.due_after), v_at + make_interval(secs => n.due_after)
        from unnest(n_notice_id, n_workflow_id, n_version, n_kind, n_number, n_level, n_channel, n_recipient, n_due_after)
             as n (notice_id, workflow_id, version, kind, number, level, channel, recipient, due_after)
        join opened using (workflow_id)
    )
    select i.ord,
           case when o.workflow_id is not null then 'committed'
                when i.key is not null and i.workflow_id <> all (v_keyed) then 'duplicate'
                else 'conflict' end,
           v_at
    from input i left join opened o using (workflow_id);
end
$$;

-- Takes workflows to their next version. A row is `committed`, or `conflict` (somebody else wrote the next event),
-- `too_early` or `too_late` (by this database's clock, read after the row was locked).
create function advance_workflows(
    p_workflow_id uuid[], p_expected integer[], p_version integer[], p_status text[],
    p_not_before timestamptz[], p_not_after timestamptz[],
    -- The approval request as it stands afterwards; null in p_approval_status where it is not touched.
    p_approval_status text[], p_approvers text[], p_open_roles text[], p_approvals integer[], p_approved_by text[],
    p_escalation_level integer[], p_timeout_after double precision[], p_resolved_by text[], p_resolution_note text[],
    e_workflow_id uuid[], e_version integer[], e_kind text[], e_actor text[], e_data text[],
    n_notice_id uuid[], n_workflow_id uuid[], n_version integer[], n_kind text[], n_number integer[], n_level text[], n_channel text[],
    n_recipient text[], n_due_after double precision[]
) returns table (ord bigint, outcome text, at timestamptz) language plpgsql as $$
declare
    v_at timestamptz;
begin
    -- One order for all, so that two batches cannot wait for each other.
    perform from workflow w where w.workflow_id = any (p_workflow_id) order by w.workflow_id for update;
    v_at := clock_timestamp();

    return query
    with input as (
        select i.*
        from unnest(p_workflow_id, p_expected, p_version, p_status, p_not_before, p_not_after, p_approval_status, p_approvers,
                    p_open_roles, p_approvals, p_approved_by, p_escalation_level, p_timeout_after, p_resolved_by,
                    p_resolution_note)
             with ordinality
             as i (workflow_id, expected, version, status, not_before, not_after, approval_status, approvers, open_roles,
                   approvals, approved_by, escalation_level, timeout_after, resolved_by, resolution_note, ord)
    ),
    advanced as (
        update workflow w
        set version = i.version, status = i.status, updated_at = v_at
        from input i
        where w.workflow_id = i.workflow_id and w.version = i.expected
          and (i.not_before is null or v_at >= i.not_before)
          and (i.not_after is null or v_at < i.not_after)
        returning w.workflow_id
    ),
    logged as (
        insert into workflow_event (workflow_id, version, kind, actor, at, data)
        select e.workflow_id, e.version, e.kind, e.actor, v_at, e.data
        from unnest(e_workflow_id, e_version, e_kind, e_actor, e_data) as e (workflow_id, version, kind, actor, data)
        join advanced using (workflow_id)
    ),
    asked as (
        update approval_requests r
        set status = i.approval_status,
            approvers = string_to_array(i.approvers, ','),
            open_roles = string_to_array(i.open_roles, ','),
            approvals = i.approvals,
            approved_by = string_to_array(i.approved_by, ','),
            escalation_level = i.escalation_level,
            timeout_at = r.requested_at + make_interval(secs => i.timeout_after),
            resolved_by = i.resolved_by,
            resolved_at = case when i.approval_status = 'pending' then null else v_at end,
            resolution_note = i.resolution_note
        from input i join advanced using (workflow_id)
        where r.workflow_id = i.workflow_id and i.approval_status is not null
    ),
    noticed as (
        insert into notice (notice_id, workflow_id, version, kind, number, risk_level, channel, recipient, created_at, first_due_at, due_at)
        select n.notice_id, n.workflow_id, n.version, n.kind, n.number, n.level, n.channel, n.recipient, v_at,
               v_at + make_interval(secs => n.due_after), v_at + make_interval(secs => n.due_after)
        from unnest(n_notice_id, n_workflow_id, n_version, n_kind, n_number, n_level, n_channel, n_recipient, n_due_after)
             as n (notice_id, workflow_id, version, kind, number, level, channel, recipient, due_after)
        join advanced using (workflow_id)
    ),
    -- Whoever has not been asked yet is not asked any more.
    silenced as (
        update notice n
        set status = 'cancelled', error = 'the request was settled first'
        from input i join advanced using (workflow_id)
        where n.workflow_id = i.workflow_id and n.status = 'pending' and i.approval_status <> 'pending'
          and n.kind in ('approval.requested', 'approval.reminded', 'approval.escalated')
    )
    select i.ord,
           case when a.workflow_id is not null then 'committed'
                when w.version is distinct from i.expected then 'conflict'
                when v_at < i.not_before then 'too_early'
                else 'too_late' end,
           v_at
    from input i left join advanced a using (workflow_id) left join workflow w using (workflow_id);
end
$$;
