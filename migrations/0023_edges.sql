-- What becomes of the order of events (0018_reading.sql) in a database that was restored from a backup.
--
-- Events that the backup did not hold are gone, and their places may have been told to somebody. A later event must not get such a
-- place, or one before it: whoever comes back to a place that was told would miss it. So the order goes on far behind any
-- place that can have been told, and what lies in between is known to be lost.

alter table feed_base add column life text;                             -- which life of the database this is; null until a server first asks
alter table feed_base add column lost_after bigint not null default 0;  -- places after this one and …
alter table feed_base add column goes_on_at bigint not null default 0;  -- … before this one were told in an earlier life, or never

-- What differs between a database and a copy of it: the cluster, its timeline (another one after a recovery to a point in time, or a failover),
-- the database and the table. What a role may not ask is left out.
create function feed_life() returns text language plpgsql stable as $$
declare
    v_cluster text;
begin
    if has_function_privilege('pg_control_system()', 'execute') then
        select system_identifier::text into v_cluster from pg_control_system();
    end if;
    return concat_ws('.', v_cluster, left(pg_walfile_name(pg_current_wal_lsn()), 8),
                     (select d.oid from pg_database d where d.datname = current_database()), 'feed_base'::regclass::oid);
end
$$;

-- Called when a server starts, before it writes, and before the log is followed. Where this is another life of the database than the one in which this was last called, or events
-- have a place that no transaction of it can have given, the order goes on behind everything that can have been told. It acts as the
-- owner of the tables, because the server's role may neither lock the log nor write this.
create or replace function feed_restart() returns void language plpgsql security definer as $$
declare
    v_highest bigint;
    v_next    bigint;
    v_was     text;
    v_life    text := feed_life();
begin
    select max(e.feed_order) into v_highest from workflow_event e;
    select b.base + pg_snapshot_xmax(pg_current_snapshot())::text::bigint, b.life into v_next, v_was from feed_base b;
    if v_was = v_life and coalesce(v_highest, 0) <= v_next then
        return;
    end if;
    lock table workflow_event in share mode;
    -- Somebody else may have done it meanwhile.
    select b.life into v_was from feed_base b for update;
    select max(e.feed_order) into v_highest from workflow_event e;
    select b.base + pg_snapshot_xmax(pg_current_snapshot())::text::bigint into v_next from feed_base b;
    if v_was <> v_life or v_highest > v_next then
        update feed_base b
        set lost_after = coalesce(v_highest, 0),
            goes_on_at = greatest(v_highest, v_next) + 1099511627776,       -- 2^40: more transactions than a backup can be old
            base = b.base + greatest(v_highest, v_next) + 1099511627776 - v_next;
    end if;
    update feed_base b set life = v_life where b.life is distinct from v_life;
end
$$;

-- Names mean what they mean here, whoever calls it: also where the caller has a temporary table of the same name.
do $$
begin
    execute format('alter function feed_life() set search_path = %I, pg_temp', current_schema());
    execute format('alter function feed_restart() set search_path = %I, pg_temp', current_schema());
end
$$;
