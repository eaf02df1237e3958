-- Quiet hours of people: a notice to somebody that falls into them is due at their end.

alter table notice add column waited boolean not null default false;
comment on column notice.waited is 'Whether it has waited for the end of its recipient''s quiet hours. What has, and asks, is one message.';
