//! Where calls go: endpoints, routes, versions, prefixes, shadows, and answers that are kept.

mod admin;
mod cache;
mod cache_together;
mod consul;
mod prefix;
mod routes;
mod shadow;
