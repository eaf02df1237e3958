-- What a request is about, as far as was known when it was submitted, and the door by which each event came.

-- JSON: operation, environment, resource, resource_type, and `differs`, where the claim is another one. Null in rows from before this.
alter table workflow add column target text;
-- rest, inbox, slack, ..., or system. Null in rows from before this, which came by the API or from parkbrake itself.
alter table workflow_event add column via text;

-- The target of a row: the one that is stored, or, in rows from before this, the claim. The document is opened only for those.
create function target_of(stored text, document bytea) returns text language sql immutable parallel safe as $$
    select coalesce(stored, (
        select jsonb_build_object('operation', coalesce(t.task ->> 'operation', 'unknown'), 'environment', t.task -> 'environment',
                                  'resource', t.task -> 'resource', 'resource_type', t.task -> 'resource_type',
                                  'differs', '[]'::jsonb)::text
        from (select convert_from(document, 'UTF8')::jsonb as task) t))
$$;
