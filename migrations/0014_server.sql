-- The servers that act on this database, each with a lease that it renews by this database's clock.
--
-- One server acts at a time: the unique index sees to that. A row with `acts = false` is the record of a server that has
-- stopped or was replaced; an attempt's `owner` is the id of such a row.
create table server (
    server_id       uuid        primary key,
    address         text        not null,
    host            text        not null,
    version         text        not null,
    -- Which process it is, where that can be looked up: the running system with its process namespace, the process id, and
    -- the time at which the process started. Null where the operating system does not tell.
    machine         text,
    pid             integer,
    process_started bigint,
    started_at      timestamptz not null default clock_timestamp(),
    lease_until     timestamptz not null,
    acts            boolean     not null,
    ended_at        timestamptz,
    check (acts = (ended_at is null))
);
create unique index server_acting on server (acts) where acts;

-- Whether a server may act now. One that nobody has heard of may not.
create function lease_holds(p_server_id uuid, p_at timestamptz) returns boolean language sql stable as $$
    select exists (select from server s where s.server_id = p_server_id and s.acts and s.lease_until > p_at)
$$;

-- Makes a server the one that acts, for so many seconds. It succeeds if nobody else acts, if the lease of the one that acts
-- has lapsed, or if the caller has seen that the process of the one that acts, p_gone, no longer exists. A server that asks again
-- because the answer was lost finds that it acts already. `claimed` is false where another server acts, and then the rest
-- says which; where that is null, somebody else was faster by a moment.
create function claim_server(
    p_server_id uuid, p_address text, p_host text, p_version text, p_machine text, p_pid integer, p_process_started bigint,
    p_lease double precision, p_gone uuid
) returns table (claimed boolean, server_id uuid, address text, host text, machine text, pid integer, process_started bigint,
                 started_at timestamptz, lapses_in double precision) language plpgsql as $$
#variable_conflict use_column
declare
    v_holder server;
begin
    -- Waits for a renewal or a claim that is under way, and then sees what it wrote.
    select s.* into v_holder from server s where s.acts for update;
    if v_holder.server_id <> p_server_id and v_holder.lease_until > clock_timestamp() and v_holder.server_id is distinct from p_gone then
        return query select false, v_holder.server_id, v_holder.address, v_holder.host, v_holder.machine, v_holder.pid,
                            v_holder.process_started, v_holder.started_at,
                            extract(epoch from v_holder.lease_until - clock_timestamp())::double precision;
        return;
    end if;
    -- Only the one that was seen, and that is locked: a server that has claimed the database since then stays, and the unique
    -- index refuses this claim.
    update server s set acts = false, ended_at = clock_timestamp()
    where s.server_id = v_holder.server_id and s.acts and s.server_id <> p_server_id;
    insert into server (server_id, address, host, version, machine, pid, process_started, lease_until, acts)
    values (p_server_id, p_address, p_host, p_version, p_machine, p_pid, p_process_started,
            clock_timestamp() + make_interval(secs => p_lease), true)
    on conflict (server_id) do update set acts = true, ended_at = null, lease_until = excluded.lease_until;
    delete from server s where not s.acts and s.ended_at < clock_timestamp() - interval '90 days';
    return query select true, p_server_id, p_address, p_host, p_machine, p_pid, p_process_started, clock_timestamp(), p_lease;
exception when unique_violation then
    return query select false, null::uuid, null::text, null::text, null::text, null::integer, null::bigint, null::timestamptz,
                        null::double precision;
end
$$;
