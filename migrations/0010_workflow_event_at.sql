-- For those who follow what happens: which events were there between two moments. The log is written in the order of time and never
-- changed, so a summary of each stretch of pages is enough. A b-tree would be one more thing that each commit has to write.

create index workflow_event_at on workflow_event using brin (at) with (autosummarize = on, pages_per_range = 32);
