-- What falls due is found by the index of what waits.
--
-- `workflow_waiting` has, under each level and set of roles, what falls due first. There are a few
-- dozen of these at most, so looking at the first of each finds what is due, and an index of its own
-- cost every submit an entry. A request waits (`pending_approval`) exactly as long as its approval is
-- `pending`.
drop index workflow_due;
