//! Where calls go: endpoints, policies, zones, routes, versions, prefixes, shadows, and answers that are kept.

mod admin;
mod balance;
mod cache;
mod cache_together;
mod consul;
mod hold;
mod prefix;
mod routes;
mod shadow;
