//! Integration tests on a real PostgreSQL: one story per file, each test with a database of its own.

mod support;

mod admission;
mod assess;
mod channels;
mod chaos;
mod connections;
mod couriers;
mod decide;
mod escalate;
mod events;
mod execute;
mod flows;
mod identity;
mod inbox_decide;
mod inbox_pages;
mod inbox_session;
mod integrity;
mod kill;
mod lease;
mod lists;
mod notices;
mod outage;
mod people;
mod proxy;
mod prune;
mod queries;
mod quotas;
mod requests;
mod shown;
mod slack;
mod statistics;
mod storage;
mod submit;
mod supervise;
mod tokens;
