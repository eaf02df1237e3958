-- Makes thousands of workflows for the benchmark: copies of three that the server wrote, each with
-- its own id and times. One in twenty is a copy of the critical one, three in twenty of the medium
-- one, the others of the high one.
create function pg_temp.fill(p_from integer, p_to integer, p_start timestamptz, p_spacing interval, p_medium uuid, p_high uuid, p_critical uuid)
    returns void language plpgsql as $$
begin
    create temp table copy on commit drop as
    select case when n % 20 = 0 then p_critical when n % 5 = 0 then p_medium else p_high end as source,
           -- A UUID of version 7: milliseconds first.
           (lpad(to_hex((extract(epoch from at) * 1000)::bigint), 12, '0') || '7' || substr(noise, 1, 3) || '8' || substr(noise, 4, 3)
            || substr(noise, 7, 12))::uuid as workflow_id,
           at
    from (select n, md5(n::text || random()::text) as noise, p_start + n * p_spacing as at
          from generate_series(p_from, p_to) as n) as numbered;
    analyze copy;

    insert into workflow (workflow_id, version, status, risk_level, action, running, task_id, requested_by, on_behalf_of, digest, target, created_at,
                          updated_at, approval_status, requested_at, approvers, open_roles, separation_of_duties, required, approvals,
                          approved_by, escalation_level, timetable, timeout_at, expires_at, resolved_by, resolved_at, resolution_note)
    select c.workflow_id, w.version, w.status, w.risk_level, w.action, w.running, w.task_id, w.requested_by, w.on_behalf_of, w.digest, w.target, c.at,
           c.at, w.approval_status, c.at, w.approvers, w.open_roles, w.separation_of_duties, w.required, w.approvals, w.approved_by,
           w.escalation_level, w.timetable, c.at + (w.timeout_at - w.requested_at), c.at + (w.expires_at - w.requested_at),
           w.resolved_by, c.at + (w.resolved_at - w.requested_at), w.resolution_note
    from copy c join workflow w on w.workflow_id = c.source order by c.at;

    insert into document (workflow_id, round, content)
    select c.workflow_id, d.round, d.content from copy c join document d on d.workflow_id = c.source order by c.at;

    insert into workflow_event (workflow_id, version, kind, actor, at, data, via)
    select c.workflow_id, e.version, e.kind, e.actor, c.at, e.data, e.via
    from copy c join workflow_event e on e.workflow_id = c.source order by c.at, e.version;
end
$$;
