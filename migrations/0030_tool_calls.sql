-- Tool calls of coding agents. What makes two of them the same, and which one is which, are idempotency keys: they are written in the commit that
-- opens a workflow, each once, and go with it when it is pruned. No requester can send such a key, because each begins with a blank:
--   ' call IDENTITY NUMBER'  the workflows that were parked for the same call, counted from 1, of which the last one counts
--   ' use DIGEST'            the one call of a session, by its id, that was allowed to run
--   ' told WORKFLOW'         the requester has been told that this request ended without a yes or a no, and may ask anew

-- The last workflow for the same call is found by the beginning of its key, whatever the collation of the database is.
create index idempotency_key_of_call on idempotency_key (principal, key collate "C") where starts_with(key, ' call ');
