-- Browsers that people have subscribed to notices (Web Push).

create table push_subscription (
    subscription_id uuid        not null,   -- a new one each time the browser subscribes
    principal       text        not null,   -- who subscribed it
    endpoint        text        not null,   -- where the push service of the browser takes messages for it
    p256dh          bytea       not null,   -- the browser's public key
    auth            bytea       not null,   -- a secret of the browser and parkbrake
    browser         text        not null,   -- a short name, such as `Firefox on Linux`
    subscribed_at   timestamptz not null default clock_timestamp(),
    constraint push_subscription_pkey primary key (subscription_id),
    -- A browser belongs to whoever subscribed it last.
    constraint push_subscription_endpoint unique (endpoint)
);
create index push_subscription_principal on push_subscription (principal, subscribed_at);
